import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { monitorEventLoopDelay } from "node:perf_hooks";
import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, expect, test } from "@jest/globals";
import { LocalBackend } from "../../lib/backends/local.js";
import { loadEngine } from "../../lib/backends/sqlite.js";
import { isFull } from "../support/redis-server.js";

const STORED = isFull ? 1_000_000 : 20_000;
const EXPIRED = STORED / 10;
/** Over the idle loop's delay of the same run, each the 99th percentile; a short run has room for busy machines. Milliseconds. */
const HELD = isFull ? 10 : 25;
/** To fill it. Milliseconds. */
const PATIENCE = 300_000;

const now = Date.now();
const opened: Array<{ backend: LocalBackend; path: string }> = [];

afterAll(async () => {
  for (const { backend, path } of opened) {
    await backend.close();
    rmSync(path, { recursive: true, force: true });
  }
});

/** Records of 300 bytes under random keys, the expired ones scattered among the live. */
async function open(stored: number, expired: number): Promise<LocalBackend> {
  const path = mkdtempSync(join(tmpdir(), "prune-spec-"));
  const backend = new LocalBackend({ path }, { now: () => now, timeout: 5000, warn: () => {} });
  opened.push({ backend, path });
  await backend.open();
  const engine = await loadEngine();
  const database = engine(join(path, "sessions.db"));
  database.exec(`
    PRAGMA synchronous = OFF;
    WITH RECURSIVE numbers (n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM numbers WHERE n < ${stored - 1})
    INSERT INTO records (key, value, version, expires)
    SELECT 'session:' || hex(randomblob(16)), printf('%.*c', 300, 'x'), hex(randomblob(12)),
      iif(n % ${stored / expired} = 0, ${now - 100_000}, ${now + 100_000}) + abs(random() % 90000) FROM numbers;
    PRAGMA wal_checkpoint(TRUNCATE);
  `);
  database.close();
  return backend;
}

async function timed<T>(work: () => Promise<T>): Promise<{ result: T; took: number; delay: number }> {
  const monitor = monitorEventLoopDelay({ resolution: 1 });
  monitor.enable();
  await sleep(20);
  monitor.reset();
  const start = performance.now();
  const result = await work();
  const took = performance.now() - start;
  monitor.disable();
  return { result, took, delay: monitor.percentile(99) / 1e6 };
}

test(
  `prune of ${EXPIRED} among ${STORED} records holds the loop at most ${HELD} ms above the idle baseline`,
  async () => {
    const backend = await open(STORED, EXPIRED);
    const idle = await timed(() => sleep(isFull ? 5000 : 500));
    const pruning = await timed(() => backend.prune());
    expect(pruning.result).toBe(EXPIRED);
    expect(pruning.delay - idle.delay).toBeLessThan(HELD);
    if (isFull) {
      const [held, base] = [pruning.delay, idle.delay].map((delay) => delay.toFixed(1));
      console.log(
        `prune of ${EXPIRED} among ${STORED}: ${pruning.took.toFixed(0)} ms; p99 ${held} ms, idle ${base} ms`,
      );
    }
  },
  PATIENCE,
);

test(
  "prune takes time by what has expired, not by what is stored",
  async () => {
    const [few, many] = [await open(STORED / 10, EXPIRED / 10), await open(STORED, EXPIRED / 10)];
    const [amongFew, amongMany] = [await timed(() => few.prune()), await timed(() => many.prune())];
    expect([amongFew.result, amongMany.result]).toEqual([EXPIRED / 10, EXPIRED / 10]);
    // By the stored, it would be ten times.
    expect(amongMany.took).toBeLessThan(4 * amongFew.took);
    if (isFull) console.log(`among a tenth ${amongFew.took.toFixed(0)} ms, among all ${amongMany.took.toFixed(0)} ms`);
  },
  PATIENCE,
);
