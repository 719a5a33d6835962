/** What a backend promises: the contract that all that keeps records fulfils. */
import type { Awaitable } from "../awaitable.js";

/**
 * A backend keeps opaque text under opaque keys until a moment in time, and compares versions in one
 * atomic step. It knows nothing of sessions, cookies, users or sealing: all of that is written once,
 * above it. `testing/backend-contract.ts` checks every sentence below.
 *
 * Four rules hold for every method:
 *
 * - What is there at once may be answered at once, instead of by promise. A failure always comes by promise.
 * - Absence and conflict are return values. A method throws only when the system failed, and what it
 *   throws is a `TokenizerError`.
 * - An expired record is absent, whether or not the engine has dropped it yet.
 * - Only our own records: what others keep in the same place is neither answered, counted nor removed.
 */
export interface Backend {
  /** The longest value that a record can have, in bytes of UTF-8. Missing: no limit that a session could meet. */
  readonly maxValueBytes?: number | undefined;

  /** Whether the engine drops expired records by itself, so that `prune` is called only when somebody asks for it. */
  readonly expiresByItself?: boolean | undefined;

  /**
   * Reaches the engine once, so that faults show at start. A failure is not final: the methods below
   * work as soon as the engine does, without another `open`.
   */
  open(): Promise<void>;

  /** The live record under `key`, or `undefined`. What does not decode is reported once and absent. */
  read(key: string): Awaitable<StoredRecord | undefined>;

  /**
   * Writes in one atomic step if what is stored is what was `expected`; answers whether it did. Neither
   * the caller nor a retry inside the backend can tell two writes apart but by `version`, so a backend
   * whose retry meets its own first try answers true. After "absent" and "any" a backend tries again only if its first
   * try is known to be over: one that arrives late would bring back what was removed meanwhile, or undo another's later
   * write. A record whose `expires` has passed is written and from then on absent.
   */
  write(key: string, record: StoredRecord, expected: Expected): Awaitable<boolean>;

  /**
   * Moves the end of a live record of this version, and nothing else: later, never earlier. Answers whether that version
   * was there, moved or not. Never creates.
   */
  touch(key: string, expires: number, version: string): Awaitable<boolean>;

  /**
   * Removes the record; answers whether a live one was there. Removing the absent is no fault. A retry after
   * a lost answer may find its own first try, and answers false.
   */
  remove(key: string): Awaitable<boolean>;

  /** All live records, read in bounded pages; those that come and go meanwhile may or may not be among them. */
  entries(): AsyncIterable<Entry>;

  /** Drops expired records, a bounded piece of work at a time; answers how many. 0 where the engine does it by itself. */
  prune(): Promise<number>;

  /** Lets go of connections, files and timers. Every later call throws `STORE_CLOSED`; a second `close` does nothing. */
  close(): Promise<void>;
}

/** One record, as a backend sees it. */
export interface StoredRecord {
  /** Opaque text. Like all JSON text it holds no NUL and no lone surrogate, which not every engine could keep. */
  readonly value: string;
  /** Made by the caller, unguessable and never used twice. */
  readonly version: string;
  /** When the record ends, in milliseconds since 1970. */
  readonly expires: number;
}

/** A record with its key. */
export interface Entry extends StoredRecord {
  readonly key: string;
}

/**
 * What must be stored for a write to happen: a record of this version, no live record (an expired one
 * counts as none), or anything.
 */
export type Expected = "absent" | "any" | { readonly version: string };

/**
 * What the default export of a module is that `tokenizer.module` names: makes the backend, and does not reach for the
 * engine yet. `open` does; until it has succeeded nothing else is called, and it is called again by whoever needs it.
 *
 * @param options the settings below `tokenizer.options`, as they stand there: to be checked by whoever knows them
 *
 * @example
 * const makeBackend: BackendFactory<{ url: string }> = ({ url }, context) => new MyBackend(url, context);
 * export default makeBackend;
 */
export type BackendFactory<Options = Readonly<Record<string, unknown>>> = (
  options: Options,
  context: BackendContext,
) => Backend | Promise<Backend>;

/** What every backend is given beside its own settings. */
export interface BackendContext {
  /** Milliseconds since 1970. */
  readonly now: () => number;
  /** How long one call may take, in milliseconds. */
  readonly timeout: number;
  /** Where warnings go. */
  readonly warn: (message: string) => void;
}
