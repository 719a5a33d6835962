/** Which sessions were to be removed lately, by whoever asked the store: answers of requests to them wait for it. */
import type { Begun } from "./begun.js";

/** So many are remembered. Those of requests under way are among them. */
const MOST = 1000;

interface Removal {
  readonly begun: Begun;
  /** How many had been asked for before. */
  readonly moment: number;
}

export class Removals {
  readonly #latest = new Map<string, Removal>();
  #moment = 0;

  /** Now. What is noted from here on came later. */
  get moment(): number {
    return this.#moment;
  }

  note(sid: string, begun: Begun): void {
    // The latest stand last.
    this.#latest.delete(sid);
    this.#latest.set(sid, { begun, moment: this.#moment++ });
    const [oldest] = this.#latest.keys();
    if (this.#latest.size > MOST && oldest !== undefined) this.#latest.delete(oldest);
  }

  /** The session's removal, if one was asked for since that moment. */
  since(moment: number, sid: string): Begun | undefined {
    const removal = this.#latest.get(sid);
    return removal && removal.moment >= moment ? removal.begun : undefined;
  }
}
