/** What is stored of a session: a line about it, and a line with its own fields, plain or sealed. */
import { isSealedWithOlderKey, open, seal } from "../credentials/envelope.js";
import type { Keyring } from "../credentials/keyring.js";
import type { DeviceKey } from "../device/proof.js";
import { TokenizerError } from "../errors.js";
import { storageKey } from "../session-id.js";
import { keyName } from "../visible.js";
import { isSignIn, type SignIn } from "./users/user-record.js";

/** About a session, in clear even when the session is sealed. Times are milliseconds since 1970. */
export interface RecordHead {
  /** When the session was first saved, or went over to nobody. */
  readonly created: number;
  /** Past this it is over, however busy. */
  readonly end?: number;
  /** The `cookie.maxAge` that the application set, in milliseconds; it replaces `timeout`. */
  readonly maxAge?: number;
  /** Where there is no `maxAge`: the `timeout`, or that of `remember`, that the record's end was made with. */
  readonly idle?: number;
  /** The sign-in asked for a session that outlives the browser. */
  readonly remembered?: true;
  /** Who is signed in. Missing where nobody is. */
  readonly signIn?: SignIn;
  /** With what attributes its cookie was sent (`cookieMark`). Missing for the default ones. */
  readonly cookie?: string;
  /** The device that the session is bound to. Missing where it is not. */
  readonly bound?: Bound;
}

export interface Bound {
  readonly key: DeviceKey;
  /** When it was registered, in milliseconds since 1970. */
  readonly since: number;
  /** When the browser first showed what it got for that. Until then nothing is asked of it: our answer may have been lost. */
  readonly shown?: number;
}

export interface SessionRecord {
  readonly head: RecordHead;
  /** The session without its cookie, as JSON text. */
  readonly text: string;
}

export interface DecodedRecord extends SessionRecord {
  /** `text`, parsed. */
  readonly fields: Record<string, unknown>;
  /** Sealed with an older key, or not as the settings ask: to be written anew. */
  readonly stale: boolean;
}

/** Rises when a reader of the older format could not read the newer one. */
const FORMAT = 2;

/** Deeper than any session that makes sense, and far from where JSON.stringify runs out of stack. */
const DEEPEST = 200;

/** Turns sessions to stored text and back. */
export class RecordCodec {
  readonly #keyring: Keyring | undefined;
  readonly #sealing: boolean;

  /** @param sealing whether the session's own fields are sealed (`encrypt: session`). */
  constructor(keyring: Keyring | undefined, sealing: boolean) {
    this.#keyring = keyring;
    this.#sealing = sealing;
  }

  encode(sessionId: string, { head, text }: SessionRecord): string {
    return `${JSON.stringify({ ...head, v: FORMAT })}\n${this.#sealing ? this.#seal(sessionId, text) : text}`;
  }

  /** The record, or `undefined` when it is damaged, does not open, or is plain where sealed ones are asked for. */
  decode(sessionId: string, value: string): DecodedRecord | undefined {
    const { head, body } = split(value);
    if (!head) return undefined;
    const plain = body.startsWith("{");
    if (plain && this.#sealing) return undefined;
    const text = plain ? body : this.#open(sessionId, body);
    const fields = text === undefined ? undefined : parseFields(text);
    if (text === undefined || !fields) return undefined;
    return { head, text, fields, stale: plain === this.#sealing || (!plain && this.#isOld(body)) };
  }

  /** What can be told without the visitor's cookie: the head, and the fields where they are not sealed. */
  inspect(value: string): { head: RecordHead; fields: Record<string, unknown> } | undefined {
    const { head, body } = split(value);
    const fields = body.startsWith("{") ? parseFields(body) : {};
    return head && fields && { head, fields };
  }

  #seal(sessionId: string, text: string): string {
    if (!this.#keyring) throw new Error("sealing needs keys");
    return seal(this.#keyring, placeOf(sessionId), text);
  }

  #open(sessionId: string, body: string): string | undefined {
    return this.#keyring && open(this.#keyring, placeOf(sessionId), body);
  }

  #isOld(body: string): boolean {
    return this.#keyring !== undefined && isSealedWithOlderKey(this.#keyring, body);
  }
}

/** The same record with another head, whether its fields are sealed or not. */
export function withHead(value: string, head: RecordHead): string {
  return `${JSON.stringify({ ...head, v: FORMAT })}${value.slice(value.indexOf("\n"))}`;
}

/** About a stored session, whether it is sealed or not; nothing where the record is damaged. */
export function inspectHead(value: string): RecordHead | undefined {
  return split(value).head;
}

/**
 * The session without its cookie, as the JSON text that is stored.
 *
 * @throws TokenizerError `SESSION_UNSERIALIZABLE`, naming the key
 */
export function textOf(session: object): string {
  const { cookie: _, ...fields } = session as Record<string, unknown>;
  const text = stringify(fields) ?? refuse(fields);
  return isTooDeep(text) ? refuse(fields) : text;
}

/** The longest record that is kept. */
export interface SizeLimit {
  readonly bytes: number;
  /** `tokenizer.max_session_kb`; missing where the backend can keep no more. */
  readonly setting?: string;
}

/**
 * Refuses what must not or could not be kept, before it is sent.
 *
 * @param value the encoded record, or as much of it as there is so far
 * @param text the session's own fields
 * @throws TokenizerError `SESSION_TOO_LARGE`, naming the largest keys
 */
export function refuseTooLarge(value: string, text: string, { bytes, setting }: SizeLimit): void {
  const size = Buffer.byteLength(value);
  if (size <= bytes) return;
  const fields = Object.entries(JSON.parse(text) as Record<string, unknown>);
  const largest = fields
    .map(([key, field]) => ({ key, size: Buffer.byteLength(JSON.stringify(field)) }))
    .sort((one, other) => other.size - one.size)
    .slice(0, 3);
  throw new TokenizerError(
    "SESSION_TOO_LARGE",
    `The session has ${inKilobytes(size)}, and ${setting ?? "the store"} allows ${inKilobytes(bytes)}. ` +
      `Its largest keys: ${largest.map(({ key, size }) => `${keyName(key)} (${inKilobytes(size)})`).join(", ")}.`,
  );
}

function inKilobytes(bytes: number): string {
  return `${(bytes / 1024).toFixed(1)} KB`;
}

function stringify(value: unknown): string | undefined {
  try {
    return JSON.stringify(value);
  } catch {
    return undefined;
  }
}

function refuse(fields: Record<string, unknown>): never {
  const key = Object.keys(fields).find((name) => {
    const text = stringify({ [name]: fields[name] });
    return text === undefined || isTooDeep(text);
  });
  throw new TokenizerError(
    "SESSION_UNSERIALIZABLE",
    `req.session.${keyName(String(key))} cannot be saved: it holds what JSON cannot (a BigInt, a circle, more than ${DEEPEST} levels).`,
  );
}

function isTooDeep(text: string): boolean {
  // Each level takes two characters.
  if (text.length <= 2 * DEEPEST) return false;
  let depth = 0;
  let inString = false;
  for (let index = 0; index < text.length; index++) {
    const code = text.charCodeAt(index);
    if (inString) {
      if (code === 0x5c /* \ */) index++;
      else if (code === 0x22 /* " */) inString = false;
    } else if (code === 0x22) inString = true;
    else if (code === 0x7b /* { */ || code === 0x5b /* [ */) {
      if (++depth > DEEPEST) return true;
    } else if (code === 0x7d /* } */ || code === 0x5d /* ] */) depth--;
  }
  return false;
}

function split(value: string): { head?: RecordHead; body: string } {
  const newline = value.indexOf("\n");
  const head = parseObject(value.slice(0, Math.max(newline, 0)));
  const body = value.slice(newline + 1);
  return head && isHead(head) ? { head, body } : { body };
}

function isHead(head: Record<string, unknown>): head is Record<string, unknown> & RecordHead {
  const { v, created, end, maxAge, idle, remembered, signIn, cookie, bound } = head;
  const hasTimes = isTime(created) && [end, maxAge, idle].every(isTimeOrNone);
  const hasMarks = (cookie === undefined || typeof cookie === "string") && isTrueOrNone(remembered);
  const isFormed = v === FORMAT && hasTimes && hasMarks;
  return isFormed && (signIn === undefined || isSignIn(signIn)) && isBoundOrNone(bound);
}

function isTime(value: unknown): value is number {
  return typeof value === "number" && Number.isFinite(value);
}

function isTimeOrNone(value: unknown): value is number | undefined {
  return value === undefined || isTime(value);
}

/** Of a wrong key nothing can be proven, so that nobody gets in. */
function isBoundOrNone(bound: unknown): bound is Bound | undefined {
  if (bound === undefined) return true;
  const { key, since, shown } = (bound ?? {}) as Record<string, unknown>;
  return typeof key === "object" && key !== null && isTime(since) && isTimeOrNone(shown);
}

function isTrueOrNone(value: unknown): value is true | undefined {
  return value === undefined || value === true;
}

/** What was never saved by us may be too deep to be saved again. */
function parseFields(text: string): Record<string, unknown> | undefined {
  return isTooDeep(text) ? undefined : parseObject(text);
}

function parseObject(text: string): Record<string, unknown> | undefined {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === "object" && value !== null && !Array.isArray(value)
      ? (value as Record<string, unknown>)
      : undefined;
  } catch {
    return undefined;
  }
}

function placeOf(sessionId: string) {
  return { sessionId, storageKey: storageKey(sessionId), purpose: "session" } as const;
}
