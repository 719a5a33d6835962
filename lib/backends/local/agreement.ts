/**
 * Before a database is opened: that all who use it share one index of its log.
 *
 * SQLite's processes find each other by the names of the log and its index alone. Once the index was removed, whoever
 * opens next makes another one, and from then on two groups write into one log, each over the other's changes. So
 * here a new index is made only by whoever has the database for himself, which its own lock proves.
 */
import { rmSync, truncateSync } from "node:fs";
import { join } from "node:path";
import { lockForOneself, refuseForeign } from "./database.js";
import {
  ADVICE,
  ageOf,
  areOne,
  DATABASE,
  type Identities,
  INDEX,
  identitiesIn,
  LOG,
  makePrivateFile,
  mayBeOne,
  readRecord,
  recordOf,
  sizeOf,
  writeRecord,
} from "./files.js";
import { type Database, InUse, isBusy, type OpenDatabase } from "./sqlite.js";

/** By then each of our processes has seen that a file was removed or replaced: it looks once a second. Milliseconds. */
const SEEN_BY_ALL = 3000;

/**
 * Answers the files that may be opened. They must be looked at again when they are open.
 *
 * @throws TokenizerError `STORE_UNUSABLE` for another program's database; the engine's own errors; one that `isBusy`
 *   recognises while others use the database with files that are not there any more
 */
export function agreeOnFiles(folder: string, engine: OpenDatabase, warn: (message: string) => void): Identities {
  const found = identitiesIn(folder);
  if (found.log !== undefined && isAgreed(folder)) return found;
  const file = join(folder, DATABASE);
  const database = engine(file);
  try {
    if (isAlone(database, isEmpty(folder))) {
      dropLogOfFormer(folder, warn);
      refuseForeign(database, file);
      if (found.log === undefined) warnOfRemovedLog(folder, warn);
      if (!isAgreed(folder)) agree(folder);
    } else joinOthers(folder);
  } finally {
    database.close();
  }
  return identitiesIn(folder);
}

function isAgreed(folder: string): boolean {
  const [known, now] = [readRecord(folder), recordOf(folder)];
  // Until somebody has opened it, there is no log.
  const isLog = known?.log === undefined || mayBeOne(known.log, now.log);
  return isLog && mayBeOne(known?.database, now.database) && mayBeOne(known?.index, now.index);
}

/** SQLite itself once made files of one byte, so it takes that for empty. */
function isEmpty(folder: string): boolean {
  return (sizeOf(folder, DATABASE) ?? 0) < 2;
}

function isAlone(database: Database, isEmpty: boolean): boolean {
  try {
    lockForOneself(database, isEmpty);
    return true;
  } catch (error) {
    if (isBusy(error)) return false;
    throw error;
  }
}

/** The name of the old index may still be in use by those who have a database open that stood here before. */
function agree(folder: string): void {
  rmSync(join(folder, INDEX), { force: true });
  makePrivateFile(join(folder, INDEX));
  const { database, index } = recordOf(folder);
  writeRecord(folder, { database, index });
}

/**
 * Somebody put another database in the place of ours, a backup perhaps, and left the log where it was. SQLite would
 * write the changes of the one into the other: whole pages, which is the end of it.
 */
function dropLogOfFormer(folder: string, warn: (message: string) => void): void {
  const [known, now] = [readRecord(folder), recordOf(folder)];
  if (!sizeOf(folder, LOG) || !areOne(known?.log, now.log) || mayBeOne(known?.database, now.database)) return;
  truncateSync(join(folder, LOG));
  warn(
    `The database ${join(folder, DATABASE)} was replaced, and its log was not. The log was emptied: its changes were those of the former database.`,
  );
  // Whoever locked the database has read the log already.
  throw new InUse("its log was that of another database");
}

/** SQLite removes the index before the log, so one that is there without was left alone. One that was never used is empty. */
function warnOfRemovedLog(folder: string, warn: (message: string) => void): void {
  const [known, now] = [readRecord(folder), recordOf(folder)];
  const isLeft = mayBeOne(known?.database, now.database) && mayBeOne(known?.index, now.index);
  if (!isLeft || !sizeOf(folder, INDEX)) return;
  warn(
    `The log of the database ${join(folder, DATABASE)} was removed while nobody used it: the last changes before that are lost. ${ADVICE}`,
  );
}

/** Others use the database, among them perhaps one of us who has not seen yet that files were removed or replaced. */
function joinOthers(folder: string): void {
  const [known, now] = [readRecord(folder), recordOf(folder)];
  const isSeen = ageOf(folder, INDEX) > SEEN_BY_ALL && (!known || mayBeOne(known.database, now.database));
  if (now.log === undefined || now.index === undefined || !(isAgreed(folder) || isSeen)) {
    throw new InUse(
      "another process uses it with files that were removed or replaced since. It lets go of them within a second, unless it stands still, or is another program: then end it",
    );
  }
  writeRecord(folder, now);
}
