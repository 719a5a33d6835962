/** Keeps records in an SQLite database in a folder of this machine, shared by its processes. */
import { statSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep, setImmediate as yieldToLoop } from "node:timers/promises";
import { storeClosed, TokenizerError } from "../../errors.js";
import type { Backend, BackendContext, Entry, Expected, StoredRecord } from "../backend.js";
import { emptyLog, inSmallPieces, prepare, setUp } from "./database.js";
import { makePrivateFile, preparePrivateFolder } from "./folder.js";
import {
  type Database,
  type EngineName,
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
}

const FILE = "sessions.db";
/** With the two that SQLite keeps beside it in WAL mode. */
const FILES = [FILE, `${FILE}-wal`, `${FILE}-shm`];

/** The pause before a locked database is tried again, off the loop. Milliseconds, with as much again at random. */
const RETRY_PAUSE = 10;
/** How often a read looks whether the file is still the one on disk. Every write does. Milliseconds. */
const LOOK_INTERVAL = 1000;
const PAGE = 256;
/** Most expired records dropped in one step. */
const PRUNE_STEP = 25;
/** What one step should take: large records, whose every page is overwritten, go in smaller steps. Milliseconds. */
const PRUNE_AIM = 2;

/** An open database, and which file it is. */
interface Handle {
  readonly database: Database;
  readonly statements: ReturnType<typeof prepare>;
  readonly identity: string | undefined;
  lookedAt: number;
}

export class LocalBackend implements Backend {
  readonly #path: string;
  readonly #file: string;
  readonly #engineName: EngineName | undefined;
  readonly #context: BackendContext;
  #engine: OpenDatabase | undefined;
  #handle: Handle | undefined;
  #isClosed = false;
  /** A change met a lock. All others wait as long, or the loop would stand still for each of them at every try. */
  #locked: { readonly until: number; readonly error: unknown } | undefined;
  #hasReportedRow = false;

  constructor({ path, engine }: LocalOptions, context: BackendContext) {
    this.#path = path;
    this.#file = join(path, FILE);
    this.#engineName = engine;
    this.#context = context;
  }

  async open(): Promise<void> {
    await this.#run(() => {});
  }

  async read(key: string): Promise<StoredRecord | undefined> {
    const row = await this.#run(({ statements }) => statements.read.get(key, this.#context.now()));
    return row === undefined || row === null ? undefined : this.#decode(row);
  }

  async write(key: string, { value, version, expires }: StoredRecord, expected: Expected): Promise<boolean> {
    return this.#change(({ statements }) => {
      if (expected === "any") return statements.put.run(key, value, version, expires);
      if (expected === "absent") return statements.add.run(key, value, version, expires, this.#context.now());
      const { replace, replaceSooner } = statements;
      return unlessNone([replace, replaceSooner], value, version, expires, key, expected.version, this.#context.now());
    });
  }

  async touch(key: string, expires: number, version: string): Promise<boolean> {
    return this.#change(({ statements }) => statements.touch.run(expires, key, version, this.#context.now()));
  }

  async remove(key: string): Promise<boolean> {
    return this.#change(({ statements }) => statements.remove.run(key, this.#context.now()));
  }

  async *entries(): AsyncGenerator<Entry> {
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
    const now = this.#context.now();
    for (let dropped = 0, step = 10; ; ) {
      const limit = step;
      const start = performance.now();
      const [filed, gone] = await this.#run(
        ({ database, statements: { file, prune } }) =>
          inSmallPieces(database, () => {
            const later = Number(file.run(now, limit).changes);
            return [later, Number(prune.run(now, limit).changes)] as const;
          }),
        true,
      );
      dropped += gone;
      // What was due and still lives is filed anew, so what is left of the first records that are due has expired.
      if (filed + gone < limit) return dropped;
      step = Math.max(1, Math.min(PRUNE_STEP, Math.floor((limit * PRUNE_AIM) / (performance.now() - start))));
      await yieldToLoop();
    }
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    // Node's engine empties the log when the last connection closes, libsql does not: and the log has what was removed.
    try {
      if (this.#handle) emptyLog(this.#handle.database);
    } catch (error) {
      // Nothing is lost: the log is read when the database is next opened.
      this.#context.warn(`The log of ${this.#file} was not emptied on closing: ${(error as Error).message}.`);
    } finally {
      this.#drop();
    }
  }

  /** A change that was acknowledged must be in the file that others find. */
  async #change(work: (handle: Handle) => { changes: number | bigint }): Promise<boolean> {
    return this.#run((handle) => {
      const { changes } = work(handle);
      if (!this.#isOnDisk(handle)) {
        this.#drop();
        throw new TokenizerError(
          "STORE_UNAVAILABLE",
          `The database ${this.#file} was removed or replaced while in use. Service goes on with a new one.`,
        );
      }
      return Number(changes) > 0;
    }, true);
  }

  /** Opens if need be, works, and waits off the loop while another connection holds the lock. */
  async #run<T>(work: (handle: Handle) => T, isChange = false): Promise<T> {
    const giveUp = performance.now() + this.#context.timeout;
    for (;;) {
      try {
        this.#engine ??= await loadEngine(this.#engineName);
        // After the only wait: what was closed meanwhile must not open again.
        if (this.#isClosed) throw storeClosed();
        if (isChange && this.#locked && performance.now() < this.#locked.until) throw this.#locked.error;
        const result = work(this.#current(this.#engine));
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

  #current(engine: OpenDatabase): Handle {
    const now = performance.now();
    if (this.#handle && now - this.#handle.lookedAt > LOOK_INTERVAL && !this.#isOnDisk(this.#handle)) {
      this.#context.warn(`The database ${this.#file} was removed or replaced while in use: its sessions are over.`);
      this.#drop();
    }
    this.#handle ??= this.#openFile(engine);
    return this.#handle;
  }

  #openFile(engine: OpenDatabase): Handle {
    preparePrivateFolder(this.#path, FILES);
    makePrivateFile(this.#file);
    const database = engine(this.#file);
    try {
      setUp(database, this.#file);
      const statements = prepare(database);
      return { database, statements, identity: identityOf(this.#file), lookedAt: performance.now() };
    } catch (error) {
      database.close();
      throw error;
    }
  }

  #isOnDisk(handle: Handle): boolean {
    handle.lookedAt = performance.now();
    return identityOf(this.#file) === handle.identity;
  }

  #drop(): void {
    const handle = this.#handle;
    this.#handle = undefined;
    handle?.database.close();
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
    const reason = isBusy(error) ? "another process keeps it locked" : (error as Error).message;
    return new TokenizerError("STORE_UNAVAILABLE", `The database ${this.#file} failed: ${reason}.`, { cause: error });
  }
}

/** The outcome of the first statement that changes something, or else of the last. */
function unlessNone([usual, other]: readonly [Statement, Statement], ...values: Array<string | number>) {
  const outcome = usual.run(...values);
  return Number(outcome.changes) > 0 ? outcome : other.run(...values);
}

/** Device and inode; nothing when the file is gone, or its folder is none any more. */
function identityOf(file: string): string | undefined {
  try {
    const { dev, ino } = statSync(file);
    return `${dev}:${ino}`;
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === "ENOENT" || code === "ENOTDIR") return undefined;
    throw error;
  }
}
