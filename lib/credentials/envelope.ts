/** Seals text so that it opens only with the installation's keys, in one session, for one purpose. */
import { createCipheriv, createDecipheriv, createSecretKey, hkdfSync, type KeyObject, randomBytes } from "node:crypto";
import type { Key, Keyring } from "./keyring.js";

/** Where a sealed text belongs. Opened anywhere else, it does not open. */
export interface Place {
  /** The raw session id, which only the visitor's cookie holds. */
  readonly sessionId: string;
  /** The key that the session is stored under. */
  readonly storageKey: string;
  readonly purpose: "credentials" | "session";
}

const VERSION = "v1";
const SALT_BYTES = 32;
const KEY_BYTES = 32;
/** 96 bits, the size that NIST SP 800-38D recommends for GCM. */
const NONCE_BYTES = 12;
const TAG_BYTES = 16;
const CIPHER = "aes-256-gcm";

/**
 * Seals `text` with the current key.
 *
 * @returns `v1.<key id>.<base64url>`, where the last part is salt, ciphertext and tag.
 */
export function seal(keyring: Keyring, place: Place, text: string): string {
  return sealWith(keyring.current, place, text, randomBytes(SALT_BYTES));
}

/** `seal` with the salt given, for the frozen vectors of the spec. A salt must never be used twice. */
export function sealWith(key: Key, place: Place, text: string, salt: Buffer): string {
  const { cipherKey, nonce } = messageKey(key, place, salt);
  const cipher = createCipheriv(CIPHER, cipherKey, nonce, { authTagLength: TAG_BYTES });
  cipher.setAAD(associatedData(key.id, place));
  const body = Buffer.concat([salt, cipher.update(text, "utf8"), cipher.final(), cipher.getAuthTag()]);
  return `${VERSION}.${key.id}.${body.toString("base64url")}`;
}

/**
 * Opens what `seal` made.
 *
 * @returns the text, or `undefined` for whatever does not open: changed, cut, of another session or
 *   purpose, of an unknown key or version, or no envelope at all. Which of these it was is not told.
 */
export function open(keyring: Keyring, place: Place, envelope: unknown): string | undefined {
  const parts = typeof envelope === "string" ? envelope.split(".") : [];
  const [version, keyId, encoded] = parts;
  if (parts.length !== 3 || version !== VERSION || keyId === undefined || encoded === undefined) return undefined;
  const key = keyring.find(keyId);
  const body = Buffer.from(encoded, "base64url");
  // Buffer.from passes over what is no base64url, and the last character has unused bits.
  if (!key || body.length < SALT_BYTES + TAG_BYTES || body.toString("base64url") !== encoded) return undefined;
  return decipher(key, place, body);
}

/** Whether an envelope was sealed with a key other than the current one, so that it should be sealed anew. */
export function isSealedWithOlderKey(keyring: Keyring, envelope: string): boolean {
  return !envelope.startsWith(`${VERSION}.${keyring.current.id}.`);
}

function decipher(key: Key, place: Place, body: Buffer): string | undefined {
  const { cipherKey, nonce } = messageKey(key, place, body.subarray(0, SALT_BYTES));
  const decipher = createDecipheriv(CIPHER, cipherKey, nonce, { authTagLength: TAG_BYTES });
  decipher.setAAD(associatedData(key.id, place));
  decipher.setAuthTag(body.subarray(-TAG_BYTES));
  try {
    const text = decipher.update(body.subarray(SALT_BYTES, -TAG_BYTES));
    return Buffer.concat([text, decipher.final()]).toString("utf8");
  } catch {
    // `final` throws when the tag does not fit: that is the answer, not a fault.
    return undefined;
  }
}

/** A key and nonce of its own for every message (RFC 5869), so no nonce can meet the same key twice. */
function messageKey(key: Key, place: Place, salt: Buffer): { cipherKey: KeyObject; nonce: Buffer } {
  const secret = Buffer.concat([key.master, Buffer.from(place.sessionId, "utf8")]);
  const bytes = Buffer.from(hkdfSync("sha256", secret, salt, place.purpose, KEY_BYTES + NONCE_BYTES));
  // As an object of its own: given the bytes, Node 24 takes four times as long to make the cipher.
  return { cipherKey: createSecretKey(bytes.subarray(0, KEY_BYTES)), nonce: bytes.subarray(KEY_BYTES) };
}

/** As a JSON list, so that no two different places read the same. */
function associatedData(keyId: string, place: Place): Buffer {
  return Buffer.from(JSON.stringify([VERSION, keyId, place.purpose, place.storageKey]), "utf8");
}
