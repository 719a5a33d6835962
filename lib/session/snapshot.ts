/** What is remembered beside a session object, so that its next save knows what it is a change to. */
import { randomUUID } from "node:crypto";
import { Cookie, Session, type SessionData } from "express-session";
import type { Expected, StoredRecord } from "../backends/backend.js";
import { TokenizerError } from "../errors.js";
import { type RecordHead, type SessionRecord, textOf } from "./record.js";
import type { SignIn } from "./users/user-record.js";

/** What was loaded or last acknowledged of a session object. */
export interface Snapshot {
  /** Its own fields when it was loaded or last acknowledged: what its next changes are changes to. */
  text: string;
  maxAge: number | undefined;
  username: unknown;
  head: RecordHead;
  /** Of the record that holds exactly `text`; what no record holds any more never matches. */
  version: string;
  expires: number;
  /** To be written although unchanged: sealed, or signed in, by an older key, or with an end by other settings. */
  stale: boolean;
  /** The session was ended; nothing of this object is written any more. */
  isGone: boolean;
}

/** What a session object holds when its save is asked for. */
export interface SessionState {
  readonly text: string;
  readonly maxAge: number | undefined;
  readonly username: unknown;
  /** Destroyed or replaced already: its first save now would bring it back. */
  readonly isLetGo: boolean;
}

/**
 * The state of a session object now.
 *
 * @throws TokenizerError `SESSION_UNSERIALIZABLE`, `SESSION_INVALID`
 */
export function stateOf(session: object, now: number): SessionState {
  const mistake = takenKeyIn(session);
  if (mistake) throw mistake;
  const { username, cookie } = session as Partial<SessionData>;
  return { text: textOf(session), maxAge: maxAgeOf({ cookie }, now), username, isLetGo: isLetGo(session) };
}

/**
 * Who is signed in, by a session's `username`; nobody where there is none.
 *
 * @throws TokenizerError `SESSION_INVALID` for what is no name
 */
export function userOf(username: unknown): string | undefined {
  if (username === undefined || username === null) return undefined;
  if (typeof username === "string" && username !== "") return username;
  const found =
    username === "" ? "an empty text" : `a value of type ${Array.isArray(username) ? "array" : typeof username}`;
  throw new TokenizerError(
    "SESSION_INVALID",
    `req.session.username is ${found}: set it to the user's name, a text that is not empty, or delete it.`,
  );
}

/**
 * How long a session is to live without a request, in milliseconds, by its cookie: what the application set as its
 * `maxAge`. `undefined` for none, and for what is no number.
 *
 * Libraries that bring sessions of their own give plain objects, with a `maxAge` or only the time at which it `expires`.
 */
export function maxAgeOf({ cookie }: { readonly cookie?: unknown }, now: number): number | undefined {
  const { originalMaxAge, maxAge, expires } = (cookie ?? {}) as Partial<Record<keyof Cookie, unknown>>;
  // express-session's own keeps what was set; its maxAge is what is left of it.
  // Where that is null nothing was set: a remembered session's cookie still shows when it expires.
  if (cookie instanceof Cookie || originalMaxAge === null) return finite(originalMaxAge);
  return finite(originalMaxAge) ?? finite(maxAge) ?? untilExpires(expires, now);
}

function finite(value: unknown): number | undefined {
  return typeof value === "number" && Number.isFinite(value) ? value : undefined;
}

/** Neither `false` nor 0 nor a text that is no time is one. */
function untilExpires(expires: unknown, now: number): number | undefined {
  const isTime = expires instanceof Date || typeof expires === "string" || typeof expires === "number";
  const time = isTime ? finite(new Date(expires).getTime()) : undefined;
  return time === undefined || time === 0 ? undefined : time - now;
}

/** Cookies count in seconds; express-session's arithmetic loses a millisecond now and then. */
export function isSameMaxAge(one: number | undefined, other: number | undefined): boolean {
  return one === other || (one !== undefined && other !== undefined && Math.abs(one - other) < 1000);
}

/** Whether the store acknowledged just this state. */
export function isSaved(snapshot: Snapshot, { text, maxAge }: SessionState): boolean {
  return snapshot.text === text && !snapshot.stale && isSameMaxAge(maxAge, snapshot.maxAge);
}

/** What must be stored for a save to go through: what was loaded, nothing for a new session, anything for an unknown object. */
export function firstExpected(snapshot: Snapshot | undefined, session: object): Expected {
  if (snapshot) return { version: snapshot.version };
  return isSession(session) ? "absent" : "any";
}

/** The snapshot of an object in the state `mine` once `record` is stored for it. */
export function snapshotAfter(
  mine: SessionState,
  { head, text }: SessionRecord,
  { version, expires }: StoredRecord,
): Snapshot {
  // Merged: the object has not seen what is stored, so its next save must not match it.
  const seen = text === mine.text ? version : newVersion();
  const { maxAge, username } = mine;
  return { text: mine.text, maxAge, username, head, version: seen, expires, stale: false, isGone: false };
}

/** The snapshot of an object that was refused for good: nothing of it is written any more. */
export function goneSnapshot({ text, maxAge, username }: SessionState, head: RecordHead): Snapshot {
  return { text, maxAge, username, head, version: newVersion(), expires: 0, stale: false, isGone: true };
}

/** Who is signed in to a session object, as the store has it; nothing where that is nobody, or to be somebody else. */
export function signInOf(snapshot: Snapshot | undefined, { username }: Partial<SessionData>): SignIn | undefined {
  const signIn = snapshot?.isGone ? undefined : snapshot?.head.signIn;
  return signIn?.user === username ? signIn : undefined;
}

/** The stored lifetime wins unless mine changed. */
export function withMaxAge(head: RecordHead, mine: SessionState, snapshot: Snapshot | undefined): RecordHead {
  if (snapshot && isSameMaxAge(mine.maxAge, snapshot.maxAge)) return head;
  const { maxAge: _, ...rest } = head;
  return mine.maxAge === undefined ? rest : { ...rest, maxAge: mine.maxAge };
}

export function withCookieMark(head: RecordHead, mark: string | undefined): RecordHead {
  const { cookie: _, ...rest } = head;
  return mark === undefined ? rest : { ...rest, cookie: mark };
}

/** 122 random bits: unguessable, and never made twice. Node draws those of many at once. */
export function newVersion(): string {
  return randomUUID();
}

/** What express-session itself has under such a name would be in the way, or gone. */
const TAKEN: ReadonlySet<string> = new Set([
  ...Object.getOwnPropertyNames(Session.prototype).filter((name) => name !== "constructor"),
  "req",
  "id",
  "__proto__",
]);

/** Whether a session cannot keep anything under this name. */
export function isTaken(key: string): boolean {
  return TAKEN.has(key);
}

/** The mistake of a key that is taken, if there is one. */
export function takenKeyIn(value: object): TokenizerError | undefined {
  // Assigned, this key is no key: it takes the session's methods away.
  const key = isStripped(value) ? "__proto__" : Object.keys(value).find(isTaken);
  if (key === undefined) return undefined;
  return new TokenizerError(
    "SESSION_INVALID",
    `req.session.${key} cannot be kept: express-session has something of its own under that name. Take another one.`,
  );
}

/** An object that was made a session, whose prototype is another by now. */
function isStripped(value: object): boolean {
  return !isSession(value) && Object.getOwnPropertyDescriptor(value, "req")?.enumerable === false;
}

/** A Session carries the request that it was made for. */
export function isSession(value: object): value is Session & { readonly req: { session?: unknown } } {
  return value instanceof Session;
}

function isLetGo(value: object): boolean {
  return isSession(value) && value.req.session !== value;
}
