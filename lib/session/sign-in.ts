/** `req.signIn`, `req.confirmSignIn` and `req.signOut`: a session takes another's place, or nothing has changed. */
import type { Request } from "express";
import type { CredentialsSealer } from "../credentials/credentials.js";
import { TokenizerError } from "../errors.js";
import { emit } from "../events.js";
import { shortName, storageKey } from "../session-id.js";
import { keyName, kindOf } from "../visible.js";
import { showCookieEnd } from "./cookie-data.js";
import type { SessionEngine } from "./engine.js";
import type { Lifetime } from "./lifetime.js";
import type { RecordHead } from "./record.js";
import type { LiveSession } from "./request-session.js";
import { isSameMaxAge, isTaken, type Snapshot, signInOf } from "./snapshot.js";
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
  options: ExpressTokenizer.SignInOptions = {},
): Promise<void> {
  checkUser("signIn", credentials);
  checkOptions(options);
  const { keep = [], label, remember } = options;
  const remembered = isRemembered(remember, lifetime);
  const sealed = sealer && completeCredentials("signIn", credentials);
  const kept = req.session === old ? old : {};
  await exchangeSession(req, store, async () => {
    const { session } = req;
    for (const key of keep) {
      if (key !== "cookie" && Object.hasOwn(kept, key)) Reflect.set(session, key, Reflect.get(kept, key));
    }
    session.username = credentials.username;
    delete session.credentials;
    if (sealed) session.credentials = sealer.seal(session.id, sealed, lifetime.absoluteEnd(remembered));
    if (old && isMaxAgeNew(engine, old)) keepMaxAge(old, session);
    await engine.replace(old, session, { label: labelOf(label), ...remembered });
    showCookieEnd(session.cookie, engine.cookies.endOf(session));
  });
}

/** Lets the session that the request has go on under another id, its sign-in confirmed. */
export async function confirmSignIn(
  req: Request,
  { store, engine, lifetime, sealer }: SigningContext,
  old: LiveSession | undefined,
  credentials: ExpressTokenizer.SignInCredentials | undefined,
): Promise<void> {
  const snapshot = old && engine.known.snapshotOf(old);
  if (!snapshot || !signInOf(snapshot, old)) throw nobodyToConfirm(old, snapshot);
  if (credentials !== undefined) checkSameUser(credentials, old);
  const given = sealer && credentials && completeCredentials("confirmSignIn", credentials);
  await exchangeSession(req, store, async () => {
    const { session } = req;
    for (const key of Object.keys(old)) {
      if (key !== "cookie" && !isTaken(key)) Reflect.set(session, key, Reflect.get(old, key));
    }
    keepMaxAge(old, session);
    const end = lifetime.absoluteEndOf(snapshot.head);
    const sealed = given ? sealer.seal(session.id, given, end) : sealer?.sealFor(session.id, old);
    if (sealed === undefined) delete session.credentials;
    else session.credentials = sealed;
    await engine.moveOn(old, session);
    showCookieEnd(session.cookie, engine.cookies.endOf(session));
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
    if (old && !engine.known.isStored(old)) return;
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

const OPTIONS = ["keep", "label", "remember"] satisfies (keyof ExpressTokenizer.SignInOptions)[];

/** What is misspelt would be passed over: a basket lost, somebody not remembered. */
function checkOptions(options: unknown): void {
  const isObject = typeof options === "object" && options !== null && !Array.isArray(options);
  const other = isObject ? Object.keys(options).find((key) => !OPTIONS.some((option) => option === key)) : undefined;
  const takes = "req.signIn takes { keep, label, remember } behind the credentials";
  if (!isObject) throw invalid(`${takes}. It got ${kindOf(options)}.`);
  if (other !== undefined) throw invalid(`${takes}. It got ${keyName(other)}.`);
  const { keep }: { keep?: unknown } = options;
  const isList = Array.isArray(keep) && keep.every((key) => typeof key === "string");
  if (keep !== undefined && !isList) {
    throw invalid(
      `req.signIn takes keep: a list of keys, as in keep: ["basket"]. It got ${Array.isArray(keep) ? "a list of something else" : kindOf(keep)}.`,
    );
  }
}

/** What a form or a header says may be no text (`?device=a&device=b`), or a long one. */
function labelOf(label: unknown): string | undefined {
  const text = Array.isArray(label) ? label.filter((part) => typeof part === "string").join(", ") : label;
  if (typeof text !== "string" || text === "") return undefined;
  // By whole characters, of two units each at most.
  return [...text.slice(0, 2 * LONGEST_LABEL)].slice(0, LONGEST_LABEL).join("");
}

/** What the application said of the session's lifetime in this request, and not in one before. */
function isMaxAgeNew(engine: SessionEngine, old: LiveSession): boolean {
  return !isSameMaxAge(old.cookie.originalMaxAge ?? undefined, engine.known.snapshotOf(old)?.maxAge);
}

function keepMaxAge({ cookie: { originalMaxAge } }: LiveSession, session: LiveSession): void {
  if (typeof originalMaxAge !== "number") return;
  session.cookie.maxAge = originalMaxAge;
  // express-session takes off what passed between two looks at the clock.
  session.cookie.originalMaxAge = originalMaxAge;
}

/** A checkbox posts "on", and a text that says "false" is not false: whoever wrote that is told. */
function isRemembered(remember: unknown, lifetime: Lifetime): Pick<RecordHead, "remembered"> {
  if (remember === undefined || remember === false) return {};
  if (remember !== true) {
    throw invalid(
      `req.signIn takes remember: true or false. It got ${kindOf(remember)}: of a checkbox, write remember: req.body.remember === "on".`,
    );
  }
  if (lifetime.remembers) return { remembered: true };
  throw invalid(
    "req.signIn was to remember the session, which the settings do not allow: add the section remember to tokenizer. " +
      "With its defaults that is remember: {}",
  );
}

function checkUser(method: string, credentials: ExpressTokenizer.SignInCredentials): void {
  const username: unknown = credentials?.username;
  if (typeof username === "string" && username !== "") return;
  const got = typeof credentials === "object" && credentials !== null ? kindOf(username) : kindOf(credentials);
  throw invalid(
    `req.${method} needs a username: a text that is not empty. It got ${got}. Write req.${method}({ username, password }).`,
  );
}

function checkSameUser(credentials: ExpressTokenizer.SignInCredentials, { username }: LiveSession): void {
  checkUser("confirmSignIn", credentials);
  if (credentials.username === username) return;
  throw invalid(
    "req.confirmSignIn got another user's credentials than the signed-in one's. To change users, call req.signIn.",
  );
}

function completeCredentials(
  method: string,
  credentials: ExpressTokenizer.SignInCredentials,
): ExpressTokenizer.Credentials {
  const { password } = credentials;
  if (typeof password === "string") return { ...credentials, password };
  throw invalid(
    `req.${method} needs a password: a text, to be sealed into the session. It got ${kindOf(password)}. ` +
      "If your application needs none after the sign-in, keep none: authenticator: { type: none } in the settings.",
  );
}

/**
 * That a session ended while its user typed the password, or with the first of two clicks, is nobody's mistake: it is
 * answered as an old sign-in is.
 */
function nobodyToConfirm(old: LiveSession | undefined, snapshot: Snapshot | undefined): TokenizerError {
  if (old?.username !== undefined && !snapshot?.isGone)
    return invalid(
      "req.confirmSignIn found a req.session.username that is not saved yet: there is nothing to confirm.",
    );
  return new TokenizerError(
    "SIGN_IN_AGAIN",
    "req.confirmSignIn found nobody signed in, or no more: there is nothing to confirm. Call req.signIn.",
  );
}

function invalid(message: string): TokenizerError {
  return new TokenizerError("SIGN_IN_INVALID", message);
}
