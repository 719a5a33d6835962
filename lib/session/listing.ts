/** All sessions, whoever they belong to: listed a page at a time, counted, ended and dropped. */
import type { CookieOptions, SessionData } from "express-session";
import type { Backend, Entry } from "../backends/backend.js";
import { SESSION_PREFIX } from "../session-id.js";
import { cookieData } from "./cookie-data.js";
import type { Endings } from "./endings.js";
import type { Lifetime, SessionTimes } from "./lifetime.js";
import type { SessionKeys } from "./loader.js";
import type { Operations } from "./operations.js";
import { inspectHead } from "./record.js";
import { listedIdOf } from "./users/user-record.js";

/**
 * A session as `sessions.store.all` lists it: its own keys, and these. With `encrypt: session` its own keys are sealed, so
 * that these and its `cookie` are all there is.
 */
export type ListedSession = Partial<SessionData> & {
  /** The hashed session id: neither `req.sessionID` nor the handle that `sessions.users.list` shows. */
  readonly id: string;
  /** When the session began. */
  readonly createdAt: Date;
  /** When it ends if no further request comes. */
  readonly expiresAt: Date;
};

/** A live session, by what stands in clear about it. */
export interface SessionSummary extends SessionTimes {
  /** The hashed session id, as in `ListedSession`. */
  readonly id: string;
  /** What `sessions.users` calls it; missing where nobody is signed in. */
  readonly handle: string | undefined;
  readonly user: string | undefined;
  readonly remembered: boolean;
  readonly bound: boolean;
}

export interface ListingOptions {
  readonly backend: Backend;
  readonly operations: Operations;
  readonly keys: Promise<SessionKeys>;
  readonly lifetime: Lifetime;
  readonly endings: Endings;
  /** What the `cookie` of a listed session shows. */
  readonly cookie: CookieOptions;
}

export class SessionListing {
  readonly #options: ListingOptions;

  constructor(options: ListingOptions) {
    this.#options = options;
  }

  /** All live sessions, in no order. Damaged ones are left out. */
  async all(): Promise<ListedSession[]> {
    const { keys, lifetime, cookie } = this.#options;
    const { codec } = await keys;
    const sessions: ListedSession[] = [];
    for await (const { key, value, expires } of this.#live()) {
      const record = codec.inspect(value);
      if (!record) continue;
      const { head, fields } = record;
      const id = key.slice(SESSION_PREFIX.length);
      const { expiresAt } = lifetime.timesOf(head, expires);
      const shown = {
        cookie: cookieData(cookie, head.maxAge, expires),
        id,
        createdAt: new Date(head.created),
        expiresAt,
      };
      sessions.push({ ...fields, ...shown } as ListedSession);
    }
    return sessions;
  }

  /** All live sessions, in no order, read a page at a time: any number of them takes no memory. Damaged ones are left out. */
  async *summaries(): AsyncGenerator<SessionSummary> {
    for await (const { key, value, expires } of this.#live()) {
      const head = inspectHead(value);
      if (!head) continue;
      yield {
        id: key.slice(SESSION_PREFIX.length),
        handle: head.signIn && listedIdOf(head.signIn),
        user: head.signIn?.user,
        remembered: head.remembered === true,
        bound: head.bound?.shown !== undefined,
        ...this.#options.lifetime.timesOf(head, expires),
      };
    }
  }

  /** How many sessions are live. */
  async length(): Promise<number> {
    let count = 0;
    for await (const _ of this.#live()) count++;
    return count;
  }

  /** Ends all sessions of everybody. Who meets their handles next drops them. */
  async clear(): Promise<void> {
    const { backend, operations, endings } = this.#options;
    for await (const { key, value } of this.#entries()) {
      const wasThere = await operations.within((deadline) =>
        operations.inTurn(key, deadline, () => deadline.race(backend.remove(key))),
      );
      if (wasThere) endings.tell(inspectHead(value)?.signIn, "destroyed");
    }
  }

  /** Drops what has expired; answers how many records. */
  async prune(): Promise<number> {
    this.#options.operations.checkOpen();
    return this.#options.backend.prune();
  }

  async *#live(): AsyncGenerator<Entry> {
    for await (const entry of this.#entries()) {
      const head = inspectHead(entry.value);
      if (!head || !this.#options.lifetime.isOver(head, entry.expires)) yield entry;
    }
  }

  async *#entries(): AsyncGenerator<Entry> {
    this.#options.operations.checkOpen();
    for await (const entry of this.#options.backend.entries()) {
      if (entry.key.startsWith(SESSION_PREFIX)) yield entry;
    }
  }
}
