/** What is remembered beside a session object, so that its next save knows what it is a change to. */
import { randomUUID } from "node:crypto";
import session, { type Session, type SessionData } from "express-session";
import type { Expected, StoredRecord } from "../backends/backend.js";
import { type RecordHead, type SessionRecord, textOf } from "./record.js";

/** What is known of a session object that the store answered or saved. */
export interface Known {
  /** Its own fields when it was loaded or last acknowledged: what its next changes are changes to. */
  text: string;
  maxAge: number | undefined;
  username: unknown;
  head: RecordHead;
  /** Of the record that holds exactly `text`; what no record holds any more never matches. */
  version: string;
  expires: number;
  /** To be written although unchanged: sealed with an older key. */
  stale: boolean;
  /** The session was ended; nothing of this object is written any more. */
  gone: boolean;
}

/** One state of a session object, taken when its save was asked for. */
export interface Snapshot {
  readonly text: string;
  readonly maxAge: number | undefined;
  readonly username: unknown;
  /** Destroyed or replaced already: its first save now would bring it back. */
  readonly isLetGo: boolean;
}

/**
 * The state of a session object now.
 *
 * @throws TokenizerError `SESSION_UNSERIALIZABLE`
 */
export function snapshot(session: object): Snapshot {
  const { username, cookie } = session as Partial<SessionData>;
  return { text: textOf(session), maxAge: maxAgeOf({ cookie }), username, isLetGo: isLetGo(session) };
}

/** The `cookie.maxAge` that the application set, in milliseconds; `undefined` for none, and for what is no number. */
export function maxAgeOf({ cookie }: { cookie?: session.Cookie | undefined }): number | undefined {
  const maxAge = cookie?.originalMaxAge;
  return typeof maxAge === "number" && Number.isFinite(maxAge) ? maxAge : undefined;
}

/** Cookies count in seconds; express-session's arithmetic loses a millisecond now and then. */
export function isSameMaxAge(one: number | undefined, other: number | undefined): boolean {
  return one === other || (one !== undefined && other !== undefined && Math.abs(one - other) < 1000);
}

/** Whether the store acknowledged just this state. */
export function isSaved(known: Known, { text, maxAge }: Snapshot): boolean {
  return known.text === text && !known.stale && isSameMaxAge(maxAge, known.maxAge);
}

/** What must be stored for a save to go through: what was loaded, nothing for a new session, anything for an unknown object. */
export function firstExpected(known: Known | undefined, session: object): Expected {
  if (known) return { version: known.version };
  return isSession(session) ? "absent" : "any";
}

/** What is known once `record` is stored for an object in the state `mine`. */
export function knownAfter(mine: Snapshot, { head, text }: SessionRecord, { version, expires }: StoredRecord): Known {
  // Merged: the object has not seen what is stored, so its next save must not match it.
  const seen = text === mine.text ? version : newVersion();
  const { maxAge, username } = mine;
  return { text: mine.text, maxAge, username, head, version: seen, expires, stale: false, gone: false };
}

/** The stored lifetime wins unless mine changed. */
export function withMaxAge(head: RecordHead, mine: Snapshot, known: Known | undefined): RecordHead {
  if (known && isSameMaxAge(mine.maxAge, known.maxAge)) return head;
  const { maxAge: _, ...rest } = head;
  return mine.maxAge === undefined ? rest : { ...rest, maxAge: mine.maxAge };
}

/** 122 random bits: unguessable, and never made twice. Node draws those of many at once. */
export function newVersion(): string {
  return randomUUID();
}

/** A Session carries the request that it was made for. */
function isSession(value: object): value is Session & { readonly req: { session?: unknown } } {
  return value instanceof session.Session;
}

function isLetGo(value: object): boolean {
  return isSession(value) && value.req.session !== value;
}
