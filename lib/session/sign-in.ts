/** `req.signIn` and `req.signOut`: a session takes another's place, or nothing has changed. */
import type { Request } from "express";
import type { CredentialsSealer } from "../credentials/credentials.js";
import { TokenizerError } from "../errors.js";
import { tell } from "../events.js";
import { shortName, storageKey } from "../session-id.js";
import type { TokenStore } from "./store.js";

export interface SigningContext {
  readonly store: TokenStore;
  /** Nothing for an authenticator that keeps no credentials. */
  readonly sealer: CredentialsSealer | undefined;
  readonly now: () => number;
}

/** Writes a new session for the user, then removes the one that the request came with. */
export async function signIn(
  req: Request,
  { store, sealer, now }: SigningContext,
  credentials: ExpressTokenizer.SignInCredentials,
  { keep = [], label }: ExpressTokenizer.SignInOptions = {},
): Promise<void> {
  checkUser(credentials);
  const sealed = sealer && completeCredentials(credentials);
  await exchangeSession(req, store, async (old) => {
    const { session } = req;
    for (const key of keep) {
      if (key !== "cookie" && Object.hasOwn(old, key)) Reflect.set(session, key, Reflect.get(old, key));
    }
    session.username = credentials.username;
    delete session.credentials;
    if (sealed) session.credentials = sealer.seal(session.id, sealed, store.absoluteEnd(now()));
    await store.replace(old, session, label);
  });
}

/** Removes the session, and gives the request a new one that is saved only if something is put into it. */
export async function signOut(req: Request, { store }: SigningContext): Promise<void> {
  await exchangeSession(req, store, async (old) => {
    if (!store.isStored(old)) return;
    await store.remove(old.id);
    tell("sign-out", () => ({ session: shortName(storageKey(old.id)), user: old.username }));
  });
}

/** Gives the request a new session for the time of `work`, and for good if that succeeds. */
async function exchangeSession(
  req: Request,
  store: TokenStore,
  work: (old: Express.Request["session"]) => Promise<void>,
): Promise<void> {
  const { session, sessionID } = req;
  store.generate(req);
  try {
    await work(session);
  } catch (error) {
    Object.assign(req, { session, sessionID });
    throw error;
  }
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
