/** The database of the local backend: recognised or made, and its statements. */
import { statSync } from "node:fs";
import { TokenizerError } from "../errors.js";
import { type Database, damage } from "./sqlite.js";

/** Written into the file's header, so that another program's database is never taken for ours: "tokn". */
const APPLICATION_ID = 0x746f6b6e;

/** How long SQLite itself may wait for a lock. It blocks the event loop while it waits, so: hardly. Milliseconds. */
const BUSY_TIMEOUT = 5;

/**
 * Pages of the log that are moved into the database at once; whose write fills it does that, on the loop. Measured with
 * 10,000 and with 1,000,000 records: SQLite's own 1000 hold the loop for 10 to 30 ms, 100 for 3, and a write costs the same.
 */
const CHECKPOINT_PAGES = 100;

const SCHEMA = `
  CREATE TABLE IF NOT EXISTS records (
    key TEXT NOT NULL PRIMARY KEY, value TEXT NOT NULL, version TEXT NOT NULL, expires INTEGER NOT NULL
  );
  CREATE INDEX IF NOT EXISTS records_expires ON records (expires);
`;

/**
 * Makes the tables if the file is new.
 *
 * @throws TokenizerError `STORE_UNUSABLE` for another program's database; the engine's own errors
 */
export function setUp(database: Database, file: string): void {
  // Before journal_mode, or several processes that start together meet a locked database.
  database.exec(`PRAGMA busy_timeout = ${BUSY_TIMEOUT}`);
  // Tables first: a new file gets both in one transaction, so whoever sees ours sees the id, too.
  const { tables } = database.prepare("SELECT count(*) AS tables FROM sqlite_schema").get() as { tables: number };
  const { application_id: id } = database.prepare("PRAGMA application_id").get() as { application_id: number };
  if (id !== APPLICATION_ID && tables > 0) {
    throw new TokenizerError(
      "STORE_UNUSABLE",
      `${file} belongs to another program. Name another folder in tokenizer.path.`,
    );
  }
  refuseTruncated(database, file);
  // With WAL, NORMAL keeps what was committed through the death of the process (sqlite.org/pragma.html#pragma_synchronous).
  database.exec("PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL; PRAGMA secure_delete = ON;");
  database.exec(`PRAGMA wal_autocheckpoint = ${CHECKPOINT_PAGES}`);
  if (id === APPLICATION_ID) return;
  database.exec(`BEGIN IMMEDIATE; ${SCHEMA} PRAGMA application_id = ${APPLICATION_ID}; COMMIT;`);
}

/**
 * SQLite meets missing pages only when it needs them, which may be much later. The count is asked first and the
 * log looked at next: what left the log since then is in the file, which never shrinks, so others may be writing.
 */
function refuseTruncated(database: Database, file: string): void {
  const { page_count: count } = database.prepare("PRAGMA page_count").get() as { page_count: number };
  const { page_size: page } = database.prepare("PRAGMA page_size").get() as { page_size: number };
  const logged = statSync(`${file}-wal`, { throwIfNoEntry: false })?.size ?? 0;
  if (logged > 0 || statSync(file).size >= count * page) return;
  throw damage("pages are missing");
}

/** Moves what the write-ahead log holds into the database. Left to the next who opens it while others use it. */
export function emptyLog(database: Database): void {
  database.prepare("PRAGMA wal_checkpoint(TRUNCATE)").get();
}

/** All statements, once for each connection. */
export function prepare(database: Database) {
  // What is no time cannot be answered as a number by every engine; as null it is recognised, and passed over.
  const expires = "iif(expires BETWEEN 0 AND 8640000000000000, expires, NULL) AS expires";
  const put = "INSERT INTO records (key, value, version, expires) VALUES (?, ?, ?, ?)";
  const over = "DO UPDATE SET value = excluded.value, version = excluded.version, expires = excluded.expires";
  return {
    read: database.prepare(`SELECT value, version, ${expires} FROM records WHERE key = ? AND records.expires > ?`),
    put: database.prepare(`${put} ON CONFLICT (key) ${over}`),
    add: database.prepare(`${put} ON CONFLICT (key) ${over} WHERE records.expires <= ?`),
    replace: database.prepare(
      "UPDATE records SET value = ?, version = ?, expires = ? WHERE key = ? AND version = ? AND expires > ?",
    ),
    touch: database.prepare("UPDATE records SET expires = ? WHERE key = ? AND expires > ?"),
    remove: database.prepare("DELETE FROM records WHERE key = ? AND expires > ?"),
    page: database.prepare(
      `SELECT key, value, version, ${expires} FROM records WHERE key > ? AND records.expires > ? ORDER BY key LIMIT ?`,
    ),
    prune: database.prepare(
      "DELETE FROM records WHERE key IN (SELECT key FROM records WHERE expires <= ? ORDER BY expires LIMIT ?)",
    ),
  };
}
