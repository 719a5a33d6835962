/** The route and the check in an application: where it is mounted, what stands before it, what it says, and any bytes. */
import { subscribe, unsubscribe } from "node:diagnostics_channel";
import { createServer as createPlainServer, ServerResponse } from "node:http";
import type { Duplex } from "node:stream";
import { text } from "node:stream/consumers";
import { connect } from "node:tls";
import { describe, expect, test } from "@jest/globals";
import type { ErrorRequestHandler, Express, Request, Response } from "express";
import fc from "fast-check";
import { storageKey } from "../../lib/session-id.js";
import { tokenizer } from "../../lib/tokenizer.js";
import { type AppOptions, Clock, MINUTE, SAFE_PASSWORD, startApp, temporaryFolder } from "../support/app.js";
import { type Answer, ask, certificate, HandBrowser, overTls, registrationIn } from "../support/device.js";
import { isFull } from "../support/redis-server.js";
import { startProxy } from "../support/stripping-proxy.js";

const RUNS = isFull ? 3000 : 200;
const ADA = { username: "ada", password: "p" };

const start = (options: AppOptions = {}) =>
  startApp({
    serve: overTls,
    ...options,
    settings: { ...options.settings, cookie: { device_bound: true, ...options.settings?.cookie } },
  });

const statusOf = async (asked: Promise<Answer>) => (await asked).status;
const userOf = ({ text }: Answer) => JSON.parse(text).values?.username;

describe.each([4, 4.18, 5] as const)("with Express %p", (version) => {
  test("registration, refresh and refusal go by the middleware alone", async () => {
    const app = await start({ express: version });
    const ada = new HandBrowser(app);
    expect(await statusOf(ada.signIn())).toBe(200);
    expect(ada.session?.path).toBe("/device-bound/token");
    app.clock.forward(11 * MINUTE);
    ada.dropBound();
    const refused = await ada.get("/session");
    expect([refused.status, JSON.parse(refused.text).code]).toEqual([401, "SESSION_UNPROVEN"]);
    const asked = await ada.challenge();
    expect(asked.answer.headers).toMatchObject({ "cache-control": "no-store" });
    const answer = await ada.refresh();
    expect(answer.headers["set-cookie"]).toEqual([
      expect.stringMatching(
        /^token-bound-[\w-]{8}=\d+\.[\w-]{43}; Max-Age=600; Path=\/; Expires=[^;]*; HttpOnly; Secure; SameSite=Lax$/,
      ),
    ]);
    expect(answer).toMatchObject({ status: 200, text: "", headers: { "cache-control": "no-store" } });
    expect(userOf(await ada.get("/session"))).toBe("ada");
  });
});

describe("places", () => {
  /** An application with the sessions at a place of its own, that signs in by a router. */
  async function startAt(mount: string, cookie: { path?: string; name?: string } = {}) {
    const clock = new Clock();
    const section = {
      type: "memory",
      safe_password: SAFE_PASSWORD,
      cookie: { device_bound: true, ...cookie },
    } as const;
    const sessions = tokenizer({ tokenizer: section }, { clock, log: { warn() {} } });
    await sessions.ready;
    const express = (await import("express")).default;
    const app = express();
    app.set("trust proxy", "loopback");
    const account = express.Router();
    account.post("/sign-in", (req, res, next) => {
      req.signIn(ADA).then(() => res.sendStatus(204), next);
    });
    const shop = express.Router();
    shop.use(sessions);
    shop.use("/account", account);
    shop.get("/session", (req, res) => void res.json({ values: req.session }));
    app.use(mount, shop);
    return { app, clock, sessions };
  }

  async function listen(app: Express, make: typeof overTls | typeof createPlainServer) {
    const server = make(app);
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    const { port } = server.address() as { port: number };
    const close = async () => {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    };
    return { port, close };
  }

  test.each([
    ["at the root", "/", {}, "/device-bound/token", ""],
    ["below a path", "/shop", {}, "/shop/device-bound/token", "/shop"],
    ["below a path that the cookie has, too", "/shop", { path: "/shop/" }, "/shop/device-bound/token", "/shop"],
    ["deeper than the cookie's path", "/shop/en", { path: "/shop" }, "/shop/en/device-bound/token", "/shop/en"],
    ["with another name", "/", { name: "__Host-sid" }, "/device-bound/__Host-sid", ""],
  ])("%s", async (_, mount, cookie, path, base) => {
    const { app, clock, sessions } = await startAt(mount, cookie);
    const server = await listen(app, overTls);
    const ada = new HandBrowser(server);
    ada.page = `${base}/session`;
    expect(await statusOf(ada.signIn(`${base}/account/sign-in`))).toBe(200);
    expect(ada.session?.path).toBe(path);
    clock.forward(11 * MINUTE);
    expect(await statusOf(ada.get(`${base}/session`))).toBe(401);
    expect(await statusOf(ada.refresh())).toBe(200);
    expect(await statusOf(ada.get(`${base}/session`))).toBe(200);
    await server.close();
    await sessions.close();
  });

  test("behind a proxy that speaks TLS and takes a path off", async () => {
    const { app, clock, sessions } = await startAt("/", { path: "/shop" });
    const server = await listen(app, createPlainServer);
    const proxy = await startProxy(server.port, "/shop");
    const headers = { "x-forwarded-proto": "https" };
    const post = async (path: string, more: Record<string, string> = {}) => {
      return fetch(`${proxy.url}${path}`, { method: "POST", headers: { ...headers, ...more } });
    };
    const signedIn = await post("/shop/account/sign-in");
    const { keys } = new HandBrowser(server);
    const { path, challenge } = registrationIn({
      headers: { "secure-session-registration": signedIn.headers.get("secure-session-registration") ?? "" },
    } as unknown as Answer);
    expect(path).toBe("/shop/device-bound/token");
    const registered = await post(path, { "secure-session-response": keys.registration(challenge) });
    expect(registered.status).toBe(200);
    expect(await registered.json()).toMatchObject({
      refresh_url: path,
      credentials: [{ attributes: "Path=/shop; Secure; HttpOnly; SameSite=Lax" }],
    });
    const cookieOf = (answer: { headers: Headers }) => answer.headers.getSetCookie()[0]?.split(";")[0] ?? "";
    const cookie = cookieOf(signedIn);
    const both = { ...headers, cookie: `${cookie}; ${cookieOf(registered)}` };
    expect((await fetch(`${proxy.url}/shop/session`, { headers: both })).status).toBe(200);
    clock.forward(11 * MINUTE);
    const refused = await fetch(`${proxy.url}/shop/session`, { headers: { ...headers, cookie } });
    expect(refused.status).toBe(401);
    await proxy.close();
    await server.close();
    await sessions.close();
  });
});

test("a proxy that takes the browser's headers away: 400, nothing is bound, and nothing bound is ended", async () => {
  const app = await start();
  const ada = new HandBrowser(app);
  const { path } = registrationIn(await ada.post("/sign-in", ADA));
  expect(await statusOf(ada.post(path))).toBe(400);
  app.clock.forward(11 * MINUTE);
  expect(userOf(await ada.get("/session"))).toBe("ada");
  await ada.signIn();
  const { challenge } = await ada.challenge();
  const proof = { "secure-session-response": ada.keys.refresh(challenge) };
  const refused = await ada.post(path, {}, proof);
  expect([refused.status, refused.headers["set-cookie"]]).toEqual([400, undefined]);
  expect(await statusOf(ada.refresh())).toBe(200);
});

test("without TLS nothing is bound, and one warning says so; behind a trusted proxy there is none", async () => {
  const plain = await start({ serve: createPlainServer });
  for (const name of ["ada", "grace"]) {
    const answer = await plain.visitor().signIn(name);
    expect(answer.headers).not.toHaveProperty("secure-session-registration");
  }
  expect(plain.log.filter((line) => line.includes("device_bound"))).toEqual([
    expect.stringMatching(/a sign-in came without TLS: .*trust proxy/),
  ]);
  const trusting = await start({ serve: createPlainServer, before: (app) => app.set("trust proxy", "loopback") });
  const answer = await trusting.visitor().post("/sign-in", ADA, { "x-forwarded-proto": "https" });
  expect(answer.headers).toHaveProperty("secure-session-registration");
  expect(trusting.log.join()).not.toContain("device_bound");
});

test("without the setting there is no route, no header and no check", async () => {
  const folder = temporaryFolder();
  const bound = await start({ settings: { path: folder } });
  const ada = new HandBrowser(bound);
  await ada.signIn();
  await bound.close();
  const app = await startApp({ serve: overTls, settings: { path: folder }, clock: bound.clock });
  app.clock.forward(11 * MINUTE);
  ada.useServer(app);
  expect(userOf(await ada.get("/session"))).toBe("ada");
  expect(await statusOf(ada.askRoute())).toBe(404);
  expect((await ada.post("/sign-in", ADA)).headers).not.toHaveProperty("secure-session-registration");
});

test("a domain from the function cookie is refused, as in the settings", async () => {
  const app = await start({ cookie: () => ({ domain: "example.com" }) });
  const answer = await ask(app.port, "/session");
  expect([answer.status, JSON.parse(answer.text).code]).toEqual([500, "SETTINGS_INVALID"]);
});

describe("what an application does with SESSION_UNPROVEN", () => {
  /** A browser that lost its key, on a page of the application. */
  async function startRefusing() {
    const app = await start({
      routes(express) {
        express.use((error: unknown, req: Request, res: Response, next: (error?: unknown) => void) => {
          if (req.path !== "/enter") return next(error);
          req.signIn(ADA).then(() => res.sendStatus(204), next);
        });
        // As docs/device-bound.md has it.
        express.use(((error, req, res, next) => {
          const isPage = req.get("sec-fetch-mode") === "navigate";
          if (error.code !== "SESSION_UNPROVEN" || !isPage) return next(error);
          req.signOut().then(() => res.status(401).send('<a href="/sign-in">Please sign in again.</a>'), next);
        }) satisfies ErrorRequestHandler);
      },
    });
    const ada = new HandBrowser(app);
    await ada.signIn();
    app.clock.forward(11 * MINUTE);
    ada.dropBound();
    return { app, ada };
  }

  test("its error handler signs the user in again, and that sign-in is bound", async () => {
    const { app, ada } = await startRefusing();
    const before = ada.id;
    expect(await statusOf(ada.signIn("/enter"))).toBe(200);
    expect(ada.id).not.toBe(before);
    expect(userOf(await ada.get("/session"))).toBe("ada");
    // The session that could not be proven is nobody's to end: a thief would sign the user out.
    expect(await app.sessions.users.list("ada")).toHaveLength(2);
  });

  test("its error handler takes the cookie back; the session itself goes on where it is bound", async () => {
    const { app, ada } = await startRefusing();
    const thief = new HandBrowser(app);
    thief.cookies.set("token", ada.cookies.get("token") ?? "");
    expect(await statusOf(thief.get("/session"))).toBe(401);
    expect(thief.cookies.has("token")).toBe(true);
    const answer = await thief.get("/session", { "sec-fetch-mode": "navigate" });
    expect([answer.status, answer.text]).toEqual([401, expect.stringContaining("sign in again")]);
    expect(thief.cookies.has("token")).toBe(false);
    expect(await statusOf(thief.get("/session"))).toBe(200);
    expect(await statusOf(ada.refresh())).toBe(200);
    expect(userOf(await ada.get("/session"))).toBe("ada");
  });
});

test("its events name the session as the log does", async () => {
  const app = await start();
  const ada = new HandBrowser(app);
  const heard: unknown[] = [];
  const hear = (message: unknown, name: string | symbol) => void heard.push([name, message]);
  const names = ["tokenizer:bind", "tokenizer:unproven", "tokenizer:refuse"];
  for (const name of names) subscribe(name, hear);
  const registration = registrationIn(await ada.post("/sign-in", ADA));
  // Twice, as where the first answer was lost.
  for (const _ of "12") expect(await statusOf(ada.register(registration))).toBe(200);
  for (const _ of "12") await ada.get("/session");
  app.clock.forward(11 * MINUTE);
  ada.dropBound();
  await ada.get("/session");
  for (const name of names) unsubscribe(name, hear);
  const session = storageKey(ada.id).slice("session:".length, "session:".length + 12);
  expect(heard).toEqual([
    ["tokenizer:bind", { session }],
    ["tokenizer:unproven", { session }],
    ["tokenizer:refuse", { code: "SESSION_UNPROVEN" }],
  ]);
});

/** What the server at the port answers to these bytes, or nothing. */
async function statusOfRaw(port: number, head: (string | Uint8Array)[]): Promise<number | undefined> {
  const socket = connect({ port, host: "127.0.0.1", ca: certificate.cert });
  for (const part of [...head, "\r\n\r\n"]) socket.write(part);
  const [, status] = /^HTTP\/1\.1 (\d+)/.exec(await text(socket)) ?? [];
  return status === undefined ? undefined : Number(status);
}

test("a WebSocket's upgrade is proven by the same cookie", async () => {
  const app = await start({
    routes(express, sessions) {
      express.locals.sessions = sessions;
    },
    serve(express) {
      return overTls(express).on("upgrade", (req: Request, socket: Duplex) => {
        const res = new ServerResponse(req) as Response;
        express.locals.sessions(req, res, (error?: { status: number }) => {
          socket.end(`HTTP/1.1 ${error?.status ?? 101} Of a spec\r\n\r\n`);
        });
      });
    },
  });
  const ada = new HandBrowser(app);
  await ada.signIn();
  app.clock.forward(MINUTE);
  const upgrade = (cookie: string) => {
    const headers = `Host: spec\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nCookie: ${cookie}`;
    return statusOfRaw(app.port, [`GET / HTTP/1.1\r\n${headers}`]);
  };
  expect(await upgrade(ada.cookie)).toBe(101);
  expect(await upgrade(`token=${ada.cookies.get("token")}`)).toBe(401);
});

describe("any bytes", () => {
  test(`in the headers: nothing is bound, nothing is 500, ${4 * RUNS} times`, async () => {
    const app = await start();
    const ada = new HandBrowser(app);
    const { challenge } = registrationIn(await ada.post("/sign-in", ADA));
    const good = Buffer.from(ada.keys.registration(challenge));
    const id = storageKey(ada.id).slice("session:".length);
    const route = "POST /device-bound/token HTTP/1.1\r\nHost: spec\r\nConnection: close\r\nContent-Length: 0";
    const bytes = fc.uint8Array({ maxLength: 300 });
    /** A good proof, cut, changed or doubled. */
    const nearly = fc.tuple(fc.nat(good.length - 2), bytes, fc.nat(2)).map(([at, middle, kind]) => {
      const [before, after] = [good.subarray(0, at), good.subarray(at)];
      return Buffer.concat(
        [
          [before, Buffer.from("!"), middle, after],
          [before, middle],
          [good, Buffer.from(", "), middle],
        ][kind] ?? [],
      );
    });
    const refuses = async (...lines: [name: string, value: Uint8Array | string][]) => {
      const head = lines.flatMap(([name, value]) => [`\r\n${name}: `, value]);
      // 200 ends a session that is none of ours; 400 is Node's own, too.
      expect([200, 400, 403]).toContain(await statusOfRaw(app.port, [route, ...head]));
    };
    const runs = { numRuns: RUNS };
    await fc.assert(
      fc.asyncProperty(bytes, (value) => refuses(["Secure-Session-Response", value])),
      runs,
    );
    await fc.assert(
      fc.asyncProperty(nearly, (value) => refuses(["Secure-Session-Response", value])),
      runs,
    );
    await fc.assert(
      fc.asyncProperty(bytes, (value) => refuses(["Sec-Secure-Session-Id", value])),
      runs,
    );
    await fc.assert(
      fc.asyncProperty(bytes, nearly, (skipped, value) =>
        refuses(["Sec-Secure-Session-Id", id], ["Secure-Session-Response", value], ["Secure-Session-Skipped", skipped]),
      ),
      runs,
    );
    expect(app.errors).toEqual([]);
    expect((await app.sessions.users.list("ada")).map(({ bound }) => bound)).toEqual([false]);
    expect(await statusOf(ada.register({ path: "/device-bound/token", challenge }))).toBe(200);
  });

  test(`for the short-lived cookie: 401, ${RUNS} times`, async () => {
    const app = await start();
    const ada = new HandBrowser(app);
    await ada.signIn();
    app.clock.forward(MINUTE);
    const token = `token=${ada.cookies.get("token")}`;
    const value = fc.string({ unit: fc.constantFrom(...'AZaz09-_.%;= "') });
    await fc.assert(
      fc.asyncProperty(value, async (value) => {
        expect(
          await statusOf(ask(app.port, "/session", { headers: { cookie: `${ada.bound}=${value}; ${token}` } })),
        ).toBe(401);
      }),
      { numRuns: RUNS },
    );
    expect(await statusOf(ada.get("/session"))).toBe(200);
  });
});
