// Installs the packages of package-lock.json when they are not there or not those.
import { statSync } from "node:fs";
import { ROOT, succeeds } from "./run.mjs";

const changed = (file) => statSync(`${ROOT}${file}`, { throwIfNoEntry: false })?.mtimeMs ?? 0;

export function ensureInstalled() {
  // npm writes the inner file last, so it is younger than the lock file it was installed from.
  if (changed("node_modules/.package-lock.json") >= changed("package-lock.json")) return true;
  console.log("Installing packages (npm ci) …");
  return succeeds("npm", ["ci", "--include=dev", "--no-audit", "--no-fund"]);
}
