// Installs the packages of package-lock.json when they are not there or not those.
import { statSync } from "node:fs";
import { ROOT, succeeds } from "./run.mjs";

const changed = (file) => statSync(`${ROOT}${file}`, { throwIfNoEntry: false })?.mtimeMs ?? 0;

export const ensureInstalled = () => installs(".", "--include=dev");

/** @param folder of the project, with a package-lock.json */
export function installs(folder, ...options) {
  // npm writes the inner file last, so it is younger than the lock file it was installed from.
  if (changed(`${folder}/node_modules/.package-lock.json`) >= changed(`${folder}/package-lock.json`)) return true;
  console.log("Installing packages (npm ci) …");
  return succeeds("npm", ["ci", "--prefix", folder, ...options, "--no-audit", "--no-fund"]);
}
