/** `req.signIn` and `req.signOut`: a session takes another's place, or nothing has changed. */
import type { Request } from "express";
import type { CredentialsSealer } from "../credentials/credentials.js";
import { TokenizerError } from "../errors.js";
import { emit } from "../events.js";
import { shortName, storageKey } from "../session-id.js";
import type { SessionEngine } from "./engine.js";
import type { Lifetime } from "./lifetime.js";
import type { LiveSession } from "./request-session.js";
import type { TokenStore } from "./store.js";

export interface SigningContext {
  readonly store: TokenStore;
  readonly engine: SessionEngine;
  readonly lifetime: Lifetime;
  /** Nothing for an authenticator that keeps no credentials. */
  readonly sealer: CredentialsSealer | undefined;
}

/** In characters. */
const LONGEST_LABEL = 100;

/**
 * Writes a new session for the user, then removes the one that the request has.
 *
 * @param old the session that the request has, also when the handler let go of it: then none of its keys are kept
 */
export async function signIn(
  req: Request,
  { store, engine, lifetime, sealer }: SigningContext,
  old: LiveSession | undefined,
  credentials: ExpressTokenizer.SignInCredentials,
  { keep = [], label }: ExpressTokenizer.SignInOptions = {},
): Promise<void> {
  checkUser(credentials);
  const sealed = sealer && completeCredentials(credentials);
  const kept = req.session === old ? old : {};
  await exchangeSession(req, store, async () => {
    const { session } = req;
    for (const key of keep) {
      if (key !== "cookie" && Object.hasOwn(kept, key)) Reflect.set(session, key, Reflect.get(kept, key));
    }
    session.username = credentials.username;
    delete session.credentials;
    if (sealed) session.credentials = sealer.seal(session.id, sealed, lifetime.absoluteEnd());
    await engine.replace(old, session, labelOf(label));
  });
}

/** Removes the session, and gives the request a new one that is saved only if something is put into it. */
export async function signOut(
  req: Request,
  { store, engine }: SigningContext,
  old: LiveSession | undefined,
): Promise<void> {
  const key = storageKey(old?.id ?? req.sessionID);
  await exchangeSession(req, store, async () => {
    if (old && !engine.isStored(old)) return;
    await engine.remove(key, "sign-out");
    emit("sign-out", () => ({ session: shortName(key), user: old?.username }));
  });
}

/** Gives the request a new session for the time of `work`, and for good if that succeeds. */
async function exchangeSession(req: Request, store: TokenStore, work: () => Promise<void>): Promise<void> {
  const { session, sessionID } = req;
  store.generate(req);
  try {
    await work();
  } catch (error) {
    Object.assign(req, { session, sessionID });
    throw error;
  }
}

/** What a form or a header says may be no text (`?device=a&device=b`), or a long one. */
function labelOf(label: unknown): string | undefined {
  const text = Array.isArray(label) ? label.filter((part) => typeof part === "string").join(", ") : label;
  if (typeof text !== "string" || text === "") return undefined;
  // By whole characters, of two units each at most.
  return [...text.slice(0, 2 * LONGEST_LABEL)].slice(0, LONGEST_LABEL).join("");
}

function checkUser(credentials: ExpressTokenizer.SignInCredentials): void {
  const username: unknown = credentials?.username;
  if (typeof username === "string" && username !== "") return;
  throw new TokenizerError("SIGN_IN_INVALID", "req.signIn needs a username: a text that is not empty.");
}

function completeCredentials(credentials: ExpressTokenizer.SignInCredentials): ExpressTokenizer.Credentials {
  const { password } = credentials;
  if (typeof password === "string") return { ...credentials, password };
  throw new TokenizerError("SIGN_IN_INVALID", "req.signIn needs a password: a text, to be sealed into the session.");
}
