/** Stands in for the disk of a store: for ten seconds after `fill` it takes no writes, as one that is full. */

import type { StoredRecord } from "express-tokenizer";

const FULL_FOR = 10_000; // milliseconds

export class Disk {
  /** What a backend keeps on it. */
  readonly records = new Map<string, StoredRecord>();
  readonly #now: () => number;
  #fullUntil = 0;

  constructor(now: () => number) {
    this.#now = now;
  }

  /** A disk that is full already does not stay so for longer: nobody can keep it full for others. */
  fill(): void {
    if (!this.isFull) this.#fullUntil = this.#now() + FULL_FOR;
  }

  get isFull(): boolean {
    return this.#now() < this.#fullUntil;
  }

  /** @throws Error when it is full */
  write(): void {
    if (this.isFull) throw new Error("the disk is full");
  }
}
