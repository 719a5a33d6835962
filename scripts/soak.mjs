// npm run soak: ten minutes of load on a Redis with a fault every few seconds; SOAK_MINUTES=… for another time.
import { ensureBuilt } from "./build.mjs";
import { ensureInstalled } from "./install.mjs";
import { findNeeds } from "./needs.mjs";
import { jest, step } from "./run.mjs";

step("packages", ensureInstalled);
const { env } = step("what it needs", findNeeds);
step("build", ensureBuilt);
const { ok, passed, failed } = step("soak", () => jest(process.execPath, ["--testMatch", "**/*.soak.ts"], env));
console.log(`\n${passed} passed, ${failed} failed`);
if (!ok) process.exitCode = 1;
