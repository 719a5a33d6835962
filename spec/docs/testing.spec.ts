/** docs/testing.md: every block of code is a file, and the tests among them pass under each runner that it names. */
import { execFile } from "node:child_process";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { promisify } from "node:util";
import { afterAll, describe, expect, test } from "@jest/globals";
import { backendContract } from "../../lib/testing/backend-contract.js";

const ROOT = fileURLToPath(new URL("../..", import.meta.url));
const DOCUMENT = readFileSync(join(ROOT, "docs/testing.md"), "utf8");
const run = promisify(execFile);

/** Inside of the project, where the package's own name means the built package. */
mkdirSync(join(ROOT, ".cache"), { recursive: true });
const folder = mkdtempSync(join(ROOT, ".cache", "testing-"));

afterAll(() => {
  rmSync(folder, { recursive: true, force: true });
});

const blocks = [...DOCUMENT.matchAll(/```js\n\/\/ (\S+)\n([\s\S]*?)```/g)].map(([, name = "", code = ""]) => ({
  name,
  code,
}));
/** By the runner's name, what imports `test` there. */
const lines = new Map(
  [...DOCUMENT.matchAll(/^\| (\S+) +\| `(import { test } from .*?)` +\|/gm)].map(([, name, line = ""]) => [name, line]),
);

const RUNNERS = {
  "node:test": { own: "date.node-test.js", command: ["--test", "--test-reporter=tap"] },
  jest: {
    own: "date.jest.js",
    command: ["--experimental-vm-modules", inRoot("node_modules/jest/bin/jest.js"), "--config=jest.config.json"],
  },
  vitest: { own: "date.vitest.js", command: [inRoot("node_modules/vitest/vitest.mjs"), "run"] },
} as const;

/** More than a busy machine takes for one test: the runners' own are five seconds. */
const PATIENCE = 120_000;
const JEST = {
  ...{ testEnvironment: "node", testMatch: ["**/*.test.js"], transform: {}, watchman: false },
  testTimeout: PATIENCE,
};
const VITEST = `export default { test: { include: ["**/*.test.js"], watch: false, testTimeout: ${PATIENCE} } };`;

function inRoot(path: string): string {
  return join(ROOT, path);
}

/** A folder with the document's files, as that runner wants them. */
function layOut(runner: keyof typeof RUNNERS): { place: string; files: number; tests: number } {
  const place = mkdtempSync(join(folder, `${runner.replace(":", "-")}-`));
  writeFileSync(join(place, "jest.config.json"), JSON.stringify(JEST));
  writeFileSync(join(place, "vitest.config.js"), VITEST);
  let files = 0;
  let tests = 0;
  for (const { name, code } of blocks) {
    const isTest = /\.test\.js$/.test(name) || name === RUNNERS[runner].own;
    if (!isTest && /^date\./.test(name)) continue;
    const written = code.replace('import { test } from "node:test";', lines.get(runner) ?? "");
    writeFileSync(join(place, name === RUNNERS[runner].own ? "date.test.js" : name), written);
    if (!isTest) continue;
    files += 1;
    tests += [...code.matchAll(/^test\(/gm)].length;
  }
  return { place, files, tests };
}

test("every block of code has a name, and every runner its line", () => {
  expect(blocks.length).toBe([...DOCUMENT.matchAll(/```js\n/g)].length);
  expect([...lines.keys()]).toEqual(Object.keys(RUNNERS));
});

describe.each(Object.keys(RUNNERS) as (keyof typeof RUNNERS)[])("%s", (runner) => {
  test("all tests of the document pass, and the runner ends by itself", async () => {
    const { place, files, tests } = layOut(runner);
    const env: NodeJS.ProcessEnv = { ...process.env, NODE_OPTIONS: "", NO_COLOR: "1", CI: "1" };
    for (const name of ["JEST_WORKER_ID", "NODE_ENV", "NODE_TEST_CONTEXT", "FORCE_COLOR"]) delete env[name];
    const argv = ["--disable-warning=ExperimentalWarning", ...RUNNERS[runner].command];
    const { stdout, stderr } = await run(process.execPath, argv, { cwd: place, env }).catch((error) => {
      throw new Error(`${error.stdout}\n${error.stderr}`);
    });
    const told = `${stdout}\n${stderr}`;
    expect(files).toBe(6);
    const passed = {
      "node:test": new RegExp(`^# pass ${tests}$`, "m"),
      jest: new RegExp(`^Tests: +${tests} passed, ${tests} total$`, "m"),
      vitest: new RegExp(`Tests +${tests} passed \\(${tests}\\)`),
    };
    expect(told).toMatch(passed[runner]);
    expect(told).not.toMatch(/did not exit|express-tokenizer: /);
  });
});

describe("failing-store.js keeps the contract while it does not fail", () => {
  const { place } = layOut("node:test");
  // What `type: module` does for whoever brings a backend: nothing is asked after its end.
  const cases = backendContract.filter(({ name }) => !/^close: |other connection|for both/.test(name));

  test.each(cases.map(({ name, run: runCase }) => [name, runCase] as const))("%s", async (_name, runCase) => {
    const { default: makeStore } = await import(pathToFileURL(join(place, "failing-store.js")).href);
    await runCase((context) => {
      const backend = makeStore({}, context);
      return { backend, other: backend };
    });
  });
});
