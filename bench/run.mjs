// npm run bench: every row's server on one core; the driver and the engines on the other; rounds interleaved.
// npm run bench -- --only redis,MemoryStore --rounds 3 --seconds 1 --sessions 200 measures less, and writes no results.
// npm run bench -- --quick is for work on lib: ours and their peers alone, few sessions, short rounds.
// npm run bench -- --quick --only redis --against ../other has another checkout's build in place of the peers.
import { existsSync } from "node:fs";
import { join, resolve } from "node:path";
import { pathToFileURL } from "node:url";
import { parseArgs } from "node:util";
import { makePeersReady, NODE, nodeOf, versionOf } from "./ready.mjs";
import { rows as all, isCompared } from "./rows.mjs";
import { pin, startEngines } from "./stand.mjs";

const SERVER_CORE = "0";
const DRIVER_CORE = "1";
/** Times as long as a round that counts. */
const WARM_UP = 3;

const { values } = parseArgs({
  options: {
    only: { type: "string", default: "" },
    quick: { type: "boolean", default: false },
    rounds: { type: "string" },
    seconds: { type: "string" },
    sessions: { type: "string" },
    against: { type: "string" },
  },
});
const usual = values.quick
  ? { rounds: 6, seconds: 1, sessions: "200" }
  : { rounds: 5, seconds: 1.5, sessions: "200,10000" };
const { rounds, seconds, sessions } = { ...usual, ...values };
const counts = sessions.split(",").map(Number);
const isWhole = process.argv.length === 2;

const chosen = values.against === undefined ? chooseRows() : besideBuild(chooseRows(), resolve(values.against));
if (chosen.length === 0) fail("No row has such a name; bench/rows.mjs lists them.");
makePeersReady();
const binaries = Object.fromEntries([...new Set(chosen.map(nodeFor))].map((version) => [version, nodeOf(version)]));
// Loaded now that their packages are there.
const { cases, measure, startServer } = await import("./measure.mjs");
const { report } = await import("./report.mjs");

const isPinned = pin(process, DRIVER_CORE);
if (!isPinned) console.error("taskset is missing, so servers and driver share all cores: the figures say less.");
const engines = await startEngines(chosen);
for (const engine of Object.values(engines)) if (engine && isPinned) pin(engine.child, DRIVER_CORE);
const rows = chosen.filter(({ engine }) => !engine || engines[engine]);

const results = [];
for (const count of counts) {
  for (const app of new Set(cases.map((one) => one.app))) await measureApp(app, count);
}
const versions = Object.fromEntries(Object.entries(binaries).map(([name, binary]) => [name, versionOf(binary)]));
console.log(report({ results, counts, rounds, seconds, isPinned, versions, engines, isWhole }));
process.exit();

/** What is named, with the peers that it is compared to. */
function chooseRows() {
  const parts = values.only.split(",");
  const named = all.filter(({ name }) => parts.some((part) => name.includes(part)));
  const bases = named.map(({ base }) => base);
  const isWanted = (row) => named.includes(row) || bases.includes(row.name);
  return all.filter((row) => isWanted(row) && (!values.quick || isCompared(row)));
}

/** Ours of this build, each beside that of another. */
function besideBuild(rows, folder) {
  const entry = join(folder, "dist/index.js");
  if (!existsSync(entry)) fail(`There is no ${entry}. Run npm ci and npm run build in ${folder}.`);
  return rows
    .filter(({ isOurs }) => isOurs)
    .flatMap((row) => {
      const other = { ...row, name: `${row.name}, against`, base: undefined, also: [] };
      return [
        { ...other, of: row.name, build: pathToFileURL(entry).href },
        { ...row, base: other.name, also: [] },
      ];
    });
}

function fail(message) {
  console.error(message);
  process.exit(1);
}

function nodeFor({ node }) {
  return node ?? NODE;
}

/** All rows in turns, each round beginning with another one, so that a noisy minute meets all. */
async function measureApp(app, count) {
  const servers = [];
  for (const row of rows.filter((row) => app.isFor(row))) {
    const server = await startServer(row, { app, count, binary: binaries[nodeFor(row)] });
    if (isPinned) pin(server.child, SERVER_CORE);
    servers.push(server);
  }
  for (const one of cases.filter((one) => one.app === app)) {
    const measured = servers.filter(({ row }) => !(row.unchangedOnly && one.path === "/changed"));
    const samples = new Map(measured.map(({ row }) => [row, []]));
    // The first round warms up: V8 has compiled most of ours after some 20,000 requests.
    for (let round = 0; round <= rounds; round++) {
      for (let n = 0; n < measured.length; n++) {
        const server = measured[(n + round) % measured.length];
        const sample = await measure(server, one, round === 0 ? WARM_UP * seconds : Number(seconds));
        if (round > 0) samples.get(server.row).push(sample);
      }
      process.stderr.write(`${count} sessions, ${one.title}: round ${round} of ${rounds}\n`);
    }
    for (const { row } of measured) results.push({ count, case: one, row, samples: samples.get(row) });
  }
  for (const { child } of servers) child.disconnect();
}
