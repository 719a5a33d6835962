/** The life of a binding, on every backend: from the sign-in to its end. */
import { afterEach, beforeEach, expect, jest, test } from "@jest/globals";
import { TokenizerError } from "../../lib/errors.js";
import { type App, type AppOptions, Clock, MINUTE, SAFE_PASSWORD, startApp } from "../support/app.js";
import { type Answer, HandBrowser, overTls, registrationIn } from "../support/device.js";
import { Gate } from "../support/gate.js";
import { lastingFolder } from "../support/lasting-folder.js";
import { everyBackend, onEveryBackend, type Place, sealedSomewhere } from "../support/places.js";
import { countBackendCalls } from "../support/stored.js";

const SECOND = 1000;
const DAY = 24 * 60 * MINUTE;
const GRACE = MINUTE / 2;

let clock: Clock;
let gate: Gate;
const apps: App[] = [];

beforeEach(() => {
  clock = new Clock();
  // Redis drops what has expired by its own clock.
  clock.time = Date.now();
});

afterEach(async () => {
  jest.restoreAllMocks();
  for (const app of apps.splice(0)) await app.close();
});

async function start(settings: AppOptions["settings"], its = clock): Promise<App> {
  const app = await startApp({
    settings: { path: lastingFolder(), remember: {}, cookie: { device_bound: true }, ...settings },
    clock: its,
    serve: overTls,
    routes(express) {
      express.post("/enter", (req, res, next) => {
        req.signIn({ username: "ada", password: "p" }, req.body).then(() => res.sendStatus(204), next);
      });
      express.post("/confirm", (req, res, next) => {
        req.confirmSignIn().then(() => res.sendStatus(204), next);
      });
      express.post("/slow", async (req, res) => {
        await gate.pass();
        Object.assign(req.session, req.body);
        res.sendStatus(204);
      });
      express.post("/leave-in-place", (req, res) => {
        delete req.session.username;
        res.sendStatus(204);
      });
      express.post("/redirect", (req, res, next) => {
        req.signIn({ username: "ada", password: "p" }).then(() => res.redirect(303, "/session"), next);
      });
    },
  });
  apps.push(app);
  return app;
}

async function bind(app: App, path?: string, body?: object): Promise<HandBrowser> {
  const browser = new HandBrowser(app);
  expect((await browser.signIn(path, body)).status).toBe(200);
  return browser;
}

const valuesOf = ({ text }: Answer) => JSON.parse(text).values;
const statusOf = async (asked: Promise<Answer>) => (await asked).status;
const listed = async ({ sessions }: App, user = "ada") => (await sessions.users.list(user)).map(({ bound }) => bound);
const ending = ({ id }: { readonly id: string } = { id: "" }) => ({ session_identifier: id, continue: false });

/** Its short-lived cookie is over: the browser refreshes it, or hears that the session is. */
async function later(browser: HandBrowser, milliseconds = 11 * MINUTE): Promise<Answer> {
  clock.forward(milliseconds);
  browser.dropBound();
  return browser.refresh();
}

async function expectEnded(browser: HandBrowser): Promise<void> {
  const answer = await later(browser);
  expect([answer.status, JSON.parse(answer.text)]).toEqual([200, ending(browser.session)]);
  expect(answer.headers["set-cookie"]).toBeUndefined();
}

onEveryBackend(
  ({ prototype, next }) => {
    let place: Place;
    let app: App;

    beforeEach(async () => {
      place = await next();
      app = await start(place);
    });

    test("a browser that registers is bound, and listed so; one that does not goes on as before", async () => {
      const ada = await bind(app);
      const plain = new HandBrowser(app);
      await plain.post("/sign-in", { username: "ada", password: "p" });
      expect((await listed(app)).sort()).toEqual([false, true]);
      clock.forward(15 * MINUTE);
      expect(valuesOf(await plain.get("/session"))).toEqual({ username: "ada" });
      expect(await statusOf(ada.get("/session"))).toBe(401);
      ada.dropBound();
      expect(await statusOf(ada.refresh())).toBe(200);
      expect(valuesOf(await ada.get("/session"))).toEqual({ username: "ada" });
    });

    test("only the answer to a sign-in asks to register", async () => {
      const ada = new HandBrowser(app);
      const header = "secure-session-registration";
      expect((await ada.post("/set", { basket: [1] })).headers).not.toHaveProperty(header);
      expect((await ada.post("/sign-in", { username: "ada", password: "p" })).headers).toHaveProperty(header);
      expect((await ada.get("/session")).headers).not.toHaveProperty(header);
      expect((await ada.post("/set", { username: "ada", theme: "dark" })).headers).not.toHaveProperty(header);
      expect((await new HandBrowser(app).post("/redirect")).headers).toHaveProperty(header);
    });

    test("30 requests that run while it is bound are all served, and lose nothing; it stays bound", async () => {
      const ada = new HandBrowser(app);
      const signedIn = await ada.post("/sign-in", { username: "ada", password: "p" });
      gate = new Gate();
      const names = Array.from({ length: 30 }, (_, index) => `of tab ${index}`);
      const slow = names.map((name, index) => ada.post(index < 15 ? "/slow" : "/set", { [name]: true }));
      await gate.arrived(15);
      expect(await statusOf(ada.register(registrationIn(signedIn)))).toBe(200);
      gate.open();
      expect((await Promise.all(slow)).map(({ status }) => status)).toEqual(names.map(() => 204));
      clock.forward(GRACE);
      const kept = valuesOf(await ada.get("/session"));
      expect(kept).toEqual({ username: "ada", ...Object.fromEntries(names.map((name) => [name, true])) });
      expect(await listed(app)).toEqual([true]);
      clock.forward(GRACE);
      ada.dropBound();
      expect(await statusOf(ada.get("/session"))).toBe(401);
    });

    test("a registration whose answer was lost locks nobody out: what the browser never showed is not asked of it", async () => {
      const ada = new HandBrowser(app);
      expect(await statusOf(ada.signInUnshown())).toBe(200);
      const got = [...ada.cookies].find(([name]) => name === ada.bound) ?? ["", ""];
      ada.dropBound();
      clock.forward(11 * MINUTE);
      expect(valuesOf(await ada.get("/session"))).toEqual({ username: "ada" });
      expect(await listed(app)).toEqual([false]);
      // Shown even late, a refresh or a cookie that is still good counts from then on.
      clock.forward(-5 * MINUTE);
      ada.cookies.set(...(got as [string, string]));
      expect(await statusOf(ada.get("/session"))).toBe(200);
      expect(await listed(app)).toEqual([true]);
      clock.forward(GRACE);
      ada.dropBound();
      expect(await statusOf(ada.get("/session"))).toBe(401);
    });

    test("a store that fails when it is first shown refuses nobody, and the next request shows it again", async () => {
      const ada = new HandBrowser(app);
      expect(await statusOf(ada.signInUnshown())).toBe(200);
      const failing = jest.spyOn(prototype, "write").mockImplementation(async () => {
        throw new TokenizerError("STORE_UNAVAILABLE", "The disk is full.");
      });
      expect(valuesOf(await ada.get("/session"))).toEqual({ username: "ada" });
      failing.mockRestore();
      expect(app.log).toContainEqual(
        expect.stringContaining("A session is bound to its device only later: The disk is full."),
      );
      expect(await listed(app)).toEqual([false]);
      expect(await statusOf(ada.get("/session"))).toBe(200);
      expect(await listed(app)).toEqual([true]);
    });

    test("what another server saves while it is bound is kept", async () => {
      const other = await start({ ...place, path: app.path });
      const ada = new HandBrowser(app);
      const signedIn = await ada.post("/sign-in", { username: "ada", password: "p" });
      const elsewhere = new HandBrowser(other);
      elsewhere.cookies.set("token", ada.cookies.get("token") ?? "");
      const { write } = prototype;
      jest.spyOn(prototype, "write").mockImplementationOnce(async function (this: typeof prototype, ...args) {
        await elsewhere.post("/set", { theme: "dark" });
        return write.apply(this, args);
      });
      expect(await statusOf(ada.register(registrationIn(signedIn)))).toBe(200);
      expect(valuesOf(await ada.get("/session"))).toEqual({ username: "ada", theme: "dark" });
      expect(await listed(app)).toEqual([true]);
    });

    test("what was loaded before the binding is saved without the new cookie for 30 s, on servers a second apart", async () => {
      const ahead = new Clock();
      ahead.time = clock.time + SECOND;
      const other = await start({ ...place, path: app.path }, ahead);
      const ada = new HandBrowser(app);
      expect(await statusOf(ada.signInUnshown())).toBe(200);
      const before = new HandBrowser(app);
      before.cookies.set("token", ada.cookies.get("token") ?? "");
      for (const time of [clock, ahead]) time.forward(GRACE - SECOND - 1);
      for (const server of [app, other]) {
        before.useServer(server);
        expect(await statusOf(before.get("/session"))).toBe(200);
      }
      // A challenge of the one is good on the other, and so is the cookie that came for it, to its end.
      const { challenge } = await ada.challenge();
      ada.useServer(other);
      expect(await statusOf(ada.askRoute({ "secure-session-response": ada.keys.refresh(challenge) }))).toBe(200);
      for (const time of [clock, ahead]) time.forward(10 * MINUTE);
      for (const server of [app, other]) {
        ada.useServer(server);
        before.useServer(server);
        expect(await statusOf(ada.get("/session"))).toBe(200);
        expect(await statusOf(before.get("/session"))).toBe(401);
      }
    });

    test("a request of a bound session reads once, and writes nothing; a refresh touches nothing", async () => {
      const ada = await bind(app);
      clock.forward(GRACE);
      const backend = countBackendCalls(prototype);
      expect(await statusOf(ada.get("/session"))).toBe(200);
      expect(backend.calls).toEqual({ read: 1, write: 0, touch: 0, remove: 0 });
      backend.clear();
      ada.dropBound();
      expect(await statusOf(ada.get("/session"))).toBe(401);
      expect(backend.calls).toEqual({ read: 1, write: 0, touch: 0, remove: 0 });
      backend.clear();
      expect(await statusOf(ada.refresh())).toBe(200);
      expect(backend.calls).toEqual({ read: 2, write: 0, touch: 0, remove: 0 });
    });

    test("a session that nobody uses ends in time, however often it is refreshed", async () => {
      const ada = await bind(app);
      expect(await statusOf(later(ada))).toBe(200);
      await expectEnded(ada);
      expect(valuesOf(await ada.get("/session"))).toEqual({});
    });

    test("a new safe_password, with the older one listed, interrupts nobody; alone, it ends all", async () => {
      const ada = await bind(app);
      const { challenge } = await ada.challenge();
      const newer = { ...place, path: app.path, safe_password: ["a newer one for specs", SAFE_PASSWORD] };
      ada.useServer(await start(newer));
      clock.forward(GRACE);
      expect(valuesOf(await ada.get("/session"))).toEqual({ username: "ada" });
      expect(await statusOf(ada.askRoute({ "secure-session-response": ada.keys.refresh(challenge) }))).toBe(200);
      expect(valuesOf(await ada.get("/session"))).toEqual({ username: "ada" });
      ada.useServer(await start({ ...newer, safe_password: "a newer one for specs" }));
      expect(valuesOf(await ada.get("/session"))).toEqual({ username: "ada" });
      ada.useServer(await start({ ...newer, safe_password: "quite another one for specs" }));
      expect(valuesOf(await ada.get("/session"))).toEqual({});
    });

    test("a remembered session is proven again weeks later", async () => {
      const ada = await bind(app, "/enter", { remember: true });
      expect(await statusOf(later(ada, 20 * DAY))).toBe(200);
      expect(valuesOf(await ada.get("/session"))).toEqual({ username: "ada" });
      expect(await listed(app)).toEqual([true]);
    });

    test("confirmed, it goes on under a new id, which is bound anew; the old binding ends", async () => {
      const ada = await bind(app);
      await ada.post("/set", { basket: [1] });
      const before = ada.session;
      const confirmed = await ada.post("/confirm");
      expect(await listed(app)).toEqual([false]);
      expect(await statusOf(ada.register(registrationIn(confirmed)))).toBe(200);
      expect(ada.session).not.toEqual(before);
      expect(await statusOf(ada.get("/session"))).toBe(200);
      expect(await listed(app)).toEqual([true]);
      const old = new HandBrowser(app, ada.keys);
      old.session = before;
      await expectEnded(old);
      expect(await statusOf(ada.refresh())).toBe(200);
      expect(valuesOf(await ada.get("/session"))).toEqual({ username: "ada", basket: [1] });
    });

    test("signed out, its binding ends; the next sign-in is bound anew", async () => {
      const ada = await bind(app);
      await ada.post("/sign-out");
      await expectEnded(ada);
      expect(await statusOf(ada.signIn())).toBe(200);
      expect(await statusOf(later(ada))).toBe(200);
      expect(valuesOf(await ada.get("/session"))).toEqual({ username: "ada" });
    });

    test("ended from another browser, its binding ends", async () => {
      const ada = await bind(app);
      await app.sessions.users.revoke("ada");
      await expectEnded(ada);
    });

    test("over by newer settings, its binding ends", async () => {
      const ada = await bind(app);
      ada.useServer(await start({ ...place, path: app.path, absolute_timeout: 10 }));
      await expectEnded(ada);
      expect(valuesOf(await ada.get("/session"))).toEqual({});
    });

    test("signed out before it registers, it is not bound, and does not come back", async () => {
      const ada = new HandBrowser(app);
      const registration = registrationIn(await ada.post("/sign-in", { username: "ada", password: "p" }));
      await ada.post("/sign-out");
      expect(await statusOf(ada.register(registration))).toBe(400);
      expect(await app.sessions.store.length()).toBe(0);
    });

    test("signed in and out in place: bound with the user, and to nothing without one", async () => {
      const ada = await bind(app, "/set", { username: "ada", theme: "dark" });
      expect(await listed(app)).toEqual([true]);
      // Somebody else on the same device.
      const changed = await ada.post("/set", { username: "grace" });
      expect(changed.headers).not.toHaveProperty("secure-session-registration");
      expect(await listed(app, "grace")).toEqual([true]);
      // The same, by a request that knows nothing of the binding.
      const eve = new HandBrowser(app);
      const signedIn = await eve.post("/set", { username: "eve" });
      gate = new Gate();
      const slow = eve.post("/slow", { username: "linus" });
      await gate.arrived();
      expect(await statusOf(eve.register(registrationIn(signedIn)))).toBe(200);
      gate.open();
      expect(await statusOf(slow)).toBe(204);
      expect(await statusOf(eve.get("/session"))).toBe(200);
      expect(await listed(app, "linus")).toEqual([true]);
      expect(await statusOf(later(ada))).toBe(200);
      expect(await statusOf(ada.post("/leave-in-place"))).toBe(204);
      await expectEnded(ada);
      expect(valuesOf(await ada.get("/session"))).toEqual({ theme: "dark" });
    });

    test("a store that fails at the registration or the refresh: 503, so that the browser comes again", async () => {
      const ada = new HandBrowser(app);
      const registration = registrationIn(await ada.post("/sign-in", { username: "ada", password: "p" }));
      const failing = async () => {
        throw new TokenizerError("STORE_UNAVAILABLE", "down");
      };
      jest.spyOn(prototype, "write").mockImplementationOnce(failing);
      expect(await statusOf(ada.register(registration))).toBe(503);
      expect(await statusOf(ada.register(registration))).toBe(200);
      jest.spyOn(prototype, "read").mockImplementationOnce(failing);
      expect(await statusOf(ada.refresh())).toBe(503);
      expect(await statusOf(ada.refresh())).toBe(200);
    });
  },
  [...everyBackend, ...sealedSomewhere],
);
