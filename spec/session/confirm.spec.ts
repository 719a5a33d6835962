/** `req.signedInAt`, `sessions.fresh` and `req.confirmSignIn`: a sign-in that is not old. */
import { once } from "node:events";
import { request } from "node:http";
import { afterEach, beforeAll, beforeEach, describe, expect, jest, test } from "@jest/globals";
import type { ErrorRequestHandler } from "express";
import type { Backend } from "../../lib/backends/backend.js";
import { LocalBackend } from "../../lib/backends/local/backend.js";
import { TokenizerError } from "../../lib/errors.js";
import { storageKey, userKey } from "../../lib/session-id.js";
import { type App, type AppOptions, Clock, cookiesOf, MINUTE, startApp, type Visitor } from "../support/app.js";
import { Gate } from "../support/gate.js";
import { lastingFolder } from "../support/lasting-folder.js";
import { everyBackend, onEveryBackend, type Place, sealedSomewhere } from "../support/places.js";
import { changeStored, countBackendCalls, readStored } from "../support/stored.js";

const PASSWORD = "ada's own secret";
const OPENED = { username: "ada", password: PASSWORD };
const DAY = 24 * 60 * MINUTE;

let clock: Clock;
let gate: Gate;
/** Of a request that nobody waits for. */
let outcome: { readonly told: Promise<unknown>; tell(code: unknown): void };

beforeEach(() => {
  clock = new Clock();
  // Redis drops what has expired by its own clock.
  clock.time = Date.now();
});

afterEach(() => {
  jest.restoreAllMocks();
});

function start(settings: AppOptions["settings"], options: Pick<AppOptions, "express" | "authenticator"> = {}) {
  return startApp({
    ...options,
    settings: { path: lastingFolder(), remember: {}, ...settings },
    clock,
    routes(express, sessions) {
      express.get("/signed-in-at", (req, res) => void res.json({ at: req.signedInAt?.getTime() }));
      express.post("/enter", (req, res, next) => {
        const { username = "ada", ...signingIn } = req.body;
        req.signIn({ username, password: PASSWORD }, signingIn).then(() => res.json({ at: req.signedInAt }), next);
      });
      express.post("/enter-in-place", (req, res) => {
        req.session.username = "ada";
        res.json({ at: req.signedInAt });
      });
      express.post("/max-age", (req, res) => {
        req.session.cookie.maxAge = req.body.minutes * MINUTE;
        res.sendStatus(204);
      });
      express.post("/matters", sessions.fresh(10), (req, res) => {
        Object.assign(req.session, { done: true });
        res.send("done");
      });
      express.post("/confirm", async (req, res, next) => {
        const { wait, change, credentials } = req.body;
        if (wait) await gate.pass();
        Object.assign(req.session, change);
        req
          .confirmSignIn(credentials)
          .then(() => res.json({ at: req.signedInAt, id: req.sessionID, opened: req.credentials?.password }), next);
      });
      express.post("/confirm-anyway", async (req, res) => {
        const { session, sessionID } = req;
        const error = await req.confirmSignIn().catch((error) => error);
        const isSame = req.session === session && req.sessionID === sessionID;
        res.json({ code: error?.code, isSame, password: req.credentials?.password });
      });
      express.post("/confirm-late", (req, res) => {
        res.flushHeaders();
        req.confirmSignIn().then(
          () => res.end("confirmed"),
          (error) => res.end(error.code),
        );
      });
      express.post("/confirm-for-nobody", async (req, res) => {
        gate.pass();
        await once(res, "close");
        const error = await req.confirmSignIn().catch((error) => error);
        outcome.tell(error?.code);
      });
      express.post("/slow", async (req, res) => {
        await gate.pass();
        Object.assign(req.session, { late: true });
        res.send("slow");
      });
    },
  });
}

async function signedIn(app: App, signingIn: object = {}): Promise<Visitor> {
  const ada = app.visitor();
  await ada.post("/set", { basket: [1] });
  expect((await ada.post("/enter", { keep: ["basket"], label: "laptop", ...signingIn })).status).toBe(200);
  return ada;
}

const signedInAt = async (visitor: Visitor) => (await visitor.get("/signed-in-at")).body.at;
const isIn = async (app: App, { cookie }: Visitor) => (await signedInAt(app.visitor(cookie))) !== undefined;

onEveryBackend(
  ({ prototype, next }) => {
    let place: Place;

    beforeEach(async () => {
      place = await next();
    });

    test("goes on under a new id, with all that is in it; the old id is dead", async () => {
      const app = await start({ ...place, absolute_timeout: 60 });
      const ada = await signedIn(app);
      const [began] = await app.sessions.users.list("ada");
      const before = app.visitor(ada.cookie);
      clock.forward(15 * MINUTE);
      const answer = await ada.post("/confirm", { change: { theme: "dark" } });
      expect(answer.body).toEqual({ at: new Date(clock.time).toISOString(), id: ada.id, opened: PASSWORD });
      expect(ada.id).not.toBe(before.id);
      expect(cookiesOf(answer)).toHaveLength(1);
      const { values, opened } = (await ada.get("/session")).body;
      expect([values, opened]).toEqual([{ basket: [1], theme: "dark", username: "ada" }, OPENED]);
      expect(await signedInAt(ada)).toBe(clock.time);
      expect((await before.get("/session")).body).toEqual({ values: {}, ended: true });
      expect(await app.sessions.store.length()).toBe(1);
      const [listed, ...others] = await app.sessions.users.list("ada");
      expect(others).toEqual([]);
      expect(listed).toEqual({
        ...began,
        lastSeenAt: new Date(clock.time),
        expiresAt: new Date(clock.time + 20 * MINUTE),
      });
      // The absolute end counts from the sign-in.
      for (let minutes = 15; minutes < 59; minutes += 11) {
        clock.forward(11 * MINUTE);
        expect((await ada.get("/session")).body.opened).toEqual(OPENED);
      }
      clock.forward(MINUTE);
      expect((await ada.get("/session")).body).toEqual({ values: {}, ended: true });
    });

    test("stays remembered, for as long as it was, and keeps the cookie.maxAge that was set", async () => {
      const app = await start(place);
      const ada = await signedIn(app, { remember: true });
      // The real clock goes on between any two looks at it.
      let time = Date.now();
      jest.spyOn(Date, "now").mockImplementation(() => time++);
      await ada.post("/max-age", { minutes: 40 * 24 * 60 });
      const [{ expiresAt } = { expiresAt: new Date(0) }] = await app.sessions.users.list("ada");
      // What express-session has left of the 40 days: it asks the real clock twice.
      const kept = expiresAt.getTime() - clock.time;
      expect(Math.abs(40 * DAY - kept)).toBeLessThan(1000);
      clock.forward(30 * DAY);
      const [line] = cookiesOf(await ada.post("/confirm"));
      expect(line).toMatch(/; Max-Age=5184000;/);
      expect(await app.sessions.users.list("ada")).toEqual([
        expect.objectContaining({ label: "laptop", remembered: true, expiresAt: new Date(clock.time + kept) }),
      ]);
      clock.forward(39 * DAY);
      expect((await ada.get("/session")).body.opened).toEqual(OPENED);
      clock.forward(21 * DAY);
      expect(await isIn(app, ada)).toBe(false);
    });

    test("what another request saved since this one began comes along", async () => {
      const app = await start(place);
      const ada = await signedIn(app);
      gate = new Gate();
      const confirming = ada.post("/confirm", { wait: true, change: { theme: "dark" } });
      await gate.arrived();
      await app.visitor(ada.cookie).post("/set", { basket: [1, 2], lastPage: "/notes" });
      gate.open();
      expect((await confirming).status).toBe(200);
      const { values, opened } = (await ada.get("/session")).body;
      expect(values).toEqual({ basket: [1, 2], lastPage: "/notes", theme: "dark", username: "ada" });
      expect(opened).toEqual(OPENED);
      await ada.post("/set", { more: true });
      expect((await ada.get("/session")).body.values).toMatchObject({ basket: [1, 2], more: true });
    });

    test.each<[string, number, string, (app: App, tab: Visitor) => unknown]>([
      ["signed out", 401, "SIGN_IN_AGAIN", (_app, tab) => tab.post("/sign-out")],
      ["signed in anew", 401, "SIGN_IN_AGAIN", (_app, tab) => tab.post("/enter", {})],
      ["confirmed", 401, "SIGN_IN_AGAIN", (_app, tab) => tab.post("/confirm", {})],
      [
        "ended by its handle",
        401,
        "SIGN_IN_AGAIN",
        async ({ sessions: { users } }) => {
          const [{ id } = { id: "" }] = await users.list("ada");
          expect(await users.revoke("ada", { only: id })).toBe(1);
        },
      ],
      ["ended with all of the user", 503, "SESSION_REVOKED", ({ sessions }) => sessions.users.revoke("ada")],
    ])("is refused when the session was %s meanwhile, and what was ended stays out", async (_, status, code, act) => {
      const app = await start(place);
      const ada = await signedIn(app);
      gate = new Gate();
      const confirming = app.visitor(ada.cookie).post("/confirm", { wait: true });
      await gate.arrived();
      const tab = app.visitor(ada.cookie);
      await act(app, tab);
      const [length, listed] = [await app.sessions.store.length(), await app.sessions.users.list("ada")];
      gate.open();
      const answer = await confirming;
      expect([answer.status, answer.body.code, cookiesOf(answer)]).toEqual([status, code, []]);
      expect(await app.sessions.store.length()).toBe(length);
      expect(await app.sessions.users.list("ada")).toEqual(listed);
      expect(await isIn(app, ada)).toBe(false);
    });

    test("keeps the handle that lists call it by, which ends it, however often it was confirmed", async () => {
      const app = await start({ ...place, sessions_per_user: 2 });
      const { users } = app.sessions;
      const laptop = await signedIn(app);
      clock.forward(MINUTE);
      const phone = await signedIn(app, { label: "phone" });
      const before = (await users.list("ada")).map(({ id, label }) => [id, label]);
      for (const _ of [1, 2, 3]) await laptop.post("/confirm");
      expect((await users.list("ada")).map(({ id, label }) => [id, label])).toEqual(before);
      expect([await isIn(app, laptop), await isIn(app, phone)]).toEqual([true, true]);
      expect(await users.revoke("ada", { only: before[0]?.[0] })).toBe(1);
      expect([await isIn(app, laptop), await isIn(app, phone)]).toEqual([false, true]);
    });

    test("is ended by its handle also just while it goes over to the new id", async () => {
      const app = await start(place);
      const ada = await signedIn(app);
      const [{ id } = { id: "" }] = await app.sessions.users.list("ada");
      const old = storageKey(ada.id);
      const ended: unknown[] = [];
      app.sessions.on("ended", (end) => ended.push(end));
      gate = new Gate();
      const { read } = prototype;
      let reads = 0;
      jest.spyOn(prototype, "read").mockImplementation(async function (this: Backend, key) {
        // The second time it is read it is about to be removed.
        if (key === old && ++reads === 2) await gate.pass();
        return Reflect.apply(read, this, [key]);
      });
      const confirming = ada.post("/confirm");
      await gate.arrived();
      expect(await app.sessions.users.revoke("ada", { only: id })).toBe(1);
      expect(ended).toEqual([{ handle: id, user: "ada", reason: "revoked" }]);
      gate.open();
      const answer = await confirming;
      expect([answer.status, answer.body.code]).toEqual([401, "SIGN_IN_AGAIN"]);
      expect(await app.sessions.store.length()).toBe(0);
      expect(ended).toHaveLength(1);
    });

    test("counts as one session for sessions_per_user also just while it goes over to the new id", async () => {
      const app = await start({ ...place, sessions_per_user: 2 });
      const laptop = await signedIn(app);
      clock.forward(MINUTE);
      const phone = await signedIn(app, { label: "phone" });
      const before = await app.sessions.users.list("ada");
      const tabs = [app.visitor(laptop.cookie), app.visitor(phone.cookie)];
      const ended: unknown[] = [];
      app.sessions.on("ended", (end) => ended.push(end));
      clock.forward(2 * MINUTE);
      gate = new Gate();
      const { write } = prototype;
      let writes = 0;
      jest.spyOn(prototype, "write").mockImplementation(async function (this: Backend, ...written) {
        // The first lists the handle of the new id, the second is the session under it.
        const outcome = await Reflect.apply(write, this, written);
        if (++writes === 2) await gate.pass();
        return outcome;
      });
      const confirming = laptop.post("/confirm");
      await gate.arrived();
      expect((await app.sessions.users.list("ada")).map(({ id }) => id)).toEqual(before.map(({ id }) => id));
      // They are due, and look at the list.
      for (const tab of tabs) expect((await tab.get("/session")).body.opened).toEqual(OPENED);
      gate.open();
      expect((await confirming).status).toBe(200);
      expect(ended).toEqual([]);
      expect([await isIn(app, laptop), await isIn(app, phone)]).toEqual([true, true]);
      expect((await app.sessions.users.list("ada")).map(({ id }) => id)).toEqual(before.map(({ id }) => id));
    });

    test("where the user's record was lost is listed again", async () => {
      const app = await start(place);
      const ada = await signedIn(app);
      const reading = jest.spyOn(prototype, "read");
      await isIn(app, ada);
      const [backend] = reading.mock.contexts as Backend[];
      reading.mockRestore();
      expect(await backend?.remove(userKey("ada"))).toBe(true);
      expect((await ada.post("/confirm")).status).toBe(200);
      expect(await app.sessions.users.list("ada")).toHaveLength(1);
      expect(await app.sessions.users.revoke("ada")).toBe(1);
      expect(await isIn(app, ada)).toBe(false);
    });

    test("costs what a sign-in over a session costs; asking how old a sign-in is costs nothing", async () => {
      const app = await start(place);
      const ada = await signedIn(app);
      const backend = countBackendCalls(prototype);
      for (const _ of [1, 2, 3]) await signedInAt(ada);
      clock.forward(0);
      expect(backend.calls).toEqual({ read: 3, write: 0, touch: 0, remove: 0 });
      backend.clear();
      await ada.post("/enter");
      const signingIn = backend.calls;
      backend.clear();
      await ada.post("/confirm");
      expect(backend.calls).toEqual(signingIn);
      expect(signingIn).toEqual({ read: 4, write: 3, touch: 0, remove: 1 });
      backend.clear();
      clock.forward(11 * MINUTE);
      // That it is due for a touch, too, is what any request costs then.
      await ada.post("/matters");
      expect(backend.calls).toMatchObject({ write: 0, remove: 0 });
    });
  },
  [...everyBackend, ...sealedSomewhere],
);

describe.each([5, 4] as const)("on Express %i", (release) => {
  let app: App;

  beforeEach(async () => {
    app = await start({}, { express: release });
  });

  test("signedInAt is the moment of sign-in, also of one in place; nobody's is none", async () => {
    const ada = app.visitor();
    expect(await signedInAt(ada)).toBeUndefined();
    expect((await ada.post("/enter", {})).body.at).toBe(new Date(clock.time).toISOString());
    const moment = clock.time;
    clock.forward(5 * MINUTE);
    expect(await signedInAt(ada)).toBe(moment);
    const grace = app.visitor();
    expect((await grace.post("/enter-in-place")).body).toEqual({});
    expect(await signedInAt(grace)).toBe(clock.time);
    await grace.post("/sign-out");
    expect(await signedInAt(grace)).toBeUndefined();
    await ada.post("/regenerate");
    expect(await signedInAt(ada)).toBeUndefined();
  });

  test("an answer that depends on it says so to caches", async () => {
    expect((await app.visitor().get("/signed-in-at")).headers.vary).toMatch(/Cookie/);
  });

  test("fresh passes on who signed in lately; an older sign-in is refused, with nothing changed, till it is confirmed", async () => {
    const ada = await signedIn(app);
    clock.forward(10 * MINUTE);
    expect((await ada.post("/matters")).text).toBe("done");
    clock.forward(1);
    const answer = await ada.post("/matters");
    expect([answer.status, answer.body]).toEqual([
      401,
      {
        code: "SIGN_IN_AGAIN",
        message:
          "This asks for a sign-in that is no older than 10 minutes: ask for the password again, then call req.confirmSignIn or req.signIn.",
      },
    ]);
    expect(app.errors.at(-1)).toBeInstanceOf(TokenizerError);
    expect((await ada.get("/session")).body.opened).toEqual(OPENED);
    await ada.post("/confirm");
    expect((await ada.post("/matters")).text).toBe("done");
  });

  test("fresh refuses who is not signed in", async () => {
    const nobody = app.visitor();
    await nobody.post("/set", { basket: [1] });
    expect((await nobody.post("/matters")).status).toBe(401);
    expect((await nobody.get("/session")).body.values).toEqual({ basket: [1] });
  });

  test.each([
    ["a little", 9 * MINUTE, 200],
    ["a lot, when the clock was wrong at the sign-in", 11 * MINUTE, 401],
  ])("a sign-in that is still to come by %s", async (_, ahead, status) => {
    const ada = await signedIn(app);
    clock.time -= ahead;
    expect((await ada.post("/matters")).status).toBe(status);
  });

  test("given credentials are sealed in place of those that were", async () => {
    const ada = await signedIn(app);
    const answer = await ada.post("/confirm", { credentials: { username: "ada", password: "a newer one" } });
    expect(answer.body.opened).toBe("a newer one");
    expect((await ada.get("/session")).body.opened).toEqual({ username: "ada", password: "a newer one" });
  });

  test.each<[string, object, string]>([
    [
      "of somebody else",
      { username: "grace", password: "p" },
      "req.confirmSignIn got another user's credentials than the signed-in one's. To change users, call req.signIn.",
    ],
    [
      "without a name",
      { password: "p" },
      "req.confirmSignIn needs a username: a text that is not empty. It got undefined. Write req.confirmSignIn({ username, password }).",
    ],
    [
      "without a password",
      { username: "ada" },
      "req.confirmSignIn needs a password: a text, to be sealed into the session. It got undefined. If your application needs none after the sign-in, keep none: authenticator: { type: none } in the settings.",
    ],
  ])("credentials %s are refused, and nothing has changed", async (_, credentials, message) => {
    const ada = await signedIn(app);
    const { cookie } = ada;
    const answer = await ada.post("/confirm", { credentials });
    expect([answer.status, answer.body, cookiesOf(answer)]).toEqual([500, { code: "SIGN_IN_INVALID", message }, []]);
    expect((await app.visitor(cookie).get("/session")).body.opened).toEqual(OPENED);
  });

  test.each<[string, (visitor: Visitor) => unknown]>([
    ["without a session", () => {}],
    ["to whose session nobody is signed in", (visitor) => visitor.post("/set", { basket: [1] })],
    [
      "whose session was confirmed already, by the first of two clicks",
      async (visitor) => {
        await visitor.post("/enter", {});
        await app.visitor(visitor.cookie).post("/confirm");
      },
    ],
    [
      "whose session's time was up while the form was open",
      async (visitor) => {
        await visitor.post("/enter", {});
        clock.forward(20 * MINUTE);
      },
    ],
  ])("of somebody %s there is nothing to confirm: to sign in again", async (_, come) => {
    const visitor = app.visitor();
    await come(visitor);
    const answer = await visitor.post("/confirm", { credentials: OPENED });
    expect([answer.status, answer.body]).toEqual([
      401,
      {
        code: "SIGN_IN_AGAIN",
        message: "req.confirmSignIn found nobody signed in, or no more: there is nothing to confirm. Call req.signIn.",
      },
    ]);
  });

  test("a sign-in in place that is not saved yet is none to confirm, which is the application's mistake", async () => {
    const answer = await app.visitor().post("/confirm", { change: { username: "ada" } });
    expect([answer.status, answer.body]).toEqual([
      500,
      {
        code: "SIGN_IN_INVALID",
        message: "req.confirmSignIn found a req.session.username that is not saved yet: there is nothing to confirm.",
      },
    ]);
  });

  test("after the head was sent is refused", async () => {
    const ada = await signedIn(app);
    expect((await ada.post("/confirm-late")).text).toBe("SIGN_IN_INVALID");
  });

  test("by the first of two clicks, which browsers give up, is refused; the second one confirms", async () => {
    const ada = await signedIn(app);
    gate = new Gate();
    let tell: (code: unknown) => void = () => {};
    outcome = { told: new Promise((resolve) => (tell = resolve)), tell: (code) => tell(code) };
    const first = request(`${app.url}/confirm-for-nobody`, { method: "POST", headers: { cookie: ada.cookie ?? "" } });
    first.on("error", () => {}).end();
    await gate.arrived();
    first.destroy();
    expect(await outcome.told).toBe("SIGN_IN_AGAIN");
    expect((await ada.post("/confirm")).status).toBe(200);
    expect((await ada.get("/session")).body.opened).toEqual(OPENED);
  });

  test("a slow answer of the old id sets no cookie, and its changes are discarded", async () => {
    const ada = await signedIn(app);
    gate = new Gate();
    const slow = app.visitor(ada.cookie).post("/slow");
    await gate.arrived();
    await ada.post("/confirm");
    gate.open();
    const answer = await slow;
    expect([answer.status, answer.text, cookiesOf(answer)]).toEqual([200, "slow", []]);
    expect((await ada.get("/session")).body.values).toEqual({ basket: [1], username: "ada" });
  });

  test("two at once: one goes on, the other is told, and one session is left", async () => {
    const ada = await signedIn(app);
    gate = new Gate();
    const tabs = [app.visitor(ada.cookie), app.visitor(ada.cookie)];
    const confirming = tabs.map((tab) => tab.post("/confirm", { wait: true }));
    await gate.arrived(2);
    gate.open();
    const answers = await Promise.all(confirming);
    expect(answers.map(({ status }) => status).sort()).toEqual([200, 401]);
    expect(await app.sessions.store.length()).toBe(1);
    expect(await app.sessions.users.list("ada")).toHaveLength(1);
  });

  test("is refused where another server removed the old session just before", async () => {
    const ada = await signedIn(app);
    const { remove } = LocalBackend.prototype;
    jest.spyOn(LocalBackend.prototype, "remove").mockImplementationOnce(async function (this: LocalBackend, key) {
      await Reflect.apply(remove, this, [key]);
      return Reflect.apply(remove, this, [key]);
    });
    const answer = await ada.post("/confirm");
    expect([answer.status, answer.body.code]).toEqual([401, "SIGN_IN_AGAIN"]);
    expect(await app.sessions.store.length()).toBe(0);
  });

  test.each([
    ["the new session cannot be written", "write"],
    ["the old session cannot be removed", "remove"],
  ] as const)("changes nothing when %s", async (_, method) => {
    const ada = await signedIn(app);
    const [stored, { cookie }] = [await readStored(app, ada.id), ada];
    const listed = await app.sessions.users.list("ada");
    jest.spyOn(LocalBackend.prototype, method).mockRejectedValueOnce(new Error("the disk is gone"));
    const answer = await ada.post("/confirm-anyway");
    expect(answer.body).toEqual({ code: "STORE_UNAVAILABLE", isSame: true, password: PASSWORD });
    expect([ada.cookie, await readStored(app, ada.id)]).toEqual([cookie, stored]);
    expect(await app.sessions.users.list("ada")).toEqual(listed);
    expect(await app.sessions.store.length()).toBe(1);
  });
});

describe("what older releases wrote", () => {
  test("goes on, and can be confirmed", async () => {
    const app = await start({});
    const ada = await signedIn(app);
    const moment = clock.time;
    await changeStored(app, ada.id, ({ head, fields }) => {
      const { v, created, idle, signIn } = head;
      const { user, handle, by, since, label, name, endings } = signIn as Record<string, unknown>;
      return { head: { v, created, idle, signIn: { user, handle, by, since, label, name, endings } }, fields };
    });
    clock.forward(MINUTE / 2);
    expect(await signedInAt(ada)).toBe(moment);
    await ada.post("/confirm");
    expect(await signedInAt(ada)).toBe(clock.time);
    expect((await ada.get("/session")).body.opened).toEqual(OPENED);
  });

  test("keeps its absolute end, counted from the sign-in, in what is sealed anew", async () => {
    const path = lastingFolder();
    const before = await start({ path });
    const ada = await signedIn(before);
    await before.close();
    const app = await start({ path, absolute_timeout: 30 });
    const copy = app.visitor(ada.cookie);
    clock.forward(15 * MINUTE);
    await copy.post("/confirm", { credentials: OPENED });
    clock.forward(15 * MINUTE - 1);
    expect((await app.visitor(copy.cookie).get("/session")).body.opened).toEqual(OPENED);
    clock.forward(1);
    expect(await isIn(app, copy)).toBe(false);
  });
});

test("with an authenticator that keeps no credentials, none are needed", async () => {
  const app = await start({}, { authenticator: "openldap" });
  const ada = await signedIn(app);
  clock.forward(11 * MINUTE);
  expect((await ada.post("/confirm", { credentials: { username: "ada" } })).status).toBe(200);
  expect((await ada.post("/matters")).text).toBe("done");
  expect((await readStored(app, ada.id))?.fields).not.toHaveProperty("credentials");
});

test("credentials that do not open are not taken along", async () => {
  const app = await start({});
  const ada = await signedIn(app);
  await changeStored(app, ada.id, ({ head, fields }) => ({ head, fields: { ...fields, credentials: "v1.x.y" } }));
  expect((await ada.post("/confirm")).status).toBe(200);
  expect((await readStored(app, ada.id))?.fields).not.toHaveProperty("credentials");
});

describe("sessions.fresh", () => {
  let app: App;

  beforeAll(async () => {
    clock = new Clock();
    app = await start({});
  });

  test.each([
    [0, "0"],
    [-1, "-1"],
    [Number.NaN, "NaN"],
    [Number.POSITIVE_INFINITY, "Infinity"],
    ["10", "a value of type string"],
    [undefined, "a value of type undefined"],
  ])("of %p is refused at once", (minutes, found) => {
    const message = `sessions.fresh takes minutes, a number above 0. It got ${found}.`;
    expect(() => app.sessions.fresh(minutes as number)).toThrow(
      expect.objectContaining({ code: "ARGUMENT_INVALID", message }),
    );
  });

  test("in front of the sessions is a mistake that is told", () => {
    const next = jest.fn();
    app.sessions.fresh(10)({} as never, {} as never, next);
    expect(next).toHaveBeenCalledWith(expect.objectContaining({ code: "SIGN_IN_INVALID" }));
  });
});

test("as docs/users.md has it: remembered by a checkbox, asked again where it matters", async () => {
  clock = new Clock();
  const app = await startApp({
    settings: { remember: {} },
    clock,
    routes(app, sessions) {
      app.post("/sign-in-page", async (req, res) => {
        const { username, password, remember } = req.body; // ask whoever knows whether they are right
        await req.signIn({ username, password }, { remember: remember === "on" }); // what a ticked checkbox posts
        res.redirect(303, "/");
      });

      app.post("/delete-account", sessions.fresh(10), (_req, res) => res.send("deleted"));

      app.post("/confirm", async (req, res) => {
        const { username = "" } = req.session;
        const { password } = req.body; // ask whoever knows whether it is right
        await req.confirmSignIn({ username, password });
        res.redirect(303, "/account");
      });

      const askAgain: ErrorRequestHandler = (error, req, res, next) => {
        if (error.code !== "SIGN_IN_AGAIN") return next(error);
        res.redirect(303, req.session.username === undefined ? "/sign-in-page" : "/confirm");
      };
      app.use(askAgain);
    },
  });
  const ada = app.visitor();
  const login = { username: "ada", password: PASSWORD };
  expect(cookiesOf(await ada.post("/sign-in-page", login))).toEqual([expect.not.stringContaining("Max-Age")]);
  const answer = await ada.post("/sign-in-page", { ...login, remember: "on" });
  expect(cookiesOf(answer)).toEqual([expect.stringContaining("Max-Age=7776000")]);
  clock.forward(DAY);
  expect((await ada.post("/delete-account")).headers.location).toBe("/confirm");
  expect((await ada.post("/confirm", { password: PASSWORD })).headers.location).toBe("/account");
  expect((await ada.post("/delete-account")).text).toBe("deleted");
  expect((await app.visitor().post("/delete-account")).headers.location).toBe("/sign-in-page");
});
