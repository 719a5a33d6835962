/** `sessions.users`: a user's sessions, listed and ended. */
import type { Request } from "express";
import { storageKey } from "../session-id.js";
import type { TokenStore } from "./store.js";
import type { ListedHandle } from "./user-index.js";

/** One of a user's sessions. */
export interface UserSession {
  /** An opaque handle for `revoke`. Nothing of the cookie's value is in it. */
  readonly id: string;
  /** What `req.signIn` was told to call it. */
  readonly label: string | undefined;
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

/** User names match exactly. Every method rejects with a `TokenizerError`, status 503, when the store fails. */
export class Users {
  readonly #store: TokenStore;

  constructor(store: TokenStore) {
    this.#store = store;
  }

  /**
   * The user's live sessions, the oldest first; none for a name that nobody has.
   *
   * @param options.current the request whose session is marked as `current`
   */
  async list(username: string, { current }: { current?: Request | undefined } = {}): Promise<UserSession[]> {
    const currentKey = current && storageKey(current.sessionID);
    const live = await this.#store.sessionsOf(username);
    return live.map(({ id, key, label, created, lastSeen, expires }) => ({
      id,
      label,
      createdAt: new Date(created),
      lastSeenAt: new Date(lastSeen),
      expiresAt: new Date(expires),
      current: key === currentKey,
    }));
  }

  /**
   * Ends the user's sessions: all, or `only` these, or all `except` those.
   *
   * @returns how many were ended
   * @example
   * await sessions.users.revoke(req.session.username, { except: req }); // after a change of password
   */
  async revoke(username: string, options: RevokeOptions = {}): Promise<number> {
    // A handle that a form left out is no handle: it must not mean all of them.
    const isIncluded = "only" in options ? chooser(options.only) : () => true;
    const isExcepted = chooser(options.except);
    return this.#store.endSessionsOf(username, (handle) => isIncluded(handle) && !isExcepted(handle));
  }

  /** Ends all sessions of all users, and answers how many. Anonymous sessions stay. */
  revokeEveryone(): Promise<number> {
    return this.#store.endSessionsOfEveryone();
  }
}

/** Nothing chooses nothing. */
function chooser(choice: SessionChoice | undefined): (handle: ListedHandle) => boolean {
  if (choice === undefined) return () => false;
  if (typeof choice === "string") return ({ id }) => id === choice;
  if (isList(choice)) return ({ id }) => choice.includes(id);
  const key = storageKey(choice.sessionID);
  return (handle) => handle.key === key;
}

function isList(choice: Request | readonly string[]): choice is readonly string[] {
  return Array.isArray(choice);
}
