/** The local authenticator's credentials: sealed into a session, and opened for one request. */
import { inspect } from "node:util";
import { shortName, storageKey } from "../session-id.js";
import { isSealedWithOlderKey, open, type Place, seal } from "./envelope.js";
import type { Keyring } from "./keyring.js";

/** The part of a session that credentials are about. */
export interface CredentialsSession {
  readonly id: string;
  username?: string | undefined;
  credentials?: string | undefined;
}

/** What is sealed. */
interface Sealed {
  readonly credentials: ExpressTokenizer.Credentials;
  /** Repeated inside, so that writing another `username` beside the sealed text gains nothing. */
  readonly username: string;
  /** When it was sealed, in milliseconds since 1970. */
  readonly at: number;
  /** The session's absolute end, if it has one. */
  readonly end?: number | undefined;
}

export interface CredentialsContext {
  readonly keyring: Keyring;
  /** Milliseconds since 1970. */
  readonly now: () => number;
  readonly warn: (message: string) => void;
}

/** Seals and opens with the keys of one installation. */
export class CredentialsSealer {
  readonly #context: CredentialsContext;

  constructor(context: CredentialsContext) {
    this.#context = context;
  }

  /** @param end the session's absolute end; past it the sealed text opens nowhere, even if it is put back */
  seal(sessionId: string, credentials: ExpressTokenizer.Credentials, end: number | undefined): string {
    const { username } = credentials;
    return this.#seal(sessionId, { credentials, username, at: this.#context.now(), end });
  }

  /**
   * The session's credentials. `undefined` when it has none, or when they do not open here and now: then
   * one line is logged, and the user has to sign in again.
   */
  open(session: CredentialsSession): ExpressTokenizer.Credentials | undefined {
    if (session.credentials === undefined) return undefined;
    const sealed = this.#open(session);
    if (sealed) return withheld(sealed.credentials);
    this.#context.warn(`The credentials of session ${shortName(storageKey(session.id))} do not open: sign in again.`);
    return undefined;
  }

  /** The session's credentials, sealed for the id under which it goes on. Nothing when it has none, or when they do not open. */
  sealFor(sessionId: string, session: CredentialsSession): string | undefined {
    const sealed = session.credentials === undefined ? undefined : this.#open(session);
    return sealed && this.#seal(sessionId, sealed);
  }

  /** Seals anew what was sealed with an older `safe_password`, so that one can be dropped. */
  renew(session: CredentialsSession): void {
    const { keyring } = this.#context;
    if (typeof session.credentials !== "string" || !isSealedWithOlderKey(keyring, session.credentials)) return;
    const sealed = this.#open(session);
    if (sealed) session.credentials = this.#seal(session.id, sealed);
  }

  #seal(sessionId: string, sealed: Sealed): string {
    return seal(this.#context.keyring, placeOf(sessionId), JSON.stringify(sealed));
  }

  #open(session: CredentialsSession): Sealed | undefined {
    const text = open(this.#context.keyring, placeOf(session.id), session.credentials);
    if (text === undefined) return undefined;
    // The tag has shown that these are our own words.
    const sealed = JSON.parse(text) as Sealed;
    const isOver = sealed.end !== undefined && sealed.end <= this.#context.now();
    return sealed.username === session.username && !isOver ? sealed : undefined;
  }
}

/** What credentials look like to whoever prints, inspects or serialises them. */
class ShownCredentials {
  readonly username: string;

  constructor(username: string) {
    this.username = username;
    Object.freeze(this);
  }

  toJSON(): { username: string } {
    return { username: this.username };
  }

  [inspect.custom](): string {
    return `Credentials { username: ${inspect(this.username)}, password: [sealed] }`;
  }
}

/**
 * The other values are answered by their names and are properties of nothing, since a property shows one
 * way or another: `inspect` with `showHidden` and `getters` calls even a hidden accessor.
 */
function withheld({ username, ...others }: ExpressTokenizer.Credentials): ExpressTokenizer.Credentials {
  const isOther = (name: PropertyKey) => Object.hasOwn(others, name);
  const shown = new ShownCredentials(username) as unknown as ExpressTokenizer.Credentials;
  return new Proxy(shown, {
    get: (target, name) => Reflect.get(isOther(name) ? others : target, name),
    has: (target, name) => isOther(name) || Reflect.has(target, name),
  });
}

function placeOf(sessionId: string): Place {
  return { sessionId, storageKey: storageKey(sessionId), purpose: "credentials" };
}
