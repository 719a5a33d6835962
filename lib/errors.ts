/** The one class of error that this package throws, the closed list of its codes, and the two that every backend throws. */

/** What went wrong, in a word that does not change between releases. */
export type TokenizerErrorCode =
  /** The settings are wrong; `faults` lists every fault. Thrown by `tokenizer()` itself; of a `module`'s file, by `ready`. */
  | "SETTINGS_INVALID"
  /** The backend, or one of your own, needs a package that is not installed; the message says which. */
  | "PACKAGE_MISSING"
  /** The backend is there, but must not or cannot be used: a folder of somebody else's, a damaged file, a missing table. */
  | "STORE_UNUSABLE"
  /** The backend did not do what it was asked: refused, unreachable, out of space. */
  | "STORE_UNAVAILABLE"
  /** The backend did not answer within `store_timeout`: it is not known whether the change was saved. */
  | "STORE_TIMEOUT"
  /** The store was used after `close()`. */
  | "STORE_CLOSED"
  /** The session holds something that JSON cannot; the message names the key. */
  | "SESSION_UNSERIALIZABLE"
  /** The session is larger than the backend can keep; the message names its largest keys. */
  | "SESSION_TOO_LARGE"
  /** `req.session` is no session, its `username` no text, or a key of it express-session's own; the message says which. */
  | "SESSION_INVALID"
  /** The user's sessions were ended while this one was being written. */
  | "SESSION_REVOKED"
  /** A user has more sessions than can be listed: a sign-in is refused. */
  | "TOO_MANY_SESSIONS"
  /** A call of `sessions.users`, `sessions.on` or `sessions.fresh` was given something else than it takes; the message says what. */
  | "ARGUMENT_INVALID"
  /** The middleware is mounted twice, or behind another one that sets `req.session`. */
  | "MOUNTED_TWICE"
  /** `req.signIn` or `req.confirmSignIn` was called with what it does not take, or where there is no session. */
  | "SIGN_IN_INVALID"
  /** What was asked for needs a sign-in that is newer (`sessions.fresh`), or still there (`req.confirmSignIn`). */
  | "SIGN_IN_AGAIN";

/** One fault of the settings. */
export interface SettingsFault {
  /** Where: `tokenizer.port`, or the environment variable. */
  readonly path: string;
  /** What was found (never a secret's value), and what is allowed. */
  readonly message: string;
}

interface TokenizerErrorOptions {
  cause?: unknown;
  faults?: readonly SettingsFault[];
  ended?: number;
  failed?: number;
}

/** Codes that are the application's own mistake rather than a backend's failure. */
const APPLICATION_FAULTS: ReadonlySet<TokenizerErrorCode> = new Set<TokenizerErrorCode>([
  "SETTINGS_INVALID",
  "PACKAGE_MISSING",
  "SESSION_UNSERIALIZABLE",
  "SESSION_TOO_LARGE",
  "SESSION_INVALID",
  "ARGUMENT_INVALID",
  "MOUNTED_TWICE",
  "SIGN_IN_INVALID",
]);

/**
 * Every error of this package. No message, cause or property holds a password, a session id or what
 * a session contains.
 *
 * @example
 * app.use((error, req, res, next) => {
 *   if (error instanceof TokenizerError && error.status === 503) return res.status(503).render("try-again");
 *   next(error);
 * });
 */
export class TokenizerError extends Error {
  override readonly name = "TokenizerError";
  /** Which fault it is: stable, for programs. The message is for people, and may change. */
  readonly code: TokenizerErrorCode;
  /** What HTTP should answer: 503 when the store failed, 500 when the application did, 401 for `SIGN_IN_AGAIN`. */
  readonly status: 401 | 500 | 503;
  /** The same, by the name that NestJS, Fastify and others look for. */
  readonly statusCode: 401 | 500 | 503;
  /** For `SETTINGS_INVALID`: all faults, in the order of the file. Empty otherwise. */
  readonly faults: readonly SettingsFault[];

  /** Where sessions were to be ended and not all were: how many were, and how many were not. */
  readonly ended: number | undefined;
  readonly failed: number | undefined;

  constructor(
    code: TokenizerErrorCode,
    message: string,
    { cause, faults = [], ended, failed }: TokenizerErrorOptions = {},
  ) {
    super(message, cause === undefined ? undefined : { cause });
    this.code = code;
    this.status = statusOf(code);
    this.statusCode = this.status;
    this.faults = faults;
    this.ended = ended;
    this.failed = failed;
  }
}

function statusOf(code: TokenizerErrorCode): 401 | 500 | 503 {
  if (code === "SIGN_IN_AGAIN") return 401;
  return APPLICATION_FAULTS.has(code) ? 500 : 503;
}

/** @param milliseconds how long was waited */
export function storeTimedOut(milliseconds: number): TokenizerError {
  return new TokenizerError("STORE_TIMEOUT", `The session store did not answer within ${milliseconds / 1000} seconds.`);
}

/** What was given to `tokenizer()` beside the settings cannot be used. */
export function givenAmiss(path: string, message: string): TokenizerError {
  return new TokenizerError("SETTINGS_INVALID", `${path}, given to tokenizer(), ${message}.`, {
    faults: [{ path, message }],
  });
}

export function storeClosed(): TokenizerError {
  return new TokenizerError("STORE_CLOSED", "The session store was closed.");
}
