// What every benchmark needs before it starts: packages, the build, the packages of the peers, the Node to measure on.
import { execFileSync, spawnSync } from "node:child_process";
import { ensureBuilt } from "../scripts/build.mjs";
import { ensureInstalled } from "../scripts/install.mjs";
import { installNode } from "../scripts/node-version.mjs";
import { step, succeeds } from "../scripts/run.mjs";

const NODE = "24";

/** Answers the Node that local sessions are measured on: the one with SQLite inside. */
export function makeReady() {
  step("packages", ensureInstalled);
  step("build", ensureBuilt);
  step("packages of the benchmark", () =>
    succeeds("npm", ["ci", "--prefix", "bench", "--no-audit", "--no-fund", "--ignore-scripts", "--loglevel=error"]),
  );
  return step(`Node ${NODE}`, () => installNode(NODE));
}

export const versionOf = (binary) => execFileSync(binary, ["--version"], { encoding: "utf8" }).trim();

/** Runs a script of this folder with that Node, its output going to ours; true when it succeeded. */
export function runsOn(binary, script, args) {
  const { status } = spawnSync(binary, [new URL(script, import.meta.url).pathname, ...args], { stdio: "inherit" });
  return status === 0;
}
