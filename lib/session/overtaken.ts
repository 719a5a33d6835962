/** Answers that come too late to say anything about the browser's cookie: it has a newer one by then. */

const SECOND = 1000;

/** How long an answer may take, in milliseconds, and still put the cookie right. Another answer will do it as well. */
const LATE = 10 * SECOND;

/** When a request came, in milliseconds since 1970, and as which one. */
export interface Arrival {
  readonly at: number;
  readonly order: number;
}

/**
 * Two requests come with one cookie, and the second one signs in. What the first one's answer does to the cookie after
 * that, it does to the new one. This is what one process can know of it; answers of other servers it does not see.
 */
export class Overtaken {
  readonly #now: () => number;
  /** By session id, the oldest first: when an answer changed the cookie from it, and for requests up to which one. */
  readonly #changes = new Map<string, Arrival>();
  #order = 0;

  constructor(now: () => number) {
    this.#now = now;
  }

  arrive(): Arrival {
    return { at: this.#now(), order: ++this.#order };
  }

  /** An answer gives the browser another cookie in the place of these, or none. */
  change(ids: readonly string[]): void {
    this.#note(ids, this.#order);
  }

  /** An answer gives the browser the cookie of a session that is not saved yet. It is not over because it is not there. */
  announceEarly(id: string): void {
    this.#note([id], Number.POSITIVE_INFINITY);
  }

  /** Whether the answer to a request that came with these ids is too late. */
  isOvertaken(ids: readonly string[], { at, order }: Arrival): boolean {
    return this.#now() - at > LATE || ids.some((id) => order <= (this.#changes.get(id)?.order ?? 0));
  }

  #note(ids: readonly string[], order: number): void {
    const at = this.#now();
    for (const [id, change] of this.#changes) {
      if (at - change.at <= LATE) break;
      this.#changes.delete(id);
    }
    for (const id of ids) {
      this.#changes.delete(id);
      this.#changes.set(id, { at, order });
    }
  }
}
