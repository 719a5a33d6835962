// npm run bench: every row's server on one core; the driver, Redis and the DynamoDB emulator on the other; rounds interleaved.
// npm run bench -- --rounds 3 --seconds 1 --sessions 200 --rows redis,MemoryStore measures less, and writes no results.
import { execFileSync, fork, spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { ensureBuilt } from "../scripts/build.mjs";
import { ensureEmulator, freePort, javaRelease, OLDEST_JAVA, startEmulator } from "../scripts/dynamodb-local.mjs";
import { ensureInstalled } from "../scripts/install.mjs";
import { installNode } from "../scripts/node-version.mjs";
import { step, succeeds } from "../scripts/run.mjs";

const NODE = "24";
const SERVER_CORE = "0";
const DRIVER_CORE = "1";

const { values } = parseArgs({
  options: {
    rounds: { type: "string", default: "7" },
    seconds: { type: "string", default: "2" },
    sessions: { type: "string", default: "200,10000" },
    rows: { type: "string", default: "" },
  },
});
const [rounds, seconds] = [Number(values.rounds), Number(values.seconds)];
const counts = values.sessions.split(",").map(Number);
const isWhole = process.argv.length === 2;

step("packages", ensureInstalled);
step("build", ensureBuilt);
step("packages of the benchmark", () =>
  succeeds("npm", ["ci", "--prefix", "bench", "--no-audit", "--no-fund", "--ignore-scripts", "--loglevel=error"]),
);
const binaries = { [NODE]: installNode(NODE), 20: installNode("20") };
// Loaded now that their packages are there.
const { makeTables, rows: all } = await import("./rows.mjs");
const { ask, drive, makeSessions } = await import("./drive.mjs");
const { report } = await import("./report.mjs");

const isPinned = spawnSync("taskset", ["-pc", DRIVER_CORE, String(process.pid)]).status === 0;
if (!isPinned) console.error("taskset is missing, so servers and driver share all cores: the figures say less.");
const folder = mkdtempSync(join(tmpdir(), "bench-"));
const children = [];
process.once("exit", () => {
  for (const child of children) child.kill("SIGKILL");
  rmSync(folder, { recursive: true, force: true });
});

const engines = await startEngines();
const rows = all.filter(({ name, engine }) => isWanted(name) && (!engine || engines[engine]));
const results = [];
for (const count of counts) {
  const servers = [];
  for (const row of rows) servers.push(await start(row, count));
  for (const path of ["/unchanged", "/changed"]) {
    const measured = servers.filter(({ row }) => !(row.unchangedOnly && path === "/changed"));
    const samples = new Map(measured.map(({ row }) => [row.name, []]));
    // The first round warms up.
    for (let round = 0; round <= rounds; round++) {
      for (let n = 0; n < measured.length; n++) {
        const server = measured[(n + round) % measured.length];
        const sample = await measure(server, path);
        if (round > 0) samples.get(server.row.name).push(sample);
      }
      process.stderr.write(`${count} sessions, ${path.slice(1)}: round ${round} of ${rounds}\n`);
    }
    for (const { row } of measured) results.push({ count, path, row, samples: samples.get(row.name) });
  }
  for (const { child } of servers) child.disconnect();
}

const versions = Object.fromEntries(
  Object.entries(binaries).map(([name, binary]) => [name, execFileSync(binary, ["--version"]).toString().trim()]),
);
console.log(report({ results, counts, rounds, seconds, isPinned, versions, redis: engines.version, isWhole }));
process.exit();

function isWanted(name) {
  return values.rows === "" || values.rows.split(",").some((part) => name.includes(part));
}

async function startEngines() {
  const found = {};
  const port = String(await freePort());
  const redis = spawn("redis-server", ["--port", port, "--save", "", "--appendonly", "no"], { stdio: "ignore" });
  const started = await once(redis, "spawn").catch(() => undefined);
  if (started) {
    children.push(redis);
    pin(redis);
    process.env.REDIS_PORT = port;
    found.redis = true;
    found.version = execFileSync("redis-server", ["--version"]).toString().split(/[ =]/)[3];
    await until(() => execFileSync("redis-cli", ["-p", port, "ping"], { stdio: "pipe" }));
  } else console.error("There is no redis-server: its rows are left out.");
  if ((javaRelease() ?? 0) >= OLDEST_JAVA && ensureEmulator()) {
    const { child, url } = await startEmulator(await freePort());
    children.push(child);
    pin(child);
    process.env.DYNAMODB = url;
    found.dynamodb = true;
    await makeTables();
  } else console.error(`There is no Java ${OLDEST_JAVA}: the rows of DynamoDB are left out.`);
  return found;
}

function pin({ pid }) {
  if (isPinned) spawnSync("taskset", ["-apc", DRIVER_CORE, String(pid)]);
}

async function start(row, count) {
  const place = mkdtempSync(join(folder, "row-"));
  const binary = binaries[row.node ?? NODE];
  const child = fork(new URL("./server.mjs", import.meta.url).pathname, [row.name, place], {
    execPath: binary,
    execArgv: ["--disable-warning=ExperimentalWarning"],
    env: { ...process.env, NODE_ENV: "production", AWS_SDK_JS_NODE_VERSION_SUPPORT_WARNING_DISABLED: "true" },
  });
  children.push(child);
  if (isPinned) spawnSync("taskset", ["-apc", SERVER_CORE, String(child.pid)]);
  const [{ port }] = await once(child, "message");
  const url = `http://127.0.0.1:${port}`;
  const cookies = await makeSessions(url, count);
  return { row, child, url, cookies };
}

async function measure({ row, url, cookies }, path) {
  const before = await costs(row, url);
  const sample = await drive(url, path, cookies, seconds);
  const after = await costs(row, url);
  const per = (name) => (after[name] - before[name]) / sample.requests;
  return { ...sample, cpu: per("cpu"), trips: per("calls") };
}

/** CPU time in microseconds, and calls of the engine, since the start. */
async function costs({ commands }, url) {
  const own = JSON.parse((await ask(`${url}/cost`)).text);
  if (!commands) return own;
  const stats = execFileSync("redis-cli", ["-p", process.env.REDIS_PORT, "info", "commandstats"]).toString();
  const counts = [...stats.matchAll(/cmdstat_(\w+):calls=(\d+)/g)].filter(([, name]) => commands.includes(name));
  return { ...own, calls: counts.reduce((sum, [, , calls]) => sum + Number(calls), 0) };
}

async function until(work) {
  for (let tries = 1; ; tries++) {
    try {
      return work();
    } catch (error) {
      if (tries === 100) throw error;
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  }
}
