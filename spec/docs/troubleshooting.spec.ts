/** docs/troubleshooting.md: each message is provoked, and each piece of code is run, as it stands there. */
import { execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import type { Server } from "node:http";
import { createServer, type Socket } from "node:net";
import { join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { promisify } from "node:util";
import { afterAll, describe, expect, test } from "@jest/globals";
import express, { type Express } from "express";
import request from "supertest";
import { LocalBackend } from "../../lib/backends/local/backend.js";
import { loadEngine } from "../../lib/backends/local/sqlite.js";
import { loadSettings } from "../../lib/settings/load.js";
import { type Tokenizer, tokenizer } from "../../lib/tokenizer.js";
import { type App, startApp, temporaryFolder } from "../support/app.js";
import { freePort } from "../support/free-port.mjs";

const ROOT = fileURLToPath(new URL("../..", import.meta.url));
const TEXT = readFileSync(join(ROOT, "docs/troubleshooting.md"), "utf8");
const PASSWORD = "x".repeat(32);
const run = promisify(execFile);

/** Inside of the project, where the package's own name means the built package. */
mkdirSync(join(ROOT, ".cache"), { recursive: true });
const folder = mkdtempSync(join(ROOT, ".cache", "troubleshooting-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

interface Block {
  readonly language: string;
  readonly text: string;
}

const blocks: Block[] = [...TEXT.matchAll(/```(\w+)\n([\s\S]*?)\n```/g)].map(([, language = "", text = ""]) => {
  return { language, text };
});
const used = new Set<Block>();

function block(language: string, part: string): string {
  const [found, ...others] = blocks.filter((one) => one.language === language && one.text.includes(part));
  if (!found || others.length > 0) throw new Error(`${others.length + (found ? 1 : 0)} blocks have: ${part}`);
  used.add(found);
  return found.text;
}

/** Of several messages that were told, one is as the document has it. */
function expectQuoted(part: string, told: readonly unknown[]): void {
  const pattern = block("text", part)
    .split("…")
    .map((text) => text.replace(/[.*+?^${}()|[\]\\]/g, "\\$&"));
  const texts = told.map((one) => (one instanceof Error ? textOf(one) : String(one)));
  // Where a message itself has such dots, they match themselves.
  expect(texts).toContainEqual(expect.stringMatching(new RegExp(pattern.join("[^\\n]*"))));
}

function textOf(error: Error & { code?: string }): string {
  return `${error.code ?? error.name}: ${error.message}`;
}

/** Runs the document's code with these names. */
function runBlock(part: string, names: Record<string, unknown>): Promise<unknown> {
  const code = block("js", part).replaceAll("import.meta.url", "moduleUrl");
  const AsyncFunction = (async () => {}).constructor as FunctionConstructor;
  return new AsyncFunction(...Object.keys(names), code)(...Object.values(names));
}

async function refusedOf(app: App, path: string): Promise<readonly unknown[]> {
  expect((await app.visitor().get(path)).status).toBeGreaterThanOrEqual(500);
  return app.errors;
}

describe("I am not signed in after the redirect", () => {
  const HTTPS = { "x-forwarded-proto": "https" };
  const proxied = { settings: { cookie: { secure: true } } } as const;

  test("the proxy is not trusted, until it is", async () => {
    const app = await startApp(proxied);
    const visitor = app.visitor();
    await visitor.post("/set", { a: 1 }, HTTPS);
    expect(visitor.cookie).toBeUndefined();
    expectQuoted("Say which proxy to trust", app.log);

    const trusting = await startApp({
      ...proxied,
      before: (app) => void runBlock('app.set("trust proxy", 1)', { app }),
    });
    const other = trusting.visitor();
    await other.post("/set", { a: 1 }, HTTPS);
    expect(other.cookie).toBeDefined();
    expect(trusting.log).toEqual([]);
  });

  test.each([
    ["secure is true", { secure: true }],
    ["same_site is none", { same_site: "none" }],
    ["cookie.path is /admin", { path: "/admin" }],
    ["cookie.domain is example.com", { domain: "example.com" }],
  ] as const)("%s", async (part, cookie) => {
    const app = await startApp({ settings: { cookie } });
    await app.visitor().post("/set", { a: 1 });
    expectQuoted(part, app.log);
  });
});

describe("req.signIn", () => {
  test("is not a function before the middleware is mounted, and is one behind it", async () => {
    const early = (app: Express) => app.get("/early", (req) => req.signIn({ username: "ada", password: "a secret" }));
    expectQuoted("TypeError: req.signIn", await refusedOf(await startApp({ before: early }), "/early"));

    const sessions = ownTokenizer();
    const app = express();
    await runBlock("// first", {
      app,
      sessions,
      signIn: (req: express.Request, res: express.Response) => res.json(typeof req.signIn),
    });
    expect((await request(app).post("/sign-in")).body).toBe("function");
    await sessions.close();
  });

  test("is refused after the answer had begun, and sends its cookie before", async () => {
    const credentials = { username: "ada", password: "a secret" };
    let refusal: unknown;
    const routes = (app: Express) => {
      app.get("/late", async (req, res) => {
        res.write("begun");
        refusal = await req.signIn(credentials).catch((error: unknown) => error);
        res.end();
      });
      app.get("/first", (req, res) =>
        runBlock("await req.signIn({ username, password });", { req, res, ...credentials }),
      );
    };
    const app = await startApp({ routes });
    await app.visitor().get("/late");
    expectQuoted("after the answer had begun", [refusal]);
    const visitor = app.visitor();
    expect((await visitor.get("/first")).status).toBe(302);
    expect((await visitor.get("/session")).body.opened).toEqual(credentials);
  });

  test("ends the process at an empty user name on Express 4, unless the handler hands it on", async () => {
    const script = join(folder, "express4.mjs");
    const code = `import express from "express4"; import { tokenizer } from "express-tokenizer";
      const sessions = tokenizer({ tokenizer: { path: ${JSON.stringify(join(folder, "express4"))}, safe_password: "${PASSWORD}" } });
      const app = express(); app.use(sessions);
      app.get("/", async (req, res) => { await req.signIn({ username: "", password: "" }); res.end(); });
      const server = app.listen(0, "127.0.0.1", () => fetch("http://127.0.0.1:" + server.address().port).catch(() => {}));`;
    writeFileSync(script, code);
    const child = spawn(process.execPath, [script], { stdio: ["ignore", "ignore", "pipe"], timeout: 200_000 });
    let told = "";
    child.stderr.on("data", (chunk) => (told += chunk));
    expect(await once(child, "close")).toEqual([1, null]);
    const [, message = ""] = /TokenizerError: (.*)/.exec(told) ?? [];
    const [, code4 = ""] = /code: '(\w+)'/.exec(told) ?? [];
    expectQuoted("needs a username", [`${code4}: ${message}`]);

    const app = await startApp({ express: 4, routes: (app) => void runBlock("const handled", { app }) });
    expect((await app.visitor().post("/handled", { username: "", password: "" })).body.code).toBe("SIGN_IN_INVALID");
    expect((await app.visitor().post("/handled", { username: "ada", password: "a" })).status).toBe(302);
  });
});

test("after a deployment with another safe_password nobody is signed in, and credentials alone do not open", async () => {
  const cookie = { secret: "a secret that signs the cookies, kept" };
  const before = await startApp({ settings: { cookie, safe_password: `${PASSWORD}1` } });
  const visitor = before.visitor();
  await visitor.signIn();
  await before.close();
  const after = await startApp({ settings: { path: before.path, cookie, safe_password: `${PASSWORD}2` } });
  expect((await after.visitor(visitor.cookie).get("/session")).body.opened).toBeUndefined();
  expectQuoted("do not open", after.log);
  await after.close();
  const other = await startApp({ settings: { path: before.path, safe_password: `${PASSWORD}2` } });
  expect((await other.visitor(visitor.cookie).get("/session")).body).toEqual({ values: {}, ended: false });
});

describe("errors of a request", () => {
  test.each([
    ["MOUNTED_TWICE:", (app: Express, sessions: Tokenizer) => app.use("/it", sessions)],
    ["SESSION_TOO_LARGE:", keep("report", "x".repeat(500_000))],
    ["username is a value of type object", keep("username", { name: "ada" })],
    ["req.session.save cannot be kept", keep("save", 1)],
    ["SESSION_UNSERIALIZABLE:", keep("total", 1n)],
    [
      "req.session was replaced",
      (app: Express) => app.get("/it", (req, res) => res.json(Object.assign(req, { session: { basket: [] } }).url)),
    ],
  ])("%s", async (part, routes) => {
    expectQuoted(part, await refusedOf(await startApp({ routes }), "/it"));
  });

  test("a user's name and other data have keys of their own", async () => {
    const user = { name: "ada", id: 7, mail: "ada@example.com" };
    const routes = (app: Express) =>
      app.get("/it", async (req, res) => {
        await runBlock("req.session.username = user.name", { req, user });
        res.end();
      });
    const visitor = (await startApp({ routes })).visitor();
    await visitor.get("/it");
    const { username, profile } = (await visitor.get("/session")).body.values;
    expect({ username, profile }).toEqual({ username: "ada", profile: { id: 7, mail: "ada@example.com" } });
  });

  function keep(key: string, value: unknown) {
    return (app: Express) =>
      app.get("/it", (req, res) => {
        Object.assign(req.session, { [key]: value });
        res.end();
      });
  }
});

describe("a store that fails", () => {
  test("unreachable: told, and answered with a page that asks to try again", async () => {
    const sessions = ownTokenizer({ type: "redis", host: "127.0.0.1", port: await freePort() });
    expectQuoted("cannot be reached", [await sessions.ready.catch((error: unknown) => error)]);
    const app = express();
    app.use(sessions, (req, res) => {
      req.session.username = "ada";
      res.end();
    });
    await runBlock("Please try again.", { app });
    const { status, text, headers } = await request(app).get("/");
    expect({ status, text, after: headers["retry-after"] }).toEqual({
      status: 503,
      text: "Please try again.",
      after: "5",
    });
    await sessions.close();
  });

  test("silent: told within store_timeout", async () => {
    const sockets: Socket[] = [];
    const silent = createServer((socket) => sockets.push(socket)).listen(0, "127.0.0.1");
    await once(silent, "listening");
    const { port } = silent.address() as { port: number };
    const sessions = ownTokenizer({ type: "redis", host: "127.0.0.1", port, store_timeout: 0.1 });
    expectQuoted("did not answer within", [await sessions.ready.catch((error: unknown) => error)]);
    await sessions.close();
    for (const socket of sockets) socket.destroy();
    silent.close();
  });

  test("a locked database, by the backend: the store's own deadline may come first", async () => {
    const path = join(folder, "locked");
    const backend = new LocalBackend({ path, create: true }, { now: Date.now, timeout: 100, warn: () => {} });
    await backend.open();
    const open = await loadEngine();
    const database = open(join(path, "sessions.db"));
    database.exec("BEGIN IMMEDIATE");
    const record = { value: "{}", version: "1", expires: Date.now() + 60_000 };
    const refusal = await Promise.resolve(backend.write("a key", record, "any")).catch((error: unknown) => error);
    database.exec("ROLLBACK");
    database.close();
    await backend.close();
    expectQuoted("keeps it locked", [refusal]);
  });

  test("closed", async () => {
    const sessions = ownTokenizer();
    await sessions.ready;
    await sessions.close();
    const error = await new Promise((resolve) => sessions.store.get("an id", resolve));
    expectQuoted("STORE_CLOSED", [error]);
  });

  test("what other specs provoke, and what is jest's, is quoted as they have it", () => {
    const network = readFileSync(join(ROOT, "spec/backends/local/folder.spec.ts"), "utf8");
    const [message = ""] = /The folder .*?is on a network.*(?=`)/.exec(network) ?? [];
    expectQuoted("network file system", [`STORE_UNUSABLE: ${message.replace(/\$\{name\}/, "NFS")}`]);
    const jest = readFileSync(join(ROOT, "node_modules/jest-cli/build/index.js"), "utf8");
    expectQuoted("Jest did not exit", [jest.replace(/\$\{timeout === 1000.*?seconds`\}/, "one second")]);
  });
});

test("a change after the answer is saved by hand", async () => {
  let finish = () => {};
  let saved: Promise<unknown> = Promise.resolve();
  const work = () => new Promise<void>((resolve) => (finish = resolve));
  const routes = (app: Express) => {
    app.get("/work", (req, res) => {
      req.session.username = "ada";
      saved = runBlock("await work();", { req, res, work }).then(
        () => new Promise((resolve) => req.session.save(resolve)),
      );
    });
  };
  const app = await startApp({ routes });
  const visitor = app.visitor();
  await visitor.post("/set", { a: 1 });
  expect((await visitor.get("/work")).status).toBe(202);
  finish();
  await saved;
  expect((await visitor.get("/session")).body.values).toMatchObject({ a: 1, isDone: true });
});

describe("settings", () => {
  const log = { warn: () => {} };
  const refusal = (source: Parameters<typeof loadSettings>[0], env: NodeJS.ProcessEnv) => {
    try {
      loadSettings(source, { log, env });
    } catch (error) {
      return error;
    }
    throw new Error("These settings were not refused.");
  };

  test("each refusal is as it is quoted", () => {
    // The project's own folder has a settings.yml, once `npm start` ran there.
    const before = process.cwd();
    const empty = join(temporaryFolder(), "app");
    mkdirSync(empty);
    process.chdir(empty);
    try {
      expectQuoted("there is no such file", [refusal("settings.yml", {})]);
    } finally {
      process.chdir(before);
    }
    expectQuoted("is missing;", [refusal({ tokenizer: {} }, {})]);
    const short = { tokenizer: { safe_password: "short" } };
    expectQuoted("is shorter than", [refusal(short, { NODE_ENV: "production" })]);
    const sound = { tokenizer: { safe_password: PASSWORD } };
    expectQuoted("this is a cloud installation", [refusal(sound, { K_SERVICE: "my-app" })]);
  });

  test("a file beside the module is found from wherever the process was started", async () => {
    writeFileSync(join(folder, "settings.yml"), `tokenizer: { safe_password: ${PASSWORD} }\n`, { mode: 0o600 });
    const moduleUrl = pathToFileURL(join(folder, "app.js")).href;
    const given: unknown[] = [];
    await runBlock("new URL(", { moduleUrl, fileURLToPath, tokenizer: (file: unknown) => given.push(file) });
    expect(given).toEqual([join(folder, "settings.yml")]);
    expect(existsSync(join(folder, "settings.yml"))).toBe(true);
  });
});

test("what a test file opened is closed", async () => {
  const sessions = ownTokenizer();
  const server: Server = express().use(sessions).listen(0, "127.0.0.1");
  await once(server, "listening");
  let close = async () => {};
  await runBlock("afterAll(", { server, sessions, afterAll: (hook: () => Promise<void>) => (close = hook) });
  await close();
  expect(server.listening).toBe(false);
  await expect(sessions.health()).resolves.toMatchObject({ ok: false });
});

test("TypeScript knows what is declared", async () => {
  const compile = async (name: string, files: Record<string, string>) => {
    const names = Object.entries(files).map(([file, code]) => {
      writeFileSync(join(folder, `${name}-${file}`), code);
      return `${name}-${file}`;
    });
    const flags = ["--strict", "--noEmit", "--skipLibCheck", "--pretty", "false", "--module", "nodenext"];
    const tsc = join(ROOT, "node_modules/typescript/bin/tsc");
    const args = [tsc, "--ignoreConfig", ...flags, "--types", "node", ...names];
    return (await run(process.execPath, args, { cwd: folder }).catch((failure: { stdout: string }) => failure)).stdout;
  };
  const app = `import express from "express"; import type {} from "express-session";
    express().get("/", (req) => { req.session.basket.push("a");
      void req.signIn({ username: "ada", password: "a secret" }); });`;
  const told = await compile("bare", { "app.mts": app });
  expectQuoted("Property 'basket'", [told]);
  expectQuoted("Property 'signIn'", [told]);
  const declared = app.replace("basket.push", "basket?.push");
  const types = block("ts", "basket: string[]");
  const whole = `import type {} from "express-tokenizer";\n${declared}`;
  expect(await compile("declared", { "app.mts": whole, "types.mts": types })).toBe("");
}, 120_000);

test("every message and all code of the document was looked at", () => {
  expect(blocks.filter((one) => one.language !== "sh" && !used.has(one)).map(({ text }) => text)).toEqual([]);
});

/** Not in the application that every spec has. */
function ownTokenizer(settings: object = {}): Tokenizer {
  const path = join(temporaryFolder(), "tokens");
  const section = { path, safe_password: PASSWORD, ...settings };
  return tokenizer({ tokenizer: section }, { log: { warn: () => {} } });
}
