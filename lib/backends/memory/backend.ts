/** Keeps records in the memory of this process, for tests and trials. They end with it. */
import type { Awaitable } from "../../awaitable.js";
import { storeClosed } from "../../errors.js";
import { setImmediate } from "../../native.js";
import type { Backend, BackendContext, Entry, Expected, StoredRecord } from "../backend.js";

/** Records that are looked at before others have their turn: well below a millisecond. */
const PAGE = 1000;

export class MemoryBackend implements Backend {
  readonly #now: () => number;
  /** None of them is ever changed: whoever read one has it as it was. */
  #records: Map<string, StoredRecord>;
  #isClosed = false;

  /** @param records what another one keeps, to see the same. Default: its own. */
  constructor({ now }: Pick<BackendContext, "now">, records = new Map<string, StoredRecord>()) {
    this.#now = now;
    this.#records = records;
  }

  open(): Promise<void> {
    return this.#isClosed ? Promise.reject(storeClosed()) : Promise.resolve();
  }

  read(key: string): Awaitable<StoredRecord | undefined> {
    return this.#isClosed ? Promise.reject(storeClosed()) : this.#live(key);
  }

  write(key: string, record: StoredRecord, expected: Expected): Awaitable<boolean> {
    if (this.#isClosed) return Promise.reject(storeClosed());
    if (expected !== "any") {
      const version = expected === "absent" ? undefined : expected.version;
      if (this.#live(key)?.version !== version) return false;
    }
    this.#records.set(key, record);
    return true;
  }

  touch(key: string, expires: number, version: string): Awaitable<boolean> {
    if (this.#isClosed) return Promise.reject(storeClosed());
    const record = this.#live(key);
    if (record?.version !== version) return false;
    if (expires > record.expires) this.#records.set(key, { ...record, expires });
    return true;
  }

  remove(key: string): Awaitable<boolean> {
    if (this.#isClosed) return Promise.reject(storeClosed());
    const wasLive = this.#live(key) !== undefined;
    this.#records.delete(key);
    return wasLive;
  }

  async *entries(): AsyncGenerator<Entry> {
    for await (const keys of this.#pages()) {
      for (const key of keys) {
        // As it is when it is answered: whoever asks may have taken their time.
        const record = this.#live(key);
        if (record) yield { key, ...record };
      }
    }
  }

  async prune(): Promise<number> {
    let dropped = 0;
    for await (const keys of this.#pages()) {
      const expired = keys.filter((key) => !this.#live(key));
      for (const key of expired) this.#records.delete(key);
      dropped += expired.length;
    }
    return dropped;
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    this.#records = new Map();
  }

  #live(key: string): StoredRecord | undefined {
    const record = this.#records.get(key);
    return record !== undefined && record.expires > this.#now() ? record : undefined;
  }

  /** The keys of all records, with a turn of the loop after each page. */
  async *#pages(): AsyncGenerator<readonly string[]> {
    if (this.#isClosed) throw storeClosed();
    let page: string[] = [];
    for (const key of this.#records.keys()) {
      page.push(key);
      if (page.length < PAGE) continue;
      yield page;
      page = [];
      await new Promise((resolve) => setImmediate(resolve));
      if (this.#isClosed) throw storeClosed();
    }
    yield page;
  }
}
