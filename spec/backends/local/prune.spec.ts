import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { monitorEventLoopDelay } from "node:perf_hooks";
import { setImmediate as nextTurn } from "node:timers/promises";
import { afterAll, expect, test } from "@jest/globals";
import { LocalBackend } from "../../../lib/backends/local/backend.js";
import { loadEngine } from "../../../lib/backends/local/sqlite.js";
import { cpuTime } from "../../support/cpu.js";
import { isFull } from "../../support/redis-server.js";

const STORED = isFull ? 1_000_000 : 20_000;
const EXPIRED = STORED / 10;
/** Records that one turn of the loop drops at most. */
const STEP_LIMIT = 25;

/** A machine's noise only ever adds: the quietest of this many rounds is the nearest to what prune itself takes. */
const ROUNDS = 5;

const start = Date.now();
/** So long lies between the ends of one round's records and the next. Milliseconds. */
const STEP = 100_000;
let now = start;
const opened: Array<{ backend: LocalBackend; path: string }> = [];

afterAll(async () => {
  for (const { backend, path } of opened) {
    await backend.close();
    rmSync(path, { recursive: true, force: true });
  }
});

/** Records of 300 bytes under random keys; those that expire, an equal part in each round, scattered among the others. */
async function open(stored: number, expiring: number): Promise<LocalBackend> {
  const path = mkdtempSync(join(tmpdir(), "prune-spec-"));
  const backend = new LocalBackend({ path }, { now: () => now, timeout: 5000, warn: () => {} });
  opened.push({ backend, path });
  await backend.open();
  const engine = await loadEngine();
  const database = engine(join(path, "sessions.db"));
  database.exec(`
    PRAGMA synchronous = OFF;
    WITH RECURSIVE numbers (n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM numbers WHERE n < ${stored - 1})
    INSERT INTO records (key, value, version, expires, due)
    SELECT 'session:' || hex(randomblob(16)), printf('%.*c', 300, 'x'), hex(randomblob(12)), expires, expires
      FROM (SELECT ${start} + ${STEP} * iif(n % ${stored / expiring} = 0, n / ${stored / expiring} % ${ROUNDS}, ${ROUNDS + 1}) + abs(random() % ${STEP - 10_000}) AS expires FROM numbers);
    PRAGMA wal_checkpoint(TRUNCATE);
  `);
  database.close();
  return backend;
}

/** Of each round, counted from 1: once its records have expired. */
const atRound = (round: number) => start + round * STEP - 5000;

const quietest = (times: readonly number[]) => Math.min(...times);

const told = (times: readonly number[]) => times.map((time) => time.toFixed(1)).join(", ");

test(`prune of ${EXPIRED} among ${STORED} records gives the loop a turn after each ${STEP_LIMIT}`, async () => {
  now = start;
  const backend = await open(STORED, EXPIRED);
  for (let round = 1; round <= ROUNDS; round += 1) {
    now = atRound(round);
    let turns = 0;
    let isOver = false;
    const turning = (async () => {
      for (; !isOver; turns++) await nextTurn();
    })();
    const delay = monitorEventLoopDelay({ resolution: 1 });
    delay.enable();
    expect(await backend.prune()).toBe(EXPIRED / ROUNDS);
    delay.disable();
    isOver = true;
    await turning;
    expect(turns).toBeGreaterThanOrEqual(EXPIRED / ROUNDS / STEP_LIMIT);
    if (isFull) console.log(`The loop was held for (99th percentile, ms): ${(delay.percentile(99) / 1e6).toFixed(1)}`);
  }
});

test("prune takes time by what has expired, not by what is stored", async () => {
  now = start;
  const [few, many] = [await open(STORED / 10, EXPIRED / 10), await open(STORED, EXPIRED / 10)];
  const [amongFew, amongMany]: [number[], number[]] = [[], []];
  for (let round = 1; round <= ROUNDS; round += 1) {
    now = atRound(round);
    for (const [backend, times] of [
      [few, amongFew],
      [many, amongMany],
    ] as const) {
      const before = cpuTime();
      expect(await backend.prune()).toBe(EXPIRED / 10 / ROUNDS);
      times.push(cpuTime() - before);
    }
  }
  // By the stored, it would be ten times.
  expect(quietest(amongMany)).toBeLessThan(4 * quietest(amongFew));
  if (isFull) console.log(`CPU among a tenth, ms: ${told(amongFew)}; among all: ${told(amongMany)}`);
});
