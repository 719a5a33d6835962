/** Settings in, middleware out: makes the parts and joins them. */
import type { NextFunction, Request, RequestHandler } from "express";
import type { CookieOptions } from "express-session";
import type { Backend } from "./backends/backend.js";
import { makeBackend } from "./backends/open.js";
import { CredentialsSealer } from "./credentials/credentials.js";
import { type Keyring, makeKeyring } from "./credentials/keyring.js";
import { exposeCredentials } from "./credentials/middleware.js";
import { TokenizerError } from "./errors.js";
import { tell } from "./events.js";
import { commitBeforeAnswer } from "./session/commit.js";
import { SessionCookie } from "./session/cookie.js";
import { loadSession } from "./session/load.js";
import { RecordCodec } from "./session/record.js";
import { signIn, signOut } from "./session/sign-in.js";
import { TokenStore } from "./session/store.js";
import { Deadline } from "./session/turns.js";
import { Users } from "./session/users.js";
import { type LoadedSettings, loadSettings } from "./settings/load.js";
import type { Settings, SettingsInput } from "./settings/settings.js";

export interface TokenizerOptions {
  /** Where warnings go. Default: the console. */
  readonly log?: { warn(message: string): void };
  /** The time in milliseconds since 1970, for specs: a function, or an object like `Date`. Default: `Date`. */
  readonly clock?: (() => number) | { now(): number };
}

/** How the backend answered a moment ago. */
export interface Health {
  readonly ok: boolean;
  /** How long it took, in milliseconds. */
  readonly milliseconds: number;
  /** Why it is not ok. */
  readonly error?: TokenizerError;
}

/** The middleware, and what belongs to it. */
export interface Tokenizer extends RequestHandler {
  /** Keys derived and backend reached; rejects with a `TokenizerError`. Requests are served without waiting for it. */
  readonly ready: Promise<void>;
  readonly store: TokenStore;
  readonly users: Users;
  /** Asks the backend for a record. Never rejects; within `store_timeout`. */
  health(): Promise<Health>;
  /** Finishes what is under way, stops timers, closes the backend. A second call does nothing. */
  close(): Promise<void>;
}

const SECOND = 1000;
const MINUTE = 60 * SECOND;
const PRUNE_INTERVAL = MINUTE;

/**
 * Makes the session middleware.
 *
 * @param source the settings: a file's path, or an object, which leaves the environment alone.
 *   Default: the file that `TOKENIZER_SETTINGS` names, else `settings.yml` in the working directory.
 * @throws TokenizerError `SETTINGS_INVALID` with all faults at once
 *
 * @example
 * const sessions = tokenizer("settings.yml");
 * await sessions.ready;
 * app.use(sessions);
 */
export function tokenizer(source?: string | SettingsInput, options: TokenizerOptions = {}): Tokenizer {
  const { log = console, clock = Date } = options;
  const warn = (message: string) => log.warn(`express-tokenizer: ${message}`);
  const settings = loadSettings(source, { log: { warn } });
  const now = "now" in clock ? () => clock.now() : clock;
  warnOfDebugOutput(warn);
  return makeTokenizer(settings, { now, warn });
}

/** The same from settings that are loaded already. */
export function makeTokenizer(
  settings: LoadedSettings,
  { now, warn }: { now: () => number; warn: (message: string) => void },
): Tokenizer {
  const { tokenizer: section } = settings;
  const storeTimeout = section.store_timeout * SECOND;
  const backend = makeBackend(settings, { now, timeout: storeTimeout, warn });
  const keyring = keyringOf(settings);
  const codec = keyring.then((keys) => new RecordCodec(keys, section.encrypt === "session"));
  const store = new TokenStore({
    backend,
    codec,
    timeout: section.timeout * MINUTE,
    absoluteTimeout: section.absolute_timeout === undefined ? undefined : section.absolute_timeout * MINUTE,
    sessionsPerUser: section.sessions_per_user,
    touchInterval: section.touch_interval * SECOND,
    storeTimeout,
    cookie: cookieOptions(settings),
    now,
    warn,
  });

  let serve: RequestHandler | undefined;
  const made = keyring.then((keys) => {
    serve = makeMiddleware({ settings, store, keyring: keys, now, warn });
    return serve;
  });
  const ready = Promise.all([made, codec, withDeadline(storeTimeout, backend.open())]).then(() => {});
  // Whoever awaits it gets the rejection; whoever does not gets it with each request.
  ready.catch(() => {});
  const pruning = setInterval(() => {
    // Asked each time: of a module it is known when it is loaded.
    if (!backend.expiresByItself) void prune(store, warn);
  }, PRUNE_INTERVAL).unref();

  const sessions: RequestHandler = (req, res, next) => {
    if (serve) serve(req, res, next);
    else made.then((middleware) => middleware(req, res, next)).catch(next);
  };
  return Object.assign(sessions, {
    ready,
    store,
    users: new Users(store),
    health: () => checkHealth(backend, storeTimeout),
    async close() {
      clearInterval(pruning);
      await store.close();
      await backend.close();
    },
  });
}

interface Parts {
  readonly settings: Settings;
  readonly store: TokenStore;
  readonly keyring: Keyring | undefined;
  readonly now: () => number;
  readonly warn: (message: string) => void;
}

/** The session is loaded on the way in; on the way out it is saved before the answer is sent. */
function makeMiddleware({ settings, store, keyring, now, warn }: Parts): RequestHandler {
  const cookie = new SessionCookie(settings.tokenizer.cookie, secretsOf(settings, keyring), warn);
  const isLocal = settings.authenticator.type === "local";
  const sealer = isLocal && keyring ? new CredentialsSealer({ keyring, now, warn }) : undefined;
  const signing = { store, sealer, now };
  const warnOfProxy = proxyWarning(warn);

  return function sessions(req, res, next) {
    if (req.session) return next(mountedTwice());
    if (!cookie.isInPath(req)) return next();
    warnOfProxy(req);
    loadSession(req, { store, cookie }, (error, cookieId) => {
      if (error) return refuse(error, next);
      exposeCredentials(req, sealer);
      let signedOut = false;
      let isExposed = false;
      req.sessionEnded = cookieId !== undefined && cookieId !== req.sessionID;
      req.signIn = (credentials, options) => signIn(req, signing, credentials, options);
      req.signOut = async () => {
        await signOut(req, signing);
        signedOut = true;
      };
      commitBeforeAnswer(res, {
        save: () => req.session && store.commit(req.session),
        exposed() {
          isExposed = Boolean(req.session) && store.announceExposed(req.session);
        },
        announce() {
          const current = req.session;
          const isNew = current && current.id !== cookieId && (isExposed || store.isStored(current));
          if (isNew) cookie.send(req, res, current.id);
          else if (signedOut) cookie.clear(req, res);
          else if (current?.id === cookieId && cookie.isSignedWithOlderSecret(req, current.id)) {
            cookie.send(req, res, current.id);
          }
        },
        refuse: (error) => refuse(error, next),
      });
      next();
    });
  };
}

function refuse(error: unknown, next: NextFunction): void {
  tell("refuse", () => ({ code: error instanceof TokenizerError ? error.code : undefined }));
  next(error);
}

function keyringOf({ tokenizer: { safe_password, salt } }: Settings): Promise<Keyring | undefined> {
  const [first, ...older] = [safe_password ?? []].flat();
  return first === undefined ? Promise.resolve(undefined) : makeKeyring([first, ...older], salt);
}

/** The settings have been checked: there is a secret, or a password to derive one from. */
function secretsOf({ tokenizer: { cookie } }: Settings, keyring: Keyring | undefined): [string, ...string[]] {
  const [first, ...older] = cookie.secret === undefined ? (keyring?.cookieSecrets ?? []) : [cookie.secret].flat();
  if (first === undefined) throw new TokenizerError("SETTINGS_INVALID", "There is nothing to sign cookies with.");
  return [first, ...older];
}

function cookieOptions({ tokenizer: { cookie } }: Settings): CookieOptions {
  const { secure, same_site, path, domain } = cookie;
  return { httpOnly: true, secure, sameSite: same_site, path, ...(domain === undefined ? {} : { domain }) };
}

function mountedTwice(): TokenizerError {
  return new TokenizerError(
    "MOUNTED_TWICE",
    "req.session is there already: the session middleware is mounted twice, or behind another one. Mount it once.",
  );
}

async function withDeadline<T>(milliseconds: number, work: Promise<T>): Promise<T> {
  const deadline = new Deadline(milliseconds);
  try {
    return await deadline.race(work);
  } finally {
    deadline.clear();
  }
}

async function checkHealth(backend: Backend, timeout: number): Promise<Health> {
  const started = performance.now();
  try {
    await withDeadline(timeout, backend.read("health"));
    return { ok: true, milliseconds: performance.now() - started };
  } catch (cause) {
    const error =
      cause instanceof TokenizerError
        ? cause
        : new TokenizerError("STORE_UNAVAILABLE", "The session store failed.", { cause });
    return { ok: false, milliseconds: performance.now() - started, error };
  }
}

async function prune(store: TokenStore, warn: (message: string) => void): Promise<void> {
  try {
    await store.prune();
  } catch (error) {
    warn(`Expired sessions could not be dropped: ${error instanceof Error ? error.message : error}`);
  }
}

/** Express takes such a request for plain HTTP, so a secure cookie would silently not be sent. */
function proxyWarning(warn: (message: string) => void): (req: Request) => void {
  let isWarned = false;
  return (req) => {
    // Of an upgrade Express was not asked.
    if (isWarned || req.secure !== false || !/^\s*https\b/i.test(String(req.headers["x-forwarded-proto"]))) return;
    isWarned = true;
    warn(
      "A request came over HTTPS to a proxy (X-Forwarded-Proto), but Express takes it for HTTP: " +
        'secure cookies are not sent. Say which proxy to trust: app.set("trust proxy", 1).',
    );
  };
}

/** With its debug output on, express-session prints session ids and cookies. */
function warnOfDebugOutput(warn: (message: string) => void): void {
  const names = (process.env.DEBUG ?? "").split(/[\s,]+/).filter(Boolean);
  const isOn = names.some((name) => matchesGlob("express-session", name));
  if (isOn && process.env.NODE_ENV === "production") {
    warn(`DEBUG=${process.env.DEBUG} makes express-session print session ids and cookies. Leave it out in production.`);
  }
}

/** As the package debug reads its names: `*` stands for any text. */
function matchesGlob(text: string, glob: string): boolean {
  const [start = "", ...rest] = glob.split("*");
  const end = rest.at(-1);
  return end === undefined ? text === start : text.startsWith(start) && text.endsWith(end);
}
