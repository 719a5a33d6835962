/** Every operation on the store: within `store_timeout`, in turn on its key, and none after the end. */

import { type Awaitable, isPromise } from "../awaitable.js";
import type { StoredRecord } from "../backends/backend.js";
import { Deadline } from "../deadline.js";
import { storeClosed, TokenizerError } from "../errors.js";
import { KeyedQueue, type Shared } from "./queue.js";

export class Operations {
  readonly #storeTimeout: number;
  /** What a save leaves for those behind it is the record that it wrote. */
  readonly #queue = new KeyedQueue<StoredRecord>();
  /** What `close` waits for. */
  readonly #underWay = new Set<Promise<unknown>>();
  #isClosed = false;

  /** @param storeTimeout what an operation may take in all, in milliseconds */
  constructor(storeTimeout: number) {
    this.#storeTimeout = storeTimeout;
  }

  get isClosed(): boolean {
    return this.#isClosed;
  }

  /**
   * Runs `work` within `store_timeout`.
   *
   * @throws TokenizerError whatever it is that `work` throws
   */
  async within<T>(work: (deadline: Deadline) => Awaitable<T>): Promise<T> {
    return this.atOnce(work);
  }

  /** The same; at once if nothing of it has to be waited for. A failure comes by promise. */
  atOnce<T>(work: (deadline: Deadline) => Awaitable<T>): Awaitable<T> {
    try {
      this.checkOpen();
      const running = Deadline.during(this.#storeTimeout, work);
      return isPromise(running) ? this.#explained(running) : running;
    } catch (error) {
      return Promise.reject(asTokenizerError(error));
    }
  }

  /** Runs `work`, each step of which has a time of its own. */
  async inSteps<T>(work: () => Promise<T>): Promise<T> {
    this.checkOpen();
    return this.#track(work());
  }

  /** Runs `task` when all earlier tasks of the key are over. */
  inTurn<T>(key: string, deadline: Deadline, task: (shared: Shared<StoredRecord>) => Awaitable<T>): Promise<T> {
    return this.#queue.run(key, deadline, task);
  }

  /**
   * Runs `work` within a `store_timeout` of its own, behind what started it. That waits for it, but not past its deadline.
   *
   * @param failed is called where `work` fails
   */
  async behind(
    deadline: Deadline,
    work: (own: Deadline) => Promise<void>,
    failed: (error: TokenizerError) => void,
  ): Promise<void> {
    const running = this.#track(
      Deadline.during(this.#storeTimeout, work).catch((error) => failed(asTokenizerError(error))),
    );
    // It goes on by itself.
    await deadline.race(running).catch(() => {});
  }

  /** @throws TokenizerError `STORE_CLOSED` */
  checkOpen(): void {
    if (this.#isClosed) throw storeClosed();
  }

  /** Waits for what is under way, and takes nothing more. */
  async close(): Promise<void> {
    this.#isClosed = true;
    // A sign-in leaves work behind.
    while (this.#underWay.size > 0) await Promise.allSettled(this.#underWay);
  }

  async #explained<T>(running: Promise<T>): Promise<T> {
    try {
      return await this.#track(running);
    } catch (error) {
      throw asTokenizerError(error);
    }
  }

  #track<T>(running: Promise<T>): Promise<T> {
    this.#underWay.add(running);
    const forget = () => void this.#underWay.delete(running);
    running.then(forget, forget);
    return running;
  }
}

export function asTokenizerError(error: unknown): TokenizerError {
  if (error instanceof TokenizerError) return error;
  return new TokenizerError("STORE_UNAVAILABLE", "The session store failed.", { cause: error });
}
