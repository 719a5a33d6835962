// npm run test:full: all specs, with larger counts, on each Node that we support. npm run test:full -- 24 restricts it.
import { spawnSync } from "node:child_process";
import { delimiter, dirname } from "node:path";
import { build } from "./build.mjs";
import { ensureInstalled } from "./install.mjs";
import { findNeeds } from "./needs.mjs";
import { installNode } from "./node-version.mjs";
import { jest, seconds, step } from "./run.mjs";

/** The oldest we support, the first with SQLite inside, and the latest of the two lines after it. */
const VERSIONS = ["20.19.0", "22.13.0", "24", "26"];

const wanted = process.argv.slice(2);
const versions = VERSIONS.filter((version) => wanted.length === 0 || wanted.some((start) => version.startsWith(start)));
if (versions.length === 0) {
  console.error(`No such version; there are ${VERSIONS.join(", ")}.`);
  process.exit(1);
}

step("packages", ensureInstalled);
step("build", build);
const { env, leftOut } = step("what the specs need", findNeeds);

const rows = [];
for (const version of versions) {
  const binary = step(`Node ${version}`, () => installNode(version));
  const exact = spawnSync(binary, ["--version"], { encoding: "utf8" }).stdout.trim();
  // Specs that start `node` or `npm` get this one, too.
  const path = `${dirname(binary)}${delimiter}${process.env.PATH}`;
  const start = performance.now();
  const specs = () => jest(binary, [], { ...env, PATH: path, TEST_FULL: "1" });
  const { ok, passed, failed, skipped } = step(`specs on Node ${exact}`, specs);
  rows.push({ Node: exact, passed, failed, skipped, seconds: Number(seconds(start)) });
  if (!ok) process.exitCode = 1;
}

console.table(rows);
for (const line of leftOut) console.error(line);
