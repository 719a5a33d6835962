// Another version of Node, beside the one that runs.
import { existsSync } from "node:fs";
import { ROOT, succeeds } from "./run.mjs";

/** Node's own binary, which npm has as a package for each platform; a bare major means its latest. */
export function installNode(version) {
  const platform = process.platform === "win32" ? "win" : process.platform;
  const name = `node-${platform}-${process.arch}`;
  const folder = `.cache/node-${version}`;
  const binary = `${ROOT}${folder}/node_modules/${name}/bin/node${process.platform === "win32" ? ".exe" : ""}`;
  if (version.includes(".") && existsSync(binary)) return binary;
  const options = ["--no-save", "--no-package-lock", "--no-audit", "--no-fund", "--loglevel=error"];
  return succeeds("npm", ["install", `${name}@${version}`, "--prefix", folder, ...options]) && binary;
}
