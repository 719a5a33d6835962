import type { Backend, Entry, Expected, StoredRecord } from "../../lib/backends/backend.js";
import { TokenizerError } from "../../lib/errors.js";

/** What is stored. Backends on the same place see the same records, as processes on one folder do. */
export class MemoryPlace {
  readonly records = new Map<string, StoredRecord>();
}

const PAGE = 100;

/**
 * The least that keeps the contract. Every call answers a turn of the loop later, as an engine does, and
 * does its work in one step. The parts that a sabotaged backend replaces are protected.
 */
export class MemoryBackend implements Backend {
  protected readonly now: () => number;
  protected readonly place: MemoryPlace;
  #isClosed = false;

  constructor({ now, place = new MemoryPlace() }: { now: () => number; place?: MemoryPlace }) {
    this.now = now;
    this.place = place;
  }

  async open(): Promise<void> {
    await this.turn();
  }

  async read(key: string): Promise<StoredRecord | undefined> {
    await this.turn();
    return this.live(key);
  }

  async write(key: string, record: StoredRecord, expected: Expected): Promise<boolean> {
    await this.turn();
    const current = this.live(key);
    if (expected === "absent" && current) return false;
    if (typeof expected === "object" && current?.version !== expected.version) return false;
    this.place.records.set(key, { ...record });
    return true;
  }

  async touch(key: string, expires: number, version: string): Promise<boolean> {
    await this.turn();
    const current = this.live(key);
    if (current?.version !== version) return false;
    this.place.records.set(key, { ...current, expires: Math.max(expires, current.expires) });
    return true;
  }

  async remove(key: string): Promise<boolean> {
    await this.turn();
    const wasLive = this.live(key) !== undefined;
    this.place.records.delete(key);
    return wasLive;
  }

  async *entries(): AsyncGenerator<Entry> {
    const keys = [...this.place.records.keys()];
    for (let start = 0; start === 0 || start < keys.length; start += PAGE) {
      await this.turn();
      for (const key of keys.slice(start, start + PAGE)) {
        const record = this.live(key);
        if (record) yield { key, ...record };
      }
    }
  }

  async prune(): Promise<number> {
    await this.turn();
    const expired = [...this.place.records.keys()].filter((key) => !this.live(key));
    for (const key of expired) this.place.records.delete(key);
    return expired.length;
  }

  async close(): Promise<void> {
    this.#isClosed = true;
  }

  protected live(key: string): StoredRecord | undefined {
    const record = this.place.records.get(key);
    return record && record.expires > this.now() ? record : undefined;
  }

  protected async turn(): Promise<void> {
    if (this.#isClosed) throw new TokenizerError("STORE_CLOSED", "The session store was closed.");
    await new Promise(setImmediate);
  }
}
