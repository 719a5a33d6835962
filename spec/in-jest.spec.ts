import { cpSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import { afterAll, beforeAll, expect, test } from "@jest/globals";
import { backendContract } from "../lib/testing/backend-contract.js";
import { layOut, pack, ROOT, run } from "./support/packed.js";
import { type RedisServer, startRedis, withRedis } from "./support/redis-server.js";

// The packed package in the jest of its users: in CommonJS, with no flag of Node's, and with nothing of it transformed.
// What runs there is in spec/commonjs.

const JEST = { 29: "spec/support/jest29-main.mjs", 30: "node_modules/jest/bin/jest.js" } as const;
const inRoot = (path: string) => join(ROOT, path);

/** As ts-jest, and Nest with it, set jest up; swc compiles where ts-jest would, which needs an older TypeScript. */
const COMPILED = {
  displayName: "compiled",
  moduleFileExtensions: ["js", "json", "ts"],
  testRegex: ".*\\.in-jest\\.ts$",
  transform: {
    "^.+\\.(t|j)s$": [
      inRoot("node_modules/@swc/jest"),
      { swcrc: false, module: { type: "commonjs" }, jsc: { target: "es2021", parser: { syntax: "typescript" } } },
    ],
  },
  testEnvironment: "node",
};
const PLAIN = { displayName: "plain", testRegex: ".*\\.test\\.js$", transform: {}, testEnvironment: "node" };

interface Results {
  numPassedTests: number;
  testResults: { name: string; status: string; message: string }[];
}

const FILES = ["app.in-jest.ts", "contract.in-jest.ts", "plain.test.js"];

withRedis("in CommonJS", () => {
  let folder: string;
  let project: string;
  let redis: RedisServer;

  beforeAll(async () => {
    folder = mkdtempSync(join(tmpdir(), "express-tokenizer-jest-"));
    project = join(folder, "project");
    mkdirSync(project);
    redis = await startRedis();
    await layOut(project, await pack(folder), { express: "express", redis: "redis", supertest: "supertest" });
    for (const name of ["app.ts", "app.in-jest.ts", "contract.in-jest.ts"]) {
      cpSync(inRoot(`spec/commonjs/${name}`), join(project, name));
    }
    cpSync(inRoot("spec/commonjs/plain.in-jest.cjs"), join(project, "plain.test.js"));
    const [, example = ""] = /```js\n([\s\S]*?)```/.exec(readFileSync(inRoot("docs/backends.md"), "utf8")) ?? [];
    writeFileSync(join(project, "my-backend.js"), example);
    const config = {
      cacheDirectory: join(folder, "cache"),
      watchman: false,
      testTimeout: 300_000,
      projects: [COMPILED, PLAIN],
    };
    writeFileSync(join(project, "jest.config.json"), JSON.stringify(config));
  });

  afterAll(async () => {
    await redis.kill();
    rmSync(folder, { recursive: true, force: true });
  });

  test.each([29, 30] as const)("jest %d runs each file, and each test passes", async (version) => {
    const { testResults, numPassedTests } = await resultsOf(JEST[version]);
    expect(testResults.map(({ name }) => basename(name)).sort()).toEqual(FILES);
    expect(testResults.filter(({ status }) => status !== "passed")).toEqual([]);
    expect(numPassedTests).toBeGreaterThan(backendContract.length);
  });

  async function resultsOf(jest: string): Promise<Results> {
    const file = join(project, "results.json");
    rmSync(file, { force: true });
    await redis.command("FLUSHALL");
    // This jest's own flags and number are not that one's.
    const env = { ...process.env, NODE_OPTIONS: "", JEST_WORKER_ID: undefined, REDIS_PORT: String(redis.port) };
    const options = ["--config=jest.config.json", "--json", "--outputFile=results.json"];
    const failure = await run(process.execPath, [inRoot(jest), ...options], { cwd: project, env }).catch(
      (error: Error) => error,
    );
    if (!existsSync(file)) throw failure;
    return JSON.parse(readFileSync(file, "utf8"));
  }
});
