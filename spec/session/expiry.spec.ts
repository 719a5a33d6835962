import { afterEach, beforeAll, describe, expect, jest, test } from "@jest/globals";
import express from "express";
import session from "express-session";
import request from "supertest";
import { LocalBackend } from "../../lib/backends/local/backend.js";
import { shortName, storageKey, userKey } from "../../lib/session-id.js";
import { tokenizer } from "../../lib/tokenizer.js";
import {
  type App,
  type AppOptions,
  cookiesOf,
  MINUTE,
  SAFE_PASSWORD,
  startApp,
  temporaryFolder,
  type Visitor,
} from "../support/app.js";
import { countBackendCalls } from "../support/stored.js";

const SECOND = 1000;
/** `timeout` where nothing is set. */
const TIMEOUT = 20 * MINUTE;

afterEach(() => {
  jest.restoreAllMocks();
});

const startWithMaxAge = (settings: AppOptions["settings"] = {}) =>
  startApp({
    settings,
    routes(express) {
      express.post("/max-age", (req, res) => {
        req.session.cookie.maxAge = req.body.minutes * MINUTE;
        res.sendStatus(204);
      });
    },
  });

async function signedIn(app: App): Promise<Visitor> {
  const ada = app.visitor();
  expect((await ada.signIn("ada")).status).toBe(204);
  return ada;
}

/** Asks, and so moves the session's end. */
async function isIn(visitor: Visitor): Promise<boolean> {
  const { values, ended } = (await visitor.get("/session")).body;
  // In or out, and never something between.
  expect(ended).toBe(values.username === undefined);
  return !ended;
}

/** Asks again and again, every so often, for so long. */
async function isInAllAlong(app: App, visitor: Visitor, every: number, duration: number): Promise<boolean> {
  for (let passed = 0; passed < duration; passed += every) {
    app.clock.forward(every);
    if (!(await isIn(visitor))) return false;
  }
  return true;
}

describe("a session expires", () => {
  test("by the setting timeout", async () => {
    const app = await startApp({ settings: { timeout: 1.5 } });
    const [early, late] = [await signedIn(app), await signedIn(app)];
    app.clock.forward(1.5 * MINUTE - 1);
    expect(await isIn(early)).toBe(true);
    app.clock.forward(1);
    expect(await isIn(late)).toBe(false);
  });

  test("but not while it is used", async () => {
    const app = await startApp();
    expect(await isInAllAlong(app, await signedIn(app), 15 * MINUTE, 24 * 60 * MINUTE)).toBe(true);
  });
});

describe("the absolute end", () => {
  test("comes however busy the session is", async () => {
    const app = await startApp({ settings: { absolute_timeout: 60 } });
    const ada = await signedIn(app);
    expect(await isInAllAlong(app, ada, 10 * MINUTE, 50 * MINUTE)).toBe(true);
    app.clock.forward(10 * MINUTE - 1);
    await ada.post("/set", { basket: [1] });
    expect(await isIn(ada)).toBe(true);
    app.clock.forward(1);
    expect(await isIn(ada)).toBe(false);
  });

  test("is counted from the sign-in, not from the first visit", async () => {
    const app = await startApp({ settings: { absolute_timeout: 30 } });
    const ada = app.visitor();
    await ada.post("/set", { basket: [1] });
    app.clock.forward(15 * MINUTE);
    await ada.signIn("ada");
    expect(await isInAllAlong(app, ada, 10 * MINUTE, 20 * MINUTE)).toBe(true);
    app.clock.forward(10 * MINUTE - 1);
    expect(await isIn(ada)).toBe(true);
    app.clock.forward(1);
    expect(await isIn(ada)).toBe(false);
  });
});

describe("a cookie.maxAge that the application sets", () => {
  test.each([5, 60])("replaces timeout for that session: %i minutes", async (minutes) => {
    const app = await startWithMaxAge();
    const [early, late] = [await signedIn(app), await signedIn(app)];
    for (const visitor of [early, late]) await visitor.post("/max-age", { minutes });
    // express-session asks the real clock twice, and takes what passed in between off.
    app.clock.forward(minutes * MINUTE - SECOND);
    expect(await isIn(early)).toBe(true);
    app.clock.forward(SECOND);
    expect(await isIn(late)).toBe(false);
    // Not for once: the request before moved the end by as much again.
    app.clock.forward(minutes * MINUTE - 2 * SECOND);
    expect(await isIn(early)).toBe(true);
  });

  test("does not move the absolute end", async () => {
    const app = await startWithMaxAge({ absolute_timeout: 30 });
    const ada = await signedIn(app);
    await ada.post("/max-age", { minutes: 600 });
    app.clock.forward(30 * MINUTE - 1);
    expect(await isIn(ada)).toBe(true);
    app.clock.forward(1);
    expect(await isIn(ada)).toBe(false);
  });
});

describe("a plain cookie that is given to the store, as libraries do that bring sessions of their own", () => {
  const HOUR = 60 * MINUTE;
  let app: App;

  beforeAll(async () => {
    app = await startApp();
  });

  /** How long the session lives without a request, in minutes. */
  async function lifeOf(cookie: object): Promise<number> {
    const id = storageKey(JSON.stringify(cookie));
    const { store } = app.sessions;
    await new Promise<void>((resolve, reject) =>
      store.set(id, { cookie, data: { by: "a library" } } as never, (error) => (error ? reject(error) : resolve())),
    );
    const listed = (await store.all()).find((session) => `session:${session.id}` === storageKey(id));
    await new Promise<void>((resolve) => store.destroy(id, () => resolve()));
    return ((listed?.expiresAt.getTime() ?? app.clock.time) - app.clock.time) / MINUTE;
  }

  const inAnHour = () => app.clock.time + HOUR;

  test.each<[string, () => object, number]>([
    ["maxAge and expires, of express-openid-connect", () => ({ expires: inAnHour(), maxAge: HOUR }), 60],
    ["maxAge", () => ({ maxAge: HOUR }), 60],
    ["expires, a number", () => ({ expires: inAnHour() }), 60],
    ["expires, a Date", () => ({ expires: new Date(inAnHour()) }), 60],
    ["expires, a text, as JSON has it", () => ({ expires: new Date(inAnHour()).toJSON() }), 60],
    [
      "originalMaxAge, before what is left of it",
      () => ({ originalMaxAge: HOUR, maxAge: MINUTE, expires: inAnHour() }),
      60,
    ],
    [
      "a session's cookie of express-session, as JSON",
      () => JSON.parse(JSON.stringify(Object.assign(new session.Cookie(), { maxAge: HOUR }))),
      60,
    ],
    ["none of them", () => ({ path: "/" }), 20],
    ["none, as express-session writes it", () => ({ originalMaxAge: null, expires: null }), 20],
    ["none, by false and 0", () => ({ maxAge: false, expires: 0 }), 20],
    ["what is no time", () => ({ maxAge: "an hour", expires: "soon" }), 20],
    ["what is no number", () => ({ maxAge: Number.NaN, expires: new Date(Number.NaN) }), 20],
    ["a time that has passed", () => ({ expires: app.clock.time - 1 }), 0],
  ])("%s", async (_, cookie, minutes) => {
    expect(await lifeOf(cookie())).toBeCloseTo(minutes, 1);
  });
});

describe("touch_interval: how often an unchanged session's expiry is rewritten", () => {
  /** Requests every so often, for 10 minutes; answers how often the expiry was rewritten. */
  async function touchesOf(settings: AppOptions["settings"], every: number): Promise<number> {
    const app = await startApp({ settings: { ...settings } });
    const ada = await signedIn(app);
    const touch = jest.spyOn(LocalBackend.prototype, "touch");
    const write = jest.spyOn(LocalBackend.prototype, "write");
    expect(await isInAllAlong(app, ada, every, 10 * MINUTE)).toBe(true);
    // The record of the user's sessions is to outlive them: written once each time a session's whole timeout has passed.
    const lives = (10 * MINUTE) / ((settings?.timeout ?? 20) * MINUTE);
    expect(write.mock.calls.map(([key]) => key)).toEqual(Array(Math.floor(lives - 1e-9)).fill(userKey("ada")));
    expect(new Set(touch.mock.calls.map(([key]) => key))).toEqual(new Set([storageKey(ada.id)]));
    return touch.mock.calls.length;
  }

  test.each([
    ["60 seconds where nothing is set", {}, 10 * SECOND, 10],
    ["by the setting", { touch_interval: 120 }, 10 * SECOND, 5],
    ["at every request when it is 0", { touch_interval: 0 }, 10 * SECOND, 60],
    ["capped at a tenth of timeout", { timeout: 5 }, 10 * SECOND, 20],
    ["capped at a tenth of timeout, whatever is set", { timeout: 5, touch_interval: 3600 }, 10 * SECOND, 20],
    ["not more often than there are requests", {}, 2 * MINUTE, 5],
  ])("%s", async (_, settings, every, expected) => {
    expect(await touchesOf(settings, every)).toBe(expected);
  });

  test("capped at a tenth of the cookie.maxAge that the application sets", async () => {
    const app = await startWithMaxAge();
    const ada = await signedIn(app);
    await ada.post("/max-age", { minutes: 5 });
    const backend = countBackendCalls();
    expect(await isInAllAlong(app, ada, 10 * SECOND, 5 * MINUTE)).toBe(true);
    expect(backend.calls.touch).toBe(10);
  });

  test("the idle end may come that much early, and never late", async () => {
    const app = await startApp();
    const [untouched, touched] = [await signedIn(app), await signedIn(app)];
    app.clock.forward(60 * SECOND - 1);
    expect(await isIn(untouched)).toBe(true);
    app.clock.forward(1);
    expect(await isIn(touched)).toBe(true);
    const keys = (await app.sessions.store.all()).map(({ id, expiresAt }) => [id, expiresAt.getTime()] as const);
    const ends = new Map(keys);
    const endOf = ({ id }: Visitor) => ends.get(storageKey(id).replace("session:", ""));
    expect(endOf(untouched)).toBe(app.clock.time - 60 * SECOND + TIMEOUT);
    expect(endOf(touched)).toBe(app.clock.time + TIMEOUT);
    app.clock.forward(TIMEOUT - 60 * SECOND);
    expect(await isIn(untouched)).toBe(false);
    app.clock.forward(60 * SECOND - 1);
    const idle = app.visitor(touched.cookie);
    expect((await app.sessions.store.all()).length).toBe(1);
    app.clock.forward(1);
    expect(await isIn(idle)).toBe(false);
  });

  test("a change is written at once, and moves the end only when that is due", async () => {
    const app = await startApp();
    const [ada, eve] = [await signedIn(app), await signedIn(app)];
    app.clock.forward(30 * SECOND);
    const backend = countBackendCalls();
    await ada.post("/set", { basket: [1] });
    expect(backend.calls).toEqual({ read: 1, write: 1, touch: 0, remove: 0 });
    app.clock.forward(30 * SECOND);
    await eve.post("/set", { basket: [1] });
    app.clock.forward(TIMEOUT - MINUTE);
    expect(await isIn(ada)).toBe(false);
    app.clock.forward(MINUTE - 1);
    expect(await isIn(app.visitor(eve.cookie))).toBe(true);
    app.clock.forward(TIMEOUT);
    expect(await isIn(eve)).toBe(false);
  });

  test("a touch that fails is logged with the hashed id, and the answer stands", async () => {
    const app = await startApp();
    const ada = await signedIn(app);
    jest.spyOn(LocalBackend.prototype, "touch").mockRejectedValue(new Error("the disk is full"));
    app.clock.forward(60 * SECOND);
    expect(await isIn(ada)).toBe(true);
    const name = shortName(storageKey(ada.id));
    expect(app.log).toEqual([
      `express-tokenizer: The expiry of session ${name} could not be moved: The session store failed.`,
    ]);
    expect(app.log[0]).not.toContain(ada.id.slice(0, 12));
  });
});

describe("the clock", () => {
  const RealDate = Date;

  afterEach(() => {
    globalThis.Date = RealDate;
  });

  /** As fake timers do: another class in the global place. */
  function fakeDate(forward: number): void {
    globalThis.Date = class extends RealDate {
      static override now = () => RealDate.now() + forward;
    } as DateConstructor;
  }

  test.each([
    ["no clock", {}],
    ["clock: Date", { clock: Date }],
  ])("%s: a Date that is faked after tokenizer() is the time", async (_, options) => {
    const section = { type: "local", safe_password: SAFE_PASSWORD, path: temporaryFolder() } as const;
    const sessions = tokenizer({ tokenizer: section }, options);
    const app = express().use(sessions);
    app.post("/", ({ session }, res) => {
      session.username = "ada";
      res.sendStatus(204);
    });
    app.get("/", (req, res) => {
      res.json(req.session.username ?? null);
    });
    const [cookie = ""] = cookiesOf(await request(app).post("/"));
    const whoIsIn = async () => (await request(app).get("/").set("cookie", cookie)).body;
    expect(await whoIsIn()).toBe("ada");
    fakeDate(TIMEOUT + SECOND);
    expect(await whoIsIn()).toBeNull();
    await sessions.close();
  });
});
