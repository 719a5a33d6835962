/** docs/front-ends.md: its code runs between real servers, and in Chromium between origins. */
import { readFileSync } from "node:fs";
import { createServer, request as httpRequest, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { SourceTextModule } from "node:vm";
import { afterAll, expect, test } from "@jest/globals";
import express from "express";
import { type App, startApp, Visitor } from "../support/app.js";
import { connectToChromium, withChromium } from "../support/browser.js";

const ROOT = fileURLToPath(new URL("../..", import.meta.url));
const TEXT = readFileSync(join(ROOT, "docs/front-ends.md"), "utf8");
const CREDENTIALS = { username: "ada", password: "a secret" };

const servers = new Set<Server>();
afterAll(() => {
  for (const server of servers) server.closeAllConnections();
  for (const server of servers) server.close();
});

function block(part: string): string {
  const all = [...TEXT.matchAll(/```js\n([\s\S]*?)```/g)].map(([, code = ""]) => code);
  const [found, ...others] = all.filter((code) => code.includes(part));
  if (found === undefined || others.length > 0) throw new Error(`Not one block has ${part}`);
  return found;
}

/** Runs the document's code with these names, and answers what `expression` is after it. */
function runBlock(part: string, names: Record<string, unknown>, expression = "undefined") {
  return new Function(...Object.keys(names), `${block(part)}\nreturn ${expression};`)(...Object.values(names));
}

/** Answers its port. */
async function listen(server: Server): Promise<number> {
  servers.add(server);
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return (server.address() as AddressInfo).port;
}

test("what is for other tools is a module", () => {
  for (const part of ["// vite.config.js", "// next.config.js"]) {
    expect(() => new SourceTextModule(block(part))).not.toThrow();
  }
});

test("through a proxy that changes the host, as Vite's does, a visitor signs in and stays", async () => {
  const app = await startApp({ before: (app) => app.set("trust proxy", 1) });
  const proxy = createServer((req, res) => {
    const headers = { ...req.headers, host: `127.0.0.1:${app.port}`, "x-forwarded-proto": "https" };
    const passed = httpRequest({ port: app.port, path: req.url, method: req.method, headers }, (answer) => {
      res.writeHead(answer.statusCode ?? 500, answer.headers);
      answer.pipe(res);
    });
    req.pipe(passed);
  });
  const visitor = new Visitor(`http://127.0.0.1:${await listen(proxy)}`);
  expect(String((await visitor.signIn()).headers["set-cookie"])).toContain("; Secure");
  expect((await visitor.get("/inbox")).text).toBe("the mail of ada");
  expect(app.log).toEqual([]);
});

test("a rendering server asks as its visitor, and hands the cookie back", async () => {
  const app = await startApp({ before: (app) => app.set("trust proxy", 1) });
  const ask = runBlock("async function askAsVisitor", {}, "askAsVisitor");
  const renderer = express().use(express.json());
  renderer.post("/sign-in", async (req, res) => {
    const options = { method: "POST", body: JSON.stringify(req.body), headers: { "content-type": "application/json" } };
    res.sendStatus((await ask(req, res, `${app.url}/sign-in`, options)).status);
  });
  renderer.get("/page", async (req, res) => {
    res.send(`<h1>${await (await ask(req, res, `${app.url}/inbox`)).text()}</h1>`);
  });
  const url = `http://127.0.0.1:${await listen(createServer(renderer))}`;
  const visitor = new Visitor(url);
  const { status, headers } = await visitor.post("/sign-in", CREDENTIALS);
  expect({ status, cookie: String(headers["set-cookie"]) }).toEqual({
    status: 204,
    cookie: expect.stringMatching(/^token=.*; Secure/),
  });
  expect((await visitor.get("/page")).text).toBe("<h1>the mail of ada</h1>");
  expect((await new Visitor(url).get("/page")).text).toBe("<h1>Please sign in.</h1>");
});

test("a change from an origin that is not known is refused", async () => {
  const ORIGIN = "https://app.example.com";
  const app = await startApp({ before: (app) => runBlock("const OWN", { app, ORIGIN }) });
  const statusOf = async (headers: Record<string, string>) => (await app.visitor().post("/set", {}, headers)).status;
  expect(await statusOf({ origin: "https://other.example.com" })).toBe(403);
  expect(await statusOf({ origin: "null" })).toBe(403);
  expect(await statusOf({ origin: ORIGIN })).toBe(204);
  expect(await statusOf({})).toBe(204);
});

withChromium("in Chromium, a page on another origin", () => {
  async function from(pageHost: string) {
    const pages = createServer((_req, res) => res.setHeader("content-type", "text/html").end("<h1>page</h1>"));
    const ORIGIN = `http://${pageHost}:${await listen(pages)}`;
    const app: App = await startApp({
      before: (app) =>
        runBlock("res.vary", { app, ORIGIN, sessions: (_req: unknown, _res: unknown, next: () => void) => next() }),
    });
    const browser = await connectToChromium();
    const page = await browser.newPage();
    await page.goto(ORIGIN);
    const API = `http://api.example.localhost:${app.port}`;
    const signIn = block('credentials: "include"');
    const inPage = (code: string) => page.evaluate(`(async () => { const API = "${API}"; ${code} })()`);
    const status = await inPage(`${signIn} return answer.status;`);
    const inbox = (credentials: string) =>
      inPage(`return (await fetch(API + "/inbox", { credentials: "${credentials}" })).status;`);
    const outcome = { signIn: status, included: await inbox("include"), omitted: await inbox("same-origin") };
    await browser.close();
    return outcome;
  }

  test("of the same site stays signed in, where it says credentials", async () => {
    expect(await from("app.example.localhost")).toEqual({ signIn: 204, included: 200, omitted: 401 });
  });

  test("of another site does not, with same_site: lax", async () => {
    expect(await from("other.localhost")).toEqual({ signIn: 204, included: 401, omitted: 401 });
  });
});
