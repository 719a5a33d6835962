/** Drops what has expired and gives the room back, in steps that hold the event loop for a few milliseconds. */
import { setImmediate as yieldToLoop } from "node:timers/promises";
import type { Connection } from "./connection.js";
import { inSmallPieces } from "./database.js";

/** Does one step, and answers what it answers; waits where another process holds the lock. */
type Run = <T>(step: (connection: Connection) => T) => Promise<T>;

/** Most records dropped, or pages given back, in one step, and in the first one. */
const MOST = 25;
const FIRST = 10;
/** What one step should take: large records, whose every page is overwritten, go in smaller steps. Milliseconds. */
const AIM = 2;

/** So much free room stays in the file for what comes: this many pages (of 4 KB), or a part of all, if that is more. */
const SPARE_PAGES = 256;
const SPARE_PART = 1 / 4;

/**
 * Answers how many records were dropped.
 *
 * @param now what ends by then has expired, in milliseconds since 1970
 */
export async function prune(run: Run, now: number): Promise<number> {
  let dropped = 0;
  await inSteps(async (limit) => {
    const { filed, gone } = await run((connection) => drop(connection, now, limit));
    dropped += gone;
    // What was due and still lives is filed anew, so what is left of the first records that are due has expired.
    return filed + gone === limit;
  });
  await inSteps((limit) => run((connection) => giveBack(connection, limit)));
  return dropped;
}

/** @param step answers whether there is more to do */
async function inSteps(step: (limit: number) => Promise<boolean>): Promise<void> {
  for (let limit = FIRST; ; ) {
    const start = performance.now();
    if (!(await step(limit))) return;
    limit = Math.max(1, Math.min(MOST, Math.floor((limit * AIM) / (performance.now() - start))));
    await yieldToLoop();
  }
}

function drop({ database, statements: { file, prune } }: Connection, now: number, limit: number) {
  return inSmallPieces(database, () => {
    const filed = Number(file.run(now, limit).changes);
    return { filed, gone: Number(prune.run(now, limit).changes) };
  });
}

/** Moves pages from the end of the file to where room is free. Answers whether there is more of it than should stay. */
function giveBack({ database, statements: { room } }: Connection, limit: number): boolean {
  const { free, pages } = room.get() as Record<"free" | "pages", number>;
  const spare = Math.floor(free - Math.max(SPARE_PAGES, pages * SPARE_PART));
  if (spare <= 0) return false;
  inSmallPieces(database, () => database.exec(`PRAGMA incremental_vacuum(${Math.min(spare, limit)})`));
  // Of a file that somebody made anew with other options nothing can be given back.
  return (room.get() as { free: number }).free < free;
}
