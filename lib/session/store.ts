/** express-session's Store over the engine: callbacks, and objects of express-session's own classes. */
import { randomBytes } from "node:crypto";
import type { Request } from "express";
import { type CookieOptions, Store as ExpressStore, type Session, type SessionData } from "express-session";
import { isPromise } from "../awaitable.js";
import { nextTick } from "../native.js";
import { storageKey } from "../session-id.js";
import { Begun, note } from "./begun.js";
import { cookieData, showCookieEnd } from "./cookie-data.js";
import type { SessionEngine } from "./engine.js";
import type { ListedSession, SessionListing } from "./listing.js";
import type { LoadedSession } from "./loader.js";
import { Removals } from "./removals.js";
import { type RequestAttributes, shownAttributes } from "./request-attributes.js";
import { isTaken } from "./snapshot.js";

/** What the store's listeners hear of. `session` is the beginning of the hashed id, as in the log. */
export interface TokenStoreEvents {
  /** A request outlived its session; what it changed was discarded. */
  discard: [{ session: string }];
  /** Headers went out before the session was saved: by `flushHeaders`, or before a new session began, without its cookie. */
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
 * express-session's Store, by callbacks; `all`, `length`, `clear` and `prune` answer by promise where they get none.
 *
 * Every error is a `TokenizerError`.
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
   * The session, or nothing when it is missing, over or damaged. Moves its expiry when that is due. Where the backend has
   * it at once, the callback is called at once.
   */
  override get(sid: string, callback: (error: unknown, session?: SessionData | null) => void): void {
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

  /** Saves. A session that was ended meanwhile stays ended: its changes are discarded, which is no error. */
  override set(sid: string, session: SessionData, callback?: (error?: unknown) => void): void {
    this.#answer(this.#parts.engine.save(sid, session), undefined, callback);
  }

  /** Removes the session; one that is missing is no error. Answers of its requests that are under way wait for it. */
  override destroy(sid: string, callback?: (error?: unknown) => void): void {
    const begun = new Begun(callback !== undefined);
    this.removals.note(sid, begun);
    this.#answer(this.#parts.engine.remove(storageKey(sid), "destroyed"), (error) => begun.settle(error), callback);
  }

  /**
   * Moves the expiry when that is due; when `cookie.maxAge` was changed, saves it. A session that is
   * missing is a quiet success, and a touch that fails is only logged: the session was not changed.
   */
  override touch(sid: string, session: SessionData, callback?: () => void): void {
    settle(this.#parts.engine.touch(sid, session), (error) => {
      if (error) this.#parts.warn(`The expiry of a session could not be moved: ${messageOf(error)}`);
      callback?.();
    });
  }

  /** Ends the session and puts a new one in its place. When the ending fails, nothing has changed. */
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
   * Gives the request a new session under a new id: 192 random bits, as express-session's own. A `session()` of the
   * application's that is given this store puts its own in place of this one.
   */
  generate(req: Request): void {
    req.sessionID = randomBytes(ID_BYTES).toString("base64url");
    this.createSession(req, { cookie: cookieData(this.#parts.cookie, undefined, 0) } as SessionData);
  }

  /** Makes the session object; what is known of the loaded data is known of it. */
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

  /** EventEmitter's, typed: what a listener gets of each event is in `TokenStoreEvents`. */
  override on<Name extends keyof TokenStoreEvents>(
    name: Name,
    listener: (...told: TokenStoreEvents[Name]) => void,
  ): this {
    return super.on(name, listener);
  }

  /** All live sessions, in no order. */
  override all(): Promise<ListedSession[]>;
  override all(callback: (error: unknown, sessions?: ListedSession[] | null) => void): void;
  override all(
    callback?: (error: unknown, sessions?: ListedSession[] | null) => void,
  ): Promise<ListedSession[]> | undefined {
    return either(this.#parts.listing.all(), callback);
  }

  /** How many sessions are live. */
  override length(): Promise<number>;
  override length(callback: (error: unknown, length?: number) => void): void;
  override length(callback?: (error: unknown, length?: number) => void): Promise<number> | undefined {
    return either(this.#parts.listing.length(), callback);
  }

  /** Ends all sessions of everybody. */
  override clear(): Promise<void>;
  override clear(callback: (error?: unknown) => void): void;
  override clear(callback?: (error?: unknown) => void): Promise<void> | undefined {
    return either(this.#parts.listing.clear(), callback);
  }

  /** Drops what has expired; answers how many records. It happens by itself every minute. */
  prune(): Promise<number>;
  prune(callback: (error: unknown, dropped?: number) => void): void;
  prune(callback?: (error: unknown, dropped?: number) => void): Promise<number> | undefined {
    return either(this.#parts.listing.prune(), callback);
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
