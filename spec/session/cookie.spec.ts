import { createServer as createTlsServer, request as httpsRequest, type RequestOptions } from "node:https";
import type { ConnectionOptions } from "node:tls";
import { afterEach, beforeAll, describe, expect, test } from "@jest/globals";
import express, { type Express, type Request, type Response } from "express";
import session from "express-session";
import express4 from "express4";
import request from "supertest";
import { TokenizerError } from "../../lib/errors.js";
import type { SettingsInput } from "../../lib/settings/settings.js";
import { tokenizer } from "../../lib/tokenizer.js";
import { type App, cookiesOf, MINUTE, SAFE_PASSWORD, startApp, temporaryFolder } from "../support/app.js";
import { startProxy } from "../support/stripping-proxy.js";

const NOBODY = { values: {}, ended: false };

let app: App;

beforeAll(async () => {
  app = await startApp({
    routes(express) {
      express.post("/max-age", (req, res) => {
        req.session.cookie.maxAge = 5 * MINUTE;
        req.session.username = "ada";
        res.sendStatus(204);
      });
      express.post("/expires", (req, res) => {
        req.session.cookie.expires = new Date(Date.now() + 5 * MINUTE);
        req.session.username = "ada";
        res.sendStatus(204);
      });
    },
  });
});

test("row 9: what another middleware made of the cookies is ignored, and is there again for the handlers", async () => {
  const parsed = { cookies: { token: { j: 1 } }, signedCookies: { token: "" } };
  const other = await startApp({
    before: (server) => {
      server.use((req, _res, next) => {
        Object.assign(req, parsed);
        next();
      });
    },
    routes: (server) => {
      server.get("/cookies", ({ cookies, signedCookies }, res) => {
        res.json({ cookies, signedCookies });
      });
    },
  });
  const ada = other.visitor();
  await ada.signIn("ada");
  parsed.signedCookies.token = ada.id;
  for (const visitor of [other.visitor(), ada]) expect((await visitor.get("/cookies")).body).toEqual(parsed);
  expect((await other.visitor().get("/session")).body).toEqual(NOBODY);
  expect((await ada.get("/session")).body.values).toEqual({ username: "ada" });
});

describe("the cookie", () => {
  const PLAIN = /^token=s%3A[\w-]{32}\.[^;]+; Path=\/; HttpOnly; SameSite=Lax$/;

  test("is a browser-session cookie, not to be read by scripts, and not sent by other sites' requests", async () => {
    const [cookie] = cookiesOf(await app.visitor().post("/set", { basket: [1] }));
    expect(cookie).toMatch(PLAIN);
  });

  test.each(["/max-age", "/expires"])("has no lifetime, also where the application sets one: %s", async (path) => {
    const visitor = app.visitor();
    expect(cookiesOf(await visitor.post(path))).toEqual([expect.stringMatching(PLAIN)]);
    expect(cookiesOf(await visitor.post(path))).toEqual([]);
    expect(cookiesOf(await visitor.get("/"))).toEqual([]);
  });

  test("never rolls: it is sent once", async () => {
    const ada = app.visitor();
    expect(cookiesOf(await ada.signIn("ada"))).toHaveLength(1);
    expect(cookiesOf(await ada.get("/session"))).toEqual([]);
    expect(cookiesOf(await ada.post("/set", { basket: [1] }))).toEqual([]);
    app.clock.forward(10 * MINUTE);
    expect(cookiesOf(await ada.get("/session"))).toEqual([]);
  });

  test("is not sent for a session that nothing is put into", async () => {
    expect(cookiesOf(await app.visitor().get("/session"))).toEqual([]);
    expect(cookiesOf(await app.visitor().post("/set", {}))).toEqual([]);
  });

  test.each<[string, Cookie, string]>([
    ["name", { name: "__Host-id" }, "__Host-id=s%3A…; Path=/; HttpOnly; SameSite=Lax"],
    ["domain", { domain: "example.com" }, "token=s%3A…; Domain=example.com; Path=/; HttpOnly; SameSite=Lax"],
    ["same_site strict", { same_site: "strict" }, "token=s%3A…; Path=/; HttpOnly; SameSite=Strict"],
    ["same_site none", { same_site: "none" }, "token=s%3A…; Path=/; HttpOnly; SameSite=None"],
    ["secure false", { secure: false }, "token=s%3A…; Path=/; HttpOnly; SameSite=Lax"],
  ])("follows the setting %s, when it is sent and when it is taken back", async (_, cookie, expected) => {
    const other = await startApp({ settings: { cookie } });
    const ada = other.visitor();
    const [sent = ""] = cookiesOf(await ada.signIn("ada"));
    expect(sent.replace(/s%3A[^;]+/, "s%3A…")).toBe(expected);
    expect((await ada.get("/session")).body.values).toEqual({ username: "ada" });
    const [cleared = ""] = cookiesOf(await ada.post("/sign-out"));
    expect(cleared.replace("; Expires=Thu, 01 Jan 1970 00:00:00 GMT", "")).toBe(expected.replace("s%3A…", ""));
    expect(cleared).toContain("; Expires=Thu, 01 Jan 1970 00:00:00 GMT");
  });

  test.each([4, 5] as const)(
    "follows the setting path; where the middleware is mounted there is a session, on Express %i",
    async (release) => {
      const log: string[] = [];
      const section = { safe_password: SAFE_PASSWORD, path: temporaryFolder(), cookie: { path: "/app" } };
      const sessions = tokenizer({ tokenizer: section }, { log: { warn: (line) => log.push(line) } });
      const framework = release === 4 ? (express4 as unknown as typeof express) : express;
      const app = framework().use("/app", sessions);
      app.use((req, res) => {
        if (req.session && req.query.user) req.session.username = String(req.query.user);
        res.json(req.session ? (req.session.username ?? "nobody") : "no session");
      });
      const agent = request.agent(app);
      const told = async (path: string) => (await agent.get(path)).body;
      expect(cookiesOf(await agent.get("/app?user=ada"))).toEqual([expect.stringMatching(/; Path=\/app; HttpOnly;/)]);
      for (const path of ["/app", "/app/", "/app/x", "/app?x=/"]) expect(await told(path)).toBe("ada");
      for (const path of ["/", "/application", "/ap", "/x/app"]) expect(await told(path)).toBe("no session");
      expect(log).toEqual([]);
      // Express takes it for the same path, and browsers do not.
      expect(await told("/App/x?user=grace")).toBe("grace");
      expect(log).toEqual([
        expect.stringMatching(/^express-tokenizer: tokenizer.cookie.path is \/app, but a request for/),
      ]);
      await sessions.close();
    },
  );

  test("follows the setting path behind a proxy that takes it off", async () => {
    const other = await startApp({ settings: { cookie: { path: "/app" } } });
    const proxy = await startProxy(other.port, "/app");
    const agent = request.agent(proxy.url);
    const ada = { username: "ada", password: "p" };
    const [sent] = cookiesOf(await agent.post("/app/sign-in").send(ada));
    expect(sent).toMatch(/; Path=\/app; HttpOnly; SameSite=Lax$/);
    expect((await agent.get("/app/session")).body.values).toEqual({ username: "ada" });
    expect(cookiesOf(await agent.post("/app/sign-out"))).toEqual([
      expect.stringMatching(/^token=; Path=\/app; Expires/),
    ]);
    expect((await agent.get("/app/session")).body).toEqual(NOBODY);
    await proxy.close();
  });
});

describe("TLS", () => {
  const FORWARDED = { "x-forwarded-proto": "https" };
  const SECURE = /; Path=\/; HttpOnly; Secure; SameSite=Lax$/;
  const WARNING =
    "express-tokenizer: A request came over HTTPS to a proxy (X-Forwarded-Proto), but Express takes it for HTTP: " +
    'the session\'s cookie is sent without Secure. Say which proxy to trust: app.set("trust proxy", 1).';
  const trustProxy = (express: Express) => express.set("trust proxy", 1);

  test.each([4, 5] as const)("behind a trusted proxy the cookie is Secure, on Express %i", async (release) => {
    const other = await startApp({ express: release, before: trustProxy });
    const ada = other.visitor();
    const body = { username: "ada", password: "p" };
    expect(cookiesOf(await ada.post("/sign-in", body, FORWARDED))).toEqual([expect.stringMatching(SECURE)]);
    expect((await ada.get("/session", FORWARDED)).body.values).toEqual({ username: "ada" });
    const [cleared] = cookiesOf(await ada.post("/sign-out", {}, FORWARDED));
    expect(cleared).toBe("token=; Path=/; Expires=Thu, 01 Jan 1970 00:00:00 GMT; HttpOnly; Secure; SameSite=Lax");
    expect(other.log).toEqual([]);
  });

  test("over TLS itself the cookie is Secure", async () => {
    // A key that both sides know takes the place of a certificate.
    const psk = Buffer.from("a key that both sides know, for specs");
    const options = { ciphers: "PSK", maxVersion: "TLSv1.2" } as const;
    const other = await startApp({
      settings: { cookie: { secure: true } },
      serve: (express) => createTlsServer({ ...options, pskCallback: () => psk }, express),
    });
    const setCookie = await new Promise((resolve, reject) => {
      const target: RequestOptions & ConnectionOptions = {
        ...options,
        ...{ host: "127.0.0.1", port: other.port, path: "/set", method: "POST" },
        headers: { "content-type": "application/json" },
        pskCallback: () => ({ psk, identity: "spec" }),
        checkServerIdentity: () => undefined,
      };
      const asked = httpsRequest(target);
      asked.on("response", (response) => resolve(response.resume().headers["set-cookie"]));
      asked.on("error", reject);
      asked.end('{"basket":[1]}');
    });
    expect(setCookie).toEqual([expect.stringMatching(SECURE)]);
    expect(other.log).toEqual([]);
  });

  test.each(["https", "HTTPS", "https, http"])(
    "an untrusted proxy's %s makes nothing Secure, and is warned of once",
    async (proto) => {
      const other = await startApp();
      for (const _ of [1, 2, 3]) {
        const forwarded = { "x-forwarded-proto": proto };
        const [cookie] = cookiesOf(await other.visitor().post("/set", { basket: [1] }, forwarded));
        expect(cookie).toMatch(/; Path=\/; HttpOnly; SameSite=Lax$/);
      }
      expect(other.log).toEqual([WARNING]);
    },
  );

  test("an untrusted proxy's https with secure: true: no cookie, and that is what the warning says", async () => {
    const other = await startApp({ settings: { cookie: { secure: true } } });
    expect(cookiesOf(await other.visitor().post("/set", { basket: [1] }, FORWARDED))).toEqual([]);
    expect(other.log).toHaveLength(2);
    expect(other.log[0]).toBe(WARNING.replace("sent without Secure", "not sent"));
  });

  test("an untrusted proxy's https with secure: false: the cookie is what it is said to be, without a word", async () => {
    const other = await startApp({ settings: { cookie: { secure: false } } });
    expect(cookiesOf(await other.visitor().post("/set", { basket: [1] }, FORWARDED))).toHaveLength(1);
    expect(other.log).toEqual([]);
  });

  test("a proxy that was asked over plain HTTP is nothing to warn of", async () => {
    const other = await startApp();
    await other.visitor().get("/", { "x-forwarded-proto": "http" });
    expect(other.log).toEqual([]);
  });

  test("secure: true sends no cookie without TLS, and says so once", async () => {
    const other = await startApp({ settings: { cookie: { secure: true } } });
    for (const _ of [1, 2]) expect(cookiesOf(await other.visitor().post("/set", { basket: [1] }))).toEqual([]);
    expect(other.log).toEqual([
      "express-tokenizer: tokenizer.cookie.secure is true, but a request came without TLS: its session's cookie is " +
        'not sent. Behind a proxy set app.set("trust proxy", …); for plain HTTP on your own machine use secure: auto.',
    ]);
  });

  test("secure: false is not Secure over TLS either", async () => {
    const other = await startApp({ settings: { cookie: { secure: false } }, before: trustProxy });
    const [cookie] = cookiesOf(await other.visitor().post("/set", { basket: [1] }, FORWARDED));
    expect(cookie).toMatch(/; Path=\/; HttpOnly; SameSite=Lax$/);
  });
});

describe.each([4, 5] as const)("mounted wrongly, on Express %i", (release) => {
  const MOUNTED_TWICE = {
    code: "MOUNTED_TWICE",
    message:
      "req.session is there already: the session middleware is mounted twice, or behind another one. Mount it once.",
  };
  const someSession = (req: Request, _res: Response, next: () => void) => {
    Object.assign(req, { session: { of: "somebody else" } });
    next();
  };

  test.each<[string, Partial<Parameters<typeof startApp>[0]>, string]>([
    ["twice", { routes: (express, sessions) => express.use("/again", sessions) }, "/again"],
    ["behind another express-session", { before: (express) => express.use(otherSession()) }, "/"],
    ["behind another req.session", { before: (express) => express.use(someSession) }, "/"],
  ])("%s: an error that says so", async (_, options, path) => {
    const other = await startApp({ express: release, ...options });
    const answer = await other.visitor().get(path);
    expect([answer.status, answer.body, cookiesOf(answer)]).toEqual([500, MOUNTED_TWICE, []]);
    expect(other.errors).toEqual([expect.any(TokenizerError)]);
  });

  function otherSession() {
    return session({ secret: "s", name: "other", resave: false, saveUninitialized: false });
  }
});

describe("express-session's debug output, which prints session ids", () => {
  const { DEBUG, NODE_ENV } = process.env;

  afterEach(() => {
    restoreEnvironment("DEBUG", DEBUG);
    restoreEnvironment("NODE_ENV", NODE_ENV);
  });

  const warningsFor = async (debug: string | undefined, environment: string) => {
    restoreEnvironment("DEBUG", debug);
    restoreEnvironment("NODE_ENV", environment);
    const log: string[] = [];
    const section = { type: "local", safe_password: SAFE_PASSWORD, path: temporaryFolder() } as const;
    const sessions = tokenizer({ tokenizer: section }, { log: { warn: (line) => log.push(line) } });
    await sessions.ready;
    await sessions.close();
    return log;
  };

  test.each(["*", "express-session", "express*", "http,express-session", "http express-session", "e*", "express-*"])(
    "DEBUG=%s is warned of in production",
    async (debug) => {
      expect(await warningsFor(debug, "production")).toEqual([
        `express-tokenizer: DEBUG=${debug} makes express-session print session ids and cookies. Leave it out in production.`,
      ]);
    },
  );

  test.each([
    ["*", "development"],
    ["express-session", "test"],
    [undefined, "production"],
    ["", "production"],
    ["express:router", "production"],
    ["http", "production"],
  ])("DEBUG=%s is not warned of in %s", async (debug, environment) => {
    expect(await warningsFor(debug, environment)).toEqual([]);
  });
});

type Cookie = NonNullable<SettingsInput["tokenizer"]["cookie"]>;

function restoreEnvironment(name: string, value: string | undefined): void {
  if (value === undefined) delete process.env[name];
  else process.env[name] = value;
}
