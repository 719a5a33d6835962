import { promisify } from "node:util";
import { afterEach, describe, expect, jest, test } from "@jest/globals";
import { type App, type AppOptions, Clock, MINUTE, startApp, temporaryFolder, type Visitor } from "../support/app.js";
import { countBackendCalls } from "../support/stored.js";

afterEach(() => {
  jest.restoreAllMocks();
});

type Settings = NonNullable<AppOptions["settings"]>;

/** An installation that is started again with other settings: the sessions stay. */
class Installation {
  readonly clock = new Clock();
  readonly #path = `${temporaryFolder()}/tokens`;
  #app: App | undefined;

  async start(settings: Settings): Promise<App> {
    await this.#app?.close();
    this.#app = await this.server(settings);
    return this.#app;
  }

  /** One more server on the same sessions. */
  server(settings: Settings): Promise<App> {
    return startApp({
      settings: { ...settings, path: this.#path },
      clock: this.clock,
      routes(express) {
        express.post("/max-age", (req, res) => {
          req.session.cookie.maxAge = req.body.minutes * MINUTE;
          res.sendStatus(204);
        });
        express.post("/enter", (req, res) => {
          req.session.username = "ada";
          res.sendStatus(204);
        });
        express.post("/leave", (req, res) => {
          delete (req.session as { username?: string }).username;
          res.sendStatus(204);
        });
      },
    });
  }

  pass(minutes: number): void {
    this.clock.forward(minutes * MINUTE);
  }
}

async function signedIn(app: App): Promise<Visitor> {
  const ada = app.visitor();
  expect((await ada.signIn("ada")).status).toBe(204);
  return ada;
}

const isIn = async (app: App, { cookie }: Visitor) =>
  (await app.visitor(cookie).get("/session")).body.values.username === "ada";

describe("a timeout that is lowered", () => {
  test("ends what was not used for so long", async () => {
    const installation = new Installation();
    const before = await installation.start({ timeout: 60 });
    const [idle, used] = [await signedIn(before), await signedIn(before)];
    installation.pass(10);
    expect(await isIn(before, used)).toBe(true);
    const after = await installation.start({ timeout: 15 });
    installation.pass(5);
    expect([await isIn(after, idle), await isIn(after, used)]).toEqual([false, true]);
    expect(await after.sessions.store.length()).toBe(1);
    expect(await after.sessions.users.list("ada")).toHaveLength(1);
  });

  test("counts from the next request on, too", async () => {
    const installation = new Installation();
    const ada = await signedIn(await installation.start({ timeout: 60 }));
    const after = await installation.start({ timeout: 15 });
    installation.pass(10);
    expect(await isIn(after, ada)).toBe(true);
    installation.pass(15);
    expect(await isIn(after, ada)).toBe(false);
  });

  test("does not end what is used, however long", async () => {
    const installation = new Installation();
    const ada = await signedIn(await installation.start({ timeout: 60 }));
    const after = await installation.start({ timeout: 15 });
    for (let minutes = 0; minutes < 180; minutes += 14) {
      installation.pass(14);
      expect(await isIn(after, ada)).toBe(true);
    }
  });

  test("does not end early what was loaded by hand, and not saved", async () => {
    const installation = new Installation();
    const ada = await signedIn(await installation.start({ timeout: 60 }));
    const after = await installation.start({ timeout: 50 });
    installation.pass(48);
    await promisify(after.sessions.store.get.bind(after.sessions.store))(ada.id);
    installation.pass(49);
    expect(await isIn(after, ada)).toBe(true);
  });

  test("is told in the user's list, and in that of all", async () => {
    const installation = new Installation();
    await signedIn(await installation.start({ timeout: 60 }));
    const seen = installation.clock.time;
    installation.pass(5);
    const { users, store } = (await installation.start({ timeout: 15 })).sessions;
    const times = { lastSeenAt: new Date(seen), expiresAt: new Date(seen + 15 * MINUTE) };
    expect(await users.list("ada")).toEqual([expect.objectContaining(times)]);
    expect(await store.all()).toEqual([expect.objectContaining({ expiresAt: times.expiresAt })]);
  });

  test("leaves alone what has a maxAge of its own", async () => {
    const installation = new Installation();
    const ada = await signedIn(await installation.start({ timeout: 60 }));
    await ada.post("/max-age", { minutes: 45 });
    const after = await installation.start({ timeout: 15 });
    installation.pass(44);
    expect(await isIn(after, ada)).toBe(true);
  });

  test("makes room for a user's next session", async () => {
    const installation = new Installation();
    const before = await installation.start({ timeout: 60, sessions_per_user: 2 });
    const [idle, used] = [await signedIn(before), await signedIn(before)];
    installation.pass(10);
    expect(await isIn(before, used)).toBe(true);
    installation.pass(10);
    const after = await installation.start({ timeout: 15, sessions_per_user: 2 });
    const young = await signedIn(after);
    expect([await isIn(after, idle), await isIn(after, used), await isIn(after, young)]).toEqual([false, true, true]);
  });

  test("and raised again: what was over, and was ended meanwhile, stays out", async () => {
    const installation = new Installation();
    const before = await installation.start({ timeout: 60 });
    const ada = await signedIn(before);
    const [{ id } = { id: "" }] = await before.sessions.users.list("ada");
    installation.pass(20);
    const { users } = (await installation.start({ timeout: 15 })).sessions;
    expect(await users.revoke("ada", { only: id })).toBe(0);
    const after = await installation.start({ timeout: 60 });
    expect(await isIn(after, ada)).toBe(false);
  });
});

describe("a timeout that is raised", () => {
  test("counts from the next request on: till then the stored end does", async () => {
    const installation = new Installation();
    const before = await installation.start({ timeout: 15 });
    const [idle, used] = [await signedIn(before), await signedIn(before)];
    const after = await installation.start({ timeout: 60 });
    installation.pass(14);
    expect(await isIn(after, used)).toBe(true);
    installation.pass(1);
    expect(await isIn(after, idle)).toBe(false);
    installation.pass(58);
    expect(await isIn(after, used)).toBe(true);
    installation.pass(60);
    expect(await isIn(after, used)).toBe(false);
  });
});

test("a session is never last seen in the future", async () => {
  const installation = new Installation();
  const ada = await signedIn(await installation.start({ timeout: 15 }));
  const { store, users } = (await installation.start({ timeout: 60 })).sessions;
  installation.pass(10);
  // Its end is moved, and nothing is written that says by how much.
  await promisify(store.get.bind(store))(ada.id);
  const now = installation.clock.time;
  const times = { lastSeenAt: new Date(now), expiresAt: new Date(now + 60 * MINUTE) };
  expect(await users.list("ada")).toEqual([expect.objectContaining(times)]);
});

describe("servers that have other timeouts, as in a rolling deployment", () => {
  test("a session that goes to and fro stays while it is used, and ends by the server that it comes to", async () => {
    const installation = new Installation();
    const [long, short] = [await installation.server({ timeout: 60 }), await installation.server({ timeout: 15 })];
    const ada = await signedIn(long);
    for (let minutes = 0; minutes < 120; minutes += 10) {
      installation.pass(10);
      expect(await isIn((minutes / 10) % 3 === 0 ? long : short, ada)).toBe(true);
    }
    expect(await isIn(long, ada)).toBe(true);
    installation.pass(20);
    expect(await isIn(short, ada)).toBe(false);
    expect(await isIn(long, ada)).toBe(true);
  });
});

describe("an absolute_timeout", () => {
  test.each([
    ["that is lowered", { absolute_timeout: 480 }],
    ["that is new", {}],
  ])("%s counts for who is signed in already, from the sign-in", async (_name, settings) => {
    const installation = new Installation();
    const before = await installation.start({ timeout: 200, ...settings });
    const visitor = before.visitor();
    await visitor.post("/set", { basket: [1] });
    installation.pass(50);
    // In place: the session is older.
    await visitor.post("/enter");
    installation.pass(50);
    const after = await installation.start({ timeout: 200, absolute_timeout: 60 });
    expect(await isIn(after, visitor)).toBe(true);
    const [listed] = await after.sessions.users.list("ada");
    expect(listed?.expiresAt).toEqual(new Date(installation.clock.time + 10 * MINUTE));
    installation.pass(10);
    expect(await isIn(after, visitor)).toBe(false);
    expect(await after.sessions.users.list("ada")).toEqual([]);
  });

  test.each([
    ["raised", { absolute_timeout: 480 }],
    ["taken away", {}],
  ])("that is %s does not lengthen what is signed in already", async (_name, settings) => {
    const installation = new Installation();
    const ada = await signedIn(await installation.start({ timeout: 200, absolute_timeout: 60 }));
    const after = await installation.start({ timeout: 200, ...settings });
    installation.pass(59);
    expect(await isIn(after, ada)).toBe(true);
    installation.pass(1);
    expect(await isIn(after, ada)).toBe(false);
  });

  test("counts anew from where a session goes over to nobody", async () => {
    const installation = new Installation();
    const settings = { timeout: 200, absolute_timeout: 60 };
    const before = await installation.start(settings);
    const ada = await signedIn(before);
    installation.pass(50);
    await ada.post("/leave");
    await ada.post("/set", { basket: [1] });
    const after = await installation.start(settings);
    installation.pass(59);
    expect((await after.visitor(ada.cookie).get("/session")).body.values).toEqual({ basket: [1] });
    installation.pass(1);
    expect((await after.visitor(ada.cookie).get("/session")).body.values).toEqual({});
  });
});

test("other settings cost one write for each session that comes by, and nothing from then on", async () => {
  const installation = new Installation();
  const ada = await signedIn(await installation.start({ timeout: 60 }));
  const app = await installation.start({ timeout: 15 });
  const backend = countBackendCalls();
  expect(await isIn(app, ada)).toBe(true);
  expect(backend.calls).toEqual({ read: 1, write: 1, touch: 0, remove: 0 });
  backend.clear();
  for (let count = 0; count < 5; count++) expect(await isIn(app, ada)).toBe(true);
  expect(backend.calls).toEqual({ read: 5, write: 0, touch: 0, remove: 0 });
});
