// npm run test:dynamodb-local: the specs of DynamoDB on Amazon's own emulator, which knows what dynalite does not (TTL, and
// the item that made a condition fail). Arguments go to jest. Without Java 17 it says so, and ends well.
import { ensureBuilt } from "./build.mjs";
import { ensureEmulator, freePort, javaRelease, OLDEST_JAVA, startEmulator } from "./dynamodb-local.mjs";
import { ensureInstalled } from "./install.mjs";
import { jest, step } from "./run.mjs";

/** What touches DynamoDB; the rest of the specs needs no emulator. */
const SPECS = ["spec/backends/dynamodb", "spec/cli", "spec/session/processes", "spec/session/users"];

const release = javaRelease();
if (release === undefined || release < OLDEST_JAVA) {
  const found = release === undefined ? "there is none" : `found ${release}`;
  console.error(`Amazon's DynamoDB emulator needs Java ${OLDEST_JAVA} or newer; ${found}. Its specs are left out.`);
  console.error("Install it (Debian: apt-get install openjdk-17-jre-headless).");
  console.log("\n0 passed, 0 failed");
} else {
  step("packages", ensureInstalled);
  step("build", ensureBuilt);
  step("emulator", ensureEmulator);
  const { child, url } = await startEmulator(await freePort());
  try {
    const args = process.argv.length > 2 ? process.argv.slice(2) : SPECS;
    const specs = () => jest(process.execPath, args, { DYNAMODB_ENDPOINT: url });
    const { ok, passed, failed, skipped } = step("specs on Amazon's emulator", specs);
    console.log(`\n${passed} passed, ${failed} failed${skipped > 0 ? `, ${skipped} skipped` : ""}`);
    if (!ok) process.exitCode = 1;
  } finally {
    child.kill();
  }
}
