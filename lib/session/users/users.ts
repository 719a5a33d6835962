/** `sessions.users`: a user's sessions, listed and ended. */
import type { Request } from "express";
import { TokenizerError } from "../../errors.js";
import { emit } from "../../events.js";
import { hashedKey, storageKey } from "../../session-id.js";
import type { Lifetime } from "../lifetime.js";
import type { Operations } from "../operations.js";
import type { Choice, Revocation } from "./revocation.js";
import type { UserIndex } from "./user-index.js";
import { type Handle, listedId } from "./user-record.js";

/** One of a user's sessions, as `sessions.users.list` shows it. */
export interface UserSession {
  /** Its handle: an opaque string, for `sessions.users.revoke`. It can be shown to the user; no cookie can be made of it. */
  readonly id: string;
  /** The label that `req.signIn` got; `undefined` without one. */
  readonly label: string | undefined;
  /** Whether the user asked to be remembered: such a session outlives the browser. */
  readonly remembered: boolean;
  /** Whether it is bound to a device (`cookie.device_bound`), so that a copy of its cookie opens nothing elsewhere. */
  readonly bound: boolean;
  /** When the user signed in. A later `req.confirmSignIn` does not change it. */
  readonly createdAt: Date;
  /** When its last request came, to within `touch_interval`. */
  readonly lastSeenAt: Date;
  /** When it ends if no further request comes. */
  readonly expiresAt: Date;
  /** Whether it is the session of the request that you gave as `current`. */
  readonly current: boolean;
}

/**
 * Which sessions: that of a request, the one with this handle, or those with these handles. `req.sessionID` and the `id` of
 * `sessions.store.all` name a session, too.
 */
export type SessionChoice = Request | string | readonly string[];

/** Which of the user's sessions `sessions.users.revoke` ends. Without either key: all of them. */
export interface RevokeOptions {
  /**
   * End these and no others. If the key is there and its value is `undefined`, none is ended: a form that left out the
   * handle must not sign the user out everywhere.
   */
  readonly only?: SessionChoice | undefined;
  /** Spare these. `undefined` spares none. */
  readonly except?: SessionChoice | undefined;
}

/** As ours are made: 24 bytes as base64url. */
const SESSION_ID = /^[\w-]{32}$/;

/** Of a key that is no option, in characters. */
const LONGEST_SHOWN = 50;

/** @internal */
export interface UsersParts {
  readonly index: UserIndex;
  readonly revocation: Revocation;
  readonly operations: Operations;
  readonly lifetime: Lifetime;
  readonly handleOf: (session: object) => string | undefined;
}

/**
 * Lists and ends the sessions of one user, or of all. User names match exactly: `Ada` and `ada` are two users.
 *
 * Every promise of these methods may reject with a `TokenizerError`: `ARGUMENT_INVALID` (500) for a wrong argument, status
 * 503 when the store fails.
 */
export class Users {
  readonly #parts: UsersParts;

  private constructor(parts: UsersParts) {
    this.#parts = parts;
  }

  /** @internal */
  static over(parts: UsersParts): Users {
    return new Users(parts);
  }

  /**
   * Lists the user's live sessions, the oldest first. Answers an empty list for a user who has none, or whom nobody knows.
   *
   * @param username a non-empty string
   * @param options.current the request whose session is to be marked as `current`. Default: none is marked.
   *
   * @example
   * const { username } = req.session;
   * const list = username ? await sessions.users.list(username, { current: req }) : [];
   */
  async list(username: string, options: { current?: Request | undefined } = {}): Promise<UserSession[]> {
    const { index, operations, lifetime } = this.#parts;
    checkUser("list", username);
    checkOptions("list", options, ["current"]);
    const { current } = options;
    const currentKey = current === undefined ? undefined : requestKey("current", current);
    const live = await operations.within((deadline) => index.live(username, deadline));
    const sessions = live.map(({ id, key, head, expires }) => ({
      id,
      label: head.signIn?.label,
      remembered: head.remembered === true,
      bound: head.bound?.shown !== undefined,
      ...lifetime.timesOf(head, expires),
      current: key === currentKey,
    }));
    // A record that was lost lists them anew in the order of their requests.
    return onePerId(sessions).sort((one, other) => one.createdAt.getTime() - other.createdAt.getTime());
  }

  /**
   * Answers the handle of the request's own session, the `id` in `sessions.users.list`; `undefined` when nobody is signed
   * in. It does not ask the store. If you set `req.session.username` yourself, the session has a handle once it is saved.
   *
   * @param req a request that went through the middleware
   * @throws TokenizerError `ARGUMENT_INVALID` (500), at once, for anything else
   *
   * @example
   * const handle = sessions.users.handle(req);
   * if (handle) sockets.set(handle, socket); // sessions.on("ended", …) closes it
   */
  handle(req: Request): string | undefined {
    requestKey("handle's argument", req);
    const session: unknown = req.session;
    return typeof session === "object" && session !== null ? this.#parts.handleOf(session) : undefined;
  }

  /**
   * Ends the user's sessions: all, `only` some, or all `except` some. If the store fails for one, it goes on with the
   * others; a session that is left ends with its next request that reaches the store, or when you call again.
   *
   * @param username a non-empty string
   * @param options which sessions. Default: all.
   * @returns how many were ended; 0 for a user who has none
   * @throws TokenizerError with status 503 when not all were ended; its `ended` and `failed` say how many were and were not
   *
   * @example
   * await sessions.users.revoke("ada", { except: req }); // after a change of password
   */
  async revoke(username: string, options: RevokeOptions = {}): Promise<number> {
    checkUser("revoke", username);
    checkOptions("revoke", options, ["only", "except"]);
    const choice = choiceOf(options);
    const { operations, revocation } = this.#parts;
    const count = await operations.inSteps(() => revocation.revoke(username, choice));
    emit("revoke", () => ({ user: username, count }));
    return count;
  }

  /**
   * Ends all sessions of all users. Sessions that nobody is signed in to stay. If the store fails for one, it goes on with
   * the others.
   *
   * @returns how many were ended
   * @throws TokenizerError with status 503 when not all were ended; its `ended` and `failed` say how many were and were not
   */
  async revokeEveryone(): Promise<number> {
    const { operations, revocation } = this.#parts;
    const count = await operations.inSteps(() => revocation.revokeEveryone());
    emit("revoke", () => ({ user: undefined, count }));
    return count;
  }
}

/** While a session goes over to another id, it is there under both: the request's own is shown, else the one seen last. */
function onePerId(sessions: readonly UserSession[]): UserSession[] {
  const shown = new Map<string, UserSession>();
  for (const session of sessions) {
    const other = shown.get(session.id);
    const isOlder = other && (other.current || (!session.current && other.lastSeenAt > session.lastSeenAt));
    if (!isOlder) shown.set(session.id, session);
  }
  return [...shown.values()];
}

function choiceOf(options: RevokeOptions): Choice {
  const except = chosen("except", options.except);
  const isMeant = (handle: Handle) => !except.includes(handle);
  // A handle that a form left out is no handle: it must not mean all of them.
  if (!("only" in options)) return { isAll: true, isMeant, except: except.key };
  const only = chosen("only", options.only);
  const isOnly = only.key !== undefined && only.key !== except.key;
  return {
    isAll: false,
    isMeant: (handle) => only.includes(handle) && isMeant(handle),
    only: isOnly ? only.key : undefined,
  };
}

interface Chosen {
  includes(handle: Handle): boolean;
  /** Of a request's session. */
  readonly key?: string;
}

/** Nothing chooses nothing. */
function chosen(name: string, choice: SessionChoice | undefined): Chosen {
  if (choice === undefined) return { includes: () => false };
  if (typeof choice === "string") {
    const key = hashedKey(choice) ?? (SESSION_ID.test(choice) ? storageKey(choice) : undefined);
    return { includes: namedBy([choice]), ...(key && { key }) };
  }
  if (isList(choice)) {
    if (!choice.every((id) => typeof id === "string")) throw wrong(name, "a list that has something else than handles");
    return { includes: namedBy(choice) };
  }
  const key = keyOf(choice);
  if (key === undefined) throw wrong(name, kindOfRequest(choice));
  return { includes: (handle) => handle.key === key, key };
}

/**
 * By handles; and by `req.sessionID`, and what `sessions.store.all` calls it: taken for nothing, `except` would end what they
 * name.
 */
function namedBy(ids: readonly string[]): Chosen["includes"] {
  const handles = new Set(ids);
  const keys = new Set(ids.flatMap((id) => [storageKey(id), hashedKey(id) ?? []].flat()));
  return (handle) => handles.has(listedId(handle)) || keys.has(handle.key);
}

function keyOf(request: Request): string | undefined {
  const sessionId: unknown = request?.sessionID;
  return typeof sessionId === "string" ? storageKey(sessionId) : undefined;
}

/** Where a handle would not do. */
function requestKey(name: string, request: Request): string {
  const key = keyOf(request);
  if (key !== undefined) return key;
  throw new TokenizerError(
    "ARGUMENT_INVALID",
    `sessions.users: ${name} is a request with a session. It got ${kindOfRequest(request)}.`,
  );
}

function kindOfRequest(request: Request): string {
  return typeof request === "object" && request !== null ? "an object without sessionID" : kindOf(request);
}

function isList(choice: Request | readonly string[]): choice is readonly string[] {
  return Array.isArray(choice);
}

function checkUser(method: string, username: unknown): void {
  if (typeof username === "string" && username !== "") return;
  throw new TokenizerError(
    "ARGUMENT_INVALID",
    `sessions.users.${method} needs a user's name, a text that is not empty. It got ${kindOf(username)}.`,
  );
}

/** A handle in the place of the options, a request, or a misspelt option must not mean all sessions. */
function checkOptions(method: string, options: unknown, names: readonly string[]): void {
  const isObject = typeof options === "object" && options !== null && !Array.isArray(options);
  const other = isObject ? Object.keys(options).find((name) => !names.includes(name)) : undefined;
  if (isObject && other === undefined) return;
  const found = other === undefined ? kindOf(options) : `an object with the key ${other.slice(0, LONGEST_SHOWN)}`;
  throw new TokenizerError(
    "ARGUMENT_INVALID",
    `sessions.users.${method} takes { ${names.join(", ")} } behind the user's name. It got ${found}.`,
  );
}

function wrong(name: string, found: string): TokenizerError {
  return new TokenizerError(
    "ARGUMENT_INVALID",
    `sessions.users: ${name} is a request with a session, a handle or a list of handles. It got ${found}.`,
  );
}

function kindOf(value: unknown): string {
  if (value === "") return "an empty text";
  if (value === undefined || value === null) return String(value);
  return `a value of type ${Array.isArray(value) ? "array" : typeof value}`;
}
