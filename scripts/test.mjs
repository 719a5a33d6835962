// npm test: installs what is missing, then lint, dead code, types, build and specs. Arguments go to jest: npm test -- spec/session
import { build } from "./build.mjs";
import { ensureInstalled } from "./install.mjs";
import { findNeeds } from "./needs.mjs";
import { jest, node, step } from "./run.mjs";

step("packages", ensureInstalled);

const { env, leftOut } = step("what the specs need", () => {
  const needs = findNeeds();
  for (const line of needs.leftOut) console.error(line);
  return needs.leftOut.length > 0 && process.env.CI === "true" ? false : needs;
});

step("lint", () => node("node_modules/@biomejs/biome/bin/biome", "check", "--error-on-warnings"));
step("nothing dead", () => node("node_modules/knip/bin/knip.js"));
step("types", () => node("node_modules/typescript/bin/tsc"));
step("build", build);

const { ok, passed, failed, skipped } = step("specs", () => jest(process.execPath, process.argv.slice(2), env));

for (const line of leftOut) console.error(`\n${line}`);
console.log(`\n${passed} passed, ${failed} failed${skipped > 0 ? `, ${skipped} skipped` : ""}`);
if (!ok) process.exitCode = 1;
