// What every benchmark needs before it starts: packages, the build, the packages of the peers, the Node to measure on.
import { execFileSync } from "node:child_process";
import { ensureBuilt } from "../scripts/build.mjs";
import { ensureInstalled, installs } from "../scripts/install.mjs";
import { installNode } from "../scripts/node-version.mjs";
import { step } from "../scripts/run.mjs";

/** The Node that is measured on unless a row says otherwise: local sessions need one with SQLite inside. */
export const NODE = "24";

export function makeBuilt() {
  step("packages", ensureInstalled);
  step("build", ensureBuilt);
}

export function makePeersReady() {
  makeBuilt();
  step("packages of the benchmark", () => installs("bench", "--ignore-scripts", "--loglevel=error"));
}

/** Answers the Node to measure on. */
export function makeReady() {
  makePeersReady();
  return nodeOf(NODE);
}

export const nodeOf = (version) => step(`Node ${version}`, () => installNode(version));

export const versionOf = (binary) => execFileSync(binary, ["--version"], { encoding: "utf8" }).trim();
