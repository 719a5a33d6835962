/** The database of the local backend: recognised or made, and its statements. */
import { statSync } from "node:fs";
import { TokenizerError } from "../../errors.js";
import { type Database, damage, isConstraint } from "./sqlite.js";

/** Written into the file's header, so that another program's database is never taken for ours: "tokn". */
const APPLICATION_ID = 0x746f6b6e;

/** How long SQLite itself may wait for a lock. It blocks the event loop while it waits, so: hardly. Milliseconds. */
const BUSY_TIMEOUT = 5;

/**
 * Pages of the log that are moved into the database at once; whose write fills it does that, on the loop. Each time costs
 * a flush of the disk. Measured with 2,000 and with 300,000 records: SQLite's own 1000 hold the loop for 12 to 27 ms, 100
 * for 4 to 5 and 200 for 5 to 7, and a write costs a fifth less than with 100.
 */
const CHECKPOINT_PAGES = 200;

/** While pruning, which writes many pages at once: with 200 the loop was held for 10 ms and more, with 100 for 5 to 7. */
const PRUNING_CHECKPOINT_PAGES = 100;

/** What the log may keep of its size once it begins anew: a reader that stayed long made it grow. Bytes. */
const LOG_LIMIT = 1024 * 1024;

/** Rises when an older release could not use the tables. 2: room can be given back (auto_vacuum). */
const TABLES_VERSION = 2;

/**
 * `due` is when `prune` looks at a record, and never later than its end. A record whose end moves on stays filed as it
 * is until then: moving it in the index each time writes three pages instead of one (measured: twice the time).
 */
const SCHEMA = `
  CREATE TABLE IF NOT EXISTS records (
    key TEXT NOT NULL PRIMARY KEY, value TEXT NOT NULL, version TEXT NOT NULL, expires INTEGER NOT NULL, due INTEGER NOT NULL
  );
  CREATE INDEX IF NOT EXISTS records_due ON records (due);
`;

/**
 * Makes the tables if the file is new.
 *
 * @throws TokenizerError `STORE_UNUSABLE` for another program's or release's database; the engine's own errors
 */
export function setUp(database: Database, file: string): void {
  // Before journal_mode, or several processes that start together meet a locked database.
  database.exec(`PRAGMA busy_timeout = ${BUSY_TIMEOUT}`);
  refuseForeign(database, file);
  refuseTruncated(database, file);
  // With WAL, NORMAL keeps what was committed through the death of the process (sqlite.org/pragma.html#pragma_synchronous).
  database.exec("PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL; PRAGMA secure_delete = ON;");
  database.exec(`PRAGMA journal_size_limit = ${LOG_LIMIT}`);
  checkpointEach(database, CHECKPOINT_PAGES);
  const { application_id: id } = database.prepare("PRAGMA application_id").get() as { application_id: number };
  if (id === APPLICATION_ID) {
    refuseOtherRelease(database, file);
    return;
  }
  const marks = `PRAGMA application_id = ${APPLICATION_ID}; PRAGMA user_version = ${TABLES_VERSION};`;
  database.exec(`BEGIN IMMEDIATE; ${SCHEMA} ${marks} COMMIT;`);
}

/**
 * Until it is closed, nobody else can use the database. The index of the log is then in this connection's own memory.
 *
 * @param isEmpty whether there is nothing in the file yet: its first page will say that room can be given back
 * @throws what `isBusy` recognises when somebody uses it
 */
export function lockForOneself(database: Database, isEmpty: boolean): void {
  if (isEmpty) database.exec("PRAGMA auto_vacuum = INCREMENTAL");
  database.exec(`PRAGMA busy_timeout = ${BUSY_TIMEOUT}; PRAGMA locking_mode = EXCLUSIVE; BEGIN EXCLUSIVE; COMMIT;`);
}

/**
 * A new file gets tables and id in one transaction, so whoever sees our tables sees the id, too. The question is put
 * as a condition of a table: a statement with an answer would keep libsql from closing the file.
 *
 * @throws TokenizerError `STORE_UNUSABLE`
 */
export function refuseForeign(database: Database, file: string): void {
  try {
    database.exec(`
      CREATE TEMP TABLE IF NOT EXISTS known (is_ours CHECK (is_ours));
      INSERT INTO known
        SELECT application_id = ${APPLICATION_ID} OR NOT EXISTS (SELECT 1 FROM sqlite_schema) FROM pragma_application_id;
    `);
  } catch (error) {
    if (!isConstraint(error)) throw error;
    throw new TokenizerError(
      "STORE_UNUSABLE",
      `${file} belongs to another program. Name another folder in tokenizer.path.`,
    );
  }
}

function refuseOtherRelease(database: Database, file: string): void {
  const { user_version: version } = database.prepare("PRAGMA user_version").get() as { user_version: number };
  if (version === TABLES_VERSION) return;
  throw new TokenizerError(
    "STORE_UNUSABLE",
    `${file} was made by another release of express-tokenizer, which keeps its tables otherwise. Use that release, or name another folder in tokenizer.path (everybody signs in again).`,
  );
}

/**
 * SQLite meets missing pages only when it needs them, which may be much later. In a transaction, as of whose beginning
 * all pages are in the file or in the log, though others give room back.
 */
function refuseTruncated(database: Database, file: string): void {
  database.exec("BEGIN");
  try {
    const { page_count: count } = database.prepare("PRAGMA page_count").get() as { page_count: number };
    const { page_size: page } = database.prepare("PRAGMA page_size").get() as { page_size: number };
    const logged = statSync(`${file}-wal`, { throwIfNoEntry: false })?.size ?? 0;
    if (logged === 0 && statSync(file).size < count * page) throw damage("pages are missing");
  } finally {
    database.exec("COMMIT");
  }
}

function checkpointEach(database: Database, pages: number): void {
  database.exec(`PRAGMA wal_autocheckpoint = ${pages}`);
}

/** Does a step of pruning, after which the log is moved into the database in smaller pieces. */
export function inSmallPieces<T>(database: Database, step: () => T): T {
  checkpointEach(database, PRUNING_CHECKPOINT_PAGES);
  try {
    return step();
  } finally {
    checkpointEach(database, CHECKPOINT_PAGES);
  }
}

/** Moves what was committed to the log into the database, as far as nobody still reads what was before. Answers whether that is all. */
export function moveLog(database: Database): boolean {
  const { busy, log, checkpointed } = database.prepare("PRAGMA wal_checkpoint(PASSIVE)").get() as Record<
    string,
    number
  >;
  return busy === 0 && checkpointed === log;
}

/** Moves what the write-ahead log holds into the database. Left to the next who opens it while others use it. */
export function emptyLog(database: Database): void {
  database.prepare("PRAGMA wal_checkpoint(TRUNCATE)").get();
}

/** All statements, once for each connection. */
export function prepare(database: Database) {
  // What is no time cannot be answered as a number by every engine; as null it is recognised, and passed over.
  const expires = "iif(expires BETWEEN 0 AND 8640000000000000, expires, NULL) AS expires";
  const put = "INSERT INTO records (key, value, version, expires, due) VALUES (?1, ?2, ?3, ?4, ?4) ON CONFLICT (key)";
  const over =
    "DO UPDATE SET value = excluded.value, version = excluded.version, expires = excluded.expires, due = excluded.due";
  const isThere = "key = ?4 AND version = ?5 AND expires > ?6";
  const due = "FROM records WHERE due <= ?1 ORDER BY due LIMIT ?2";
  return {
    begin: database.prepare("BEGIN IMMEDIATE"),
    commit: database.prepare("COMMIT"),
    rollback: database.prepare("ROLLBACK"),
    read: database.prepare(`SELECT value, version, ${expires} FROM records WHERE key = ? AND records.expires > ?`),
    put: database.prepare(`${put} ${over}`),
    add: database.prepare(`${put} ${over} WHERE records.expires <= ?5`),
    replace: database.prepare(
      `UPDATE records SET value = ?1, version = ?2, expires = ?3 WHERE ${isThere} AND due <= ?3`,
    ),
    // For an end that comes earlier than the record is due.
    replaceSooner: database.prepare(
      `UPDATE records SET value = ?1, version = ?2, expires = ?3, due = ?3 WHERE ${isThere}`,
    ),
    touch: database.prepare(
      "UPDATE records SET expires = max(expires, ?1) WHERE key = ?2 AND version = ?3 AND expires > ?4",
    ),
    remove: database.prepare("DELETE FROM records WHERE key = ? AND expires > ?"),
    page: database.prepare(
      `SELECT key, value, version, ${expires} FROM records WHERE key > ? AND records.expires > ? ORDER BY key LIMIT ?`,
    ),
    file: database.prepare(`UPDATE records SET due = expires WHERE rowid IN (SELECT rowid ${due}) AND expires > ?1`),
    room: database.prepare(
      "SELECT freelist_count AS free, page_count AS pages FROM pragma_freelist_count, pragma_page_count",
    ),
    prune: database.prepare(`DELETE FROM records WHERE rowid IN (SELECT rowid ${due}) AND expires <= ?1`),
  };
}
