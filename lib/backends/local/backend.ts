/** Keeps records in an SQLite database in a folder of this machine, shared by its processes. */
import { join, resolve } from "node:path";
import { setTimeout as sleep, setImmediate as yieldToLoop } from "node:timers/promises";
import { type Awaitable, after } from "../../awaitable.js";
import { storeClosed, TokenizerError } from "../../errors.js";
import type { Backend, BackendContext, Entry, Expected, StoredRecord } from "../backend.js";
import { Changes, type Done } from "./changes.js";
import { Connection } from "./connection.js";
import { emptyLog } from "./database.js";
import { DATABASE, makePrivateFile, refreshTimes } from "./files.js";
import { doubtAbout, preparePresentFolder, preparePrivateFolder } from "./folder.js";
import { prune } from "./pruning.js";
import {
  type EngineName,
  InUse,
  isBusy,
  isDamaged,
  isForbidden,
  loadEngine,
  type OpenDatabase,
  type Statement,
} from "./sqlite.js";

export interface LocalOptions {
  /** The folder. Made if missing; ours alone. */
  readonly path: string;
  /** Which SQLite to use. Default: Node's own where it has one. */
  readonly engine?: EngineName;
  /** Whether folder and database are made if they are missing. Default: yes. */
  readonly create?: boolean | undefined;
}

/** The pause before a locked database is tried again, off the loop. Milliseconds, with as much again at random. */
const RETRY_PAUSE = 10;
/** How often it is looked whether the files are still those on disk. Every change does, before and after. Milliseconds. */
const LOOK_INTERVAL = 1000;
/** How often the files' times are renewed. Cleaners go by days. Milliseconds. */
const REFRESH_INTERVAL = 3_600_000;
const PAGE = 256;

export class LocalBackend implements Backend {
  readonly #path: string;
  readonly #file: string;
  readonly #engineName: EngineName | undefined;
  readonly #create: boolean;
  readonly #context: BackendContext;
  readonly #changes = new Changes((work) => this.#commit(work));
  #engine: OpenDatabase | undefined;
  #connection: Connection | undefined;
  #watch: NodeJS.Timeout | undefined;
  #refreshedAt = Number.NEGATIVE_INFINITY;
  #isClosed = false;
  /** A change met a lock. All others wait as long, or the loop would stand still for each of them at every try. */
  #locked: { readonly until: number; readonly error: unknown } | undefined;
  #hasReportedRow = false;
  #hasDoubted = false;

  constructor({ path, engine, create = true }: LocalOptions, context: BackendContext) {
    // Absolute, or it would be another folder once the application changes its working directory.
    this.#path = resolve(path);
    this.#file = join(this.#path, DATABASE);
    this.#engineName = engine;
    this.#create = create;
    this.#context = context;
  }

  async open(): Promise<void> {
    await this.#run(() => {});
  }

  /** At once, but for the first time, and where even readers have to wait for a lock. */
  read(key: string): Awaitable<StoredRecord | undefined> {
    // It is made by that, unless it has to wait for a lock: readers do not.
    if (this.#changes.isWaiting(key)) void this.#changes.flush();
    const work = ({ statements }: Connection) => statements.read.get(key, this.#context.now());
    return after(this.#soon(work), (row) => (row === undefined || row === null ? undefined : this.#decode(row)));
  }

  write(key: string, { value, version, expires }: StoredRecord, expected: Expected): Promise<boolean> {
    const now = this.#context.now();
    return this.#changes.add(key, ({ statements }) => {
      if (expected === "any") return statements.put.run(key, value, version, expires);
      if (expected === "absent") return statements.add.run(key, value, version, expires, now);
      const { replace, replaceSooner } = statements;
      return unlessNone([replace, replaceSooner], value, version, expires, key, expected.version, now);
    });
  }

  touch(key: string, expires: number, version: string): Promise<boolean> {
    const now = this.#context.now();
    return this.#changes.add(key, ({ statements }) => statements.touch.run(expires, key, version, now));
  }

  remove(key: string): Promise<boolean> {
    const now = this.#context.now();
    return this.#changes.add(key, ({ statements }) => statements.remove.run(key, now));
  }

  async *entries(): AsyncGenerator<Entry> {
    void this.#changes.flush();
    let after = "";
    for (;;) {
      const rows = await this.#run(({ statements }) => statements.page.all(after, this.#context.now(), PAGE));
      for (const row of rows) {
        const { key } = row as { key: string };
        const record = this.#decode(row);
        if (record) yield { key, ...record };
        after = key;
      }
      if (rows.length < PAGE) return;
      await yieldToLoop();
    }
  }

  async prune(): Promise<number> {
    await this.#changes.flush();
    return prune((step) => this.#run(step, true), this.#context.now());
  }

  async close(): Promise<void> {
    // What waits for no lock is made at once; the rest is refused.
    void this.#changes.flush();
    this.#isClosed = true;
    clearInterval(this.#watch);
    const connection = this.#connection;
    this.#connection = undefined;
    if (!connection) return;
    // Node's engine empties the log when the last connection closes, libsql does not: and the log has what was removed.
    try {
      if (connection.look()) emptyLog(connection.database);
      else this.#context.warn(connection.abandon());
    } catch (error) {
      // Nothing is lost: the log is read when the database is next opened.
      this.#context.warn(`The log of ${this.#file} was not emptied on closing: ${(error as Error).message}.`);
    } finally {
      connection.close();
    }
  }

  /** What was acknowledged must be in files that others find. */
  async #commit(work: (connection: Connection) => Done): Promise<Done> {
    // In one go: whoever closes meanwhile may take files away.
    const doAndLook = (to: Connection): [Done, isWhole: boolean] => [work(to), to.isWhole()];
    const [done, isWhole] = await this.#run(doAndLook, true);
    const { connection } = done;
    if (!isWhole) {
      // Not the changes again, which may be kept and would meet themselves: just letting go, which waits for others.
      await this.#run(() => {}, true);
      if (!connection.isSaved) {
        throw new TokenizerError(
          "STORE_UNAVAILABLE",
          `The database ${this.#file} was removed or replaced while it was written. Service goes on with what is there now.`,
        );
      }
    }
    return done;
  }

  /** As `run`, at once if nothing has to be waited for. */
  #soon<T>(work: (connection: Connection) => T): Awaitable<T> {
    if (!this.#engine || this.#isClosed) return this.#run(work);
    try {
      return work(this.#current(this.#engine, false));
    } catch (error) {
      return isBusy(error) ? this.#run(work) : Promise.reject(this.#explain(error));
    }
  }

  /** Opens if need be, works, and waits off the loop while another connection holds the lock. */
  async #run<T>(work: (connection: Connection) => T, isChange = false): Promise<T> {
    const giveUp = performance.now() + this.#context.timeout;
    for (;;) {
      try {
        this.#engine ??= await loadEngine(this.#engineName);
        // After the only wait: what was closed meanwhile must not open again.
        if (this.#isClosed) throw storeClosed();
        if (isChange && this.#locked && performance.now() < this.#locked.until) throw this.#locked.error;
        const result = work(this.#current(this.#engine, isChange));
        if (isChange) this.#locked = undefined;
        return result;
      } catch (error) {
        const now = performance.now();
        if (!isBusy(error)) throw this.#explain(error);
        if (isChange && error !== this.#locked?.error) this.#locked = { until: now + RETRY_PAUSE, error };
        if (now > giveUp) throw this.#explain(error);
      }
      await sleep(RETRY_PAUSE * (1 + Math.random()));
    }
  }

  #current(engine: OpenDatabase, isChange: boolean): Connection {
    const connection = this.#connection;
    if (connection) {
      const isDue = performance.now() - connection.lookedAt > LOOK_INTERVAL;
      if (!(isDue ? connection.look() : !isChange || connection.isWhole())) this.#abandon(connection);
    }
    this.#connection ??= this.#openFile(engine);
    return this.#connection;
  }

  #openFile(engine: OpenDatabase): Connection {
    if (this.#create) preparePrivateFolder(this.#path);
    else preparePresentFolder(this.#path);
    this.#warnOfDoubt();
    makePrivateFile(this.#file);
    const connection = Connection.open(this.#path, engine, this.#context.warn);
    this.#watch ??= setInterval(() => this.#lookByItself(), LOOK_INTERVAL).unref();
    return connection;
  }

  #warnOfDoubt(): void {
    const doubt = this.#hasDoubted ? undefined : doubtAbout(this.#path);
    this.#hasDoubted = true;
    if (doubt !== undefined) this.#context.warn(doubt);
  }

  /** Lets go of a connection whose files are not all on disk any more. */
  #abandon(connection: Connection): void {
    const message = connection.abandon();
    this.#connection = undefined;
    this.#context.warn(message);
  }

  /** Without being asked, since others wait until all have let go. */
  #lookByItself(): void {
    const connection = this.#connection;
    if (!connection) return;
    try {
      if (!connection.look()) this.#abandon(connection);
      else if (performance.now() - this.#refreshedAt > REFRESH_INTERVAL) {
        refreshTimes(this.#path);
        this.#refreshedAt = performance.now();
      }
    } catch {
      // Whoever calls next meets the same, and is told.
    }
  }

  #decode(row: unknown): StoredRecord | undefined {
    const { value, version, expires } = row as Record<string, unknown>;
    if (typeof value === "string" && typeof version === "string" && typeof expires === "number") {
      return { value, version, expires };
    }
    if (!this.#hasReportedRow) this.#context.warn(`A row of ${this.#file} is not a record of ours: passed over.`);
    this.#hasReportedRow = true;
    return undefined;
  }

  #explain(error: unknown): TokenizerError {
    if (error instanceof TokenizerError) return error;
    const unusable = (reason: string) =>
      new TokenizerError("STORE_UNUSABLE", `The database ${this.#file} ${reason} in tokenizer.path.`, { cause: error });
    if (isDamaged(error)) {
      return unusable("is damaged, or not one. Move its folder away (everybody signs in again), or name another one");
    }
    if (isForbidden(error)) {
      return unusable(`cannot be written (${(error as Error).message}). Make its folder writable, or name another one`);
    }
    const isLocked = isBusy(error) && !(error instanceof InUse);
    const reason = isLocked ? "another process keeps it locked" : (error as Error).message;
    return new TokenizerError("STORE_UNAVAILABLE", `The database ${this.#file} failed: ${reason}.`, { cause: error });
  }
}

/** The outcome of the first statement that changes something, or else of the last. */
function unlessNone([usual, other]: readonly [Statement, Statement], ...values: Array<string | number>) {
  const outcome = usual.run(...values);
  return Number(outcome.changes) > 0 ? outcome : other.run(...values);
}
