/** A bound on waiting: for one call, or for all the steps of one operation. */
import { setTimeout as sleep } from "node:timers/promises";
import { type Awaitable, isPromise } from "./awaitable.js";
import { storeTimedOut } from "./errors.js";

/** The time that one operation may wait, however many steps it has. It runs from the first step that is not there at once. */
export class Deadline {
  readonly #milliseconds: number;
  readonly #late: () => Error;
  #timer: NodeJS.Timeout | undefined;
  /** Where our own loop was held up, the answer may be there already: it is read before `setImmediate`. */
  #lastTurn: NodeJS.Immediate | undefined;
  #error: Error | undefined;
  /** Of the steps so far; to reject one that is over does nothing. A list would live until the next collection of all. */
  #reject: Set<(error: Error) => void> | undefined;

  /** @param late makes the error of what is not there in time; default: `STORE_TIMEOUT` */
  constructor(milliseconds: number, late: () => Error = () => storeTimedOut(milliseconds)) {
    this.#milliseconds = Math.max(milliseconds, 1);
    this.#late = late;
  }

  /** What the step comes to, or the error of being late when that is not there in time. */
  race<T>(step: Promise<T>): Promise<T>;
  race<T>(step: Awaitable<T>): Awaitable<T>;
  race<T>(step: Awaitable<T>): Awaitable<T> {
    if (!isPromise(step)) return step;
    this.#timer ??= setTimeout(() => {
      this.#lastTurn = setImmediate(() => this.#pass());
    }, this.#milliseconds);
    // Not Promise.race: that costs three promises more.
    return new Promise((resolve, reject) => {
      step.then(resolve, reject);
      const error = this.#error;
      if (error) queueMicrotask(() => reject(error));
      this.#reject ??= new Set();
      this.#reject.add(reject);
    });
  }

  /** Waits a random part of so many milliseconds, so that those who met do not meet again. */
  pause(most: number): Promise<void> {
    return this.race(sleep(Math.random() * most));
  }

  /** Throws when time is up, so that what nobody waits for any more does not go on. */
  check(): void {
    if (this.#error) throw this.#error;
  }

  clear(): void {
    clearTimeout(this.#timer);
    clearImmediate(this.#lastTurn);
  }

  #pass(): void {
    const error = this.#late();
    this.#error = error;
    for (const reject of this.#reject ?? []) reject(error);
  }

  /** Runs `work` under a deadline of its own, which its steps race. */
  static during<T>(milliseconds: number, work: (deadline: Deadline) => Promise<T>, late?: () => Error): Promise<T>;
  static during<T>(milliseconds: number, work: (deadline: Deadline) => Awaitable<T>, late?: () => Error): Awaitable<T>;
  static during<T>(milliseconds: number, work: (deadline: Deadline) => Awaitable<T>, late?: () => Error): Awaitable<T> {
    const deadline = new Deadline(milliseconds, late);
    const running = work(deadline);
    return isPromise(running) ? deadline.#clearAfter(running) : running;
  }

  async #clearAfter<T>(running: Promise<T>): Promise<T> {
    try {
      return await running;
    } finally {
      this.clear();
    }
  }
}

/**
 * What the work comes to, or the error of `late` when that is not there in time: also where the work fails because of
 * what `late` lets go of.
 *
 * @param giveUpAt by `performance.now()`
 */
export function within<T>(giveUpAt: number, work: Promise<T>, late: () => Error): Promise<T> {
  return Deadline.during(giveUpAt - performance.now(), (deadline) => deadline.race(work), late);
}
