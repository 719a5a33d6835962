/** What a session id is called where it must not be known: in the store and in the log. */
import { createHash } from "node:crypto";

/** Stands before the key of every session, so that other kinds of records can live beside them. */
export const SESSION_PREFIX = "session:";

/**
 * The key that a session is stored under. A session id has 192 random bits, so a plain hash cannot be
 * guessed back.
 */
export function storageKey(sessionId: string): string {
  return SESSION_PREFIX + createHash("sha256").update(sessionId, "utf8").digest("base64url");
}

/** A short name for log lines: the beginning of the hash. */
export function shortName(key: string): string {
  return key.slice(SESSION_PREFIX.length, SESSION_PREFIX.length + 12);
}
