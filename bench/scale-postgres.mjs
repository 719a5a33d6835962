// The PostgreSQL backend at several numbers of sessions, a table for each: `node scale-postgres.mjs SIZES ROUNDS` with PG….
import { createHash } from "node:crypto";
import { PostgresBackend } from "../dist/backends/postgres/backend.js";
import { createStatements, tableOf } from "../dist/backends/postgres/table.js";
import { asAdmin } from "./postgres.mjs";
import { DATABASES } from "./rows.mjs";

/** Calls of each kind in one round. */
const CALLS = 1000;
/** A tenth of the sessions is pruned at once, but no more. */
const MOST_PRUNED = 20_000;
const HOUR = 3_600_000;

const [sizes, rounds] = process.argv.slice(2);
const now = Date.now();
/** As much as our store keeps of the session that server.mjs makes. */
const head = JSON.stringify({ created: now, v: 2 });
const value = `${head}\n${JSON.stringify({ visits: 0, name: "ada", cart: ["bread", "butter"], text: "x".repeat(300) })}`;
const keyOf = (n) => `session:${createHash("md5").update(String(n)).digest("hex")}`;
const sql = (...statements) => asAdmin(DATABASES.ours, statements);

async function make(count) {
  const table = `records_${count}`;
  const make = createStatements(tableOf(table));
  await sql(`SET ROLE ${process.env.PGUSER}`, ...make);
  await sql(
    `INSERT INTO ${table} SELECT 'session:' || md5(n::text), 'version-' || n, ${now + HOUR} + n, '${value}'
      FROM generate_series(0, ${count - 1}) AS n`,
    `VACUUM (FREEZE, ANALYZE) ${table}`,
    "CHECKPOINT",
  );
  const [{ bytes }] = await sql(`SELECT pg_total_relation_size('${table}') AS bytes`);
  const options = { table, database: DATABASES.ours, options: { ssl: false } };
  const backend = new PostgresBackend(options, { now: () => now, timeout: 60_000, warn: console.error });
  await backend.open();
  process.stderr.write(`postgres: ${count} sessions filled in\n`);
  const samples = { read: [], touch: [], write: [], prune: [], nothing: [] };
  return { count, table, backend, bytes: Number(bytes), versions: new Map(), samples };
}

let moves = 0;
const tasks = {
  read: (place) => timed(place, (n) => place.backend.read(keyOf(n))),
  // Each later than all before it: one that moves nothing would cost less.
  touch: (place) => timed(place, (n) => place.backend.touch(keyOf(n), now + 2 * HOUR + ++moves, versionNow(place, n))),
  write: (place) =>
    timed(place, (n) => {
      const [version, next] = [versionNow(place, n), `written-${++moves}`];
      place.versions.set(n, next);
      return place.backend.write(keyOf(n), { value, version: next, expires: now + 2 * HOUR }, { version });
    }),
  prune,
};

const versionNow = ({ versions }, n) => versions.get(n) ?? `version-${n}`;

/** Microseconds of a call, on sessions at random, one after another. */
async function timed({ count }, work) {
  const start = performance.now();
  for (let call = 0; call < CALLS; call++) {
    if (!(await work(Math.floor(Math.random() * count)))) throw new Error("A session was not there.");
  }
  return ((performance.now() - start) * 1000) / CALLS;
}

/** Sessions that end are pruned, and put back, so that every round finds as many as the first. */
async function prune({ table, backend, count, versions, samples }, isCounted) {
  const ending = Math.min(count / 10, MOST_PRUNED);
  const first = Math.floor(Math.random() * (count - ending));
  const among = `SELECT 'session:' || md5(n::text) FROM generate_series(${first}, ${first + ending - 1}) AS n`;
  await sql(`UPDATE ${table} SET expires = ${now - HOUR} WHERE key IN (${among})`, `VACUUM ${table}`);
  const took = await microseconds(async () => {
    const dropped = await backend.prune();
    if (dropped !== ending) throw new Error(`${dropped} pruned instead of ${ending}`);
  });
  const nothing = await microseconds(() => backend.prune());
  if (isCounted) samples.nothing.push(nothing);
  for (let n = first; n < first + ending; n++) versions.delete(n);
  await sql(
    `INSERT INTO ${table} SELECT 'session:' || md5(n::text), 'version-' || n, ${now + HOUR} + n, '${value}'
      FROM generate_series(${first}, ${first + ending - 1}) AS n`,
    `VACUUM ${table}`,
  );
  return took / ending;
}

async function microseconds(work) {
  const start = performance.now();
  await work();
  return (performance.now() - start) * 1000;
}

const places = [];
for (const count of sizes.split(",").map(Number)) places.push(await make(count));
// The first round warms up. They take turns, so that a noisy minute meets all.
for (let round = 0; round <= Number(rounds); round++) {
  for (const [name, task] of Object.entries(tasks)) {
    for (let n = 0; n < places.length; n++) {
      const place = places[(n + round) % places.length];
      const sample = await task(place, round > 0);
      if (round > 0) place.samples[name].push(sample);
    }
  }
  process.stderr.write(`postgres: round ${round} of ${rounds}\n`);
}
for (const { backend } of places) await backend.close();
process.send(places.map(({ count, bytes, samples }) => ({ count, bytes, samples })));
process.disconnect();
