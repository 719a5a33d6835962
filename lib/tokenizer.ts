/** Settings in, middleware out: makes the parts and joins them. */
import type { RequestHandler } from "express";
import type { CookieOptions } from "express-session";
import { makeBackend } from "./backends/open.js";
import { type Keyring, makeKeyring } from "./credentials/keyring.js";
import { Deadline } from "./deadline.js";
import { checkHealth, type Health } from "./health.js";
import { makeMiddleware } from "./middleware.js";
import { RecordCodec } from "./session/record.js";
import { TokenStore } from "./session/store.js";
import { Users } from "./session/users.js";
import { type LoadedSettings, loadSettings } from "./settings/load.js";
import type { Settings, SettingsInput } from "./settings/settings.js";
import { warnOfDebugOutput } from "./warnings.js";

export interface TokenizerOptions {
  /** Where warnings go. Default: the console. */
  readonly log?: { warn(message: string): void };
  /** The time in milliseconds since 1970, for specs: a function, or an object like `Date`. Default: `Date`. */
  readonly clock?: (() => number) | { now(): number };
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
  const ready = Promise.all([made, codec, Deadline.run(storeTimeout, () => backend.open())]).then(() => {});
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

function keyringOf({ tokenizer: { safe_password, salt } }: Settings): Promise<Keyring | undefined> {
  const [first, ...older] = [safe_password ?? []].flat();
  return first === undefined ? Promise.resolve(undefined) : makeKeyring([first, ...older], salt);
}

function cookieOptions({ tokenizer: { cookie } }: Settings): CookieOptions {
  const { secure, same_site, path, domain } = cookie;
  return { httpOnly: true, secure, sameSite: same_site, path, ...(domain === undefined ? {} : { domain }) };
}

async function prune(store: TokenStore, warn: (message: string) => void): Promise<void> {
  try {
    await store.prune();
  } catch (error) {
    warn(`Expired sessions could not be dropped: ${error instanceof Error ? error.message : error}`);
  }
}
