/** Answers that come too late to say anything about the browser's cookie: it has a newer one by then. */

const SECOND = 1000;

/** How long an answer may take, in milliseconds, and still put the cookie right. Another answer will do it as well. */
const LATE = 10 * SECOND;

/** When a request came, in milliseconds since 1970, and as which one. */
export interface Arrival {
  readonly at: number;
  readonly order: number;
}

/** When an answer changed the cookie: the answer `by` one request, too late for all others that came up to `order`. */
interface Change extends Arrival {
  readonly by: number;
}

/**
 * Two requests come with one cookie, and the second one signs in. What the first one's answer does to the cookie after
 * that, it does to the new one. This is what one process can know of it; answers of other servers it does not see.
 */
export class Overtaken {
  readonly #now: () => number;
  /** By session id, the oldest first. */
  readonly #changes = new Map<string, Change>();
  #order = 0;

  constructor(now: () => number) {
    this.#now = now;
  }

  arrive(): Arrival {
    return { at: this.#now(), order: ++this.#order };
  }

  /** The answer to a request gives the browser another cookie in the place of these, or none. */
  change(ids: readonly string[], by: Arrival): void {
    this.#note(ids, { order: this.#order, by: by.order });
  }

  /** An answer gives the browser the cookie of a session that is not saved yet. It is not over because it is not there. */
  announceEarly(id: string): void {
    this.#note([id], { order: Number.POSITIVE_INFINITY, by: 0 });
  }

  /** Whether the answer to a request that came with these ids is too late. */
  isOvertaken(ids: readonly string[], { at, order }: Arrival): boolean {
    if (this.#now() - at > LATE) return true;
    return ids.some((id) => {
      const change = this.#changes.get(id);
      return change !== undefined && change.by !== order && order <= change.order;
    });
  }

  #note(ids: readonly string[], change: Omit<Change, "at">): void {
    const at = this.#now();
    for (const [id, earlier] of this.#changes) {
      if (at - earlier.at <= LATE) break;
      this.#changes.delete(id);
    }
    for (const id of ids) {
      this.#changes.delete(id);
      this.#changes.set(id, { ...change, at });
    }
  }
}
