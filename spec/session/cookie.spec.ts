import { createServer as createTlsServer, request as httpsRequest, type RequestOptions } from "node:https";
import { connect } from "node:net";
import type { ConnectionOptions } from "node:tls";
import { afterEach, beforeAll, describe, expect, jest, test } from "@jest/globals";
import { sign } from "cookie-signature";
import type { Express, Request, Response } from "express";
import session from "express-session";
import { TokenizerError } from "../../lib/errors.js";
import { storageKey } from "../../lib/session-id.js";
import type { SettingsInput } from "../../lib/settings/settings.js";
import { tokenizer } from "../../lib/tokenizer.js";
import { type App, cookiesOf, MINUTE, SAFE_PASSWORD, startApp, temporaryFolder } from "../support/app.js";
import { countBackendCalls, readStored } from "../support/stored.js";

const SECRET = "the secret that signs these cookies";
const UNTOUCHED = { read: 0, write: 0, touch: 0, remove: 0 };
const NOBODY = { values: {}, ended: false };

let app: App;

beforeAll(async () => {
  app = await startApp({
    settings: { cookie: { secret: SECRET } },
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

afterEach(() => {
  jest.restoreAllMocks();
});

function signed(id: string, secret = SECRET): string {
  return `token=${encodeURIComponent(`s:${sign(id, secret)}`)}`;
}

describe("a cookie that is not ours: an anonymous request, and the store is not asked", () => {
  const id = "the-id-that-somebody-thought-out";

  test.each([
    ["row 1: unsigned", `token=${id}`],
    ["row 1: unsigned, with the mark of a signed one", `token=s%3A${id}`],
    ["row 1: JSON, as cookie-parser reads it", 'token=j%3A{"a":1}'],
    ["row 2: signed with another secret", signed(id, "another secret")],
    ["row 2: signed with an empty secret", signed(id, "")],
    ["row 2: an empty signature", `token=s%3A${id}.`],
    ["row 2: another id's signature", signed(id).replace("somebody", "everybody")],
    ["row 2: a signature and more", `${signed(id)}A`],
    ["row 2: a signature cut short", signed(id).slice(0, -1)],
    ["row 2: nothing, rightly signed", signed("")],
    ["row 6: 8 KB, unsigned", `token=${"a".repeat(8192)}`],
    ["row 6: 8 KB, badly signed", `token=s%3A${"a".repeat(8192)}.${"b".repeat(43)}`],
    ["row 7: %00", "token=s%3Aa%00b.c"],
    ["row 7: %0D%0A", "token=s%3Aa%0D%0ASet-Cookie:%20x=y.c"],
    ["row 7: a bad %-escape", "token=s%3A%zz.c"],
    ["row 7: half a %-escape", "token=%"],
    ["row 7: what is no UTF-8", "token=s%3A%ff%fe.c"],
    ["row 8: __proto__", "token=__proto__"],
    ["row 8: ../../x", "token=..%2F..%2Fx"],
    ["row 8: *", "token=*"],
    ["row 8: the cookie's name is __proto__", `__proto__=${id}`],
    ["nothing but separators", "; ; ="],
  ])("%s", async (_, cookie) => {
    const backend = countBackendCalls();
    const visitor = app.visitor(cookie);
    const answer = await visitor.get("/");
    expect([answer.status, answer.text, cookiesOf(answer)]).toEqual([200, "hello", []]);
    expect((await visitor.get("/session")).body).toEqual(NOBODY);
    expect(backend.calls).toEqual(UNTOUCHED);

    // Used, it becomes a session under an id of our own.
    expect(cookiesOf(await visitor.post("/set", { basket: [1] }))).toHaveLength(1);
    expect(visitor.id).toMatch(/^[\w-]{32}$/);
    expect(visitor.id).not.toBe(id);
    expect(backend.calls).toEqual({ ...UNTOUCHED, write: 1 });
    expect((await visitor.get("/session")).body.values).toEqual({ basket: [1] });
  });

  // Clients refuse to send these, so they are sent by hand.
  test.each([
    ["row 7: NUL", "token=s:a\0b.c", 400],
    ["row 7: CR LF, which makes another header of the rest", "token=s:a\r\nX-Rest: b.c", 200],
    ["row 7: CR LF, with a rest that is no header", "token=s:a\r\nb.c", 400],
    ["row 7: LF alone", "token=s:a\nb.c", 400],
    ["row 7: bytes that are no UTF-8", "token=s:\xff\xfe.c", 200],
    ["row 7: a tab", "token=s:a\tb.c", 200],
    ["row 6: more than Node takes", `token=s:${"a".repeat(20_000)}.c`, 431],
  ])("%s, over a raw socket", async (_, cookie, status) => {
    const backend = countBackendCalls();
    const answer = await sendRaw(`GET /session HTTP/1.1\r\nHost: x\r\nConnection: close\r\nCookie: ${cookie}\r\n\r\n`);
    expect(answer).toMatch(new RegExp(`^HTTP/1\\.1 ${status} `));
    expect(answer.toLowerCase()).not.toContain("set-cookie");
    if (status === 200) expect(answer).toContain(JSON.stringify(NOBODY));
    expect(backend.calls).toEqual(UNTOUCHED);
    expect((await app.visitor().get("/")).status).toBe(200);
  });
});

describe("a good signature, and an id that nobody has: looked up once, never adopted", () => {
  test.each([
    ["row 4: an id that was never given", "abcdefghijklmnopqrstuvwxyz-_0123"],
    ["row 6: 8 KB", "a".repeat(8000)],
    ["row 7: NUL", "a\0b"],
    ["row 7: CR LF", "a\r\nSet-Cookie: x=y"],
    ["row 8: __proto__", "__proto__"],
    ["row 8: constructor", "constructor"],
    ["row 8: ../../x", "../../x"],
    ["row 8: *", "*"],
    ["row 8: SQL", "' OR 1=1; DROP TABLE records; --"],
    ["row 8: a storage key", storageKey("abcdefghijklmnopqrstuvwxyz-_0123")],
    ["a dot", "a.b"],
    ["a space", " "],
  ])("%s", async (_, id) => {
    const backend = countBackendCalls();
    const visitor = app.visitor(signed(id));
    const answer = await visitor.get("/");
    expect([answer.status, answer.text, cookiesOf(answer)]).toEqual([200, "hello", []]);
    expect(backend.calls).toEqual({ ...UNTOUCHED, read: 1 });

    expect(cookiesOf(await visitor.post("/set", { basket: [1] }))).toHaveLength(1);
    expect(visitor.id).toMatch(/^[\w-]{32}$/);
    expect(visitor.id).not.toBe(id);
    expect(await readStored(app, id)).toBeUndefined();
    expect((await visitor.get("/session")).body.values).toEqual({ basket: [1] });
  });
});

describe("row 5: the cookie twice is one, always the same", () => {
  test.each([
    ["two sessions", (one: string, other: string) => `${one}; ${other}`, "one"],
    ["two sessions, the other way round", (one: string, other: string) => `${other}; ${one}`, "other"],
    ["one and the same", (one: string) => `${one}; ${one}`, "one"],
    ["a good one and a bad one", (one: string) => `${one}; token=bad`, "one"],
    ["a bad one and a good one", (one: string) => `token=bad; ${one}`, undefined],
  ])("%s", async (_, join, expected) => {
    const [one, other] = [app.visitor(), app.visitor()];
    await one.post("/set", { who: "one" });
    await other.post("/set", { who: "other" });
    const cookie = join(one.cookie ?? "", other.cookie ?? "");
    for (let time = 0; time < 5; time++) {
      const answer = await app.visitor(cookie).get("/session");
      expect(answer.body.values.who).toBe(expected);
      expect(cookiesOf(answer)).toEqual([]);
    }
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

test("row 9: an id in the query, a header or the body is ignored", async () => {
  const ada = app.visitor();
  await ada.signIn("ada");
  const value = (ada.cookie ?? "").slice("token=".length);
  const query = ["token", "sid", "session", "sessionID", "connect.sid", "token[]"]
    .flatMap((name) => [`${name}=${ada.id}`, `${name}=${value}`])
    .join("&");
  const headers = {
    "x-session-id": ada.id,
    token: value,
    "x-token": value,
    authorization: `Bearer ${ada.id}`,
    "set-cookie": ada.cookie ?? "",
    cookie2: ada.cookie ?? "",
  };
  const backend = countBackendCalls();
  const answer = await app.visitor().get(`/session?${query}`, headers);
  expect([answer.body, cookiesOf(answer)]).toEqual([NOBODY, []]);
  expect(backend.calls).toEqual(UNTOUCHED);
  const eve = app.visitor();
  await eve.post(`/set?${query}`, { token: value, sessionID: ada.id }, headers);
  expect(eve.id).not.toBe(ada.id);
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

  test("follows the setting path: outside of it there is no session", async () => {
    const other = await startApp({
      settings: { cookie: { path: "/inside" } },
      routes(express) {
        express.get(["/inside/tell", "/outside"], (req, res) => {
          res.json({ hasSession: req.session !== undefined });
        });
        express.post("/inside/set", (req, res) => {
          Object.assign(req.session, req.body);
          res.sendStatus(204);
        });
      },
    });
    const visitor = other.visitor();
    const [sent] = cookiesOf(await visitor.post("/inside/set", { basket: [1] }));
    expect(sent).toMatch(/; Path=\/inside; HttpOnly; SameSite=Lax$/);
    expect((await visitor.get("/inside/tell")).body).toEqual({ hasSession: true });
    expect((await visitor.get("/outside")).body).toEqual({ hasSession: false });
  });
});

describe("TLS", () => {
  const FORWARDED = { "x-forwarded-proto": "https" };
  const SECURE = /; Path=\/; HttpOnly; Secure; SameSite=Lax$/;
  const WARNING =
    "express-tokenizer: A request came over HTTPS to a proxy (X-Forwarded-Proto), but Express takes it for HTTP: " +
    'secure cookies are not sent. Say which proxy to trust: app.set("trust proxy", 1).';
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

/** Sends bytes as they are, and answers what came until the connection was closed. */
function sendRaw(text: string): Promise<string> {
  return new Promise((resolve, reject) => {
    let answer = "";
    const socket = connect(app.port, "127.0.0.1", () => socket.write(Buffer.from(text, "latin1")));
    socket.setEncoding("latin1");
    socket.on("data", (chunk) => {
      answer += chunk;
    });
    socket.on("close", () => resolve(answer));
    socket.on("error", reject);
  });
}
