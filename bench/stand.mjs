// What benchmarks stand on: processes and a folder that end with the script, the engines, and cores of their own.
import { execFileSync, fork, spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { ensureEmulator, freePort, javaRelease, OLDEST_JAVA, startEmulator } from "../scripts/dynamodb-local.mjs";
import { startPostgres } from "./postgres.mjs";
import { makeTables } from "./rows.mjs";

const root = mkdtempSync(join(tmpdir(), "bench-"));
const children = [];
process.once("exit", () => {
  for (const child of children) child.kill("SIGKILL");
  rmSync(root, { recursive: true, force: true });
});

/** A new one, gone when the script ends. */
export const makeFolder = () => mkdtempSync(join(root, "place-"));

/** Lets a process and what it starts have one core; answers whether that is possible here. */
export function pin({ pid }, core) {
  return spawnSync("taskset", ["-apc", core, String(pid)]).status === 0;
}

/** Runs a script of this folder on that Node, as applications run in production. `options` are fork's. */
export function run(binary, script, args, { env, ...options } = {}) {
  const child = fork(fileURLToPath(new URL(script, import.meta.url)), args, {
    execPath: binary,
    execArgv: ["--disable-warning=ExperimentalWarning"],
    env: {
      ...{ ...process.env, NODE_ENV: "production", AWS_SDK_JS_NODE_VERSION_SUPPORT_WARNING_DISABLED: "true" },
      ...env,
    },
    ...options,
  });
  children.push(child);
  // Whoever waits for what it says would wait for ever.
  child.once("exit", (code) => {
    if (code) process.exit(1);
  });
  return child;
}

/** Sets REDIS_PORT and answers Redis's version; nothing when it is not there. */
export async function startRedis() {
  const port = String(await freePort());
  const child = spawn("redis-server", ["--port", port, "--save", "", "--appendonly", "no"], { stdio: "ignore" });
  if (!(await once(child, "spawn").catch(() => undefined))) {
    console.error("There is no redis-server: it is left out.");
    return undefined;
  }
  children.push(child);
  process.env.REDIS_PORT = port;
  await until(() => execFileSync("redis-cli", ["-p", port, "ping"], { stdio: "pipe" }));
  const version = execFileSync("redis-server", ["--version"], { encoding: "utf8" }).split(/[ =]/)[3];
  return { child, version };
}

/** Sets DYNAMODB, Amazon's emulator with empty tables; nothing when there is no Java for it. */
export async function startDynamodb() {
  if ((javaRelease() ?? 0) < OLDEST_JAVA || !ensureEmulator()) {
    console.error(`There is no Java ${OLDEST_JAVA}: DynamoDB is left out.`);
    return undefined;
  }
  const { child, url } = await startEmulator(await freePort());
  children.push(child);
  process.env.DYNAMODB = url;
  await makeTables();
  return { child };
}

/** Those of these that the rows need, by their names. */
export async function startEngines(rows) {
  const starts = { redis: startRedis, postgres: startPostgres, dynamodb: startDynamodb };
  const engines = {};
  for (const [name, start] of Object.entries(starts)) {
    if (rows.some(({ engine }) => engine === name)) engines[name] = await start();
  }
  return engines;
}

async function until(work) {
  for (let tries = 1; ; tries++) {
    try {
      return work();
    } catch (error) {
      if (tries === 100) throw error;
      await sleep(50);
    }
  }
}
