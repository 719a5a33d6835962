/** Settings in, middleware out: makes the parts and joins them. */
import type { Request, RequestHandler } from "express";
import { type BackendOptions, type BackendsInCode, makeBackend } from "./backends/open.js";
import { type Keyring, makeKeyring, makePassingKeyring } from "./credentials/keyring.js";
import { Deadline } from "./deadline.js";
import { TokenizerError } from "./errors.js";
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
import { checkArguments } from "./settings/arguments.js";
import { type LoadedSettings, loadSettings } from "./settings/load.js";
import { checkedCookie, type RequestCookie } from "./settings/request-cookie.js";
import type { Settings, SettingsInput, TokenizerSettings } from "./settings/settings.js";
import { warnOfDebugOutput } from "./warnings.js";

/** What `tokenizer()` takes beside the settings: what a settings file cannot hold. */
export interface TokenizerOptions extends BackendsInCode {
  /** Where warnings go: an object with a method `warn`. Default: the console. */
  readonly log?: { warn(message: string): void };
  /**
   * The time in milliseconds since 1970, for tests: a function, or an object with a method `now`, like `Date`. Default:
   * `Date`; if a test puts fake timers in its place, those.
   */
  readonly clock?: (() => number) | { now(): number };
  /**
   * Sets attributes of the session's cookie for one request, over those of the settings: a tenant's `domain`, say. It is
   * called with the request `req`, once, before the session is loaded. It answers a plain object, at once, not by promise;
   * `undefined` means the settings' attributes. If it throws an error, `next` gets that; if it throws anything else, or its
   * answer is wrong, `next` gets a `TokenizerError` `SETTINGS_INVALID`.
   */
  readonly cookie?: (req: Request) => RequestCookie | undefined;
}

/** An ordinary middleware of Express, and everything that belongs to it. */
export interface Tokenizer extends RequestHandler {
  /**
   * Resolves when the keys are derived and the backend is reached. Requests do not wait for it, and you need not await it:
   * if it fails, each request gets the error.
   *
   * @throws TokenizerError `STORE_UNAVAILABLE`, `STORE_TIMEOUT`, `STORE_UNUSABLE`, `PACKAGE_MISSING` or `SETTINGS_INVALID`, as
   *   a rejection
   */
  readonly ready: Promise<void>;
  /**
   * Finishes what is under way, stops the timers and closes the backend; a client of your own stays open. Call it when the
   * server has closed. Whatever needs the store after that fails with `STORE_CLOSED`. A second call does nothing.
   */
  close(): Promise<void>;
  /** Lists and ends a user's sessions. */
  readonly users: Users;
  /**
   * Makes a handler for routes that matter. It lets a user through who signed in, or confirmed that with
   * `req.confirmSignIn`, within the last `minutes`. For others it calls `next` with a `TokenizerError`: status 401, code
   * `SIGN_IN_AGAIN`. It does not ask the store. Put it behind `sessions`: without them it cannot tell, and `next` gets
   * `SIGN_IN_INVALID`.
   *
   * @param minutes a number above 0; fractions are allowed
   * @throws TokenizerError `ARGUMENT_INVALID` (500), at once, for anything else
   *
   * @example
   * app.post("/delete-account", sessions.fresh(10), deleteAccount);
   */
  fresh(minutes: number): RequestHandler;
  /**
   * Calls `listener` each time that this process ends a user's session. Sessions that time out, and those of visitors who
   * are not signed in, cause no event. Other processes hear only of the sessions that they end themselves.
   *
   * @param event `"ended"`, the only one
   * @param listener gets the session's handle, its user and the reason. If it throws, that is an uncaught exception, as with
   *   every emitter of Node.
   * @returns the middleware itself
   * @throws TokenizerError `ARGUMENT_INVALID` (500) for another event
   *
   * @example
   * sessions.on("ended", ({ handle }) => sockets.get(handle)?.close());
   */
  on(event: "ended", listener: (end: SessionEnd) => void): Tokenizer;
  /** As `sessions.on`, for the next `event` alone: `listener` is called once at most. */
  once(event: "ended", listener: (end: SessionEnd) => void): Tokenizer;
  /** Takes back `sessions.on` or `sessions.once`: `listener` gets that `event` no more. One that was never added is no error. */
  off(event: "ended", listener: (end: SessionEnd) => void): Tokenizer;
  /**
   * Asks the backend for a record, and answers whether it replied and how fast: for a readiness probe. Takes no longer than
   * the setting `store_timeout`. Never rejects.
   */
  health(): Promise<Health>;
  /** The store of express-session: reach sessions by their ids, where there is no request. */
  readonly store: TokenStore;
}

const KILOBYTE = 1024;
const SECOND = 1000;
const MINUTE = 60 * SECOND;
const PRUNE_INTERVAL = MINUTE;

/**
 * Makes the session middleware. Mount it once, before the routes, and call `sessions.close` at the end.
 *
 * @param source the settings: the path of a file, or an object. Default: the file that the environment variable
 *   `TOKENIZER_SETTINGS` names, else `settings.yml` in the working directory. Variables `TOKENIZER_…` win over a file; with an
 *   object they are not read.
 * @param options what a settings file cannot hold. Default: none.
 * @throws TokenizerError `SETTINGS_INVALID` (500), with all faults of the settings at once
 *
 * @example
 * import express from "express";
 * import { tokenizer } from "express-tokenizer";
 *
 * const sessions = tokenizer("settings.yml");
 * await sessions.ready;
 *
 * const app = express();
 * app.use(sessions);
 */
export function tokenizer(source?: string | SettingsInput, options: TokenizerOptions = {}): Tokenizer {
  checkArguments(source, options, OPTIONS);
  const { log = console, clock } = options;
  const warn = (message: string) => log.warn(`express-tokenizer: ${message}`);
  const settings = loadSettings(source, { log: { warn } });
  warnOfDebugOutput(warn);
  return makeTokenizer(settings, { now: nowOf(clock), warn, inCode: options, cookie: options.cookie }).sessions;
}

const OPTIONS = ["log", "clock", "cookie", "redis", "postgres", "dynamodb"] satisfies (keyof TokenizerOptions)[];

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
  const { store, users, engine, bindings, listing, lifetime, operations, endings } = assemble({
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
  const parts = { settings, store, engine, bindings, lifetime, byRequest, now, warn };
  const made = installation.then(({ keyring, deviceSecrets }) => {
    serve = makeMiddleware({ ...parts, keyring, deviceSecrets });
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
      endings.heard(event, listener)[how](event, listener);
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
  return { keyring, ids: signing.ids, deviceSecrets: signing.deviceSecrets };
}

function derived(secrets: string | readonly string[] | undefined, salt: string): Promise<Keyring> | undefined {
  const [first, ...older] = [secrets ?? []].flat();
  return first === undefined ? undefined : makeKeyring([first, ...older], salt);
}

interface Installation {
  /** Missing without a `safe_password`. */
  readonly keyring: Keyring | undefined;
  readonly ids: KeyIds;
  readonly deviceSecrets: Keyring["deviceSecrets"];
}

async function prune(store: TokenStore, warn: (message: string) => void): Promise<void> {
  try {
    await store.prune();
  } catch (error) {
    warn(`Expired sessions could not be dropped: ${error instanceof Error ? error.message : error}`);
  }
}
