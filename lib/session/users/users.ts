/** `sessions.users`: a user's sessions, listed and ended. */
import type { Request } from "express";
import { TokenizerError } from "../../errors.js";
import { emit } from "../../events.js";
import { storageKey } from "../../session-id.js";
import type { Lifetime } from "../lifetime.js";
import type { Operations } from "../operations.js";
import type { Choice, Revocation } from "./revocation.js";
import type { UserIndex } from "./user-index.js";
import { type Handle, listedId } from "./user-record.js";

/** One of a user's sessions. */
export interface UserSession {
  /** An opaque handle for `revoke`. Nothing of the cookie's value is in it. */
  readonly id: string;
  /** What `req.signIn` was given to call it. */
  readonly label: string | undefined;
  /** Whether its sign-in asked for a session that outlives the browser. */
  readonly remembered: boolean;
  /** The moment of sign-in, however often it was confirmed since. */
  readonly createdAt: Date;
  /** To within `touch_interval`. */
  readonly lastSeenAt: Date;
  /** When it ends if no further request comes. */
  readonly expiresAt: Date;
  /** Whether it is the session of the request that was named. */
  readonly current: boolean;
}

/** A request means the session that it belongs to; a text is a handle. */
export type SessionChoice = Request | string | readonly string[];

export interface RevokeOptions {
  /** End these alone; given but `undefined`, none. */
  readonly only?: SessionChoice | undefined;
  /** End all but these. */
  readonly except?: SessionChoice | undefined;
}

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
 * User names match exactly.
 *
 * Every method that answers by promise rejects with a `TokenizerError`: status 503 when the store fails, `ARGUMENT_INVALID` for wrong arguments.
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
   * The user's live sessions, the oldest first; none for a name that nobody has.
   *
   * @param options.current the request whose session is marked as `current`
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
      ...lifetime.timesOf(head, expires),
      current: key === currentKey,
    }));
    // A record that was lost lists them anew in the order of their requests.
    return onePerId(sessions).sort((one, other) => one.createdAt.getTime() - other.createdAt.getTime());
  }

  /**
   * The handle of the request's own session, as `list` shows it; nothing where nobody is signed in. Asks no store. A sign-in
   * by `username` has one from its save on.
   *
   * @throws TokenizerError `ARGUMENT_INVALID` for what is no request with a session
   * @example
   * sockets.set(sessions.users.handle(req), socket); // to be closed by sessions.on("ended", …)
   */
  handle(req: Request): string | undefined {
    requestKey("handle's argument", req);
    const session: unknown = req.session;
    return typeof session === "object" && session !== null ? this.#parts.handleOf(session) : undefined;
  }

  /**
   * Ends the user's sessions: all, or `only` these, or all `except` those. A fault of the store does not stop it: what is
   * left ends at its next due request, or when you call again.
   *
   * @returns how many were ended
   * @throws TokenizerError where not all were ended, with `ended` and `failed`
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
   * Ends all sessions of all users, past every fault, and answers how many. Anonymous sessions stay.
   *
   * @throws TokenizerError where not all were ended, with `ended` and `failed`
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
  if (typeof choice === "string") return { includes: (handle) => listedId(handle) === choice };
  if (isList(choice)) {
    if (!choice.every((id) => typeof id === "string")) throw wrong(name, "a list that has something else than handles");
    return { includes: (handle) => choice.includes(listedId(handle)) };
  }
  const key = keyOf(choice);
  if (key === undefined) throw wrong(name, kindOfRequest(choice));
  return { includes: (handle) => handle.key === key, key };
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
