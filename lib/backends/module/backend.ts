/**
 * A backend that the user brings. Its module is loaded by the first call; from then on every call goes on to it, bounded
 * by the time that a call may take, and whatever it throws becomes a `TokenizerError`.
 */

import type { Awaitable } from "../../awaitable.js";
import { Deadline } from "../../deadline.js";
import { storeClosed, TokenizerError } from "../../errors.js";
import type { ModuleOptions } from "../../settings/settings.js";
import type { Backend, BackendContext, Entry, Expected, StoredRecord } from "../backend.js";
import { checkBackend, checkRecord, loadFactory, type ModulePlace, nameOf, reasonOf } from "./factory.js";

export interface ModuleBackendOptions extends ModulePlace {
  readonly options: ModuleOptions;
}

/** Before there is a session: what is thrown then may be told, since nothing of one can be in it. */
const AT_START: ReadonlySet<string> = new Set(["being made", "open"]);

export class ModuleBackend implements Backend {
  readonly #options: ModuleBackendOptions;
  readonly #context: BackendContext;
  #made: Backend | undefined;
  #opening: Promise<Backend> | undefined;
  #pruning: Promise<number> | undefined;
  #isClosed = false;

  constructor(options: ModuleBackendOptions, context: BackendContext) {
    this.#options = options;
    this.#context = context;
  }

  /** Unknown until the module is loaded. */
  get maxValueBytes(): number | undefined {
    return this.#made?.maxValueBytes;
  }

  /** Unknown until the module is loaded. */
  get expiresByItself(): boolean {
    return this.#made?.expiresByItself === true;
  }

  async open(): Promise<void> {
    await this.#opened();
  }

  async read(key: string): Promise<StoredRecord | undefined> {
    // Databases have null for what is not there.
    const found = (await this.#ask("read", (backend) => backend.read(key))) ?? undefined;
    return found && checkRecord(found, "read", this.#options);
  }

  write(key: string, record: StoredRecord, expected: Expected): Promise<boolean> {
    return this.#ask("write", (backend) => backend.write(key, record, expected));
  }

  touch(key: string, expires: number, version: string): Promise<boolean> {
    return this.#ask("touch", (backend) => backend.touch(key, expires, version));
  }

  remove(key: string): Promise<boolean> {
    return this.#ask("remove", (backend) => backend.remove(key));
  }

  async *entries(): AsyncGenerator<Entry> {
    const entries = await this.#ask("entries", async (backend) => backend.entries()[Symbol.asyncIterator]());
    let isLeft = false;
    try {
      for (;;) {
        // Each step by itself: how long all of them take depends on how many there are.
        const step = await this.#ask("entries", () => entries.next());
        if (step.done) return;
        isLeft = true;
        yield checkRecord(step.value, "entries", this.#options);
        isLeft = false;
      }
    } finally {
      if (isLeft) await this.#ask("entries", async () => entries.return?.());
    }
  }

  /** As long as it takes: how long that is depends on how much has expired. Once at a time. */
  async prune(): Promise<number> {
    const backend = await this.#opened();
    this.#pruning ??= this.#explained("prune", () => backend.prune()).finally(() => {
      this.#pruning = undefined;
    });
    return this.#pruning;
  }

  async close(): Promise<void> {
    if (this.#isClosed) return;
    this.#isClosed = true;
    await this.#bounded(this.#letGo());
  }

  async #letGo(): Promise<void> {
    // What is being made may hold connections before it is there.
    if (!this.#made) await this.#opening?.catch(() => {});
    try {
      await this.#made?.close();
    } catch (error) {
      throw this.#explain("close", error);
    }
  }

  async #ask<T>(method: string, work: (backend: Backend) => Awaitable<T>): Promise<T> {
    const backend = await this.#opened();
    return this.#bounded(this.#explained(method, () => work(backend)));
  }

  /** Loaded and opened: nothing else is asked of it before. Where that failed, the next call tries again. */
  #opened(): Promise<Backend> {
    if (this.#isClosed) return Promise.reject(storeClosed());
    this.#opening ??= this.#open().catch((error: unknown) => {
      this.#opening = undefined;
      throw error;
    });
    return this.#bounded(this.#opening);
  }

  async #open(): Promise<Backend> {
    const made = this.#made ?? (await this.#make());
    this.#made = made;
    if (this.#isClosed) throw storeClosed();
    await this.#explained("open", () => made.open());
    return made;
  }

  async #make(): Promise<Backend> {
    const factory = await loadFactory(this.#options);
    const made = await this.#explained("being made", async () => factory(this.#options.options, this.#context));
    return checkBackend(made, this.#options);
  }

  #bounded<T>(work: Promise<T>): Promise<T> {
    return Deadline.during(this.#context.timeout, (deadline) => deadline.race(work));
  }

  async #explained<T>(method: string, work: () => Awaitable<T>): Promise<T> {
    try {
      return await work();
    } catch (error) {
      throw this.#isClosed ? storeClosed() : this.#explain(method, error);
    }
  }

  #explain(method: string, error: unknown): TokenizerError {
    if (error instanceof TokenizerError) return error;
    const reason = AT_START.has(method) ? `: ${reasonOf(error)}` : "; what it threw is this error's cause";
    const message = `${nameOf(this.#options)}: the backend failed in ${method}${reason}`;
    return new TokenizerError("STORE_UNAVAILABLE", message, { cause: error });
  }
}
