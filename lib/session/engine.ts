/** Sessions over any backend: saved and removed, so that nothing is lost, brought back or claimed. */
import type { Session, SessionData } from "express-session";
import type { Awaitable } from "../awaitable.js";
import type { Backend, StoredRecord } from "../backends/backend.js";
import type { Deadline } from "../deadline.js";
import { TokenizerError } from "../errors.js";
import { emit } from "../events.js";
import { shortName, storageKey } from "../session-id.js";
import type { Endings, EndReason } from "./endings.js";
import { KnownSessions } from "./known.js";
import type { Lifetime } from "./lifetime.js";
import { type LoadedSession, type SessionKeys, SessionLoader } from "./loader.js";
import { nextHead } from "./next-head.js";
import type { Operations } from "./operations.js";
import type { Shared } from "./queue.js";
import { type Replaced, Replacing } from "./replacing.js";
import type { RequestAttributes } from "./request-attributes.js";
import { SentCookies } from "./sent-cookies.js";
import { Signing } from "./signing.js";
import {
  firstExpected,
  goneSnapshot,
  isSameMaxAge,
  isSaved,
  isSession,
  maxAgeOf,
  type SessionState,
  type Snapshot,
  stateOf,
  userOf,
  withCookieMark,
} from "./snapshot.js";
import type { UserIndex } from "./users/user-index.js";
import { type Save, SessionWriter } from "./writer.js";

/** What the store's listeners hear of. */
export type StoreEvent = "discard" | "uncommitted";

export interface EngineOptions {
  readonly backend: Backend;
  /** Of a record, unless the backend can keep less. */
  readonly maxSessionBytes: number;
  readonly operations: Operations;
  readonly keys: Promise<SessionKeys>;
  readonly lifetime: Lifetime;
  readonly users: UserIndex;
  readonly endings: Endings;
  /** Of the attributes that cookies are sent with now (`cookieMark`). */
  readonly cookieMark: string | undefined;
  /** Where the application says them for each request. */
  readonly byRequest: RequestAttributes | undefined;
  /** `session` is the beginning of the hashed id, as in the log. */
  readonly notify: (event: StoreEvent, session: string) => void;
  readonly warn: (message: string) => void;
}

/** What a sign-in says beside the user's name. */
export interface SignInChoice {
  /** What the user's list calls the session. */
  readonly label?: string | undefined;
  readonly remembered?: boolean | undefined;
}

/** A save that is asked for. */
interface SaveRequest extends SignInChoice {
  readonly sid: string;
  readonly session: object;
  readonly state: SessionState;
  /** What a sign-in takes the place of. */
  readonly replaced?: Replaced | undefined;
}

export class SessionEngine {
  readonly known = new KnownSessions();
  readonly cookies: SentCookies;
  readonly #options: EngineOptions;
  readonly #writer: SessionWriter;
  readonly #signing: Signing;
  readonly #loader: SessionLoader;
  readonly #replacing: Replacing;
  /** New sessions that take the place of an ended one: saved even when empty, so that their cookie works. */
  readonly #savedWhenEmpty = new WeakSet<object>();

  constructor(options: EngineOptions) {
    this.#options = options;
    this.cookies = new SentCookies({ ...options, known: this.known });
    this.#writer = new SessionWriter(options);
    this.#signing = new Signing({ ...options, writer: this.#writer });
    this.#loader = new SessionLoader(options);
    this.#replacing = new Replacing({ ...options, writer: this.#writer });
  }

  /** The session, or nothing when it is missing, over, ended or damaged. Moves its end when that is due. */
  load(sid: string): Awaitable<LoadedSession | undefined> {
    return this.#loader.load(sid);
  }

  /** Whether a record is there that could not be read. It counts as ended; with the right keys it may be read again. */
  isUnreadable(sid: string): boolean {
    return this.#loader.isUnreadable(sid);
  }

  /** Lets a new session be saved even when nothing is in it. */
  saveWhenEmpty(session: object): void {
    this.#savedWhenEmpty.add(session);
  }

  /** Saves. A session that was ended meanwhile stays ended: its changes are discarded, which is no error. */
  async save(sid: string, session: object): Promise<void> {
    await this.#save({ sid, session, state: this.#stateOf(session) });
  }

  /**
   * Saves the session if it is new and not empty, changed, or to be written anew.
   *
   * @returns nothing when there is nothing to save; else a promise that rejects when it is not known to be saved
   */
  commit(session: Session & SessionData): Promise<void> | undefined {
    try {
      const state = this.#stateOf(session);
      return this.#isChanged(session, state) ? this.#save({ sid: session.id, session, state }) : undefined;
    } catch (error) {
      return Promise.reject(error);
    }
  }

  /** Notifies that headers go out before a save, if one is due; answers whether it is. */
  expose(session: Session & SessionData): boolean {
    const isChanged = this.#isChanged(session, this.#stateOf(session));
    if (isChanged) this.#options.notify("uncommitted", shortName(storageKey(session.id)));
    return isChanged;
  }

  /** Writes a new session, then removes the one whose place it takes; if that fails, neither has happened. */
  async replace(
    old: (Session & SessionData) | undefined,
    session: Session & SessionData,
    choice: SignInChoice = {},
  ): Promise<void> {
    await this.#replace(old, session, {
      ...choice,
      replaced: old && this.known.isStored(old) ? { sid: old.id } : undefined,
    });
  }

  /**
   * Writes a session that is signed in under another id, with what others changed in it meanwhile, then removes it under
   * the old one; if that fails, or the old one is over by then, neither has happened.
   *
   * @throws TokenizerError `SIGN_IN_AGAIN` when it is over by then, `SESSION_REVOKED` when it is ended just now
   */
  async moveOn(old: Session & SessionData, session: Session & SessionData): Promise<void> {
    await this.#replace(old, session, { replaced: { sid: old.id, continued: this.known.snapshotOf(old) } });
  }

  /** Moves the end when that is due; where `cookie.maxAge` was changed, saves. A session that is missing is no error. */
  async touch(sid: string, session: SessionData): Promise<void> {
    const snapshot = this.known.snapshotOf(session);
    if (snapshot && !isSameMaxAge(maxAgeOf(session, this.#options.lifetime.now), snapshot.maxAge))
      return this.save(sid, session);
    if (snapshot?.isGone) return;
    await this.#loader.touch(sid, snapshot);
  }

  /**
   * Removes a session, and takes it off its user's list.
   *
   * @param key that it is stored under
   * @returns whether it was there
   */
  remove(key: string, reason: EndReason): Promise<boolean> {
    return this.#options.operations.within(async (deadline) => {
      const { wasThere, signIn } = await this.#replacing.removeNow(key, reason, deadline);
      if (signIn) await this.#options.users.leave(signIn, deadline);
      return wasThere;
    });
  }

  async #replace(
    old: (Session & SessionData) | undefined,
    session: Session & SessionData,
    choice: Pick<SaveRequest, "label" | "remembered" | "replaced">,
  ): Promise<void> {
    await this.#save({ sid: session.id, session, state: this.#stateOf(session), ...choice });
    if (!this.known.isStored(session))
      throw new TokenizerError("STORE_UNAVAILABLE", "The new session is gone already.");
    const snapshot = old && this.known.snapshotOf(old);
    if (snapshot) snapshot.isGone = true;
  }

  #stateOf(session: object): SessionState {
    return stateOf(session, this.#options.lifetime.now);
  }

  #isChanged(session: object, state: SessionState): boolean {
    const snapshot = this.known.snapshotOf(session);
    if (!snapshot) return state.text !== "{}" || this.#savedWhenEmpty.has(session);
    return !snapshot.isGone && !this.#isSaved(session, snapshot, state);
  }

  #isSaved(session: object, snapshot: Snapshot, state: SessionState): boolean {
    const isRenewing = this.cookies.isRenewed(session) && this.cookies.isOld(session);
    return !isRenewing && isSaved(snapshot, state);
  }

  async #save(request: SaveRequest): Promise<void> {
    const { operations } = this.#options;
    const key = storageKey(request.sid);
    await operations.within((deadline) =>
      operations.inTurn(key, deadline, (shared) => this.#saveInTurn(request, { key, deadline, shared })),
    );
  }

  async #saveInTurn(request: SaveRequest, turn: Turn): Promise<void> {
    const { sid, session, state, label, replaced } = request;
    const { key, deadline } = turn;
    const snapshot = this.known.snapshotOf(session);
    if (snapshot?.isGone || (snapshot && this.#isSaved(session, snapshot, state))) return;
    if (!snapshot && state.isLetGo) return this.#discard(key);
    const start = performance.now();
    const { endings, lifetime, users } = this.#options;
    const before = snapshot?.head.signIn;
    const { codec, ids } = await this.#options.keys;
    const isOther = state.username !== snapshot?.username;
    const isCookieNew = snapshot ? this.cookies.isRenewed(session) : isSession(session);
    const sameCookie = nextHead(request, { snapshot, isOther, by: ids[0] }, lifetime);
    const head = isCookieNew ? withCookieMark(sameCookie, this.cookies.markOf(session, sameCookie)) : sameCookie;
    const save: Save = { ...turn, codec, sid, snapshot, state, head, expected: firstExpected(snapshot, session) };
    const user = isOther ? userOf(state.username) : undefined;
    try {
      const removeReplaced = replaced && ((written: Snapshot) => this.#replacing.remove(replaced, save, written));
      const continued = replaced?.continued?.head.signIn;
      const written = await (user === undefined
        ? this.#writer.write(save)
        : this.#signing.signIn({ save, user, label, continued, removeReplaced }));
      if (!written) return this.#discard(key, snapshot);
      this.known.remember(session, written);
      emit("save", () => ({ session: shortName(key), milliseconds: performance.now() - start }));
    } catch (error) {
      // Whatever the application does with this object from here on, nothing of it is written any more.
      const isRevoked = error instanceof TokenizerError && error.code === "SESSION_REVOKED";
      if (isRevoked) {
        this.known.remember(session, goneSnapshot(state, head));
        endings.tell(before, "revoked");
      }
      throw error;
    }
    if (!isOther || !before) return;
    endings.tell(before, user === undefined ? "sign-out" : "replaced");
    await users.leave(before, deadline);
  }

  #discard(key: string, snapshot?: Snapshot): void {
    if (snapshot) snapshot.isGone = true;
    emit("discard", () => ({ session: shortName(key) }));
    this.#options.notify("discard", shortName(key));
  }
}

/** What a save has when its turn has come. */
interface Turn {
  readonly key: string;
  readonly deadline: Deadline;
  readonly shared: Shared<StoredRecord>;
}
