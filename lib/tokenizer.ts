/** Settings in, middleware out: makes the parts and joins them. */
import type { Request, RequestHandler } from "express";
import { type BackendOptions, type BackendsInCode, makeBackend } from "./backends/open.js";
import { type Keyring, makeKeyring, makePassingKeyring } from "./credentials/keyring.js";
import { Deadline } from "./deadline.js";
import { givenAmiss, TokenizerError } from "./errors.js";
import { checkHealth, type Health } from "./health.js";
import { makeMiddleware } from "./middleware.js";
import { assemble } from "./session/assembly.js";
import { cookieMark } from "./session/cookie-mark.js";
import type { SessionEnd } from "./session/endings.js";
import { freshHandler } from "./session/freshness.js";
import { RecordCodec } from "./session/record.js";
import { RequestAttributes, shownAttributes } from "./session/request-attributes.js";
import type { TokenStore } from "./session/store.js";
import type { KeyIds } from "./session/users/user-record.js";
import type { Users } from "./session/users/users.js";
import { type LoadedSettings, loadSettings } from "./settings/load.js";
import { didYouMean } from "./settings/nearest.js";
import { checkedCookie, type RequestCookie } from "./settings/request-cookie.js";
import type { Settings, SettingsInput, TokenizerSettings } from "./settings/settings.js";
import { warnOfDebugOutput } from "./warnings.js";

export interface TokenizerOptions extends BackendsInCode {
  /** Where warnings go. Default: the console. */
  readonly log?: { warn(message: string): void };
  /**
   * The time in milliseconds since 1970, for specs: a function, or an object like `Date`. Default: `Date`, and a fake one
   * from the moment that it takes its place.
   */
  readonly clock?: (() => number) | { now(): number };
  /**
   * Attributes of the session's cookie for this request, over those of the settings: a tenant's `domain`, say. Called once
   * a request, before its session is loaded. What it throws goes to `next(error)`; so does a wrong answer, as a
   * `TokenizerError` with code `SETTINGS_INVALID`.
   */
  readonly cookie?: (req: Request) => RequestCookie | undefined;
}

/** The middleware, and what belongs to it. */
export interface Tokenizer extends RequestHandler {
  /** Keys derived and backend reached; rejects with a `TokenizerError`. Requests are served without waiting for it. */
  readonly ready: Promise<void>;
  /** express-session's `Store` over the backend: sessions by their ids, for what has no request. */
  readonly store: TokenStore;
  /** A user's sessions: listed and ended. */
  readonly users: Users;
  /**
   * A handler for routes that matter: passes on who signed in, or confirmed that (`req.confirmSignIn`), within the last
   * `minutes`. To others `next` gets a `TokenizerError`: status 401, code `SIGN_IN_AGAIN`. It asks nothing of the store.
   *
   * @param minutes above 0; fractions are allowed
   * @throws TokenizerError `ARGUMENT_INVALID`, at once
   *
   * @example
   * app.post("/delete-account", sessions.fresh(10), deleteAccount);
   */
  fresh(minutes: number): RequestHandler;
  /**
   * Calls the listener with each event of this process: `ended`, that a user's session was ended. What it throws is an
   * uncaught exception, as of every emitter of Node. These three answer the tokenizer.
   *
   * @throws TokenizerError `ARGUMENT_INVALID` for another event
   */
  on(event: "ended", listener: (end: SessionEnd) => void): Tokenizer;
  /** The same, for the next one alone. */
  once(event: "ended", listener: (end: SessionEnd) => void): Tokenizer;
  /** Calls the listener no more. */
  off(event: "ended", listener: (end: SessionEnd) => void): Tokenizer;
  /** Asks the backend for a record. Never rejects; within `store_timeout`. */
  health(): Promise<Health>;
  /** Finishes what is under way, stops timers, closes the backend. A second call does nothing. */
  close(): Promise<void>;
}

const KILOBYTE = 1024;
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
  refuseUnknown(options);
  const { log = console, clock } = options;
  const warn = (message: string) => log.warn(`express-tokenizer: ${message}`);
  const settings = loadSettings(source, { log: { warn } });
  warnOfDebugOutput(warn);
  return makeTokenizer(settings, { now: nowOf(clock), warn, inCode: options, cookie: options.cookie }).sessions;
}

const OPTIONS = ["log", "clock", "cookie", "redis", "dynamodb"] satisfies (keyof TokenizerOptions)[];

/** What is misspelt, or stands where nobody looks, must not be passed over: a client, least of all. */
function refuseUnknown(options: object): void {
  const unknown = Object.keys(options).find((key) => !OPTIONS.some((option) => option === key));
  if (unknown === undefined) return;
  const meant = unknown === "client" ? "; give { redis: { client } } or { dynamodb: { client } }" : undefined;
  throw givenAmiss(unknown, `is no option${meant ?? didYouMean(unknown, OPTIONS)}`);
}

/** Fake timers put another `Date` in the global place, so that is where it is looked up, at each call. */
function nowOf(clock: TokenizerOptions["clock"]): () => number {
  if (clock === undefined || clock === Date) return () => Date.now();
  return "now" in clock ? () => clock.now() : clock;
}

/** The same from settings that are loaded already, with the parts that the command line works with. */
export function makeTokenizer(settings: LoadedSettings, { now, warn, inCode, create, cookie }: Surroundings) {
  const { tokenizer: section } = settings;
  const byRequest = cookie && new RequestAttributes(checkedCookie(section.cookie, cookie));
  const storeTimeout = section.store_timeout * SECOND;
  const backend = makeBackend(settings, { now, timeout: storeTimeout, warn }, { inCode, create });
  const installation = deriveKeys(settings);
  const keys = installation.then(({ keyring, ids }) => {
    return { codec: new RecordCodec(keyring, section.encrypt === "session"), ids };
  });
  const { store, users, engine, listing, lifetime, operations, endings } = assemble({
    backend,
    keys,
    ...timeoutsOf(section),
    remember: section.remember && timeoutsOf(section.remember),
    touchInterval: section.touch_interval * SECOND,
    storeTimeout,
    maxSessionBytes: section.max_session_kb * KILOBYTE,
    limit: section.sessions_per_user,
    cookie: shownAttributes(section.cookie),
    cookieMark: cookieMark(section.cookie),
    byRequest,
    now,
    warn,
  });

  let serve: RequestHandler | undefined;
  const made = installation.then(({ keyring }) => {
    serve = makeMiddleware({ settings, store, engine, lifetime, keyring, byRequest, now, warn });
    return serve;
  });
  const ready = Promise.all([
    made,
    keys,
    Deadline.during(storeTimeout, (deadline) => deadline.race(backend.open())),
  ]).then(() => {});
  // Whoever awaits it gets the rejection; whoever does not gets it with each request.
  ready.catch(() => {});
  const pruning = setInterval(() => {
    // Asked each time: of a module it is known when it is loaded.
    if (!backend.expiresByItself) void prune(store, warn);
  }, PRUNE_INTERVAL).unref();

  const handler: RequestHandler = (req, res, next) => {
    if (serve) serve(req, res, next);
    else made.then((middleware) => middleware(req, res, next)).catch(next);
  };
  const hear = (how: "on" | "once" | "off"): Tokenizer["on"] => {
    return (event, listener) => {
      endings.heard(event)[how](event, listener);
      return sessions;
    };
  };
  const sessions: Tokenizer = Object.assign(handler, {
    ready,
    store,
    users,
    fresh: (minutes: number) => freshHandler(minutes, now),
    on: hear("on"),
    once: hear("once"),
    off: hear("off"),
    health: () => checkHealth(backend, storeTimeout),
    async close() {
      clearInterval(pruning);
      await operations.close();
      await backend.close();
    },
  });
  return { sessions, engine, listing };
}

function timeoutsOf({ timeout, absolute_timeout: absolute }: Pick<TokenizerSettings, "timeout" | "absolute_timeout">) {
  return { timeout: timeout * MINUTE, absoluteTimeout: absolute === undefined ? undefined : absolute * MINUTE };
}

interface Surroundings extends BackendOptions {
  /** Milliseconds since 1970. */
  readonly now: () => number;
  readonly warn: (message: string) => void;
  readonly cookie?: TokenizerOptions["cookie"];
}

/**
 * The keys of every `safe_password`, and what tells one installation from another on the same store: what signs its
 * cookies. A session whose cookie is accepted is one of ours, to be listed and ended, also after `safe_password` was
 * replaced.
 */
async function deriveKeys({ tokenizer: { type, safe_password, salt, cookie } }: Settings): Promise<Installation> {
  const ofPasswords = derived(safe_password, salt) ?? (type === "memory" ? makePassingKeyring() : undefined);
  const [keyring, signing] = await Promise.all([ofPasswords, derived(cookie.secret, salt) ?? ofPasswords]);
  // The settings have been checked: there is one or the other.
  if (!signing) throw new TokenizerError("SETTINGS_INVALID", "There is nothing to sign cookies with.");
  return { keyring, ids: signing.ids };
}

function derived(secrets: string | readonly string[] | undefined, salt: string): Promise<Keyring> | undefined {
  const [first, ...older] = [secrets ?? []].flat();
  return first === undefined ? undefined : makeKeyring([first, ...older], salt);
}

interface Installation {
  /** Missing without a `safe_password`. */
  readonly keyring: Keyring | undefined;
  readonly ids: KeyIds;
}

async function prune(store: TokenStore, warn: (message: string) => void): Promise<void> {
  try {
    await store.prune();
  } catch (error) {
    warn(`Expired sessions could not be dropped: ${error instanceof Error ? error.message : error}`);
  }
}
