/** What is stored in a simulation, with the effect of each call in one step. */
import type { Entry, Expected, StoredRecord } from "../../../../lib/backends/backend.js";

interface Slot {
  readonly record: StoredRecord;
  /** When the engine itself drops it, by its own clock. */
  readonly dropAt: number;
}

export class SimulatedStore {
  readonly #slots = new Map<string, Slot>();
  /** The engine's clock. */
  readonly #time: () => number;
  /** Whether the engine is told how long a record lives, as Redis is, rather than until when. */
  readonly #isRelative: boolean;

  constructor(time: () => number, isRelative: boolean) {
    this.#time = time;
    this.#isRelative = isRelative;
  }

  get keys(): string[] {
    return [...this.#slots.keys()];
  }

  /** @param now by the clock of whoever asks */
  read(key: string, now: number): StoredRecord | undefined {
    const slot = this.#slots.get(key);
    return slot && slot.record.expires > now && slot.dropAt > this.#time() ? slot.record : undefined;
  }

  write(key: string, record: StoredRecord, expected: Expected, now: number): boolean {
    const current = this.read(key, now);
    if (expected === "absent" && current) return false;
    if (typeof expected === "object" && current?.version !== expected.version) return false;
    this.#put(key, record, now);
    return true;
  }

  touch(key: string, expires: number, version: string, now: number): boolean {
    const current = this.read(key, now);
    if (current?.version !== version) return false;
    if (expires > current.expires) this.#put(key, { ...current, expires }, now);
    return true;
  }

  remove(key: string, now: number): boolean {
    const wasLive = this.read(key, now) !== undefined;
    this.#slots.delete(key);
    return wasLive;
  }

  scan(keys: readonly string[], now: number): Entry[] {
    return keys.flatMap((key) => {
      const record = this.read(key, now);
      return record ? [{ key, ...record }] : [];
    });
  }

  /** What the engine has, whether it is over or not; and whether it is over by then. */
  peek(key: string, by = Number.NEGATIVE_INFINITY): { record: StoredRecord; isOver: boolean } | undefined {
    const slot = this.#slots.get(key);
    return slot && { record: slot.record, isOver: slot.record.expires <= by || slot.dropAt <= this.#time() };
  }

  #put(key: string, record: StoredRecord, now: number): void {
    const dropAt = this.#isRelative ? this.#time() + record.expires - now : Number.POSITIVE_INFINITY;
    this.#slots.set(key, { record, dropAt });
  }
}
