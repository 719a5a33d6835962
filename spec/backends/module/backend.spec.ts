import { execFile } from "node:child_process";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, jest, test } from "@jest/globals";
import express, { type ErrorRequestHandler } from "express";
import request from "supertest";
import type { Backend, BackendContext } from "../../../lib/backends/backend.js";
import { ModuleBackend } from "../../../lib/backends/module/backend.js";
import { TokenizerError } from "../../../lib/errors.js";
import { backendContract, type MakeSubject } from "../../../lib/testing/backend-contract.js";
import { tokenizer } from "../../../lib/tokenizer.js";
import { appAt, commandLine, settingsFile } from "../../cli/command-line.js";
import { SAFE_PASSWORD, startApp } from "../../support/app.js";
import { MemoryBackend } from "../../support/memory-backend.js";

// A backend of somebody else's: as docs/backends.md has it, and with every fault that one may have.

const ROOT = fileURLToPath(new URL("../../../", import.meta.url));
const DOCUMENT = readFileSync(join(ROOT, "docs/backends.md"), "utf8");

/** Inside of the project, where the package's own name means the package. */
mkdirSync(join(ROOT, ".cache"), { recursive: true });
const folder = mkdtempSync(join(ROOT, ".cache", "module-"));

afterAll(() => {
  rmSync(folder, { recursive: true, force: true });
});

function write(name: string, text: string): string {
  const file = join(folder, name);
  mkdirSync(dirname(file), { recursive: true });
  writeFileSync(file, text, { mode: 0o600 });
  return file;
}

/** The n-th block of code of the document. */
function block(language: string, index = 0): string {
  const blocks = [...DOCUMENT.matchAll(/```(\w+)\n([\s\S]*?)```/g)].filter(([, name]) => name === language);
  return blocks[index]?.[2] ?? "";
}

const inModules = (path: string) => join(ROOT, "node_modules", path);

let databases = 0;
/** Without a safe_password, whose key takes a moment to derive. */
const settingsOf = (module: string) => ({
  authenticator: { type: "openldap" as const },
  // Loading a module takes a busy machine longer than the two seconds of the default.
  tokenizer: {
    type: "module" as const,
    module,
    store_timeout: 60,
    cookie: { secret: "a secret for the cookies of specs" },
  },
});
const nextDatabase = () => join(folder, `sessions-${databases++}.db`);

describe("the example of docs/backends.md", () => {
  const example = () => write("my-backend.js", block("js"));
  const place = () => ({ type: "module", module: example(), options: { file: nextDatabase() } }) as const;

  test("is shorter than 60 lines", () => {
    expect(block("js").trim().split("\n").length).toBeLessThan(60);
  });

  describe("keeps the contract behind what we put before it", () => {
    const makeSubject: MakeSubject = (context) => {
      const options = { module: example(), folder, options: { file: nextDatabase() } };
      return { backend: new ModuleBackend(options, context), other: new ModuleBackend(options, context) };
    };
    test.each(backendContract.map(({ name, run }) => [name, run] as const))("%s", (_, run) => run(makeSubject));
  });

  test("keeps an application's sessions: signed in, listed, signed out", async () => {
    const app = await startApp({ settings: place() });
    const ada = app.visitor();
    expect((await ada.signIn()).status).toBe(204);
    expect((await ada.get("/inbox")).text).toBe("the mail of ada");
    expect(await app.sessions.users.list("ada")).toHaveLength(1);
    await ada.post("/sign-out");
    expect((await ada.get("/inbox")).status).toBe(401);
    expect(await app.sessions.health()).toMatchObject({ ok: true });
  });

  test("parallel requests of one session lose nothing on it", async () => {
    const app = await startApp({ settings: place() });
    const ada = app.visitor();
    await ada.post("/set", { first: true });
    await Promise.all(Array.from({ length: 20 }, (_, n) => ada.post("/set", { [`key${n}`]: n })));
    const { values } = (await ada.get("/session")).body;
    expect(Object.keys(values)).toHaveLength(21);
  });

  test("works from its settings.yml, and on the command line", async () => {
    const text = block("yaml").replace("…", SAFE_PASSWORD).replace("sessions.db", nextDatabase());
    const file = write("settings.yml", text);
    const module = example();
    const sessions = tokenizer(file, { log: { warn: () => {} } });
    await sessions.ready;
    await sessions.close();
    const { code, stdout, stderr } = await commandLine(["check", "--settings", file]);
    expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
    expect(stdout).toContain(`place               the backend of ${module}\noptions             set\n`);
    expect(await commandLine(["prune", "--settings", file])).toMatchObject({
      stdout: expect.stringMatching(/^0 expired records dropped\./),
    });
  });

  test("the command line lists and ends the sessions that it keeps", async () => {
    const { app, run } = await appAt(place());
    const ada = app.visitor();
    await ada.signIn();
    const { stdout } = await run(["sessions", "--json"]);
    expect(JSON.parse(stdout)).toEqual([expect.objectContaining({ user: "ada" })]);
    expect(await run(["revoke", "--all", "--yes"])).toMatchObject({ code: 0 });
    expect((await ada.get("/inbox")).status).toBe(401);
  });
});

describe("its contract test", () => {
  const runners = [...DOCUMENT.matchAll(/^\| (node:test|jest|vitest) +\| `([^`]+)`/gm)];

  test("is there for three runners", () => {
    expect(runners.map(([, name]) => name)).toEqual(["node:test", "jest", "vitest"]);
  });

  /** As the document says, on this Node and without asking a registry. A folder below ours needs to say what ours is not for. */
  const COMMANDS: Record<string, string[]> = {
    "node:test": ["--test", "--test-reporter=tap"],
    jest: ["--experimental-vm-modules", inModules("jest/bin/jest.js"), "--rootDir=.", '--config={"transform":{}}'],
    vitest: [inModules("vitest/vitest.mjs"), "run", "--root=."],
  };

  test.each(runners.map(([, name = "", line = ""]) => [name, line] as const))("passes in %s", async (name, line) => {
    const project = name.replace(":", "-");
    write(`${project}/my-backend.test.js`, block("js", 1).replace(/^import \{ test \} .*$/m, line));
    write(`${project}/my-backend.js`, block("js"));
    const passed = await outcomeOf(COMMANDS[name] ?? [], project);
    expect(passed).toEqual({ code: 0, output: expect.stringMatching(new RegExp(`\\b${backendContract.length}\\b`)) });
  });
});

/** Of a program of Node's in a folder of ours. */
function outcomeOf(argv: string[], project = "."): Promise<{ code: number; output: string }> {
  // What this runner says about itself is not for another one.
  const { NODE_OPTIONS: _, JEST_WORKER_ID: __, NODE_ENV: ___, ...env } = process.env;
  return new Promise((resolve) => {
    execFile(process.execPath, argv, { cwd: join(folder, project), env }, (error, stdout, stderr) => {
      resolve({ code: Number(error?.code ?? 0), output: stdout + stderr });
    });
  });
}

describe("a module that cannot be used rejects ready, and is what a request is answered", () => {
  const METHODS = ["open", "read", "write", "touch", "remove", "entries", "prune", "close"];
  const having = (...names: string[]) =>
    `export default () => ({ ${names.map((name) => `${name}() {}`).join(", ")} });`;
  const opening = (body: string) => `${having(...METHODS).slice(0, -4)}, async open() { ${body} } });`;

  test.each<[name: string, text: string | undefined, code: string, status: number, message: RegExp]>([
    [
      "is not there",
      undefined,
      "SETTINGS_INVALID",
      500,
      /^tokenizer\.module: found ".+", but there is no file \/.+\/\d+\.mjs\. /,
    ],
    ["needs what is not installed", 'import "not-installed";', "PACKAGE_MISSING", 500, /not-installed/],
    [
      "throws",
      'throw new Error("no such region\\nmore");',
      "STORE_UNUSABLE",
      503,
      /failed while it was loaded: no such region$/,
    ],
    ["throws no error", 'throw "a text";', "STORE_UNUSABLE", 503, /failed while it was loaded: a text$/],
    ["is no JavaScript", "export default (", "STORE_UNUSABLE", 503, /failed while it was loaded: \S/],
    ["exports nothing", "", "STORE_UNUSABLE", 503, /its default export is missing\. Export a function/],
    [
      "exports another name",
      "export const make = () => {};",
      "STORE_UNUSABLE",
      503,
      /its default export is missing\. /,
    ],
    ["exports an object", "export default {};", "STORE_UNUSABLE", 503, /its default export is of type object\. /],
    ["exports a class", "export default class Mine {}", "STORE_UNUSABLE", 503, /its default export is a class\. /],
    ["makes nothing", "export default () => {};", "STORE_UNUSABLE", 503, /made missing/],
    ["makes null", "export default () => null;", "STORE_UNUSABLE", 503, /made null/],
    [
      "makes half a backend",
      having("open", "read"),
      "STORE_UNUSABLE",
      503,
      /lacks write, touch, remove, entries, prune, close\./,
    ],
    [
      "makes none, with a reason",
      'export default () => { throw new Error("bad url db://ada:secret@host/"); };',
      "STORE_UNAVAILABLE",
      503,
      /failed in being made: bad url db:\/\/…@host\/$/,
    ],
    ["does not open", opening('throw new Error("no route");'), "STORE_UNAVAILABLE", 503, /failed in open: no route$/],
    [
      "knows better what is wrong",
      `import { TokenizerError } from "express-tokenizer";
      ${opening('throw new TokenizerError("STORE_UNUSABLE", "There is no table.");')}`,
      "STORE_UNUSABLE",
      503,
      /^There is no table\.$/,
    ],
  ])("it %s", async (_, text, code, status, message) => {
    const module = join(folder, `${databases++}.mjs`);
    if (text !== undefined) writeFileSync(module, text);
    const sessions = tokenizer(settingsOf(module));
    const error = await sessions.ready.catch((error: unknown) => error);
    expect(error).toBeInstanceOf(TokenizerError);
    expect(error).toMatchObject({ code, status, message: expect.stringMatching(message) });
    const ada = await sessions.users.list("ada").catch((error: unknown) => error);
    expect(ada).toMatchObject({ code, status });
    await sessions.close();
  });

  test("a request is answered its status and code", async () => {
    const sessions = tokenizer(settingsOf(join(folder, "none.js")));
    const app = express();
    app.use(sessions);
    app.get("/", (req, res, next) => {
      req.signIn({ username: "ada", password: "secret" }).then(() => res.sendStatus(204), next);
    });
    const answerError: ErrorRequestHandler = (error, _req, res, _next) => {
      res.status(error.status).json({ code: error.code });
    };
    app.use(answerError);
    expect(await request(app).get("/")).toMatchObject({ status: 500, body: { code: "SETTINGS_INVALID" } });
    await sessions.close();
  });

  test("without a module there is nothing to wait for: tokenizer() throws", () => {
    expect(() => tokenizer({ tokenizer: { type: "module", safe_password: SAFE_PASSWORD } })).toThrow(
      expect.objectContaining({ code: "SETTINGS_INVALID", message: expect.stringContaining("tokenizer.module") }),
    );
  });

  test("check tells what it threw, where nothing of a session can be in it", async () => {
    const file = settingsFile({ type: "module", module: "./refusing.mjs" });
    const refusing = `${having(...METHODS).slice(0, -4)}, async write() { throw new Error("read only"); } });`;
    writeFileSync(join(dirname(file), "refusing.mjs"), refusing);
    const { code, stderr } = await commandLine(["check", "--settings", file]);
    expect(code).toBe(1);
    expect(stderr).toContain("the backend failed in write; what it threw is this error's cause: read only");
  });

  test("the command line names it, and fails", async () => {
    const file = settingsFile({ type: "module", module: "./none.js" });
    const { code, stderr } = await commandLine(["check", "--settings", file]);
    expect(code).toBe(1);
    expect(stderr).toContain(
      `open: tokenizer.module: found "./none.js", but there is no file ${join(dirname(file), "none.js")}.`,
    );
    expect(await commandLine(["sessions", "--settings", file])).toMatchObject({ code: 1 });
  });
});

describe("where a module is looked for, by Node itself", () => {
  /** Tells its own name, through the reason why it does not open. */
  const named = (name: string) => `() => { throw new Error("this is ${name}"); }`;

  /** Prints of each source why its backend is not ready. The package's own name is that of the built one. */
  const ASK = `
    import { tokenizer } from "express-tokenizer";
    const told = {};
    for (const source of process.argv.slice(2)) {
      const sessions = tokenizer(source.startsWith("{") ? JSON.parse(source) : source, { log: { warn() {} } });
      await sessions.ready.catch(({ code, message }) => { told[source] = { code, message }; });
      await sessions.close();
    }
    console.log(JSON.stringify(told));`;

  const FOUND = [
    ["./beside.js", "this is beside"],
    ["./beside.cjs", "this is CommonJS"],
    ["./compiled.cjs", "this is compiled CommonJS"],
    ["../app/beside.js", "this is beside"],
    [join(folder, "app/beside.js"), "this is beside"],
    ["mine", "this is the package"],
    ["@acme/mine/store", "this is a part of a package"],
  ] as const;
  const NOT_FOUND = [
    ["./besides.js", "SETTINGS_INVALID", join(folder, "app/besides.js")],
    ["beside.js", "PACKAGE_MISSING", "Cannot find package 'beside.js'"],
    ["@acme/none", "PACKAGE_MISSING", "a path that begins with ./"],
    [".", "STORE_UNUSABLE", "irectory"],
  ] as const;

  /** By the module that the settings file names. */
  let reasons: Map<string, unknown>;

  beforeAll(async () => {
    write("app/beside.js", `export default ${named("beside")};`);
    write("app/beside.cjs", `module.exports = ${named("CommonJS")};`);
    write("app/compiled.cjs", `exports.__esModule = true; exports.default = ${named("compiled CommonJS")};`);
    write("app/node_modules/mine/package.json", JSON.stringify({ main: "index.cjs" }));
    write("app/node_modules/mine/index.cjs", `module.exports = ${named("the package")};`);
    write("app/node_modules/@acme/mine/package.json", JSON.stringify({ exports: { "./store": "./store.mjs" } }));
    write("app/node_modules/@acme/mine/store.mjs", `export default ${named("a part of a package")};`);
    write("below/app.mjs", ASK);
    const modules = [...FOUND, ...NOT_FOUND].map(([module]) => module);
    const files = modules.map((module, index) =>
      write(`app/settings-${index}.yml`, JSON.stringify(settingsOf(module))),
    );
    const { output } = await outcomeOf(["--disable-warning=ExperimentalWarning", "app.mjs", ...files], "below");
    const told = JSON.parse(output);
    reasons = new Map(modules.map((module, index) => [module, told[files[index] ?? ""]]));
  });

  test.each(FOUND)("%s", (module, message) => {
    expect(reasons.get(module)).toEqual({ code: "STORE_UNAVAILABLE", message: expect.stringContaining(message) });
  });

  test.each(NOT_FOUND)("not found: %s", (module, code, message) => {
    expect(reasons.get(module)).toEqual({ code, message: expect.stringContaining(message) });
  });

  test("with an object, from the working directory", async () => {
    const settings = JSON.stringify(settingsOf("./beside.js"));
    const { output } = await outcomeOf(["../below/app.mjs", settings], "app");
    expect(output).toContain("this is beside");
  });
});

describe("what stands before somebody's backend", () => {
  const TIMEOUT = 100;
  const record = { value: "value", version: "version", expires: Date.UTC(9999, 0) };
  const forever = () => new Promise<never>(() => {});

  /** A module that makes whatever its options say. */
  function backendThat(make: (options: object, context: BackendContext) => unknown, more: object = {}): ModuleBackend {
    write("any.mjs", "export default (options, context) => options.make(options, context);");
    const context = { now: Date.now, timeout: TIMEOUT, warn: () => {} };
    return new ModuleBackend({ module: "./any.mjs", folder, options: { make, ...more } }, context);
  }

  const memory = () => new MemoryBackend({ now: Date.now });

  const CALLS: ReadonlyArray<readonly [name: keyof Backend, call: (backend: Backend) => unknown]> = [
    ["read", (backend) => backend.read("key")],
    ["write", (backend) => backend.write("key", record, "any")],
    ["touch", (backend) => backend.touch("key", record.expires, record.version)],
    ["remove", (backend) => backend.remove("key")],
    ["entries", (backend) => everyOf(backend.entries())],
    ["prune", (backend) => backend.prune()],
    ["close", (backend) => backend.close()],
  ];
  const BOUNDED = CALLS.filter(([name]) => name !== "prune");

  async function everyOf<T>(items: AsyncIterable<T>): Promise<T[]> {
    const all: T[] = [];
    for await (const item of items) all.push(item);
    return all;
  }

  function refusal(name: keyof Backend, error: Error) {
    const refuse = () => Promise.reject(error);
    return name === "entries" ? () => ({ [Symbol.asyncIterator]: () => ({ next: refuse }) }) : refuse;
  }

  const failureOf = (work: Promise<unknown>): Promise<unknown> =>
    work.then(
      () => "no failure",
      (error: unknown) => error,
    );

  test.each([
    ["a text", JSON.stringify(record), "found it of type string"],
    ["bytes for a value", { ...record, value: Buffer.from("value") }, "found value of type object"],
    ["what a value was written from", { ...record, value: { cart: [] } }, "found value of type object"],
    ["a row without a version", { value: "value", expires: record.expires }, "found version missing"],
    [
      "a number's text, as some databases answer large ones",
      { ...record, expires: "1000" },
      "found expires of type string",
    ],
    ["a Date", { ...record, expires: new Date(record.expires) }, "found expires of type object"],
    ["no number", { ...record, expires: Number.NaN }, "found expires of type number, and none"],
  ])("what is no record is refused, and nothing of it told: %s", async (_name, answer, found) => {
    const read = async () => answer as never;
    async function* entries() {
      yield (typeof answer === "string" ? answer : { key: "key", ...answer }) as never;
    }
    const backend = backendThat(() => Object.assign(memory(), { read, entries }));
    for (const [name, work] of [
      ["read", backend.read("key")],
      ["entries", everyOf(backend.entries())],
    ] as const) {
      expect(await failureOf(work)).toMatchObject({
        code: "STORE_UNUSABLE",
        message: `tokenizer.module: "./any.mjs": the backend's ${name} must answer { value, version, expires }: two texts, and milliseconds since 1970 as a number; ${found}.`,
      });
    }
  });

  test("nothing is answered as null, too", async () => {
    const backend = backendThat(() => Object.assign(memory(), { read: async () => null as never }));
    expect(await backend.read("key")).toBeUndefined();
  });

  test("makes it once, with the options as they stand and a context, and opens it before anything else", async () => {
    const calls: unknown[] = [];
    const client = new (class Client {})();
    const backend = backendThat(
      (options, context) => {
        calls.push(options, Object.keys(context));
        return Object.assign(memory(), { open: async () => calls.push("open") });
      },
      { client, table: "sessions" },
    );
    await Promise.all([backend.read("key"), backend.open(), backend.write("key", record, "any")]);
    expect(calls).toEqual([
      { make: expect.any(Function), client, table: "sessions" },
      ["now", "timeout", "warn"],
      "open",
    ]);
    expect(await backend.read("key")).toEqual(record);
    await backend.close();
  });

  test("opens it again with the next call after it failed to, and makes no other one", async () => {
    let made = 0;
    let failures = 2;
    const backend = backendThat(async () => {
      made++;
      return Object.assign(memory(), {
        async open() {
          if (failures-- > 0) throw new Error("not yet");
        },
      });
    });
    expect(await failureOf(backend.open())).toMatchObject({ code: "STORE_UNAVAILABLE" });
    expect(await failureOf(backend.read("key"))).toMatchObject({ code: "STORE_UNAVAILABLE" });
    expect(await backend.read("key")).toBeUndefined();
    expect(made).toBe(1);
    await backend.close();
  });

  test.each(CALLS)(
    "%s: what is thrown becomes STORE_UNAVAILABLE, is its cause, and is not told",
    async (name, call) => {
      const cause = new Error("duplicate key: the text of a session");
      const refusing = backendThat(() => Object.assign(memory(), { [name]: refusal(name, cause) }));
      const throwing = backendThat(() =>
        Object.assign(memory(), {
          [name]() {
            throw cause;
          },
        }),
      );
      for (const backend of [refusing, throwing]) {
        await backend.open();
        const error = await failureOf(Promise.resolve(call(backend)));
        expect(error).toBeInstanceOf(TokenizerError);
        expect(error).toMatchObject({ code: "STORE_UNAVAILABLE", status: 503, cause });
        expect((error as Error).message).toBe(
          `tokenizer.module: "./any.mjs": the backend failed in ${name}; what it threw is this error's cause`,
        );
      }
    },
  );

  test.each(CALLS)("%s: a TokenizerError stays what it is", async (name, call) => {
    const error = new TokenizerError("SESSION_TOO_LARGE", "Too large.");
    const backend = backendThat(() => Object.assign(memory(), { [name]: refusal(name, error) }));
    await backend.open();
    expect(await failureOf(Promise.resolve(call(backend)))).toBe(error);
  });

  test.each(BOUNDED)("%s: no answer is STORE_TIMEOUT", async (name, call) => {
    const step = { [Symbol.asyncIterator]: () => ({ next: forever, return: forever }) };
    const hanging = name === "entries" ? () => step : forever;
    const backend = backendThat(() => Object.assign(memory(), { [name]: hanging }));
    await backend.open();
    expect(await failureOf(Promise.resolve(call(backend)))).toMatchObject({ code: "STORE_TIMEOUT", status: 503 });
  });

  test.each(["being made", "open"])("%s: no answer is STORE_TIMEOUT, and nothing hangs on close", async (step) => {
    let isClosed = false;
    const made = Object.assign(memory(), {
      open: forever,
      async close() {
        isClosed = true;
      },
    });
    const backend = backendThat(() => (step === "open" ? made : forever()));
    for (const call of [backend.open(), backend.read("key"), backend.prune()]) {
      expect(await failureOf(call)).toMatchObject({ code: "STORE_TIMEOUT" });
    }
    const closing = await failureOf(backend.close());
    expect(closing).toEqual(step === "open" ? "no failure" : expect.objectContaining({ code: "STORE_TIMEOUT" }));
    expect(isClosed).toBe(step === "open");
  });

  test("what is still being made when it is closed is closed, too, and never opened", async () => {
    const calls: string[] = [];
    let finish = (_: unknown) => {};
    const making = new Promise((resolve) => {
      finish = resolve;
    });
    const backend = backendThat(() => making);
    const opening = failureOf(backend.open());
    const closing = backend.close();
    finish({
      ...Object.fromEntries(["read", "write", "touch", "remove", "entries", "prune"].map((name) => [name, forever])),
      open: async () => calls.push("open"),
      close: async () => calls.push("close"),
    });
    await closing;
    await backend.close();
    expect(await opening).toMatchObject({ code: "STORE_CLOSED" });
    expect(calls).toEqual(["close"]);
  });

  test("leaving its entries early lets go of them", async () => {
    let isLetGo = false;
    const backend = backendThat(() =>
      Object.assign(memory(), {
        async *entries() {
          try {
            for (;;) yield { key: "key", ...record };
          } finally {
            isLetGo = true;
          }
        },
      }),
    );
    for await (const { key } of backend.entries()) {
      expect(key).toBe("key");
      break;
    }
    expect(isLetGo).toBe(true);
    await backend.close();
  });

  test("what it can keep in a record, and whether it expires by itself, is known once it is loaded", async () => {
    const backend = backendThat(() => Object.assign(memory(), { maxValueBytes: 1000, expiresByItself: true }));
    expect(backend).toMatchObject({ maxValueBytes: undefined, expiresByItself: false });
    await backend.open();
    expect(backend).toMatchObject({ maxValueBytes: 1000, expiresByItself: true });
    await backend.close();
  });

  test("it is asked to prune once at a time, and not by us where it expires by itself", async () => {
    let pruned = 0;
    let finish = (_: number) => {};
    const made = Object.assign(memory(), {
      expiresByItself: false,
      prune() {
        pruned++;
        return new Promise<number>((resolve) => {
          finish = resolve;
        });
      },
    });
    jest.useFakeTimers({ doNotFake: ["nextTick", "setImmediate", "queueMicrotask", "performance"] });
    const options = { make: () => made };
    const module = write("any.mjs", "export default (options, context) => options.make(options, context);");
    const sessions = tokenizer({ tokenizer: { type: "module", module, options, safe_password: SAFE_PASSWORD } });
    try {
      await sessions.ready;
      await jest.advanceTimersByTimeAsync(3 * 60_000);
      expect(pruned).toBe(1);
      finish(0);
      await jest.advanceTimersByTimeAsync(60_000);
      expect(pruned).toBe(2);
      finish(0);
      made.expiresByItself = true;
      await jest.advanceTimersByTimeAsync(3 * 60_000);
      expect(pruned).toBe(2);
    } finally {
      jest.useRealTimers();
      await sessions.close();
    }
  });

  test("TOKENIZER_TYPE and TOKENIZER_MODULE name it, from the settings file's folder", async () => {
    const file = settingsFile({ type: "local" });
    const text = "export default () => { throw new Error('this is it'); };";
    writeFileSync(join(dirname(file), "mine.mjs"), text);
    const env = { TOKENIZER_TYPE: "module", TOKENIZER_MODULE: "./mine.mjs" };
    const { code, stderr } = await commandLine(["check", "--settings", file], env);
    expect({ code, stderr }).toEqual({ code: 1, stderr: expect.stringContaining("this is it") });
  });
});
