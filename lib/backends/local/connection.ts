/** An open database: which files it has open, whether those are still the ones on disk, and letting go of them if not. */
import { rmSync, type Stats } from "node:fs";
import { join } from "node:path";
import { agreeOnFiles } from "./agreement.js";
import { moveLog, prepare, setUp } from "./database.js";
import {
  ADVICE,
  areSame,
  DATABASE,
  forgetRecord,
  type Identities,
  INDEX,
  identitiesIn,
  LOG,
  makePrivate,
  recordOf,
  sizeOf,
  statusOf,
  writeRecord,
} from "./files.js";
import { type Database, InUse, letGoOfClosed, type OpenDatabase } from "./sqlite.js";

/** So old must the time of a folder be, that what is done in it afterwards gets another one; FAT counts by 2 seconds. */
const SETTLED = 3000;

export class Connection {
  readonly database: Database;
  #statements: ReturnType<typeof prepare> | undefined;
  /** When it was last looked whether the files are still there. By `performance.now()`. */
  lookedAt = performance.now();
  readonly #folder: string;
  readonly #files: Identities;
  /** The folder when all files were there; a look at it alone costs a third. */
  #seen: Stats | undefined;
  #isSaved = false;

  private constructor(folder: string, database: Database, files: Identities) {
    this.#folder = folder;
    this.#files = files;
    this.database = database;
    this.#statements = prepare(database);
  }

  /**
   * @throws TokenizerError `STORE_UNUSABLE`; the engine's own errors; what `isBusy` recognises when it is to be tried again
   */
  static open(folder: string, engine: OpenDatabase, warn: (message: string) => void): Connection {
    const agreed = agreeOnFiles(folder, engine, warn);
    const database = engine(join(folder, DATABASE));
    try {
      setUp(database, join(folder, DATABASE));
      const files = identitiesIn(folder);
      if (!areSame(files, { ...agreed, log: agreed.log ?? files.log }))
        throw new InUse("its files were replaced just now");
      makePrivate(join(folder, LOG));
      const connection = new Connection(folder, database, files);
      writeRecord(folder, recordOf(folder));
      return connection;
    } catch (error) {
      database.close();
      letGoOfClosed();
      throw error;
    }
  }

  /** Whether all files are still those on disk. */
  isWhole(): boolean {
    return this.#isFolderUntouched() || this.look();
  }

  /** The same, looking at each file in any case. */
  look(): boolean {
    this.lookedAt = performance.now();
    // First the folder: what happens after that changes its time.
    const seen = statusOf(this.#folder);
    const isWhole = areSame(identitiesIn(this.#folder), this.#files);
    this.#seen = isWhole && seen && Date.now() - seen.mtimeMs > SETTLED ? seen : undefined;
    return isWhole;
  }

  /** Since it was last seen nothing in it was removed, made or renamed. */
  #isFolderUntouched(): boolean {
    if (!this.#seen) return false;
    const now = statusOf(this.#folder);
    return now?.mtimeMs === this.#seen.mtimeMs && now.ino === this.#seen.ino && now.dev === this.#seen.dev;
  }

  /**
   * Lets go of files that are not all on disk any more, so that others do, too, and all begin anew with what is there.
   * Answers what to tell somebody.
   *
   * @throws what `isBusy` recognises while the log cannot be moved yet
   */
  abandon(): string {
    const { database, log, index } = identitiesIn(this.#folder);
    const file = join(this.#folder, DATABASE);
    let message = `The database ${file} was removed or replaced while in use: its sessions are over.`;
    if (database === this.#files.database) {
      this.#isSaved = log === this.#files.log || this.#saveLog();
      const what = this.#isSaved ? "nothing is lost" : "what was changed since the log was last moved may be lost";
      message = `The log of the database ${file}, or the log's index, was removed or replaced while in use: ${what}. ${ADVICE}`;
      forgetRecord(this.#folder);
    } else {
      // For whoever moved it away, it is whole.
      attempt(() => moveLog(this.database));
      if (log === this.#files.log) this.#remove(LOG);
    }
    // Nobody must find ours any more: neither who opens this database next, nor who opens the one in its place.
    if (index === this.#files.index) this.#remove(INDEX);
    this.close();
    letGoOfClosed();
    return message;
  }

  /** Once it was abandoned: whether all that was written by it is in files that others find. */
  get isSaved(): boolean {
    return this.#isSaved;
  }

  get statements(): ReturnType<typeof prepare> {
    if (!this.#statements) throw new Error("The connection was closed.");
    return this.#statements;
  }

  /** A second time does nothing. */
  close(): void {
    if (!this.#statements) return;
    // Whoever still holds the connection must not hold them (see letGoOfClosed).
    this.#statements = undefined;
    this.database.close();
  }

  /**
   * What was committed to a log that is not on disk any more goes into the database. Not if another index stands in the
   * place of ours, or another log with changes without one: then another program has just begun to use the database as
   * it is without these changes, and whole pages of both would be mixed.
   */
  #saveLog(): boolean {
    const { log, index } = identitiesIn(this.#folder);
    if (index !== this.#files.index && (index !== undefined || sizeOf(this.#folder, LOG))) return false;
    if (!moveLog(this.database)) throw new InUse("its log cannot be moved into the database yet");
    // Beside our index it is nobody's.
    if (log !== undefined && index === this.#files.index) this.#remove(LOG);
    return true;
  }

  #remove(name: string): void {
    rmSync(join(this.#folder, name), { force: true });
  }
}

function attempt(work: () => unknown): void {
  try {
    work();
  } catch {
    // The files are gone for us in any case.
  }
}
