// What the scripts share: running a command in the project, a step with heading and duration, jest with its counts.
import { spawnSync } from "node:child_process";
import { mkdirSync, readFileSync, rmSync } from "node:fs";
import { fileURLToPath } from "node:url";

export const ROOT = fileURLToPath(new URL("..", import.meta.url));

/** Runs a command in the project's folder, its output going to ours; true when it succeeded. */
export function succeeds(command, args, env = {}) {
  // Windows starts npm only through a shell.
  const shell = process.platform === "win32" && command === "npm";
  const { status, error } = spawnSync(command, args, {
    cwd: ROOT,
    stdio: "inherit",
    env: { ...process.env, ...env },
    shell,
  });
  if (error) console.error(`${command}: ${error.message}`);
  return status === 0;
}

/** The same with the Node that runs this script. */
export const node = (...args) => succeeds(process.execPath, args);

/** Runs one step under a heading and says how long it took; ends the script when it answers false (not `ok: false`). */
export function step(title, work) {
  console.log(`\n── ${title}`);
  const start = performance.now();
  const result = work();
  const outcome = result === false || result.ok === false ? "failed" : "done";
  console.log(`── ${title}: ${outcome}, ${seconds(start)} s`);
  if (result === false) process.exit(1);
  return result;
}

export const seconds = (start) => ((performance.now() - start) / 1000).toFixed(1);

/** Runs the specs with the given Node, and counts. A spec file that could not be loaded counts as a failure. */
export function jest(binary, args, env) {
  const report = `${ROOT}.cache/jest.json`;
  mkdirSync(`${ROOT}.cache`, { recursive: true });
  rmSync(report, { force: true });
  const flags = ["--disable-warning=ExperimentalWarning", "--experimental-vm-modules"];
  const ok = succeeds(
    binary,
    [...flags, "node_modules/jest/bin/jest.js", "--json", "--outputFile", report, ...args],
    env,
  );
  return { ok, ...counts(report, ok) };
}

function counts(report, ok) {
  try {
    const json = JSON.parse(readFileSync(report, "utf8"));
    const failed = json.numFailedTests + json.numRuntimeErrorTestSuites;
    return {
      passed: json.numPassedTests,
      failed: ok ? failed : Math.max(failed, 1),
      skipped: json.numPendingTests + json.numTodoTests,
    };
  } catch {
    return { passed: 0, failed: 1, skipped: 0 }; // jest ended before it could report
  }
}
