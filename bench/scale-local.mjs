// The local backend at one number of sessions, in a process of its own: `node scale-local.mjs FOLDER SESSIONS [fill]`.
import { createHistogram, monitorEventLoopDelay } from "node:perf_hooks";
import { setTimeout as sleep } from "node:timers/promises";
import { LocalBackend } from "../dist/backends/local/backend.js";
import { loadEngine } from "../dist/backends/local/sqlite.js";
import { storageKey } from "../dist/session-id.js";

/** Calls of each kind in one round. */
const CALLS = 2000;
/** A tenth of the sessions is pruned at once, but no more: as many as end in one minute of 17,000 requests a second. */
const MOST_PRUNED = 20_000;
const HOUR = 3_600_000;

const [folder, sessions, task] = process.argv.slice(2);
const count = Number(sessions);
const file = `${folder}/sessions.db`;
const begin = Date.now();
const now = begin;

/** As much as our store keeps of the session that server.mjs makes. */
const head = JSON.stringify({ created: begin, v: 2 });
const body = JSON.stringify({ visits: 0, name: "ada", cart: ["bread", "butter"], text: "x".repeat(300) });
const value = `${head}\n${body}`;
const keyOf = (n) => storageKey(`session ${n}`);
const versionOf = (n) => `version-${String(n).padStart(16, "0")}`;
const someSession = () => Math.floor(Math.random() * count);

const backend = new LocalBackend({ path: folder }, { now: () => now, timeout: 60_000, warn: console.error });
await backend.open();
if (task === "fill") {
  await fill();
  await backend.close();
  process.exit();
}

const started = process.memoryUsage.rss();
const database = (await loadEngine())(file);
const versions = new Map();
const versionNow = (n) => versions.get(n) ?? versionOf(n);
let writes = 0;
let touches = 0;

const tasks = {
  read: () => timed((n) => backend.read(keyOf(n))),
  // Each later than all before it: one that moves nothing would cost less.
  touch: () => timed((n) => backend.touch(keyOf(n), begin + 2 * HOUR + ++touches, versionNow(n))),
  write: () =>
    timed((n) => {
      const version = versionNow(n);
      const next = versionOf(count + ++writes);
      versions.set(n, next);
      return backend.write(keyOf(n), { value, version: next, expires: begin + 2 * HOUR }, { version });
    }),
  prune,
  end: async () => {
    const { rss } = process.memoryUsage();
    database.close();
    await backend.close();
    return { started, rss };
  },
};
process.on("message", async (name) => process.send(await tasks[name]()));
process.once("disconnect", () => process.exit());
process.send("ready");

/** In one transaction, with room for the pages that random keys come back to. */
async function fill() {
  const filling = (await loadEngine())(file);
  filling.exec("PRAGMA synchronous = OFF; PRAGMA wal_autocheckpoint = 100000; PRAGMA cache_size = -1000000; BEGIN");
  const insert = filling.prepare("INSERT INTO records (key, value, version, expires, due) VALUES (?1, ?2, ?3, ?4, ?4)");
  for (let n = 0; n < count; n++) {
    insert.run(keyOf(n), value, versionOf(n), begin + HOUR + (n % HOUR));
    if (n % 100_000 === 99_999) process.stderr.write(`${n + 1} sessions filled in\n`);
  }
  filling.exec("COMMIT; PRAGMA synchronous = FULL; PRAGMA wal_checkpoint(TRUNCATE)");
  filling.close();
}

/** Microseconds of each call, on sessions at random. */
async function timed(work) {
  const times = createHistogram();
  const start = performance.now();
  for (let call = 0; call < CALLS; call++) {
    const n = someSession();
    const before = process.hrtime.bigint();
    if (!(await work(n))) throw new Error("A session was not there.");
    times.record(process.hrtime.bigint() - before);
  }
  const mean = ((performance.now() - start) * 1000) / CALLS;
  return { mean, p50: times.percentile(50) / 1000, p99: times.percentile(99) / 1000 };
}

/** Sessions at random end, are pruned, and are put back, so that every round finds as many as the first. */
async function prune() {
  const ending = new Set();
  while (ending.size < Math.min(count / 10, MOST_PRUNED)) ending.add(someSession());
  const end = database.prepare("UPDATE records SET expires = ?1, due = ?1 WHERE key = ?2");
  inTransaction(() => {
    for (const n of ending) end.run(now - 1 - (n % 1000), keyOf(n));
  });
  const atRest = await watched(() => sleep(200));
  const { result: dropped, took, delay, longest } = await watched(() => backend.prune());
  if (dropped !== ending.size) throw new Error(`${dropped} pruned instead of ${ending.size}`);
  const { took: nothing } = await watched(() => backend.prune());
  const put = database.prepare("INSERT INTO records (key, value, version, expires, due) VALUES (?1, ?2, ?3, ?4, ?4)");
  inTransaction(() => {
    for (const n of ending) put.run(keyOf(n), value, versionNow(n), begin + HOUR);
  });
  return { each: (took * 1000) / dropped, dropped, nothing: nothing * 1000, delay, longest, idle: atRest.delay };
}

/** How long it took, and the loop's delay meanwhile: the 99th percentile and the longest. Milliseconds. */
async function watched(work) {
  const monitor = monitorEventLoopDelay({ resolution: 1 });
  monitor.enable();
  await sleep(20);
  monitor.reset();
  const start = performance.now();
  const result = await work();
  const took = performance.now() - start;
  // The last turn, too.
  await sleep(2);
  monitor.disable();
  return { result, took, delay: monitor.percentile(99) / 1e6, longest: monitor.max / 1e6 };
}

/** On the disk when it is over, or the next checkpoint that is measured would wait for it. */
function inTransaction(work) {
  database.exec("PRAGMA synchronous = FULL; BEGIN IMMEDIATE");
  work();
  database.exec("COMMIT; PRAGMA wal_checkpoint(TRUNCATE)");
}
