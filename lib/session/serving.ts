/** Which of several middlewares gives a request its session, and what the others have of that request meanwhile. */
import type { Request } from "express";

/** What a middleware gives a request that express-session's own objects look at. */
type Given = Pick<Request, "session" | "sessionID" | "sessionStore">;

/** A property, not a WeakMap: that would keep each request, which its Serving holds, until the next collection of all. */
const SERVING = Symbol("serving");

interface Served {
  [SERVING]?: Serving;
}

interface By {
  /** The middleware, by its store. */
  readonly owner: object;
  readonly depth: number;
  readonly cookieName: string;
}

/** The serving of one request by one middleware, until an inner one takes over. */
export class Serving {
  readonly by: By;
  readonly #req: Request;
  readonly #before: Serving | undefined;
  #aside: Given | undefined;

  private constructor(req: Request, by: By, before: Serving | undefined) {
    this.#req = req;
    this.by = by;
    this.#before = before;
  }

  /** By whom the request is served already. */
  static of(req: Request & Served): Serving | undefined {
    return req[SERVING];
  }

  /** What the one before gave the request is put aside, and is its own again for the time of `within`. */
  static begin(req: Request & Served, by: By): Serving {
    const before = req[SERVING];
    if (before) {
      before.#aside = given(req);
      Object.assign(req, { session: undefined, sessionID: undefined, sessionStore: undefined });
    }
    const begun = new Serving(req, by, before);
    req[SERVING] = begun;
    return begun;
  }

  /** Whether this one, or one whose place it took, is that middleware's. */
  isBy(owner: object): boolean {
    return this.by.owner === owner || this.#before?.isBy(owner) === true;
  }

  /** Does this with the request as this middleware left it. */
  within<T>(work: () => T): T {
    if (!this.#aside) return work();
    const others = given(this.#req);
    Object.assign(this.#req, this.#aside);
    try {
      return work();
    } finally {
      this.#aside = given(this.#req);
      Object.assign(this.#req, others);
    }
  }
}

function given({ session, sessionID, sessionStore }: Request): Given {
  return { session, sessionID, sessionStore };
}
