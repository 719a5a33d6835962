/** sessions.on("ended", …): told in the process that ends a user's session, once, with the handle that users.list shows. */
import { execFile } from "node:child_process";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { afterEach, beforeEach, describe, expect, jest, test } from "@jest/globals";
import type { SessionEnd } from "../../../lib/session/endings.js";
import { type App, type AppOptions, MINUTE, startApp, temporaryFolder, type Visitor } from "../../support/app.js";
import { destroy } from "../../support/by-promise.js";
import { onEveryBackend, type Place } from "../../support/places.js";
import { countBackendCalls } from "../../support/stored.js";

const ENTRY = fileURLToPath(new URL("../../../dist/index.mjs", import.meta.url));

afterEach(() => {
  jest.restoreAllMocks();
});

function start(options: AppOptions = {}): Promise<App> {
  return startApp({
    ...options,
    routes(app, sessions) {
      app.get("/handle", (req, res) => {
        res.json({ handle: sessions.users.handle(req) ?? null });
      });
      app.post("/let-go", (req, res) => {
        Object.assign(req, { session: null });
        res.sendStatus(204);
      });
      app.post("/destroy", (req, res, next) => {
        req.session.destroy((error) => (error ? next(error) : res.sendStatus(204)));
      });
      app.post("/confirm", (req, res, next) => {
        req.confirmSignIn().then(() => res.sendStatus(204), next);
      });
      app.post("/name", (req, res) => {
        if (req.body.username) req.session.username = req.body.username;
        else delete req.session.username;
        res.sendStatus(204);
      });
      app.post("/revoke-others", async (req, res) => {
        res.json(await sessions.users.revoke("ada", { except: req }));
      });
    },
  });
}

/** What is told from now on. */
function listen(app: App): SessionEnd[] {
  const told: SessionEnd[] = [];
  app.sessions.on("ended", (end) => told.push(end));
  return told;
}

async function signedIn(app: App, username = "ada"): Promise<{ visitor: Visitor; handle: string }> {
  const visitor = app.visitor();
  await visitor.signIn(username);
  return { visitor, handle: (await visitor.get("/handle")).body.handle };
}

type Ending = (app: App, visitor: Visitor, handle: string) => Promise<unknown>;

const ENDINGS: [string, SessionEnd["reason"], Ending][] = [
  ["req.signOut", "sign-out", (_, visitor) => visitor.post("/sign-out")],
  ["a username that is deleted", "sign-out", (_, visitor) => visitor.post("/name")],
  ["a sign-in over it", "replaced", (_, visitor) => visitor.signIn("ada")],
  ["a sign-in over it of somebody else", "replaced", (_, visitor) => visitor.signIn("bob")],
  ["another username", "replaced", (_, visitor) => visitor.post("/name", { username: "bob" })],
  ["regenerate", "replaced", (_, visitor) => visitor.post("/regenerate")],
  ["destroy", "destroyed", (_, visitor) => visitor.post("/destroy")],
  ["req.session = null", "destroyed", (_, visitor) => visitor.post("/let-go")],
  ["store.destroy", "destroyed", (app, { id }) => destroy(app.sessions.store, id)],
  ["store.clear", "destroyed", (app) => app.sessions.store.clear()],
  ["users.revoke", "revoked", (app) => app.sessions.users.revoke("ada")],
  ["users.revoke of a handle", "revoked", (app, _, only) => app.sessions.users.revoke("ada", { only })],
  ["users.revokeEveryone", "revoked", (app) => app.sessions.users.revokeEveryone()],
];

const CONFIRMED: typeof ENDINGS = ENDINGS.filter(([name]) => /req.signOut|users|store.clear/.test(name));

onEveryBackend(({ next, prototype }) => {
  let place: Place;
  let app: App;

  beforeEach(async () => {
    place = await next();
    app = await start({ settings: place });
  });

  test.each(ENDINGS)("%s is told as %s, once, with the handle of the list", async (_, reason, end) => {
    const { visitor, handle } = await signedIn(app);
    expect(await app.sessions.users.list("ada")).toMatchObject([{ id: handle }]);
    const told = listen(app);
    await end(app, visitor, handle);
    // Listeners are called behind what ended it.
    await new Promise((resolve) => setImmediate(resolve));
    expect(told).toEqual([{ handle, user: "ada", reason }]);
    await visitor.post("/sign-out");
    expect(told.filter((one) => one.handle === handle)).toHaveLength(1);
  });

  test.each(CONFIRMED)("a confirmed session keeps its handle, and %s tells of it as %s", async (_, reason, end) => {
    const { visitor, handle } = await signedIn(app);
    const told = listen(app);
    await visitor.post("/confirm");
    await visitor.post("/confirm");
    // It goes on: that is no end.
    expect(told).toEqual([]);
    expect((await visitor.get("/handle")).body).toEqual({ handle });
    expect(await app.sessions.users.list("ada")).toMatchObject([{ id: handle }]);
    await end(app, visitor, handle);
    await new Promise((resolve) => setImmediate(resolve));
    expect(told).toEqual([{ handle, user: "ada", reason }]);
  });

  test("all but the request's own are told when the others are revoked", async () => {
    const others = [await signedIn(app), await signedIn(app)];
    const own = await signedIn(app);
    const told = listen(app);
    expect((await own.visitor.post("/revoke-others")).body).toBe(2);
    expect(told.map(({ handle }) => handle).sort()).toEqual(others.map(({ handle }) => handle).sort());
  });

  test("one that a fault of the store left over is told by the request that meets it", async () => {
    const { visitor, handle } = await signedIn(app);
    const told = listen(app);
    jest.spyOn(prototype, "remove").mockRejectedValueOnce(new Error("The disk is full."));
    await expect(app.sessions.users.revoke("ada")).rejects.toMatchObject({ ended: 0, failed: 1 });
    expect(told).toEqual([]);
    app.clock.forward(3 * MINUTE);
    expect((await visitor.get("/session")).body).toEqual({ values: {}, ended: true });
    expect(told).toEqual([{ handle, user: "ada", reason: "revoked" }]);
  });

  test("of two processes, the one that ended it tells", async () => {
    const other = await start({ settings: place, clock: app.clock });
    const { visitor, handle } = await signedIn(app);
    const [here, there] = [listen(app), listen(other)];
    await other.sessions.users.revoke("ada");
    expect((await visitor.get("/session")).body.ended).toBe(true);
    expect([here, there]).toEqual([[], [{ handle, user: "ada", reason: "revoked" }]]);
  });

  test("nothing more is asked of the store where somebody listens", async () => {
    const counts = [];
    for (const isHeard of [false, true]) {
      if (isHeard) listen(app);
      const { visitor, handle } = await signedIn(app);
      const { visitor: second } = await signedIn(app);
      const backend = countBackendCalls(prototype);
      expect((await visitor.get("/handle")).body).toEqual({ handle });
      await visitor.post("/sign-out");
      await app.sessions.users.revoke("ada");
      expect((await second.get("/session")).body.ended).toBe(true);
      counts.push(backend.calls);
      jest.restoreAllMocks();
    }
    expect(counts[1]).toEqual(counts[0]);
  });
});

describe.each([4, 5] as const)("on Express %i", (express) => {
  test("the oldest that gives way is told as limit", async () => {
    const app = await start({ express, settings: { sessions_per_user: 1 } });
    const { handle } = await signedIn(app);
    const told = listen(app);
    await signedIn(app);
    expect(told).toEqual([{ handle, user: "ada", reason: "limit" }]);
  });

  test("of two, where the limit was lowered, the oldest is told once, by the request that meets it", async () => {
    const before = await start({ express });
    const [oldest] = [await signedIn(before), await signedIn(before)];
    await before.close();
    const settings = { path: before.path, sessions_per_user: 1 };
    const app = await start({ express, settings, clock: before.clock });
    const told = listen(app);
    app.clock.forward(3 * MINUTE);
    expect((await app.visitor(oldest.visitor.cookie).get("/session")).body.ended).toBe(true);
    expect(told).toEqual([{ handle: oldest.handle, user: "ada", reason: "limit" }]);
  });

  test("one that nobody is signed in to, and one whose time was up, are not told", async () => {
    const app = await start({ express });
    const [nobody, { visitor: late }] = [app.visitor(), await signedIn(app)];
    await nobody.post("/set", { basket: [1] });
    const told = listen(app);
    await nobody.post("/destroy");
    app.clock.forward(21 * MINUTE);
    expect((await late.get("/session")).body.ended).toBe(true);
    await app.sessions.store.prune();
    expect(await app.sessions.users.revoke("ada")).toBe(0);
    expect(told).toEqual([]);
  });

  test("one that was refused is not told: nothing has changed", async () => {
    const app = await start({ express });
    const { visitor } = await signedIn(app);
    const told = listen(app);
    const { LocalBackend } = await import("../../../lib/backends/local/backend.js");
    jest.spyOn(LocalBackend.prototype, "remove").mockRejectedValue(new Error("The disk is full."));
    expect((await visitor.post("/sign-out")).status).toBe(503);
    expect(told).toEqual([]);
  });
});

test("users.handle is that of the session now: nobody's has none, and what is no request is refused", async () => {
  const app = await start();
  const { visitor, handle } = await signedIn(app);
  expect((await app.visitor().get("/handle")).body).toEqual({ handle: null });
  await visitor.signIn("ada");
  expect((await visitor.get("/handle")).body.handle).not.toBe(handle);
  expect(() => app.sessions.users.handle({} as never)).toThrow(expect.objectContaining({ code: "ARGUMENT_INVALID" }));
});

test("once, off and another event are as of Node's emitters, and each answers the tokenizer", async () => {
  const app = await start();
  const [once, off, on] = [jest.fn(), jest.fn(), jest.fn()];
  const { sessions } = app;
  expect(sessions.once("ended", once).on("ended", off).off("ended", off).on("ended", on)).toBe(sessions);
  for (const _ of [1, 2]) await (await signedIn(app)).visitor.post("/sign-out");
  expect([once, off, on].map((listener) => listener.mock.calls.length)).toEqual([1, 0, 2]);
  expect(() => sessions.on("end" as "ended", on)).toThrow(expect.objectContaining({ code: "ARGUMENT_INVALID" }));
  expect(() => sessions.on("ended", "x" as never)).toThrow(expect.objectContaining({ code: "ARGUMENT_INVALID" }));
});

test("what a listener throws fails no call, and is an uncaught exception", async () => {
  const program = `
    import { tokenizer } from ${JSON.stringify(ENTRY)};
    const path = ${JSON.stringify(`${temporaryFolder()}/tokens`)};
    const sessions = tokenizer({ tokenizer: { path, cloud: false, safe_password: "a safe password for specs" } });
    await sessions.ready;
    const { store } = sessions;
    const sessionID = "raw-id";
    const req = { sessionID, sessionStore: store };
    store.createSession(req, { cookie: {} });
    req.session.username = "ada";
    await new Promise((resolve) => req.session.save(resolve));
    sessions.on("ended", () => { throw new Error("a mistake of the listener"); });
    process.on("uncaughtException", ({ message }) => console.log(message));
    console.log(await sessions.users.revoke("ada"));
    await sessions.close();
  `;
  const args = ["--disable-warning=ExperimentalWarning", "--input-type=module", "--eval", program];
  const { stdout } = await promisify(execFile)(process.execPath, args);
  expect(stdout.trim().split("\n").sort()).toEqual(["1", "a mistake of the listener"]);
});
