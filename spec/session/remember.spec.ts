/** Sign-ins that ask to be remembered: how long they last, and what becomes of their cookie. */
import { promisify } from "node:util";
import { afterEach, beforeEach, describe, expect, jest, test } from "@jest/globals";
import type { SessionData } from "express-session";
import type { Backend } from "../../lib/backends/backend.js";
import { LocalBackend } from "../../lib/backends/local/backend.js";
import { userKey } from "../../lib/session-id.js";
import { type App, type AppOptions, Clock, cookiesOf, MINUTE, startApp, type Visitor } from "../support/app.js";
import { lastingFolder } from "../support/lasting-folder.js";
import { everyBackend, onEveryBackend, type Place, sealedSomewhere } from "../support/places.js";
import { changeStored, countBackendCalls, readStored } from "../support/stored.js";

type Settings = NonNullable<AppOptions["settings"]>;

const DAY = 24 * 60 * MINUTE;
/** In seconds. */
const DAYS = (count: number) => count * 24 * 60 * 60;
const TLS = { "x-forwarded-proto": "https" };

let clock: Clock;

beforeEach(() => {
  clock = new Clock();
  // Redis drops what has expired by its own clock.
  clock.time = Date.now();
});

afterEach(() => {
  jest.restoreAllMocks();
});

function start(settings: Settings, options: Pick<AppOptions, "express" | "authenticator"> = {}): Promise<App> {
  return startApp({
    ...options,
    settings: { path: lastingFolder(), remember: {}, ...settings },
    clock,
    before: (express) => void express.set("trust proxy", 1),
    routes(express) {
      express.post("/enter", (req, res, next) => {
        const { minutes, username = "ada", ...signingIn } = req.body;
        if (minutes !== undefined) req.session.cookie.maxAge = minutes * MINUTE;
        req.signIn({ username, password: "ada's own" }, signingIn).then(() => res.json(req.session.cookie), next);
      });
      express.post("/enter-in-place", (req, res) => {
        req.session.username = req.body.username;
        res.sendStatus(204);
      });
      express.post("/leave-in-place", (req, res) => {
        delete (req.session as { username?: string }).username;
        res.sendStatus(204);
      });
      express.post("/max-age", (req, res) => {
        req.session.cookie.maxAge = req.body.minutes * MINUTE;
        res.sendStatus(204);
      });
      express.get("/cookie", (req, res) => {
        const { maxAge, originalMaxAge } = req.session.cookie;
        res.json({ isNumber: typeof maxAge === "number", originalMaxAge, expires: req.session.cookie.expires });
      });
    },
  });
}

async function remembered(app: App, signingIn: object = {}): Promise<Visitor> {
  const ada = app.visitor();
  expect((await ada.post("/enter", { remember: true, ...signingIn }, TLS)).status).toBe(200);
  return ada;
}

const isIn = async (app: App, { cookie }: Visitor) =>
  (await app.visitor(cookie).get("/session", TLS)).body.values.username !== undefined;

/** What the answer says of how long browsers keep the session's cookie, in seconds. */
function maxAgesOf(answer: Parameters<typeof cookiesOf>[0]): Array<number | "none"> {
  return cookiesOf(answer).map((line) => {
    const [, seconds] = /; Max-Age=(\d+)/.exec(line) ?? [];
    return seconds === undefined ? "none" : Number(seconds);
  });
}

onEveryBackend(
  ({ prototype, next }) => {
    let place: Place;

    beforeEach(async () => {
      place = await next();
    });

    test("lasts 30 days without a request, as its cookie and its user's list say; the others end as ever", async () => {
      const app = await start(place);
      const ada = app.visitor();
      const answer = await ada.post("/enter", { remember: true, label: "laptop" }, TLS);
      expect(maxAgesOf(answer)).toEqual([DAYS(90)]);
      const phone = app.visitor();
      expect(maxAgesOf(await phone.post("/enter", { label: "phone" }, TLS))).toEqual(["none"]);
      const expiresAt = new Date(clock.time + 30 * DAY);
      expect(await app.sessions.users.list("ada")).toEqual([
        expect.objectContaining({ label: "laptop", remembered: true, expiresAt }),
        expect.objectContaining({ label: "phone", remembered: false }),
      ]);
      clock.forward(20 * MINUTE);
      expect([await isIn(app, ada), await isIn(app, phone)]).toEqual([true, false]);
      clock.forward(30 * DAY - MINUTE);
      expect(await isIn(app, ada)).toBe(true);
      clock.forward(30 * DAY);
      expect(await isIn(app, ada)).toBe(false);
    });

    test("lasts 90 days however busy, and its credentials open that long; its cookie never rolls", async () => {
      const app = await start({ ...place, absolute_timeout: 480 });
      const ada = await remembered(app);
      for (const day of [25, 50, 75, 89]) {
        clock.time += (day === 89 ? 14 : 25) * DAY;
        const answer = await ada.get("/session", TLS);
        expect(answer.body.opened).toEqual({ username: "ada", password: "ada's own" });
        expect(cookiesOf(answer)).toEqual([]);
      }
      clock.forward(DAY - 1);
      expect(await isIn(app, ada)).toBe(true);
      clock.forward(1);
      expect((await ada.get("/session", TLS)).body).toEqual({ values: {}, ended: true });
    });

    test("is revoked after a long pause, and counted once for the limit", async () => {
      const app = await start({ ...place, sessions_per_user: 1 });
      const first = await remembered(app);
      clock.forward(25 * DAY);
      const second = await remembered(app);
      expect([await isIn(app, first), await isIn(app, second)]).toEqual([false, true]);
      clock.forward(25 * DAY);
      expect(await app.sessions.users.list("ada")).toHaveLength(1);
      expect(await app.sessions.users.revoke("ada")).toBe(1);
      expect(await isIn(app, second)).toBe(false);
    });

    test("costs as many calls of the store as any other", async () => {
      const app = await start(place);
      const costs = [];
      for (const remember of [false, true]) {
        const backend = countBackendCalls(prototype);
        const visitor = app.visitor();
        await visitor.post("/enter", { remember, username: `user ${remember}` }, TLS);
        const signedIn = backend.calls;
        backend.clear();
        for (const _ of [1, 2, 3]) await visitor.get("/session", TLS);
        costs.push({ signedIn, requests: backend.calls });
        jest.restoreAllMocks();
      }
      const signedIn = { read: 2, write: 2, touch: 0, remove: 0 };
      const requests = { read: 3, write: 0, touch: 0, remove: 0 };
      expect(costs).toEqual([
        { signedIn, requests },
        { signedIn, requests },
      ]);
    });

    test("is kept while keys are rotated, and the cookie that is signed anew lasts as long as it did", async () => {
      const before = await start({ ...place, safe_password: "the first safe password" });
      const ada = await remembered(before);
      await before.close();
      clock.forward(10 * DAY);
      const after = await start({ ...place, safe_password: ["the second safe password", "the first safe password"] });
      const copy = after.visitor(ada.cookie);
      expect(maxAgesOf(await copy.get("/session", TLS))).toEqual([DAYS(80)]);
      expect(copy.cookie).not.toBe(ada.cookie);
      await after.close();
      const last = await start({ ...place, safe_password: "the second safe password" });
      clock.forward(29 * DAY);
      const answer = await last.visitor(copy.cookie).get("/session", TLS);
      expect(answer.body.opened).toEqual({ username: "ada", password: "ada's own" });
      expect(await last.sessions.users.list("ada")).toEqual([expect.objectContaining({ remembered: true })]);
    });
  },
  [...everyBackend, ...sealedSomewhere],
);

describe.each([4, 5] as const)("the cookie, on Express %i", (express) => {
  test("is sent with its whole life at sign-in, and with what is left of it when it is sent anew; then no more", async () => {
    const path = lastingFolder();
    const before = await start({ path }, { express });
    const ada = before.visitor();
    const answer = await ada.post("/enter", { remember: true }, TLS);
    expect(cookiesOf(answer)).toEqual([
      expect.stringMatching(/; Max-Age=7776000; Path=\/; Expires=[^;]+ GMT; HttpOnly; Secure; SameSite=Lax$/),
    ]);
    await before.close();
    clock.forward(20 * DAY);
    const after = await start({ path, cookie: { same_site: "strict", domain: "example.com" } }, { express });
    const copy = after.visitor(ada.cookie);
    const [renewed, takenBack] = cookiesOf(await copy.get("/session", TLS));
    expect(renewed).toMatch(/; Max-Age=6048000; Domain=example\.com; .*SameSite=Strict$/);
    expect(takenBack).toMatch(/^token=; .*Expires=Thu, 01 Jan 1970/);
    for (const _ of [1, 2]) expect(cookiesOf(await after.visitor(ada.cookie).get("/session", TLS))).toEqual([]);
  });

  test("lasts 400 days at most, as browsers keep it", async () => {
    const app = await start({ remember: { absolute_timeout: 500 * 24 * 60 } }, { express });
    const answer = await app.visitor().post("/enter", { remember: true }, TLS);
    expect(maxAgesOf(answer)).toEqual([DAYS(400)]);
  });

  test("is one of the browser's session after a sign-in that does not ask; a sign-out takes it back", async () => {
    const app = await start({}, { express });
    const ada = await remembered(app);
    expect(maxAgesOf(await ada.post("/enter", {}, TLS))).toEqual(["none"]);
    expect(await app.sessions.users.list("ada")).toEqual([expect.objectContaining({ remembered: false })]);
    await ada.post("/enter", { remember: true }, TLS);
    expect(cookiesOf(await ada.post("/sign-out", {}, TLS))).toEqual([
      "token=; Path=/; Expires=Thu, 01 Jan 1970 00:00:00 GMT; HttpOnly; Secure; SameSite=Lax",
    ]);
  });
});

describe("a sign-in that asks for it", () => {
  test.each([
    ["on", "a text"],
    ["false", "a text"],
    [1, "a value of type number"],
    [null, "null"],
  ])("by %p is refused, and nothing has changed", async (remember, found) => {
    const app = await start({});
    const ada = app.visitor();
    await ada.post("/set", { basket: [1] });
    const answer = await ada.post("/enter", { remember });
    expect([answer.status, answer.body.code]).toEqual([500, "SIGN_IN_INVALID"]);
    expect(answer.body.message).toBe(
      `req.signIn takes remember: true or false. It got ${found}: of a checkbox, write remember: req.body.remember === "on".`,
    );
    expect((await ada.get("/session")).body).toEqual({ values: { basket: [1] }, ended: false });
  });

  test("is refused without the section, saying so; one that does not ask is not", async () => {
    const app = await start({ remember: undefined });
    const ada = app.visitor();
    const answer = await ada.post("/enter", { remember: true });
    expect([answer.status, answer.body]).toEqual([
      500,
      {
        code: "SIGN_IN_INVALID",
        message:
          "req.signIn was to remember the session, which the settings do not allow: add the section remember to tokenizer. " +
          "With its defaults that is remember: {}",
      },
    ]);
    expect(ada.cookie).toBeUndefined();
    expect((await ada.post("/enter", { remember: false })).status).toBe(200);
  });
});

describe("settings that change", () => {
  async function restarted(from: Settings, to: Settings) {
    const path = lastingFolder();
    const before = await start({ ...from, path });
    const ada = await remembered(before);
    await before.close();
    return { ada, app: await start({ ...to, path }) };
  }

  test.each<[string, Settings, Settings, number]>([
    ["the section taken away: as any other", {}, { remember: undefined }, 20 * MINUTE],
    [
      "the section taken away, and an absolute_timeout",
      {},
      { remember: undefined, timeout: 60, absolute_timeout: 40 },
      40 * MINUTE,
    ],
    ["a lowered timeout", {}, { remember: { timeout: 60 } }, 60 * MINUTE],
    ["a lowered absolute_timeout", {}, { remember: { absolute_timeout: 120 } }, 120 * MINUTE],
    [
      "a raised absolute_timeout is for who signs in from then on",
      { remember: { absolute_timeout: 60 } },
      {},
      60 * MINUTE,
    ],
    [
      "an absolute_timeout below timeout",
      { remember: { absolute_timeout: 60 } },
      { remember: { absolute_timeout: 60 } },
      60 * MINUTE,
    ],
  ])("%s", async (_, from, to, life) => {
    const { ada, app } = await restarted(from, to);
    expect((await app.sessions.users.list("ada")).map(({ expiresAt }) => expiresAt)).toEqual([
      new Date(clock.time + life),
    ]);
    clock.forward(life - 1);
    expect(await isIn(app, ada)).toBe(true);
    clock.forward(life);
    expect(await isIn(app, ada)).toBe(false);
  });

  test("a raised timeout counts from the next request on", async () => {
    const { ada, app } = await restarted({ remember: { timeout: 60 } }, { remember: { timeout: 120 } });
    clock.forward(59 * MINUTE);
    expect(await isIn(app, ada)).toBe(true);
    clock.forward(119 * MINUTE);
    expect(await isIn(app, ada)).toBe(true);
    clock.forward(120 * MINUTE);
    expect(await isIn(app, ada)).toBe(false);
  });

  test("the section that is new changes nothing for who is signed in", async () => {
    const path = lastingFolder();
    const before = await start({ path, remember: undefined });
    const ada = before.visitor();
    await ada.post("/enter", {}, TLS);
    await before.close();
    const app = await start({ path });
    const backend = countBackendCalls();
    expect(await isIn(app, ada)).toBe(true);
    expect(backend.calls).toEqual({ read: 1, write: 0, touch: 0, remove: 0 });
    clock.forward(20 * MINUTE);
    expect(await isIn(app, ada)).toBe(false);
  });
});

describe("cookie.maxAge", () => {
  test("that the application sets replaces the timeout; the absolute end still holds, and the cookie lasts as long", async () => {
    const app = await start({ remember: { absolute_timeout: 100 } });
    const ada = await remembered(app);
    await ada.post("/max-age", { minutes: 30 }, TLS);
    clock.forward(29 * MINUTE);
    expect(await isIn(app, ada)).toBe(true);
    clock.forward(30 * MINUTE);
    expect(await isIn(app, ada)).toBe(false);
    const busy = await remembered(app);
    await busy.post("/max-age", { minutes: 500 }, TLS);
    clock.forward(100 * MINUTE);
    expect(await isIn(app, busy)).toBe(false);
  });

  test.each([
    ["of somebody without a session", false],
    ["of somebody with one", true],
  ])("that is set before the sign-in counts for the new session, %s", async (_, hasSession) => {
    const app = await start({});
    const ada = app.visitor();
    if (hasSession) await ada.post("/set", { basket: [1] }, TLS);
    const answer = await ada.post("/enter", { minutes: 300 }, TLS);
    expect(answer.body.originalMaxAge).toBeCloseTo(300 * MINUTE, -2);
    clock.forward(299 * MINUTE);
    expect(await isIn(app, ada)).toBe(true);
    clock.forward(300 * MINUTE);
    expect(await isIn(app, ada)).toBe(false);
  });

  test("shows when the cookie of a remembered session expires, and is none that was set", async () => {
    const app = await start({});
    const ada = app.visitor();
    const expires = new Date(clock.time + 90 * DAY).toISOString();
    expect((await ada.post("/enter", { remember: true }, TLS)).body).toMatchObject({ originalMaxAge: null, expires });
    clock.forward(DAY);
    expect((await ada.get("/cookie", TLS)).body).toEqual({ isNumber: true, originalMaxAge: null, expires });
    const phone = app.visitor();
    await phone.post("/enter", {}, TLS);
    expect((await phone.get("/cookie", TLS)).body).toEqual({ isNumber: false, originalMaxAge: null, expires: null });
  });

  test.each<[string, (data: SessionData) => SessionData]>([
    ["by hand", (data) => data],
    ["as JSON", (data) => JSON.parse(JSON.stringify(data))],
  ])("of a remembered session that is loaded and saved %s is none", async (_, copy) => {
    const app = await start({});
    const ada = await remembered(app);
    const { store } = app.sessions;
    const req = { sessionID: ada.id, sessionStore: store } as never;
    const data = (await promisify(store.get.bind(store))(ada.id)) as SessionData;
    const session = store.createSession(req, data);
    const set = promisify(store.set.bind(store)) as (id: string, data: SessionData) => Promise<void>;
    await set(ada.id, Object.assign(copy(session), { basket: [1] }));
    expect((await readStored(app, ada.id))?.head).not.toHaveProperty("maxAge");
  });
});

describe("who signs in in place", () => {
  test.each([
    ["somebody else", "/enter-in-place", { username: "grace" }],
    ["nobody", "/leave-in-place", {}],
  ])("%s is not remembered, and the next answer says so to the browser", async (_, path, body) => {
    const app = await start({});
    const ada = await remembered(app);
    await ada.post("/set", { basket: [1] }, TLS);
    await ada.post(path, body, TLS);
    expect((await readStored(app, ada.id))?.head).not.toHaveProperty("remembered");
    const answer = await ada.get("/session", TLS);
    expect([answer.body.values, maxAgesOf(answer)]).toEqual([{ basket: [1], ...body }, ["none"]]);
    expect(cookiesOf(answer)).toEqual([expect.stringContaining(ada.id)]);
    expect(maxAgesOf(await ada.get("/session", TLS))).toEqual([]);
    clock.forward(20 * MINUTE);
    expect((await app.visitor(ada.cookie).get("/session", TLS)).body).toEqual({ values: {}, ended: true });
  });

  test("the same one again changes nothing", async () => {
    const app = await start({});
    const ada = await remembered(app);
    await ada.post("/enter-in-place", { username: "ada" }, TLS);
    clock.forward(DAY);
    expect(await isIn(app, ada)).toBe(true);
  });
});

test("a revoke that met no record of the user holds for as long as a remembered session may come back", async () => {
  const app = await start({ remember: { timeout: 60 * 24 * 60 } });
  const ada = await remembered(app);
  const reading = jest.spyOn(LocalBackend.prototype, "read");
  await isIn(app, ada);
  const [backend] = reading.mock.contexts as Backend[];
  expect(await backend?.remove(userKey("ada"))).toBe(true);
  expect(await app.sessions.users.revoke("ada")).toBe(0);
  clock.forward(59 * DAY);
  await app.sessions.store.prune();
  expect(await isIn(app, ada)).toBe(false);
});

test("a record that says something else of being remembered than yes is damaged", async () => {
  const app = await start({});
  const ada = await remembered(app);
  await changeStored(app, ada.id, ({ head, fields }) => ({ head: { ...head, remembered: "yes" }, fields }));
  expect(await isIn(app, ada)).toBe(false);
});
