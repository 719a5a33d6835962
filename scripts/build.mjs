// Compiles lib to dist, and the demo to dist-demo.
import { cpSync, readdirSync, rmSync, statSync } from "node:fs";
import { pathToFileURL } from "node:url";
import { node, ROOT } from "./run.mjs";

const TSC = "node_modules/typescript/bin/tsc";

/** When the youngest file or folder under these was changed; a folder's time tells of removed files. */
function changed(...paths) {
  const times = paths.map((path) => {
    const stat = statSync(`${ROOT}${path}`, { throwIfNoEntry: false });
    if (!stat?.isDirectory()) return stat?.mtimeMs ?? 0;
    return Math.max(stat.mtimeMs, changed(...readdirSync(`${ROOT}${path}`).map((name) => `${path}/${name}`)));
  });
  return Math.max(0, ...times);
}

export function build() {
  for (const folder of ["dist", "dist-demo"]) rmSync(`${ROOT}${folder}`, { recursive: true, force: true });
  if (!node(TSC, "-p", "tsconfig.build.json")) return false;
  cpSync(`${ROOT}lib/package.json`, `${ROOT}dist/package.json`); // says that these are CommonJS, as those in lib are
  return node(TSC, "-p", "tsconfig.demo.json");
}

/** Builds only when a source is younger than what was built from it. */
export function ensureBuilt() {
  const sources = changed(
    "lib",
    "demo-app",
    "package.json",
    "tsconfig.json",
    "tsconfig.build.json",
    "tsconfig.demo.json",
  );
  if (Math.min(changed("dist/index.js"), changed("dist-demo/server.js")) >= sources) return true;
  console.log("Building …");
  return build();
}

if (import.meta.url === pathToFileURL(process.argv[1]).href && !build()) process.exitCode = 1;
