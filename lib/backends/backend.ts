/** What a backend promises: the contract that all that keeps records fulfils. */
import type { Awaitable } from "../awaitable.js";

/**
 * A backend keeps opaque text under opaque keys until a moment in time, and compares versions in one atomic step. It knows
 * nothing of sessions, cookies, users or sealing: all of that is written once, above it. The cases of
 * `express-tokenizer/backend-contract` check every sentence below.
 *
 * Four rules hold for every method:
 *
 * - It may answer at once, or by promise. A failure always comes by promise.
 * - Absence and conflict are return values. A method throws only when the system failed, and what it throws is a
 *   `TokenizerError`.
 * - An expired record is absent, whether or not the engine has dropped it yet.
 * - Only our own records count: what others keep in the same place is neither answered, counted nor removed.
 */
export interface Backend {
  /** The longest value that a record can have, in bytes of UTF-8. Default: no limit that a session could meet. */
  readonly maxValueBytes?: number | undefined;

  /** Whether the engine drops expired records by itself: then `backend.prune` is called only on request. Default: no. */
  readonly expiresByItself?: boolean | undefined;

  /**
   * Reaches the engine once, so that faults show at start. A failure is not final: the other methods work as soon as the
   * engine does, without another `open`. A second call changes nothing.
   */
  open(): Promise<void>;

  /**
   * Answers the live record under `key`; `undefined` when there is none. A record that does not decode is reported once, and
   * absent.
   */
  read(key: string): Awaitable<StoredRecord | undefined>;

  /**
   * Writes in one atomic step, if what is stored is what was `expected`. A record whose `expires` has passed is written, and
   * from then on absent.
   *
   * Two writes differ only by their `version`, for the caller and for a retry inside the backend. So a backend whose retry
   * meets its own first try answers `true`. After `"absent"` and `"any"` a backend tries again only if its first try is known
   * to be over: one that arrives late would bring back what was removed meanwhile, or undo another's later write.
   *
   * @param key what to write under
   * @param record what to write, in place of anything that is there
   * @param expected what must be there
   * @returns whether it wrote
   */
  write(key: string, record: StoredRecord, expected: Expected): Awaitable<boolean>;

  /**
   * Moves the end of a live record, later and never earlier, and changes nothing else. Never creates a record.
   *
   * @param key what it is stored under
   * @param expires the new end, in milliseconds since 1970
   * @param version the version that it must have
   * @returns whether a record of this version was there, moved or not
   */
  touch(key: string, expires: number, version: string): Awaitable<boolean>;

  /**
   * Removes the record under `key`, if there is one. A retry after a lost answer may find its own first try, and answers
   * `false`.
   *
   * @returns whether a live record was there
   */
  remove(key: string): Awaitable<boolean>;

  /** Answers all live records, read in bounded pages. Those that come or go meanwhile may or may not be among them. */
  entries(): AsyncIterable<Entry>;

  /**
   * Drops expired records, a bounded piece of work at a time.
   *
   * @returns how many; 0 where the engine drops them by itself
   */
  prune(): Promise<number>;

  /**
   * Lets go of connections, files and timers. Every later call of another method throws `STORE_CLOSED`; a second `close` does
   * nothing.
   */
  close(): Promise<void>;
}

/** One record, as a backend sees it. */
export interface StoredRecord {
  /** Opaque text. Like all JSON text it holds no NUL and no lone surrogate, which some engines could not keep. */
  readonly value: string;
  /** Made by the caller, unguessable and never used twice. */
  readonly version: string;
  /** When the record ends, in milliseconds since 1970. */
  readonly expires: number;
}

/** A record with its key, as `backend.entries` answers it. */
export interface Entry extends StoredRecord {
  /** What it is stored under. */
  readonly key: string;
}

/**
 * What must be stored for a write to happen: `"absent"` is no live record (an expired one counts as none), `"any"` is
 * anything or nothing, and an object is a record of this `version`.
 */
export type Expected = "absent" | "any" | { readonly version: string };

/**
 * The default export of the module that the setting `module` names. It makes the backend and does not reach for the engine
 * yet: `backend.open` does. Until `open` has succeeded nothing else is called; if it fails, the next call that needs the
 * backend tries it again.
 *
 * @param options the settings below `tokenizer.options`, as they stand there; check them yourself
 * @param context what every backend gets beside its own settings
 *
 * @example
 * const makeBackend: BackendFactory<{ url: string }> = ({ url }, context) => new MyBackend(url, context);
 * export default makeBackend;
 */
export type BackendFactory<Options = Readonly<Record<string, unknown>>> = (
  options: Options,
  context: BackendContext,
) => Backend | Promise<Backend>;

/** What every backend gets beside its own settings. */
export interface BackendContext {
  /** Answers the time in milliseconds since 1970. Take it from here alone: tests move it. */
  readonly now: () => number;
  /** How long one call may take, in milliseconds. */
  readonly timeout: number;
  /** Logs a warning: `message`, without a secret. */
  readonly warn: (message: string) => void;
}
