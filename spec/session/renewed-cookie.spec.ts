import { afterEach, describe, expect, jest, test } from "@jest/globals";
import type { Express } from "express";
import { LocalBackend } from "../../lib/backends/local/backend.js";
import { type App, type AppOptions, cookiesOf, startApp, type Visitor } from "../support/app.js";
import { Gate } from "../support/gate.js";
import { changeStored, countBackendCalls, readStored } from "../support/stored.js";

type Settings = NonNullable<AppOptions["settings"]>;
type Cookie = NonNullable<Settings["cookie"]>;

const HEADERS = { host: "app.example.com", "x-forwarded-proto": "https" };
const TAKEN_BACK = "token=; Path=/; Expires=Thu, 01 Jan 1970 00:00:00 GMT; HttpOnly; Secure; SameSite=Lax";

let gate: Gate;

afterEach(() => {
  jest.restoreAllMocks();
});

/** Behind TLS. */
function start(cookie: Cookie, options: AppOptions = {}): Promise<App> {
  return startApp({
    ...options,
    settings: { ...options.settings, cookie },
    before: (express: Express) => express.set("trust proxy", 1),
    routes(express) {
      express.get("/public", (_req, res) => {
        res.setHeader("Cache-Control", "public, max-age=60").send("for everybody");
      });
      express.get("/early", (_req, res) => {
        res.flushHeaders();
        res.end("early");
      });
      express.get("/slow", async (_req, res) => {
        await gate.pass();
        res.send("slow");
      });
    },
  });
}

/** The same application with other settings, and somebody who was signed in before. */
async function restart(from: Cookie, to: Cookie, options: AppOptions = {}): Promise<{ app: App; ada: Visitor }> {
  const before = await start(from, options);
  const visitor = before.visitor();
  await visitor.post("/sign-in", { username: "ada", password: "p" }, HEADERS);
  await before.close();
  const { clock } = before;
  const app = await start(to, { ...options, clock, settings: { ...options.settings, path: before.path } });
  return { app, ada: app.visitor(visitor.cookie) };
}

const USUAL = "Path=/; HttpOnly; Secure; SameSite=Lax";
const EMBEDDED: Cookie = { same_site: "none", secure: true };
const PARTITIONED = "Path=/; HttpOnly; Secure; Partitioned; SameSite=None";
const NOT_PARTITIONED = "Path=/; HttpOnly; Secure; SameSite=None";
const OVER = "Path=/; Expires=Thu, 01 Jan 1970 00:00:00 GMT";

/** Express releases write it at different places. */
function inOrder(line: string): string {
  return line.replace(/^(.*); (SameSite=\w+); Partitioned$/, "$1; Partitioned; $2");
}

describe.each([4.18, 4, 5] as const)(
  "a cookie whose attributes were changed in the settings, on Express %s",
  (express) => {
    test.each<[string, Cookie, Cookie, string[]]>([
      ["same_site", {}, { same_site: "strict" }, ["Path=/; HttpOnly; Secure; SameSite=Strict"]],
      ["same_site back to the default", { same_site: "none" }, {}, [USUAL]],
      ["secure", {}, { secure: false }, ["Path=/; HttpOnly; SameSite=Lax"]],
      ["secure always", { secure: false }, { secure: true }, [USUAL]],
      ["path", {}, { path: "/session" }, ["Path=/session; HttpOnly; Secure; SameSite=Lax"]],
      ["a domain taken away", { domain: "example.com" }, {}, [USUAL]],
      [
        "a domain, and the cookie without it is taken back",
        {},
        { domain: "example.com" },
        [`Domain=example.com; ${USUAL}`, TAKEN_BACK],
      ],
      ["priority", {}, { priority: "high" }, ["Path=/; HttpOnly; Secure; Priority=High; SameSite=Lax"]],
      [
        "partitioned, and the one that is not is taken back",
        EMBEDDED,
        { ...EMBEDDED, partitioned: true },
        [PARTITIONED, `token=; ${OVER}; HttpOnly; Secure; SameSite=None`],
      ],
      [
        "partitioned no more, and the one that is is taken back",
        { ...EMBEDDED, partitioned: true },
        { ...EMBEDDED, partitioned: false },
        [NOT_PARTITIONED, `token=; ${OVER}; HttpOnly; Secure; Partitioned; SameSite=None`],
      ],
      [
        "partitioned and a domain, and all others are taken back",
        EMBEDDED,
        { ...EMBEDDED, partitioned: true, domain: "example.com" },
        [
          `Domain=example.com; ${PARTITIONED}`,
          `token=; ${OVER}; HttpOnly; Secure; Partitioned; SameSite=None`,
          `token=; Domain=example.com; ${OVER}; HttpOnly; Secure; SameSite=None`,
          `token=; ${OVER}; HttpOnly; Secure; SameSite=None`,
        ],
      ],
    ])("is sent again once, with the same id: %s", async (_, from, to, expected) => {
      const { app, ada } = await restart(from, to, { express });
      const { cookie } = ada;
      const backend = countBackendCalls();
      const answer = await ada.get("/session", HEADERS);
      expect(answer.body.values).toEqual({ username: "ada" });
      expect(cookiesOf(answer).map((line) => inOrder(line.replace(`${cookie}; `, "")))).toEqual(expected);
      expect(backend.calls).toMatchObject({ read: 1, write: 1 });
      for (const _ of [1, 2]) expect(cookiesOf(await ada.get("/session", HEADERS))).toEqual([]);
      expect(backend.calls).toMatchObject({ read: 3, write: 1 });
      expect(await app.sessions.users.list("ada")).toHaveLength(1);
    });
  },
);

describe("a cookie whose attributes were changed in the settings", () => {
  test.each<[string, Cookie]>([
    ["with the default ones", {}],
    ["with others", { same_site: "strict", domain: "example.com" }],
  ])("costs whose were not nothing, %s", async (_, cookie) => {
    const { app, ada } = await restart(cookie, cookie);
    const backend = countBackendCalls();
    expect(cookiesOf(await ada.get("/session", HEADERS))).toEqual([]);
    expect(backend.calls).toMatchObject({ read: 1, write: 0 });
    const head = (await readStored(app, ada.id))?.head;
    expect(Object.keys(head ?? {}).includes("cookie")).toBe(cookie.domain !== undefined);
    // New sessions are written as often as ever.
    await app.visitor().post("/set", { basket: [1] }, HEADERS);
    expect(backend.calls.write).toBe(1);
  });

  test("is sent again with a change of the session, and that is still one write", async () => {
    const { ada } = await restart({}, { same_site: "strict" });
    const backend = countBackendCalls();
    expect(cookiesOf(await ada.post("/set", { basket: [1] }, HEADERS))).toEqual([
      expect.stringMatching(/SameSite=Strict$/),
    ]);
    expect(backend.calls.write).toBe(1);
    const answer = await ada.get("/session", HEADERS);
    expect([answer.body.values, cookiesOf(answer)]).toEqual([{ username: "ada", basket: [1] }, []]);
  });

  test("of a session that nobody is signed in to, too, and of one that is sealed", async () => {
    const sealed = { settings: { encrypt: "session" } } as const;
    const before = await start({}, sealed);
    const visitor = before.visitor();
    await visitor.post("/set", { basket: [1] }, HEADERS);
    await before.close();
    const app = await start(
      { same_site: "strict" },
      { clock: before.clock, settings: { ...sealed.settings, path: before.path } },
    );
    const copy = app.visitor(visitor.cookie);
    expect(cookiesOf(await copy.get("/session", HEADERS))).toEqual([expect.stringMatching(/SameSite=Strict$/)]);
    expect((await copy.get("/session", HEADERS)).body.values).toEqual({ basket: [1] });
  });

  test("of a session that was given to the store by hand, as when sessions are moved: it had another's attributes", async () => {
    const app = await start({ same_site: "strict" });
    const visitor = app.visitor();
    await visitor.post("/set", { basket: [1] }, HEADERS);
    const { store } = app.sessions;
    await new Promise((resolve) => store.set(visitor.id, { cookie: {}, basket: [2] } as never, resolve));
    const answer = await visitor.get("/session", HEADERS);
    expect([answer.body.values, cookiesOf(answer)]).toEqual([
      { basket: [2] },
      [expect.stringMatching(/SameSite=Strict$/)],
    ]);
    expect(cookiesOf(await visitor.get("/session", HEADERS))).toEqual([]);
  });

  test.each<[string, Cookie, string, Record<string, string>]>([
    ["that caches keep for everybody", { same_site: "strict" }, "/public", HEADERS],
    ["whose head is sent by hand", { same_site: "strict" }, "/early", HEADERS],
    ["that browsers would not take it from", { secure: true }, "/session", { host: "app.example.com" }],
  ])("is not sent with an answer %s, but with the next", async (_, to, path, headers) => {
    const { ada } = await restart({}, to);
    const backend = countBackendCalls();
    for (const _ of [1, 2]) expect(cookiesOf(await ada.get(path, headers))).toEqual([]);
    expect(backend.calls.write).toBe(0);
    expect(cookiesOf(await ada.get("/session", HEADERS))).toHaveLength(1);
  });

  test("is not sent with an answer that the store refused", async () => {
    const { ada } = await restart({}, { same_site: "strict" });
    jest.spyOn(LocalBackend.prototype, "write").mockRejectedValueOnce(new Error("the disk is full"));
    const answer = await ada.get("/session", HEADERS);
    expect([answer.status, cookiesOf(answer)]).toEqual([503, []]);
    expect(cookiesOf(await ada.get("/session", HEADERS))).toHaveLength(1);
  });

  test("is sent once to requests that come at once", async () => {
    const { app, ada } = await restart({}, { same_site: "strict" });
    gate = new Gate();
    const backend = countBackendCalls();
    const asking = [1, 2, 3, 4, 5].map(() => app.visitor(ada.cookie).get("/slow", HEADERS));
    await gate.arrived(5);
    gate.open();
    const sent = (await Promise.all(asking)).flatMap((answer) => cookiesOf(answer));
    expect(sent).toEqual([expect.stringMatching(/SameSite=Strict$/)]);
    expect(backend.calls.write).toBe(1);
  });

  test("is not sent over the one of a sign-in meanwhile", async () => {
    const { app, ada } = await restart({}, { same_site: "strict" });
    gate = new Gate();
    const slow = app.visitor(ada.cookie).get("/slow", HEADERS);
    await gate.arrived();
    await ada.post("/sign-in", { username: "ada", password: "p" }, HEADERS);
    gate.open();
    expect(cookiesOf(await slow)).toEqual([]);
  });

  test("is sent once also where another writer came between", async () => {
    const { app, ada } = await restart({}, { same_site: "strict" });
    gate = new Gate();
    const slow = app.visitor(ada.cookie).get("/slow", HEADERS);
    await gate.arrived();
    await changeStored(app, ada.id, ({ head, fields }) => ({ head, fields: { ...fields, basket: [1] } }));
    gate.open();
    expect(cookiesOf(await slow)).toHaveLength(1);
    const answer = await ada.get("/session", HEADERS);
    expect([answer.body.values, cookiesOf(answer)]).toEqual([{ username: "ada", basket: [1] }, []]);
  });

  test("where it is still the old one, one without the domain may be the live one", async () => {
    const { app, ada } = await restart({}, { domain: "example.com", secure: true });
    const dead = await restart({}, {});
    await dead.app.close();
    // The same settings made both: rightly signed, and known to one store alone.
    const both = app.visitor(`${dead.ada.cookie}; ${ada.cookie}`);
    const answer = await both.get("/session", { host: HEADERS.host });
    expect([answer.body.values, cookiesOf(answer)]).toEqual([{ username: "ada" }, []]);
  });
});
