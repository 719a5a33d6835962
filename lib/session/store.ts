/** express-session's Store over any backend: nothing lost, nothing brought back, nothing claimed. */
import { randomBytes } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import type { Request } from "express";
import session, { type Session, type SessionData } from "express-session";
import type { Backend, Entry, Expected, StoredRecord } from "../backends/backend.js";
import { Deadline } from "../deadline.js";
import { storeClosed, TokenizerError } from "../errors.js";
import { tell } from "../events.js";
import { SESSION_PREFIX, shortName, storageKey, USER_PREFIX, userKey } from "../session-id.js";
import {
  firstExpected,
  isSameMaxAge,
  isSaved,
  type Known,
  knownAfter,
  maxAgeOf,
  newVersion,
  type Snapshot,
  snapshot,
  withMaxAge,
} from "./known.js";
import { merge } from "./merge.js";
import {
  END_OF_TIME,
  inspectHead,
  type RecordCodec,
  type RecordHead,
  refuseTooLarge,
  type SessionRecord,
} from "./record.js";
import { type Line, Turns } from "./turns.js";
import { type ListedHandle, newHandle, UserIndex } from "./user-index.js";

/** What a `TokenStore` works by. Times are milliseconds. */
export interface TokenStoreOptions {
  readonly backend: Backend;
  /** Waited for by every operation: sealing needs keys, which take a moment to derive. */
  readonly codec: Promise<RecordCodec>;
  /** A session ends this long after its last request, unless `cookie.maxAge` says otherwise. */
  readonly timeout: number;
  /** A session ends this long after sign-in, however busy. */
  readonly absoluteTimeout?: number | undefined;
  /** How many sessions a user may have; the oldest gives way. */
  readonly sessionsPerUser?: number | undefined;
  /** An unchanged session's expiry is rewritten at most this often; never less often than a tenth of its timeout. */
  readonly touchInterval: number;
  /** What a load, a save or a removal may take in all. */
  readonly storeTimeout: number;
  /** What `req.session.cookie` shows for a session loaded. */
  readonly cookie: session.CookieOptions;
  readonly now: () => number;
  readonly warn: (message: string) => void;
}

/** What the store tells. `session` is the beginning of the hashed id, as in the log. */
export interface TokenStoreEvents {
  /** A request outlived its session; what it changed was discarded. */
  discard: [{ session: string }];
  /** Headers went out before the session was saved: an explicit `writeHead` or `flushHeaders`. */
  uncommitted: [{ session: string }];
}

/** A session as `all` tells it. Where sessions are sealed whole, only what stands in clear. */
export type ListedSession = Partial<SessionData> & {
  /** The hashed session id. */
  readonly id: string;
  readonly createdAt: Date;
  readonly expiresAt: Date;
};

/** A live session, by what stands in clear about it. */
export interface SessionSummary {
  /** The hashed session id, as in `ListedSession`. */
  readonly id: string;
  /** What `sessions.users` calls it; missing where nobody is signed in. */
  readonly handle: string | undefined;
  readonly user: string | undefined;
  readonly createdAt: Date;
  /** To within `touch_interval`. */
  readonly lastSeenAt: Date;
  /** When it ends if no further request comes. */
  readonly expiresAt: Date;
}

type Callback<T = void> = (error?: unknown, result?: T) => void;

/** The longest pause before a save that met another one is tried again, in milliseconds, for each try so far. */
const JITTER = 5;
const MINUTE = 60_000;
const ID_BYTES = 24;

export class TokenStore extends session.Store {
  readonly #options: TokenStoreOptions;
  readonly #backend: Backend;
  readonly #turns = new Turns<StoredRecord>();
  readonly #users: UserIndex;
  readonly #known = new WeakMap<object, Known>();
  /** New sessions that take the place of an ended one: saved even when empty, so that their cookie works. */
  readonly #replacing = new WeakSet<object>();
  readonly #reported = new Set<string>();
  #closed = false;

  constructor(options: TokenStoreOptions) {
    super();
    this.#options = options;
    this.#backend = options.backend;
    const { backend, now, sessionsPerUser: limit, timeout, storeTimeout } = options;
    const headOf = (stored: StoredRecord) => this.#liveHeadOf(stored);
    this.#users = new UserIndex({ backend, headOf, now, limit, timeout, grace: Math.max(MINUTE, 2 * storeTimeout) });
  }

  // --- express-session's side: callbacks, and objects of its own classes -----------------------------

  /** The session, or nothing when it is missing, over or damaged. Moves its expiry when that is due. */
  override get(sid: string, callback: (error: unknown, session?: SessionData | null) => void): void {
    settle(this.#load(sid), (error, loaded) => callback(error ?? null, loaded ?? null));
  }

  /** Saves. A session that was ended meanwhile stays ended: its changes are discarded, which is no error. */
  override set(sid: string, session: SessionData, callback?: (error?: unknown) => void): void {
    this.#answer(this.#set(sid, session), callback);
  }

  /** Removes the session; one that is missing is no error. */
  override destroy(sid: string, callback?: (error?: unknown) => void): void {
    this.#answer(this.remove(sid), callback);
  }

  /**
   * Moves the expiry when that is due; when `cookie.maxAge` was changed, saves it. A session that is
   * missing is a quiet success, and a touch that fails is only logged: the session was not changed.
   */
  override touch(sid: string, session: SessionData, callback?: () => void): void {
    settle(this.#touched(sid, session), () => callback?.());
  }

  /** Ends the session and puts a new one in its place. When the ending fails, nothing has changed. */
  override regenerate(req: Request, callback: (error?: unknown) => unknown): void {
    settle(this.remove(req.sessionID), (error) => {
      if (!error) {
        this.generate(req);
        this.#replacing.add(req.session);
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
    this.createSession(req, { cookie: this.#cookieOf({ maxAge: undefined, expires: 0 }) } as SessionData);
  }

  /** Makes the session object; what is known of the loaded data is known of it. */
  override createSession(req: Request, data: SessionData): Session & SessionData {
    const known = this.#known.get(data);
    const created = super.createSession(req, data);
    if (created.cookie.secure === "auto") created.cookie.secure = req.secure === true;
    if (known) this.#known.set(created, known);
    return created;
  }

  // --- the application's side: with a callback, or a promise without one ---------------------------

  /** EventEmitter's, typed: what is told of each event is in `TokenStoreEvents`. */
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
    return either(this.#all(), callback);
  }

  /** How many sessions are live. */
  override length(): Promise<number>;
  override length(callback: (error: unknown, length?: number) => void): void;
  override length(callback?: (error: unknown, length?: number) => void): Promise<number> | undefined {
    return either(this.#length(), callback);
  }

  /** Ends all sessions of everybody. */
  override clear(): Promise<void>;
  override clear(callback: (error?: unknown) => void): void;
  override clear(callback?: (error?: unknown) => void): Promise<void> | undefined {
    return either(this.#clear(), callback);
  }

  /** Drops what has expired; answers how many records. It happens by itself every minute. */
  prune(): Promise<number>;
  prune(callback: (error: unknown, dropped?: number) => void): void;
  prune(callback?: (error: unknown, dropped?: number) => void): Promise<number> | undefined {
    return either(this.#pruned(), callback);
  }

  // --- for the middleware --------------------------------------------------------------------------

  /**
   * Saves the session if it is new and not empty, changed, or to be sealed anew.
   *
   * @returns nothing when there is nothing to save; else a promise that rejects when it is not known to be saved
   */
  commit(session: Session & SessionData): Promise<void> | undefined {
    try {
      const state = snapshot(session);
      return this.#isDue(session, state) ? this.#save(session.id, session, state) : undefined;
    } catch (error) {
      return Promise.reject(error);
    }
  }

  /** Whether the store acknowledged this session object, or answered it, and knows of no end. */
  isStored(session: object): boolean {
    return this.#known.get(session)?.gone === false;
  }

  /** Tells that headers go out before a save, if one is due; answers whether it is. */
  announceExposed(session: Session & SessionData): boolean {
    const isDue = this.#isDue(session, snapshot(session));
    if (isDue) this.#emitLater("uncommitted", storageKey(session.id));
    return isDue;
  }

  /** Writes a new session, then removes the one whose place it takes; if that fails, neither has happened. */
  async replace(old: Session & SessionData, session: Session & SessionData, label?: string): Promise<void> {
    const state = snapshot(session);
    await this.#timed(async (deadline, codec) => {
      await this.#saveWithin({ sid: session.id, session, mine: state, label, deadline, codec });
      if (!this.isStored(session)) throw new TokenizerError("STORE_UNAVAILABLE", "The new session is gone already.");
      if (!this.isStored(old)) return;
      try {
        await this.#removeWithin(storageKey(old.id), deadline);
      } catch (error) {
        // Best effort: its id was sent to nobody, so whatever is left of it only waits for its end.
        await this.remove(session.id).catch(() => {});
        throw error;
      }
    });
  }

  /** Removes a session; answers whether it was there. */
  async remove(sid: string): Promise<boolean> {
    return this.#timed((deadline) => this.#removeWithin(storageKey(sid), deadline));
  }

  // --- for the command line --------------------------------------------------------------------------

  /** All live sessions, in no order, read a page at a time: any number of them takes no memory. Damaged ones are left out. */
  async *summaries(): AsyncGenerator<SessionSummary> {
    for await (const { key, value, expires } of this.#live()) {
      const head = inspectHead(value);
      if (!head) continue;
      const { handle, user, created } = head;
      const { lastSeen, end } = this.#timesOf(head, expires);
      const [createdAt, lastSeenAt, expiresAt] = [new Date(created), new Date(lastSeen), new Date(end)];
      yield { id: key.slice(SESSION_PREFIX.length), handle, user, createdAt, lastSeenAt, expiresAt };
    }
  }

  /**
   * Ends a session as a sign-out does; answers whether it was there.
   *
   * @param id the hashed session id
   */
  async end(id: string): Promise<boolean> {
    return this.#timed((deadline) => this.#removeWithin(SESSION_PREFIX + id, deadline));
  }

  // --- for `sessions.users` ------------------------------------------------------------------------

  /** The user's live sessions, the oldest first. Times are milliseconds since 1970. */
  async sessionsOf(username: string): Promise<Array<ListedHandle & { lastSeen: number; expires: number }>> {
    const live = await this.#timed((deadline) => this.#users.live(userKey(username), deadline));
    return live.map(({ head, expires, ...handle }) => {
      const { lastSeen, end } = this.#timesOf(head, expires);
      return { ...handle, lastSeen, expires: end };
    });
  }

  /** Ends those of the user's sessions that are meant; answers how many. */
  async endSessionsOf(username: string, isMeant: (handle: ListedHandle) => boolean): Promise<number> {
    const count = await this.#timed((deadline) => this.#users.end(userKey(username), isMeant, deadline));
    tell("revoke", () => ({ user: username, count }));
    return count;
  }

  /** Ends the sessions of all users, each within `store_timeout`; answers how many. */
  async endSessionsOfEveryone(): Promise<number> {
    this.#checkOpen();
    let count = 0;
    for await (const { key } of this.#backend.entries()) {
      if (key.startsWith(USER_PREFIX)) {
        count += await this.#timed((deadline) => this.#users.end(key, () => true, deadline));
      }
    }
    tell("revoke", () => ({ user: undefined, count }));
    return count;
  }

  /** The absolute end that a session saved now with this user would have. */
  absoluteEnd(now: number): number | undefined {
    return this.#options.absoluteTimeout === undefined ? undefined : now + this.#options.absoluteTimeout;
  }

  /** Waits for what is under way, and takes nothing more. */
  async close(): Promise<void> {
    this.#closed = true;
    await this.#turns.idle();
    await this.#users.idle();
  }

  // --- the work ------------------------------------------------------------------------------------

  #isDue(session: object, state: Snapshot): boolean {
    const known = this.#known.get(session);
    if (!known) return state.text !== "{}" || this.#replacing.has(session);
    return !known.gone && !isSaved(known, state);
  }

  async #set(sid: string, session: SessionData): Promise<void> {
    await this.#save(sid, session, snapshot(session));
  }

  async #load(sid: string): Promise<SessionData | undefined> {
    const start = performance.now();
    const key = storageKey(sid);
    const data = await this.#read(sid, key);
    tell("load", () => ({
      session: shortName(key),
      found: data !== undefined,
      milliseconds: performance.now() - start,
    }));
    return data;
  }

  async #read(sid: string, key: string): Promise<SessionData | undefined> {
    const stored = await this.#timed((deadline) => deadline.race(this.#backend.read(key)));
    const codec = await this.#options.codec;
    const record = stored && codec.decode(sid, stored.value);
    if (stored && !record) this.#reportDamaged(key);
    if (!stored || !record || this.#isOver(record.head)) return undefined;
    const { head, text, fields, stale } = record;
    const { version, expires } = stored;
    const { maxAge } = head;
    const known: Known = { text, maxAge, username: fields.username, head, version, expires, stale, gone: false };
    const data = { ...fields, cookie: this.#cookieOf(known) } as SessionData;
    this.#known.set(data, known);
    if (this.#isTouchDue(known)) void this.#touch(key, known);
    return data;
  }

  #save(sid: string, session: object, mine: Snapshot): Promise<void> {
    return this.#timed((deadline, codec) => this.#saveWithin({ sid, session, mine, deadline, codec }));
  }

  #saveWithin({ sid, session, mine, label, deadline, codec }: SaveRequest): Promise<void> {
    const key = storageKey(sid);
    return this.#turns.take(key, deadline, async (line) => {
      const known = this.#known.get(session);
      if (known?.gone || (known && isSaved(known, mine))) return;
      if (!known && mine.isLetGo) return this.#discard(key);
      const start = performance.now();
      const save: Save = { sid, key, known, mine, head: this.#headOf(mine, known), deadline, line, codec };
      const expected = firstExpected(known, session);
      const written = isSignIn(mine, known)
        ? await this.#writeListed(save, expected, label)
        : await this.#write(save, expected);
      if (written) {
        this.#known.set(session, written);
        tell("save", () => ({ session: shortName(key), milliseconds: performance.now() - start }));
      } else this.#discard(key, known);
      await this.#unlist(known?.head, written?.head, deadline);
    });
  }

  /** A save that signs a user in: listed before it is written, and taken back if it was ended meanwhile. */
  async #writeListed(save: Save, expected: Expected, label: string | undefined): Promise<Known | undefined> {
    const { key, mine, deadline } = save;
    const user = String(mine.username);
    const handle = { id: newHandle(), key, created: this.#options.now(), label };
    await this.#users.add(userKey(user), handle, deadline);
    const written = await this.#write({ ...save, head: { ...save.head, user, handle: handle.id } }, expected);
    if (!written) return undefined;
    if (await this.#users.confirm(userKey(user), handle.id, deadline)) {
      tell("sign-in", () => ({ session: shortName(key), user }));
      return written;
    }
    await deadline.race(this.#backend.remove(key));
    throw new TokenizerError("SESSION_REVOKED", "The user's sessions were ended during this sign-in. Sign in again.");
  }

  /** The user that a session no longer belongs to does not list it any more. */
  async #unlist(before: RecordHead | undefined, after: RecordHead | undefined, deadline: Deadline): Promise<void> {
    const { user, handle } = before ?? {};
    if (user === undefined || handle === undefined || handle === after?.handle) return;
    try {
      await this.#users.drop(userKey(user), [handle], deadline);
    } catch (error) {
      // The session itself is over or somebody else's: a handle left behind is dropped when it is met.
      this.#options.warn(`A session that is over is still listed: ${messageOf(error)}`);
    }
  }

  async #removeWithin(key: string, deadline: Deadline): Promise<boolean> {
    return this.#turns.take(key, deadline, async () => {
      const stored = await deadline.race(this.#backend.read(key));
      const wasThere = await deadline.race(this.#backend.remove(key));
      await this.#unlist(stored && inspectHead(stored.value), undefined, deadline);
      return wasThere;
    });
  }

  /** Writes, merging with whoever wrote meanwhile. Answers what is known then, or nothing if the session is gone. */
  async #write(save: Save, expected: Expected): Promise<Known | undefined> {
    const { sid, key, mine, head, deadline, line, codec } = save;
    let record: SessionRecord = { head, text: mine.text };
    // What this process wrote last needs no failing write to be found out.
    let current = typeof expected === "object" && line.memo?.version !== expected.version ? line.memo : undefined;
    for (let tries = 1; ; tries++) {
      if (current) {
        record = this.#merge(save, current);
        tell("merge", () => ({ session: shortName(key) }));
        expected = { version: current.version };
      }
      const value = codec.encode(sid, record);
      refuseTooLarge(value, record.text, this.#backend.maxValueBytes);
      const stored = { value, version: newVersion(), expires: this.#expiryOf(record.head.maxAge) };
      if (await deadline.race(this.#backend.write(key, stored, expected))) {
        line.memo = stored;
        return knownAfter(mine, record, stored);
      }
      line.memo = undefined;
      current = await deadline.race(this.#backend.read(key));
      // A write whose answer was lost may meet itself.
      if (current?.version === stored.version) return knownAfter(mine, record, stored);
      if (!current) return undefined;
      tell("conflict", () => ({ session: shortName(key) }));
      await deadline.race(sleep(Math.random() * JITTER * (tries - 1)));
      await deadline.check();
    }
  }

  #merge({ sid, mine, known, head, codec }: Save, current: StoredRecord): SessionRecord {
    const theirs = codec.decode(sid, current.value);
    // What does not open any more cannot be merged with: mine is all there is.
    if (!theirs) return { head, text: mine.text };
    const base = known?.text ?? "{}";
    const text = merge(base, mine.text, theirs.text);
    const isOtherUser = mine.username !== known?.username;
    return { head: isOtherUser ? head : withMaxAge(theirs.head, mine, known), text };
  }

  #headOf(mine: Snapshot, known: Known | undefined): RecordHead {
    const now = this.#options.now();
    const head = known?.head ?? { created: now };
    if (known && mine.username === known.username) return withMaxAge(head, mine, known);
    // Somebody else, or nobody: the absolute end counts from here.
    const { end: _end, user: _user, handle: _handle, ...rest } = head;
    const end = this.absoluteEnd(now);
    return withMaxAge(end === undefined ? rest : { ...rest, end }, mine, known);
  }

  async #touched(sid: string, session: SessionData): Promise<void> {
    const known = this.#known.get(session);
    const maxAge = maxAgeOf(session);
    if (known && !isSameMaxAge(maxAge, known.maxAge)) return this.#set(sid, session);
    const state = known ?? { maxAge, expires: 0, head: undefined, version: undefined };
    if (this.#isTouchDue(state)) await this.#touch(storageKey(sid), state);
  }

  async #touch(key: string, state: Touched): Promise<void> {
    const expires = this.#expiryOf(state.maxAge);
    state.expires = expires;
    const user = state.head?.user;
    try {
      await this.#timed(async (deadline) => {
        const idle = expires - this.#options.now();
        if (user !== undefined) await this.#users.keep(userKey(user), idle, deadline);
        await this.#turns.take(key, deadline, () => this.#moveEnd(key, state, deadline));
      });
      tell("touch", () => ({ session: shortName(key) }));
    } catch (error) {
      if (this.#closed) return;
      this.#options.warn(`The expiry of session ${shortName(key)} could not be moved: ${messageOf(error)}`);
    }
  }

  /** Of the record that was loaded; of one that another writer put in its place, by the lifetime that it has. */
  async #moveEnd(key: string, { expires, version }: Touched, deadline: Deadline): Promise<void> {
    if (version !== undefined && (await deadline.race(this.#backend.touch(key, expires, version)))) return;
    const stored = await deadline.race(this.#backend.read(key));
    const head = stored && inspectHead(stored.value);
    if (!stored || !head) return;
    await deadline.race(this.#backend.touch(key, this.#expiryOf(head.maxAge), stored.version));
  }

  async #all(): Promise<ListedSession[]> {
    const codec = await this.#options.codec;
    const sessions: ListedSession[] = [];
    for await (const { key, value, expires } of this.#live()) {
      const record = codec.inspect(value);
      if (!record) continue;
      const { head, fields } = record;
      const cookie = this.#cookieOf({ maxAge: head.maxAge, expires });
      const id = key.slice(SESSION_PREFIX.length);
      const [createdAt, expiresAt] = [new Date(head.created), new Date(Math.min(expires, this.#endOf(head)))];
      sessions.push({ ...fields, cookie, id, createdAt, expiresAt } as ListedSession);
    }
    return sessions;
  }

  async #length(): Promise<number> {
    let count = 0;
    for await (const _ of this.#live()) count++;
    return count;
  }

  async #clear(): Promise<void> {
    for await (const { key } of this.#entries()) {
      await this.#timed((deadline) => this.#turns.take(key, deadline, () => this.#backend.remove(key)));
    }
  }

  async #pruned(): Promise<number> {
    this.#checkOpen();
    return this.#backend.prune();
  }

  async *#live(): AsyncGenerator<Entry> {
    for await (const entry of this.#entries()) {
      const head = inspectHead(entry.value);
      if (!head || !this.#isOver(head)) yield entry;
    }
  }

  async *#entries(): AsyncGenerator<Entry> {
    this.#checkOpen();
    for await (const entry of this.#backend.entries()) {
      if (entry.key.startsWith(SESSION_PREFIX)) yield entry;
    }
  }

  #liveHeadOf(stored: StoredRecord): RecordHead | undefined {
    const head = inspectHead(stored.value);
    return head && !this.#isOver(head) ? head : undefined;
  }

  #isOver(head: RecordHead): boolean {
    return this.#endOf(head) <= this.#options.now();
  }

  /** The absolute end; for a session from before there was such a setting, counted from its beginning. */
  #endOf({ created, end }: RecordHead): number {
    return end ?? this.absoluteEnd(created) ?? END_OF_TIME;
  }

  /** When the last request came, and when the session ends if no other one does. */
  #timesOf(head: RecordHead, expires: number): { lastSeen: number; end: number } {
    const lastSeen = expires - (head.maxAge ?? this.#options.timeout);
    return { lastSeen, end: Math.min(expires, this.#endOf(head)) };
  }

  #expiryOf(maxAge: number | undefined): number {
    return Math.min(this.#options.now() + (maxAge ?? this.#options.timeout), END_OF_TIME);
  }

  /** Due when the expiry would move by `touch_interval`; never later than after a tenth of the timeout. */
  #isTouchDue(state: { maxAge: number | undefined; expires: number }): boolean {
    const { touchInterval, timeout } = this.#options;
    const interval = Math.max(1, Math.min(touchInterval, (state.maxAge ?? timeout) / 10));
    return this.#expiryOf(state.maxAge) - state.expires >= interval;
  }

  #cookieOf({ maxAge, expires }: { maxAge: number | undefined; expires: number }): session.CookieOptions {
    const end = maxAge === undefined ? null : new Date(expires);
    return { ...this.#options.cookie, expires: end, originalMaxAge: maxAge ?? null } as session.CookieOptions;
  }

  #discard(key: string, known?: Known): void {
    if (known) known.gone = true;
    tell("discard", () => ({ session: shortName(key) }));
    this.#emitLater("discard", key);
  }

  /** Not at once: what a listener throws is no failed save. */
  #emitLater(event: keyof TokenStoreEvents, key: string): void {
    process.nextTick(() => this.emit(event, { session: shortName(key) }));
  }

  #reportDamaged(key: string): void {
    if (this.#reported.has(key)) return;
    if (this.#reported.size >= 1000) this.#reported.clear();
    this.#reported.add(key);
    this.#options.warn(`Session ${shortName(key)} cannot be read (damaged, or sealed otherwise): it counts as ended.`);
  }

  async #timed<T>(work: (deadline: Deadline, codec: RecordCodec) => Promise<T>): Promise<T> {
    this.#checkOpen();
    const codec = await this.#options.codec;
    const deadline = new Deadline(this.#options.storeTimeout);
    try {
      return await work(deadline, codec);
    } catch (error) {
      throw asTokenizerError(error);
    } finally {
      deadline.clear();
    }
  }

  #checkOpen(): void {
    if (this.#closed) throw storeClosed();
  }

  #answer(work: Promise<unknown>, callback: ((error?: unknown) => void) | undefined): void {
    settle(work, (error) => {
      if (callback) callback(error);
      else if (error) this.#options.warn(`A session was not saved or ended, and nobody was told: ${messageOf(error)}`);
    });
  }
}

/** A save that was asked for. */
interface SaveRequest {
  readonly sid: string;
  readonly session: object;
  readonly mine: Snapshot;
  /** What the user's record calls the session, if this is a sign-in. */
  readonly label?: string | undefined;
  readonly deadline: Deadline;
  readonly codec: RecordCodec;
}

/** A save whose turn has come. */
interface Save {
  readonly sid: string;
  readonly key: string;
  readonly known: Known | undefined;
  readonly mine: Snapshot;
  /** What the record's head is to be, unless another writer's is merged in. */
  readonly head: RecordHead;
  readonly deadline: Deadline;
  readonly line: Line<StoredRecord>;
  readonly codec: RecordCodec;
}

/** What a touch needs to know, and moves on. */
interface Touched {
  readonly maxAge: number | undefined;
  readonly head: RecordHead | undefined;
  /** Missing where the store never answered the session object. */
  readonly version: string | undefined;
  expires: number;
}

function isSignIn(mine: Snapshot, known: Known | undefined): boolean {
  const { username } = mine;
  return typeof username === "string" && username !== "" && username !== known?.username;
}

function asTokenizerError(error: unknown): TokenizerError {
  if (error instanceof TokenizerError) return error;
  return new TokenizerError("STORE_UNAVAILABLE", "The session store failed.", { cause: error });
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

/** The one place where a promise becomes a callback: settled first, and called outside of any `try`. */
function settle<T>(work: Promise<T>, callback: Callback<T>): void {
  work.then(
    (result) => process.nextTick(callback, undefined, result),
    (error) => process.nextTick(callback, error),
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
