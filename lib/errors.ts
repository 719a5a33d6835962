/** The one class of error that this package throws, the closed list of its codes, and the two that every backend throws. */

/**
 * What went wrong, in a word that does not change between releases. Each says which HTTP status the error has: 500 for a
 * mistake in the application or its settings, 503 when the store failed or refused, 401 when the user must sign in again.
 */
export type TokenizerErrorCode =
  /**
   * 500. The settings are wrong; `faults` lists every fault. `tokenizer()` itself throws it; `sessions.ready` rejects with it
   * when only the network, a profile or a module's file could tell.
   */
  | "SETTINGS_INVALID"
  /** 500. The backend, or one of your own, needs a package that is not installed; the message says which. */
  | "PACKAGE_MISSING"
  /** 503. The backend is there, but must not or cannot be used: somebody else's folder, a damaged file, a missing table. */
  | "STORE_UNUSABLE"
  /** 503. The backend is unreachable, refused, or has no space left. */
  | "STORE_UNAVAILABLE"
  /** 503. The backend did not answer within `store_timeout`. Whether the change was saved is unknown. */
  | "STORE_TIMEOUT"
  /** 503. The store was used after `sessions.close`. */
  | "STORE_CLOSED"
  /** 500. The session holds something that JSON cannot express; the message names the key. */
  | "SESSION_UNSERIALIZABLE"
  /** 500. The session is larger than `max_session_kb`, or than the backend can keep; the message names its largest keys. */
  | "SESSION_TOO_LARGE"
  /**
   * 500. You set `req.session` to something that is no session, its `username` to something that is no string, or a key
   * that belongs to express-session; the message says which.
   */
  | "SESSION_INVALID"
  /** 503. Somebody ended the user's sessions while this one was being written. */
  | "SESSION_REVOKED"
  /** 503. The user has more sessions than can be listed, so the sign-in is refused. */
  | "TOO_MANY_SESSIONS"
  /** 500. A method of `sessions.users`, `sessions.on` or `sessions.fresh` got a wrong argument; the message says which. */
  | "ARGUMENT_INVALID"
  /** 500. The middleware is mounted twice, or behind another one that sets `req.session`. */
  | "MOUNTED_TWICE"
  /** 500. `req.signIn` or `req.confirmSignIn` got a wrong argument, or the request has no session. */
  | "SIGN_IN_INVALID"
  /** 401. The user must sign in again: the sign-in is too old (`sessions.fresh`), or over (`req.confirmSignIn`). */
  | "SIGN_IN_AGAIN"
  /** 401. The session is bound to a device (`cookie.device_bound`), and the request does not prove to come from it. */
  | "SESSION_UNPROVEN";

/** One fault of the settings, in `faults` of a `TokenizerError`. */
export interface SettingsFault {
  /** Where it is: the key's path, as in `tokenizer.port`, or the environment variable. */
  readonly path: string;
  /** What was found there (never a secret's value), and what is allowed. */
  readonly message: string;
}

/** What `new TokenizerError()` takes beside code and message; each key becomes the property of that name. */
interface TokenizerErrorOptions {
  /** The error behind it. Default: none. */
  cause?: unknown;
  /** All faults of the settings. Default: none. */
  faults?: readonly SettingsFault[];
  /** How many sessions were ended. Default: `undefined`. */
  ended?: number;
  /** How many sessions were to be ended and were not. Default: `undefined`. */
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
 * Every error of this package, a subclass of `Error`. No message, cause or property holds a password, a session id or what a
 * session contains.
 *
 * @example
 * app.use((error, req, res, next) => {
 *   if (error instanceof TokenizerError && error.status === 503) return res.status(503).render("try-again");
 *   next(error);
 * });
 */
export class TokenizerError extends Error {
  /** Always `"TokenizerError"`. */
  override readonly name = "TokenizerError";
  /** What went wrong, for programs: it stays the same from release to release. The message is for people, and may change. */
  readonly code: TokenizerErrorCode;
  /** The HTTP status to answer, which Express's own error handler does: 401, 500 or 503, by the code. */
  readonly status: 401 | 500 | 503;
  /** The same number, by the name that NestJS, Fastify and others look for. */
  readonly statusCode: 401 | 500 | 503;
  // Only declared: Node prints every property of an error that nobody caught, the empty ones, too.
  /** With `SETTINGS_INVALID`: all faults, in the order of the file. Otherwise an empty list. */
  declare readonly faults: readonly SettingsFault[];
  /** How many sessions were ended, when not all could be. `undefined` with every other error. */
  declare readonly ended: number | undefined;
  /** How many sessions could not be ended. `undefined` with every other error. */
  declare readonly failed: number | undefined;

  /**
   * For a backend of your own: its methods throw no other errors.
   *
   * @param code what went wrong
   * @param message for people: what happened and what to do. Never put a password, a session id or a session's contents
   *   into it.
   * @param options the cause, and what the other properties are. Default: none.
   *
   * @example
   * throw new TokenizerError("STORE_UNAVAILABLE", "The session store failed.", { cause: error });
   */
  constructor(
    code: TokenizerErrorCode,
    message: string,
    { cause, faults = [], ended, failed }: TokenizerErrorOptions = {},
  ) {
    super(message, cause === undefined ? undefined : { cause });
    this.code = code;
    this.status = statusOf(code);
    this.statusCode = this.status;
    if (faults.length > 0) this.faults = faults;
    if (ended !== undefined) this.ended = ended;
    if (failed !== undefined) this.failed = failed;
  }

  static {
    Object.defineProperty(TokenizerError.prototype, "faults", { value: Object.freeze([]), writable: true });
  }
}

function statusOf(code: TokenizerErrorCode): 401 | 500 | 503 {
  if (code === "SIGN_IN_AGAIN" || code === "SESSION_UNPROVEN") return 401;
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
