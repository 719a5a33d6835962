/** The files of the database: which they are, which of them belong together, and how cleaners are kept away. */
import { chmodSync, closeSync, openSync, readFileSync, rmSync, statSync, utimesSync, writeFileSync } from "node:fs";
import { join } from "node:path";

export const DATABASE = "sessions.db";
/** SQLite keeps two files beside it: the write-ahead log, and the index of that log, which all processes share. */
export const LOG = `${DATABASE}-wal`;
export const INDEX = `${DATABASE}-shm`;
/** Ours: which index goes with which database. */
const RECORD = "sessions.files";
export const IGNORE = ".gitignore";

/** Ends each warning about files that somebody removed or replaced. */
export const ADVICE = "Keep programs that clean up or restore away from this folder while the application runs.";

/** All that there may be of ours in the folder. */
export const FILES: readonly string[] = [DATABASE, LOG, INDEX, RECORD, IGNORE];

/** Device and inode of each; nothing where there is no such file. While somebody has a file open, no other gets its identity. */
export interface Identities {
  readonly database: string | undefined;
  readonly log: string | undefined;
  readonly index: string | undefined;
}

export function identitiesIn(folder: string): Identities {
  return { database: identityOf(folder, DATABASE), log: identityOf(folder, LOG), index: identityOf(folder, INDEX) };
}

export function areSame(one: Identities, other: Identities): boolean {
  return one.database === other.database && one.log === other.log && one.index === other.index;
}

function identityOf(folder: string, name: string): string | undefined {
  const found = statusOf(folder, name);
  return found && `${found.dev}:${found.ino}`;
}

/** Bytes; nothing where there is no such file. */
export function sizeOf(folder: string, name: string): number | undefined {
  return statusOf(folder, name)?.size;
}

/** Milliseconds since the file was made; where the file system does not keep that, since it was last changed. */
export function ageOf(folder: string, name: string): number {
  const { birthtimeMs = 0, ctimeMs = 0 } = statusOf(folder, name) ?? {};
  return Date.now() - (birthtimeMs || ctimeMs);
}

/** Of the folder itself, if no name is given. */
export function statusOf(folder: string, name = "") {
  try {
    return statSync(join(folder, name), { throwIfNoEntry: false });
  } catch (error) {
    // The folder is a file now.
    if ((error as NodeJS.ErrnoException).code === "ENOTDIR") return undefined;
    throw error;
  }
}

/**
 * Which files go together, as whoever had the database for himself left them, and as those know who opened it since.
 * Behind each identity stands when that file was made, if the system keeps that: what nobody has open any more may have
 * passed its identity on to another file.
 */
export interface FileRecord extends Partial<Identities> {}

/** As they are now. */
export function recordOf(folder: string): FileRecord {
  const { birthtimeMs = 0, ctimeMs = 0 } = statusOf(folder, "") ?? {};
  // A system that answers one for the other would answer another one tomorrow.
  const isKept = birthtimeMs > 0 && birthtimeMs !== ctimeMs;
  const recordedOf = (name: string) => {
    const found = statusOf(folder, name);
    return found && `${found.dev}:${found.ino}${isKept ? ` made ${found.birthtimeMs}` : ""}`;
  };
  return { database: recordedOf(DATABASE), log: recordedOf(LOG), index: recordedOf(INDEX) };
}

/** Whether both are there, and nothing speaks against it that they are one file. */
export function mayBeOne(one: string | undefined, other: string | undefined): boolean {
  if (one === undefined || other === undefined) return false;
  return one === other || one.startsWith(`${other} `) || other.startsWith(`${one} `);
}

/** Whether they are one file for certain. */
export function areOne(one: string | undefined, other: string | undefined): boolean {
  return one !== undefined && one === other && one.includes(" ");
}

export function readRecord(folder: string): FileRecord | undefined {
  try {
    const { database, log, index } = JSON.parse(readFileSync(join(folder, RECORD), "utf8"));
    return { database, log, index };
  } catch {
    // Missing, or half written by another process at this moment: then nothing is known.
    return undefined;
  }
}

export function writeRecord(folder: string, record: FileRecord): void {
  const file = join(folder, RECORD);
  makePrivateFile(file);
  writeFileSync(file, `${JSON.stringify(record)}\n`);
}

export function forgetRecord(folder: string): void {
  rmSync(join(folder, RECORD), { force: true });
}

/**
 * Makes the file if it is missing, and makes it private.
 *
 * An existing file is not opened: closing it again would drop the locks that this process holds on it through its
 * other connections, and another process would then remove a log that is in use (sqlite.org/howtocorrupt.html, 2.2).
 */
export function makePrivateFile(file: string): void {
  try {
    closeSync(openSync(file, "wx", 0o600));
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "EEXIST") throw error;
  }
  makePrivate(file);
}

/** For us alone; and the sticky bit, which does nothing else to a file, tells systemd-tmpfiles not to remove it by age. */
export function makePrivate(file: string): void {
  if (process.platform === "win32") return;
  try {
    chmodSync(file, 0o1600);
  } catch {
    // Some systems have no such bit for files.
    chmodSync(file, 0o600);
  }
}

/** For cleaners that go by age alone: an index in use looks unused for ever where memory is its disk. */
export function refreshTimes(folder: string): void {
  const now = new Date();
  for (const name of FILES) {
    if (statusOf(folder, name)) utimesSync(join(folder, name), now, now);
  }
}
