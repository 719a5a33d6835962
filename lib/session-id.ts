/** What session ids and user names are called where they must not be known: in the store and in the log. */
import { hash } from "node:crypto";

/** Stand before the keys of the two kinds of records. */
export const SESSION_PREFIX = "session:";
export const USER_PREFIX = "user:";

/**
 * The key that a session is stored under. A session id has 192 random bits, so a plain hash cannot be
 * guessed back.
 */
export function storageKey(sessionId: string): string {
  return SESSION_PREFIX + digest(sessionId);
}

/** The same by a hashed session id, as `sessions.store.all` lists it; nothing for what has not the form of one. */
export function hashedKey(text: string): string | undefined {
  return /^[\w-]{43}$/.test(text) ? SESSION_PREFIX + text : undefined;
}

/** The key of the record of a user's sessions. Names match exactly: without JSON, all lone surrogates would be the same. */
export function userKey(username: string): string {
  return USER_PREFIX + digest(JSON.stringify(username));
}

/** A short name for log lines: the beginning of the hash. */
export function shortName(key: string): string {
  return key.slice(SESSION_PREFIX.length, SESSION_PREFIX.length + 12);
}

function digest(text: string): string {
  return hash("sha256", text, "base64url");
}
