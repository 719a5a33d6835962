import { afterEach, beforeAll, describe, expect, jest, test } from "@jest/globals";
import { type App, MINUTE, startApp, type Visitor } from "../support/app.js";
import { destroy } from "../support/by-promise.js";
import { onEveryBackend } from "../support/places.js";
import { countBackendCalls, readStored } from "../support/stored.js";

const SECOND = 1000;
const DAY = 24 * 60 * MINUTE;
/** `timeout` where nothing is set. */
const TIMEOUT = 20 * MINUTE;
const ABSOLUTE = 30 * MINUTE;

onEveryBackend((places) => {
  let app: App;
  /** With an absolute end. */
  let ending: App;

  beforeAll(async () => {
    [app, ending] = await Promise.all([
      startApp({ settings: await places.next() }),
      startApp({ settings: { ...(await places.next()), absolute_timeout: ABSOLUTE / MINUTE } }),
    ]);
  });

  afterEach(() => {
    jest.restoreAllMocks();
  });

  let count = 0;
  async function signedIn(of = app): Promise<Visitor> {
    const visitor = of.visitor();
    expect((await visitor.signIn(`user ${++count}`)).status).toBe(204);
    return visitor;
  }

  /** Asks, and so moves the session's end. */
  async function isIn(visitor: Visitor): Promise<boolean> {
    const { values, opened, ended } = (await visitor.get("/session")).body;
    // In or out, and never something between.
    expect([values.username === undefined, opened === undefined]).toEqual([ended, ended]);
    return !ended;
  }

  /** Asks every 5 minutes: a touch may still be under way when the time moves on. */
  async function isInAllAlong({ clock }: App, visitor: Visitor, duration: number): Promise<boolean> {
    for (let passed = 0; passed < duration; passed += 5 * MINUTE) {
      clock.forward(5 * MINUTE);
      if (!(await isIn(visitor))) return false;
    }
    return true;
  }

  describe("the clock goes forward: a session expires", () => {
    test("45: clock forward: expires, not a millisecond early and not one late", async () => {
      const [early, late] = [await signedIn(), await signedIn()];
      app.clock.forward(TIMEOUT - 1);
      expect(await isIn(early)).toBe(true);
      app.clock.forward(1);
      expect(await isIn(late)).toBe(false);
    });

    test("45: clock forward by years at once: expires, and service goes on", async () => {
      const ada = await signedIn();
      app.clock.forward(20 * 365 * DAY);
      expect(await isIn(ada)).toBe(false);
      await ada.signIn("ada");
      expect(await isIn(ada)).toBe(true);
    });
  });

  describe("the clock goes back: nothing extends the stored end", () => {
    test.each([
      ["a request", (ada: Visitor) => ada.get("/session"), 0],
      ["a change", (ada: Visitor) => ada.post("/set", { basket: [1] }), 1],
    ])("46: clock back, and %s does not", async (_, use, writes) => {
      const ada = await signedIn();
      const end = app.clock.time + TIMEOUT;
      app.clock.forward(-10 * MINUTE);
      const backend = countBackendCalls(places.prototype);
      expect((await use(ada)).status).toBeLessThan(300);
      expect(backend.calls).toMatchObject({ touch: 0, write: writes });
      app.clock.time = end;
      expect(await isIn(ada)).toBe(false);
    });

    test("46: clock back, nor the absolute end", async () => {
      const ada = await signedIn(ending);
      const end = ending.clock.time + ABSOLUTE;
      ending.clock.forward(-60 * MINUTE);
      await ada.post("/set", { basket: [1] });
      expect(await isInAllAlong(ending, ada, 85 * MINUTE)).toBe(true);
      ending.clock.time = end;
      expect(await isIn(ada)).toBe(false);
    });
  });

  describe("expired, not yet deleted: gone", () => {
    test("47: expired, not yet deleted: gone to everybody, though it lies there still", async () => {
      const { store, users } = app.sessions;
      const ada = app.visitor();
      await ada.signIn("grace");
      const { id } = ada;
      const others = await store.length();
      app.clock.forward(TIMEOUT);
      expect(await isIn(app.visitor(ada.cookie))).toBe(false);
      expect([await store.length(), await store.all(), await users.list("grace")]).toEqual([0, [], []]);
      expect(others).toBeGreaterThan(0);
      await ada.post("/set", { late: true });
      expect(ada.id).not.toBe(id);
      expect(await readStored(app, id)).toBeUndefined();
      // Whose clock is slower sees that it was not deleted.
      app.clock.forward(-1);
      expect((await readStored(app, id))?.fields.username).toBe("grace");
      app.clock.forward(1);
      await destroy(store, id);
      expect(await readStored(app, id)).toBeUndefined();
    });

    test("47: past its absolute end, too, however long its record would be kept", async () => {
      const { store } = ending.sessions;
      const ada = await signedIn(ending);
      expect(await isInAllAlong(ending, ada, ABSOLUTE - 5 * MINUTE)).toBe(true);
      ending.clock.forward(5 * MINUTE);
      expect(await readStored(ending, ada.id)).toBeDefined();
      expect(await isIn(ada)).toBe(false);
      expect([await store.length(), await store.all()]).toEqual([0, []]);
    });
  });

  describe("daylight saving, 2038: no change", () => {
    test.each([
      ["daylight saving begins", Date.UTC(2026, 2, 29, 1)],
      ["daylight saving ends", Date.UTC(2026, 9, 25, 1)],
      ["a year ends", Date.UTC(2027, 0, 1)],
      ["a leap day ends", Date.UTC(2028, 2, 1)],
      ["32 bits of seconds end, in 2038", 2 ** 31 * SECOND],
      ["32 unsigned bits of seconds end, in 2106", 2 ** 32 * SECOND],
    ])("48: %s in the middle of a session", async (_, moment) => {
      app.clock.time = moment - 10 * MINUTE;
      const [early, late] = [await signedIn(), await signedIn()];
      app.clock.forward(TIMEOUT - 1);
      expect(await isIn(early)).toBe(true);
      app.clock.forward(1);
      expect(await isIn(late)).toBe(false);
      expect(await isInAllAlong(app, early, 30 * MINUTE)).toBe(true);
    });
  });
});
