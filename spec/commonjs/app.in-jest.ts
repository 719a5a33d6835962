import { mkdtempSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterEach, describe, expect, jest, test } from "@jest/globals";
import { type Tokenizer, TokenizerError } from "express-tokenizer";
import request from "supertest";
import { makeApp, type Section } from "./app";

// Run by jest in CommonJS, on the packed package, in a project of its own: see spec/in-jest.spec.ts.

const folder = mkdtempSync(join(process.cwd(), "data-"));
const ofProject = (name: string) => join(process.cwd(), name);

const MINUTE = 60_000;

let sessions: Tokenizer;
function start(section: Section) {
  const made = makeApp(section);
  sessions = made.sessions;
  return made.app;
}

afterEach(() => sessions?.close());

const PLACES = {
  local: { type: "local", path: join(folder, "tokens") },
  redis: { type: "redis", host: "127.0.0.1", port: Number(process.env.REDIS_PORT) },
  module: { type: "module", module: ofProject("my-backend.js"), options: { file: join(folder, "sessions.db") } },
} satisfies Record<string, Section>;

test.each(Object.values(PLACES))("type: $type keeps the sessions of an application", async (place) => {
  const app = start(place);
  await sessions.ready;
  const visitor = request.agent(app);
  expect((await visitor.get("/count")).text).toBe("1");
  expect((await visitor.get("/count")).text).toBe("2");
  expect((await visitor.post("/sign-in")).status).toBe(204);
  expect((await visitor.get("/me")).body).toEqual(["ada", "secret"]);
  expect(await sessions.users.list("ada")).toHaveLength(1);
  expect(await sessions.health()).toMatchObject({ ok: true });
  await sessions.close();
  const { status, body } = await visitor.get("/me");
  expect({ status, body }).toEqual({ status: 503, body: { isOurs: true, code: "STORE_CLOSED" } });
});

describe("under jest's fake timers", () => {
  afterEach(() => {
    jest.useRealTimers();
  });

  test.each([
    ["the modern ones", {}],
    ["the legacy ones", { legacyFakeTimers: true } as const],
  ])("%s: an application answers, and what fails is told", async (_, timers) => {
    const app = start(PLACES.local);
    await sessions.ready;
    jest.useFakeTimers(timers);
    const visitor = request.agent(app);
    expect((await visitor.get("/count")).text).toBe("1");
    expect((await visitor.post("/sign-in")).status).toBe(204);
    expect((await visitor.get("/me")).body).toEqual(["ada", "secret"]);
    await sessions.close();
    expect((await visitor.get("/me")).status).toBe(503);
  });

  test("an application that is loaded under them answers", async () => {
    jest.useFakeTimers();
    let made: ReturnType<typeof makeApp> | undefined;
    jest.isolateModules(() => {
      made = (require("./app") as typeof import("./app")).makeApp(PLACES.local);
    });
    const { app, sessions } = made as ReturnType<typeof makeApp>;
    await sessions.ready;
    const visitor = request.agent(app);
    expect((await visitor.get("/count")).text).toBe("1");
    expect((await visitor.get("/count")).text).toBe("2");
    await sessions.close();
  });

  test("time that is moved on ends a session", async () => {
    const app = start(PLACES.local);
    await sessions.ready;
    jest.useFakeTimers();
    const visitor = request.agent(app);
    await visitor.post("/sign-in");
    jest.advanceTimersByTime(19 * MINUTE);
    expect((await visitor.get("/me")).body).toEqual(["ada", "secret"]);
    jest.advanceTimersByTime(21 * MINUTE);
    expect((await visitor.get("/me")).body).toEqual([null, null]);
  });
});

test("there is one TokenizerError, also for who requires the package", () => {
  expect(require("express-tokenizer").TokenizerError).toBe(TokenizerError);
});

test("a package that is not installed is told", async () => {
  start({ type: "dynamodb", table: "sessions", aws_region_name: "us-east-1" });
  const error = await sessions.ready.catch((reason: unknown) => reason);
  expect(error).toBeInstanceOf(TokenizerError);
  expect(error).toMatchObject({ code: "PACKAGE_MISSING" });
});

describe("type: module, loaded without import()", () => {
  const messageOf = async (name: string, text: string): Promise<string> => {
    const file = join(folder, name);
    writeFileSync(file, text);
    start({ type: "module", module: file });
    return sessions.ready.then(
      () => "ready",
      (error) => error.message,
    );
  };

  test.each([
    ["CommonJS", "one.cjs", 'module.exports = () => { throw new Error("this is it"); };'],
    ["compiled to CommonJS", "two.cjs", 'exports.__esModule = true; exports.default = () => { throw "this is it"; };'],
  ])("%s", async (_, name, text) => {
    expect(await messageOf(name, text)).toMatch(/being made: (?:Error: )?this is it$/);
  });

  test("an ES module is refused with what to do, where jest does not transform it", async () => {
    const message = await messageOf("three.mjs", "export default () => {};");
    expect(message).toContain("it is an ES module, which jest cannot load from CommonJS. Have jest transform it");
  });

  test("what it needs and is not there is told", async () => {
    expect(await messageOf("four.cjs", 'require("not-installed");')).toContain("not-installed");
  });
});

test("what an application mocks is used", async () => {
  jest.resetModules();
  jest.doMock("redis", () => ({ createClient() {} }));
  const { tokenizer }: typeof import("express-tokenizer") = require("express-tokenizer");
  sessions = tokenizer({ tokenizer: { type: "redis", safe_password: "only for the specs in CommonJS" } });
  await expect(sessions.ready).rejects.toMatchObject({ message: expect.stringContaining("npm install redis@6") });
});
