/** What is stored of a user: which sessions are signed in. With what follows from it, and nothing that asks the store. */
import { randomBytes } from "node:crypto";
import type { StoredRecord } from "../../backends/backend.js";

/** One sign-in, as its user's record lists it. The oldest stand first. */
export interface Handle {
  /** Opaque and random: nothing of the session's id is in it. */
  readonly id: string;
  /** The key that the session is stored under. */
  readonly key: string;
  /** The id of the installation's key: whoever has another one carries the handle along, and does nothing with it. */
  readonly by: string;
  /** What lists call it, where a session went on under another id: the handle that it was signed in with. */
  readonly listedAs?: string;
  /** To be ended by whoever meets it. */
  readonly ending?: true;
  /** Somebody looked, and the session was not there: ended, or not written yet. The second one who sees that drops it. */
  readonly missing?: true;
}

export interface UserRecord {
  /** Drawn when the record is made: another one means that the record was lost in between. */
  readonly name: string;
  /** How often all the user's sessions were ended. */
  readonly endings: number;
  readonly handles: readonly Handle[];
}

/** What a session's head keeps of its sign-in. */
export interface SignIn {
  readonly user: string;
  /** The id of the handle that the user's record lists this session by. */
  readonly handle: string;
  readonly by: string;
  /** When, in milliseconds since 1970. */
  readonly since: number;
  /** When it was confirmed last. */
  readonly confirmed?: number;
  /** As in the handle. */
  readonly listedAs?: string;
  readonly label?: string;
  /** The name and the endings of the user's record then. */
  readonly name: string;
  readonly endings: number;
}

/** A signed-in session, as far as its user's record goes. */
export interface SignedIn {
  /** The key that it is stored under. */
  readonly key: string;
  readonly signIn: SignIn;
  /** How long it lives without a request, in milliseconds. */
  readonly idle: number;
}

/** The ids of the installation's keys. */
export type KeyIds = readonly [present: string, ...older: string[]];

/**
 * - `listed`: the user's record has its handle.
 * - `ended`: its handle is marked, or all sessions were ended since its sign-in.
 * - `unlisted`: nothing ended it, so the record was lost.
 */
export type Standing = "listed" | "ended" | "unlisted";

const FORMAT = 2;
const ID_BYTES = 16;

/** What a record has at most: 240 KB. */
export const MOST_HANDLES = 2000;

export function newId(): string {
  return randomBytes(ID_BYTES).toString("base64url");
}

export function standingOf({ name, endings, handles }: UserRecord, signIn: SignIn): Standing {
  const handle = handles.find(({ id }) => id === signIn.handle);
  if (handle) return handle.ending ? "ended" : "listed";
  const seen = signIn.name === name ? signIn.endings : 0;
  return endings > seen ? "ended" : "unlisted";
}

/** What lists call a session. It stays the same where the session goes on under another id. */
export function listedId({ id, listedAs }: Handle): string {
  return listedAs ?? id;
}

/** The same, by what the session's head keeps. */
export function listedIdOf({ handle, listedAs }: SignIn): string {
  return listedAs ?? handle;
}

/** One for each session, the oldest first: while it goes over to another id, it has two handles, and is as new as the later. */
export function listedIdsOf(handles: readonly Handle[]): readonly string[] {
  return [...new Set(handles.map(listedId).reverse())].reverse();
}

/** What a head may hold, whoever wrote it. */
export function isSignIn(value: unknown): value is SignIn {
  const found = (value ?? {}) as Record<string, unknown>;
  const { user, handle, by, name, since, confirmed = 0, endings } = found;
  const hasTexts = [user, handle, by, name].every((text) => typeof text === "string" && text !== "");
  const hasNotes = [found.label, found.listedAs].every((text) => text === undefined || typeof text === "string");
  return hasTexts && hasNotes && Number.isFinite(since) && Number.isFinite(confirmed) && isCount(endings);
}

export function without(handles: readonly Handle[], ids: ReadonlySet<string>): readonly Handle[] {
  const left = handles.filter(({ id }) => !ids.has(id));
  return left.length === handles.length ? handles : left;
}

/**
 * Takes note of the sessions that were not there. One look could drop a sign-in that is under way: it takes the note off.
 */
export function withMissing(handles: readonly Handle[], missing: ReadonlySet<string>): readonly Handle[] {
  if (missing.size === 0) return handles;
  return handles
    .filter((handle) => !(missing.has(handle.id) && handle.missing))
    .map((handle) => (missing.has(handle.id) ? { ...handle, missing: true } : handle));
}

/** Ours, and not to be ended. */
export function activeBy(keyIds: KeyIds): (handle: Handle) => boolean {
  return ({ ending, by }) => !ending && keyIds.includes(by);
}

/** Ours, and to be ended. */
export function endingBy(keyIds: KeyIds): (handle: Handle) => boolean {
  return ({ ending, by }) => ending === true && keyIds.includes(by);
}

/** Marks those that are to be ended. */
export function marked(handles: readonly Handle[], ids: ReadonlySet<string>): readonly Handle[] {
  if (ids.size === 0) return handles;
  return handles.map((handle) => (ids.has(handle.id) ? { ...handle, ending: true } : handle));
}

/** With the session's own handle as it should be: there, by the present key, and not noted as missing. */
export function withOwn(handles: readonly Handle[], { key, signIn }: SignedIn, by: string): readonly Handle[] {
  const own = handleOf(signIn, key, by);
  const listed = handles.find(({ id }) => id === own.id);
  if (!listed) return [...handles, own];
  if (!listed.missing && listed.by === by) return handles;
  return handles.map((handle) => (handle === listed ? own : handle));
}

/** The handle of a sign-in. */
export function handleOf({ handle, listedAs }: Pick<SignIn, "handle" | "listedAs">, key: string, by: string): Handle {
  return { id: handle, key, by, ...(listedAs === undefined ? {} : { listedAs }) };
}

/** Those that were not found. */
export function missingOf(handles: readonly Handle[], found: ReadonlyMap<string, unknown>): ReadonlySet<string> {
  return new Set(handles.flatMap(({ id }) => (found.has(id) ? [] : [id])));
}

export function encodeUser({ name, endings, handles }: UserRecord): string {
  return JSON.stringify({ v: FORMAT, name, endings, handles });
}

/** A record that is missing, damaged or of another format is a new one: whatever it listed was lost. */
export function decodeUser(stored: StoredRecord | undefined): UserRecord {
  return (stored && parse(stored.value)) ?? { name: newId(), endings: 0, handles: [] };
}

function parse(text: string): UserRecord | undefined {
  try {
    const { v, name, endings, handles } = JSON.parse(text) as Record<string, unknown>;
    const isOurs = v === FORMAT && typeof name === "string" && isCount(endings) && Array.isArray(handles);
    return isOurs ? { name, endings, handles: handles.filter(isHandle) } : undefined;
  } catch {
    return undefined;
  }
}

function isCount(value: unknown): value is number {
  return typeof value === "number" && Number.isSafeInteger(value) && value >= 0;
}

function isHandle(value: unknown): value is Handle {
  const { id, key, by } = (value ?? {}) as Record<string, unknown>;
  return typeof id === "string" && typeof key === "string" && typeof by === "string";
}
