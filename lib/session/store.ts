/** express-session's Store over the engine: callbacks, and objects of express-session's own classes. */
import { randomBytes } from "node:crypto";
import type { Request } from "express";
import { type CookieOptions, Store as ExpressStore, type Session, type SessionData } from "express-session";
import { isPromise } from "../awaitable.js";
import { TokenizerError } from "../errors.js";
import { nextTick } from "../native.js";
import { hashedKey, storageKey } from "../session-id.js";
import { Begun, note } from "./begun.js";
import { cookieData, showCookieEnd } from "./cookie-data.js";
import type { SessionEngine } from "./engine.js";
import type { ListedSession, SessionListing } from "./listing.js";
import type { LoadedSession } from "./loader.js";
import { Removals } from "./removals.js";
import { type RequestAttributes, shownAttributes } from "./request-attributes.js";
import { isTaken } from "./snapshot.js";

/** The events of the store, and what a listener of `sessions.store.on` gets with each. */
export interface TokenStoreEvents {
  /**
   * A request outlived its session, so what it changed was discarded. `session` is the beginning of the hashed session id,
   * as in the log.
   */
  discard: [{ session: string }];
  /**
   * The headers went out before the session was saved: your handler called `flushHeaders`, or it began a new session when
   * the headers were gone, so that the cookie is missing. `session` is the beginning of the hashed session id, as in the log.
   */
  uncommitted: [{ session: string }];
}

/** @internal */
export interface TokenStoreParts {
  readonly engine: SessionEngine;
  readonly listing: SessionListing;
  /** What `req.session.cookie` shows for a session loaded. */
  readonly cookie: CookieOptions;
  /** Where the application says it for each request. */
  readonly byRequest: RequestAttributes | undefined;
  readonly warn: (message: string) => void;
}

type Callback<T = void> = (error?: unknown, result?: T) => void;

const ID_BYTES = 24;

/** So many callbacks may be called at once from within one another: the stack has an end. */
const MOST_NESTED = 50;

/**
 * express-session's `Store`, for code that has a session id and no request: a websocket's, say. Its methods take callbacks,
 * as express-session's do; `all`, `length`, `clear` and `prune` answer by promise when they get none.
 *
 * Every error that a callback gets, or that a promise rejects with, is a `TokenizerError`: status 503 when the store fails;
 * 500 when a session cannot be stored. You never construct a store: it is `sessions.store`.
 */
export class TokenStore extends ExpressStore {
  /** @internal */
  readonly removals = new Removals();
  readonly #parts: TokenStoreParts;
  #nested = 0;

  private constructor(parts: TokenStoreParts) {
    super();
    this.#parts = parts;
  }

  /** @internal */
  static over(parts: TokenStoreParts): TokenStore {
    return new TokenStore(parts);
  }

  /**
   * Loads a session. Moves its expiry when that is due.
   *
   * @param sid the session id, from `req.sessionID`
   * @param callback gets `(error, session)`; `session` is `null` when it is missing, over or damaged. It may be called at
   *   once, before `get` returns.
   */
  override get(sid: string, callback: (error: unknown, session?: SessionData | null) => void): void {
    if (typeof callback !== "function") {
      throw new TokenizerError(
        "ARGUMENT_INVALID",
        "sessions.store.get needs a callback: get(sid, (error, session) => …).",
      );
    }
    // Of a request without a cookie, say.
    if (typeof sid !== "string") {
      callback(null, null);
      return;
    }
    const loading = this.#parts.engine.load(sid);
    const loaded = (error: unknown, found: LoadedSession | undefined) =>
      callback(error ?? null, found ? this.#dataOf(found) : null);
    if (isPromise(loading)) settle(loading, (error, found) => loaded(error, found));
    else if (this.#nested >= MOST_NESTED) nextTick(loaded, null, loading);
    else {
      this.#nested++;
      try {
        loaded(null, loading);
      } finally {
        this.#nested--;
      }
    }
  }

  /**
   * Saves a session, merged with what others changed meanwhile. A session that ended meanwhile stays ended: its changes are
   * discarded, which is no error.
   *
   * @param sid the session id
   * @param session the object that `sessions.store.get` answered, or `req.session`
   * @param callback gets the error, if any. Without one, an error is logged.
   */
  override set(sid: string, session: SessionData, callback?: (error?: unknown) => void): void {
    const saving = isSavable(sid, session) ? this.#parts.engine.save(sid, session) : Promise.reject(notSavable(sid));
    this.#answer(saving, undefined, callback);
  }

  /**
   * Removes a session. One that is missing is no error. Requests of that session that are under way wait for it before they
   * answer.
   *
   * @param sid the session id, or the `id` that `all` lists
   * @param callback gets the error, if any. Without one, an error is logged.
   */
  override destroy(sid: string, callback?: (error?: unknown) => void): void {
    if (typeof sid !== "string") {
      callback?.();
      return;
    }
    const begun = new Begun(callback !== undefined);
    this.removals.note(sid, begun);
    this.#answer(this.#remove(sid), (error) => begun.settle(error), callback);
  }

  /**
   * Moves a session's expiry when that is due; if `cookie.maxAge` changed, saves that. A session that is missing is no error.
   * A failure is only logged, for the session itself is as it was.
   *
   * @param sid the session id
   * @param session the object that `sessions.store.get` answered, or `req.session`
   * @param callback gets no error
   */
  override touch(sid: string, session: SessionData, callback?: () => void): void {
    settle(this.#parts.engine.touch(sid, session), (error) => {
      if (error) this.#parts.warn(`The expiry of a session could not be moved: ${messageOf(error)}`);
      callback?.();
    });
  }

  /**
   * Ends the request's session and gives the request a new, empty one: what `req.session.regenerate` calls. If it fails,
   * nothing has changed.
   *
   * @param req the request
   * @param callback gets the error, if any
   */
  override regenerate(req: Request, callback: (error?: unknown) => unknown): void {
    const begun = new Begun(true);
    note(req, begun);
    settle(this.#parts.engine.remove(storageKey(req.sessionID), "replaced"), (error) => {
      begun.settle(error);
      if (!error) {
        this.generate(req);
        this.#parts.engine.saveWhenEmpty(req.session);
      }
      callback(error);
    });
  }

  /**
   * Gives the request a new, empty session under a new id of 192 random bits. express-session calls it; if you hand the
   * store to a `session()` of your own, that puts its own method in place of this one.
   *
   * @param req the request
   */
  generate(req: Request): void {
    req.sessionID = randomBytes(ID_BYTES).toString("base64url");
    this.createSession(req, { cookie: cookieData(this.#parts.cookie, undefined, 0) } as SessionData);
  }

  /**
   * Makes the object `req.session` from what `sessions.store.get` answered. express-session calls it.
   *
   * @param req the request
   * @param data what was loaded
   * @returns the session, which is now `req.session`
   */
  override createSession(req: Request, data: SessionData): Session & SessionData {
    const { engine, byRequest } = this.#parts;
    const snapshot = engine.known.snapshotOf(data);
    const created = super.createSession(req, data);
    keepAllKeys(created, data);
    if (byRequest) Object.assign(created.cookie, shownAttributes(byRequest.of(req)));
    if (created.cookie.secure === "auto") created.cookie.secure = req.secure === true;
    if (snapshot) {
      engine.known.remember(created, snapshot);
      if (snapshot.head.remembered) showCookieEnd(created.cookie, engine.cookies.endOf(created));
    }
    return created;
  }

  /**
   * Calls `listener` with each event of this name; the other methods of Node's `EventEmitter` work, too.
   *
   * @param name `"discard"` or `"uncommitted"`
   * @param listener gets what `TokenStoreEvents` says of that event
   * @returns the store itself
   */
  override on<Name extends keyof TokenStoreEvents>(
    name: Name,
    listener: (...told: TokenStoreEvents[Name]) => void,
  ): this {
    return super.on(name, listener);
  }

  /**
   * Lists all live sessions, in no particular order, and holds all of them in memory. Damaged ones are left out. Without
   * sessions the list is empty.
   *
   * @param callback gets `(error, sessions)`. Without one: a promise of the sessions.
   */
  override all(): Promise<ListedSession[]>;
  override all(callback: (error: unknown, sessions?: ListedSession[] | null) => void): void;
  override all(
    callback?: (error: unknown, sessions?: ListedSession[] | null) => void,
  ): Promise<ListedSession[]> | undefined {
    return either(this.#parts.listing.all(), callback);
  }

  /**
   * Counts the live sessions, by reading them all.
   *
   * @param callback gets `(error, length)`. Without one: a promise of the number.
   */
  override length(): Promise<number>;
  override length(callback: (error: unknown, length?: number) => void): void;
  override length(callback?: (error: unknown, length?: number) => void): Promise<number> | undefined {
    return either(this.#parts.listing.length(), callback);
  }

  /**
   * Ends all sessions: of all users, and of visitors who are not signed in.
   *
   * @param callback gets the error, if any. Without one: a promise.
   */
  override clear(): Promise<void>;
  override clear(callback: (error?: unknown) => void): void;
  override clear(callback?: (error?: unknown) => void): Promise<void> | undefined {
    return either(this.#parts.listing.clear(), callback);
  }

  /**
   * Deletes expired records. It happens by itself every minute, where the backend does not drop them of its own accord.
   *
   * @param callback gets `(error, dropped)`: how many records. Without one: a promise of the number; 0 when there were none.
   */
  prune(): Promise<number>;
  prune(callback: (error: unknown, dropped?: number) => void): void;
  prune(callback?: (error: unknown, dropped?: number) => void): Promise<number> | undefined {
    return either(this.#parts.listing.prune(), callback);
  }

  async #remove(sid: string): Promise<void> {
    const { engine } = this.#parts;
    const wasThere = await engine.remove(storageKey(sid), "destroyed");
    const listed = hashedKey(sid);
    if (!wasThere && listed) await engine.remove(listed, "destroyed");
  }

  #dataOf({ fields, snapshot }: LoadedSession): SessionData {
    const { engine, cookie } = this.#parts;
    // Not a copy: of each session loaded it would live until the next collection of all.
    const data: object = Object.assign(fields, { cookie: cookieData(cookie, snapshot.maxAge, snapshot.expires) });
    engine.known.remember(data, snapshot);
    return data as SessionData;
  }

  #answer(
    work: Promise<unknown>,
    settled: ((error: unknown) => void) | undefined,
    callback: ((error?: unknown) => void) | undefined,
  ): void {
    settle(work, (error) => {
      settled?.(error);
      if (callback) callback(error);
      else if (error)
        this.#parts.warn(`A session was not saved or ended, by a call without callback: ${messageOf(error)}`);
    });
  }
}

/** express-session leaves out what objects have a property of: `constructor`, `toString`. */
function keepAllKeys(created: object, data: object): void {
  const keys = Object.keys(data).filter((key) => !isTaken(key));
  if (keys.every((key) => Object.hasOwn(created, key))) return;
  // All of them again, since their order is that of the text that is stored.
  for (const key of keys) {
    const value: unknown = Object.hasOwn(created, key) ? Reflect.get(created, key) : Reflect.get(data, key);
    Reflect.deleteProperty(created, key);
    Object.defineProperty(created, key, { value, writable: true, enumerable: true, configurable: true });
  }
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

/** The one place where a promise becomes a callback: settled first, and called outside of any `try`. */
function settle<T>(work: Promise<T>, callback: Callback<T>): void {
  work.then(
    (result) => nextTick(callback, undefined, result),
    (error) => nextTick(callback, error),
  );
}

function either<T, C extends (error: unknown, result?: T) => void>(
  work: Promise<T>,
  callback: C | undefined,
): Promise<T> | undefined {
  if (!callback) return work;
  settle(work, callback);
  return undefined;
}

function isSavable(sid: unknown, session: unknown): boolean {
  return typeof sid === "string" && typeof session === "object" && session !== null;
}

function notSavable(sid: unknown): TokenizerError {
  const wrong = typeof sid === "string" ? "a session, an object" : "a session's id, a text";
  return new TokenizerError("SESSION_INVALID", `sessions.store.set(sid, session) needs ${wrong}.`);
}
