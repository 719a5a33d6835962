/** Keeps records in an SQLite database in a folder of this machine, shared by its processes. */
import { chmodSync, closeSync, openSync, statSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep, setImmediate as yieldToLoop } from "node:timers/promises";
import { TokenizerError } from "../errors.js";
import type { Backend, BackendContext, Entry, Expected, StoredRecord } from "./backend.js";
import { preparePrivateFolder } from "./folder.js";
import { type Database, type EngineName, isBusy, isDamaged, loadEngine, type OpenDatabase } from "./sqlite.js";

export interface LocalOptions {
  /** The folder. Made if missing; ours alone. */
  readonly path: string;
  /** Which SQLite to use. Default: Node's own where it has one. */
  readonly engine?: EngineName;
}

const FILE = "sessions.db";
/** With the two that SQLite keeps beside it in WAL mode. */
const FILES = [FILE, `${FILE}-wal`, `${FILE}-shm`];

/** Written into the file's header, so that another program's database is never taken for ours: "tokn". */
const APPLICATION_ID = 0x746f6b6e;

/** How long SQLite itself may wait for a lock. It blocks the event loop while it waits, so: hardly. Milliseconds. */
const BUSY_TIMEOUT = 5;
/** The pause before a locked database is tried again, off the loop. Milliseconds, with as much again at random. */
const RETRY_PAUSE = 10;
/** How often a read looks whether the file is still the one on disk. Every write does. Milliseconds. */
const LOOK_INTERVAL = 1000;
const PAGE = 256;
/** Expired records dropped in one step: about a millisecond's work. */
const PRUNE_STEP = 50;

const SCHEMA = `
  CREATE TABLE IF NOT EXISTS records (
    key TEXT NOT NULL PRIMARY KEY, value TEXT NOT NULL, version TEXT NOT NULL, expires INTEGER NOT NULL
  );
  CREATE INDEX IF NOT EXISTS records_expires ON records (expires);
`;

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
      return statements.replace.run(value, version, expires, key, expected.version, this.#context.now());
    });
  }

  async touch(key: string, expires: number): Promise<boolean> {
    return this.#change(({ statements }) => statements.touch.run(expires, key, this.#context.now()));
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
    for (let dropped = 0; ; ) {
      const { changes } = await this.#run(({ statements }) => statements.prune.run(now, PRUNE_STEP));
      dropped += Number(changes);
      if (Number(changes) < PRUNE_STEP) return dropped;
      await yieldToLoop();
    }
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    this.#drop();
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
    });
  }

  /** Opens if need be, works, and waits off the loop while another connection holds the lock. */
  async #run<T>(work: (handle: Handle) => T): Promise<T> {
    const giveUp = performance.now() + this.#context.timeout;
    for (;;) {
      if (this.#isClosed) throw new TokenizerError("STORE_CLOSED", "The session store was closed.");
      try {
        this.#engine ??= await loadEngine(this.#engineName);
        return work(this.#current(this.#engine));
      } catch (error) {
        if (!isBusy(error) || performance.now() > giveUp) throw this.#explain(error);
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
    // SQLite gives the files beside it the same mode.
    closeSync(openSync(this.#file, "a", 0o600));
    if (process.platform !== "win32") chmodSync(this.#file, 0o600);
    const size = settledSize(this.#file);
    const database = engine(this.#file);
    try {
      if (size !== undefined) refuseTruncated(database, size);
      setUp(database);
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
    if (isDamaged(error)) {
      const advice = "Move it away (everybody signs in again), or name another folder in tokenizer.path.";
      return new TokenizerError("STORE_UNUSABLE", `${this.#file} is damaged, or not a database. ${advice}`, {
        cause: error,
      });
    }
    const reason = isBusy(error) ? "another process keeps it locked" : (error as Error).message;
    return new TokenizerError("STORE_UNAVAILABLE", `The database ${this.#file} failed: ${reason}.`, { cause: error });
  }
}

function setUp(database: Database): void {
  // Before journal_mode, or several processes that start together meet a locked database.
  database.exec(`PRAGMA busy_timeout = ${BUSY_TIMEOUT}`);
  const { application_id: id } = database.prepare("PRAGMA application_id").get() as { application_id: number };
  const { tables } = database.prepare("SELECT count(*) AS tables FROM sqlite_schema").get() as { tables: number };
  if (id !== APPLICATION_ID && tables > 0) {
    throw new TokenizerError(
      "STORE_UNUSABLE",
      `${FILE} belongs to another program. Name another folder in tokenizer.path.`,
    );
  }
  // With WAL, NORMAL keeps what was committed through the death of the process (sqlite.org/pragma.html#pragma_synchronous).
  database.exec("PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL; PRAGMA secure_delete = ON;");
  if (id === APPLICATION_ID) return;
  database.exec(`${SCHEMA} PRAGMA application_id = ${APPLICATION_ID};`);
}

/** The file's size, where no write-ahead log holds more of it. */
function settledSize(file: string): number | undefined {
  return statSync(`${file}-wal`, { throwIfNoEntry: false })?.size ? undefined : statSync(file).size;
}

/** SQLite meets missing pages only when it needs them, which may be much later. */
function refuseTruncated(database: Database, size: number): void {
  const { page_count: count } = database.prepare("PRAGMA page_count").get() as { page_count: number };
  const { page_size: page } = database.prepare("PRAGMA page_size").get() as { page_size: number };
  if (size < count * page) throw Object.assign(new Error("pages are missing"), { code: "SQLITE_CORRUPT" });
}

function prepare(database: Database) {
  const put = "INSERT INTO records (key, value, version, expires) VALUES (?, ?, ?, ?)";
  const over = "DO UPDATE SET value = excluded.value, version = excluded.version, expires = excluded.expires";
  return {
    read: database.prepare("SELECT value, version, expires FROM records WHERE key = ? AND expires > ?"),
    put: database.prepare(`${put} ON CONFLICT (key) ${over}`),
    add: database.prepare(`${put} ON CONFLICT (key) ${over} WHERE records.expires <= ?`),
    replace: database.prepare(
      "UPDATE records SET value = ?, version = ?, expires = ? WHERE key = ? AND version = ? AND expires > ?",
    ),
    touch: database.prepare("UPDATE records SET expires = ? WHERE key = ? AND expires > ?"),
    remove: database.prepare("DELETE FROM records WHERE key = ? AND expires > ?"),
    page: database.prepare("SELECT * FROM records WHERE key > ? AND expires > ? ORDER BY key LIMIT ?"),
    prune: database.prepare(
      "DELETE FROM records WHERE key IN (SELECT key FROM records WHERE expires <= ? ORDER BY expires LIMIT ?)",
    ),
  };
}

/** Device and inode; nothing when the file is gone. */
function identityOf(file: string): string | undefined {
  const found = statSync(file, { throwIfNoEntry: false });
  return found && `${found.dev}:${found.ino}`;
}
