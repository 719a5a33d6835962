import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setImmediate as nextLoop } from "node:timers/promises";
import { afterEach, beforeEach, describe, expect, jest, test } from "@jest/globals";
import type { Request } from "express";
import session, { type Session, type SessionData } from "express-session";
import { LocalBackend } from "../../lib/backends/local/backend.js";
import type { TokenStore } from "../../lib/session/store.js";
import { storageKey } from "../../lib/session-id.js";
import type { SettingsInput } from "../../lib/settings/settings.js";
import { type Tokenizer, tokenizer } from "../../lib/tokenizer.js";
import { save } from "../support/by-promise.js";

const SAFE_PASSWORD = "a safe password, for these specs";
const MINUTE = 60_000;

let folder: string;
let now: number;
let warnings: string[];
let opened: Tokenizer[];

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "store-spec-"));
  now = Date.parse("2026-03-29T00:30:00Z");
  warnings = [];
  opened = [];
});

afterEach(async () => {
  jest.useRealTimers();
  jest.restoreAllMocks();
  await closeAll();
  rmSync(folder, { recursive: true, force: true });
});

async function closeAll(): Promise<void> {
  await Promise.all(opened.map((sessions) => sessions.close()));
}

async function open(settings: Partial<SettingsInput["tokenizer"]> = {}): Promise<TokenStore> {
  const sessions = tokenizer(
    {
      tokenizer: {
        ...{ type: "local", path: folder, cloud: false, safe_password: SAFE_PASSWORD, store_timeout: 60 },
        ...settings,
      },
    },
    { clock: () => now, log: { warn: (message) => warnings.push(message) } },
  );
  opened.push(sessions);
  await sessions.ready;
  return sessions.store;
}

type Data = SessionData & Record<string, unknown>;

function get(store: TokenStore, sid: string): Promise<Data | undefined> {
  return new Promise((resolve, reject) =>
    store.get(sid, (error, data) => (error ? reject(error) : resolve((data ?? undefined) as Data | undefined))),
  );
}

function set(store: TokenStore, sid: string, data: object): Promise<void> {
  return new Promise((resolve, reject) =>
    store.set(sid, data as SessionData, (error) => (error ? reject(error) : resolve())),
  );
}

function destroy(store: TokenStore, sid: string): Promise<void> {
  return new Promise((resolve, reject) => store.destroy(sid, (error) => (error ? reject(error) : resolve())));
}

function touch(store: TokenStore, sid: string, data: Data): Promise<void> {
  return new Promise((resolve) => store.touch(sid, data, () => resolve()));
}

/** A new session, as express-session makes it for a request without one. */
function newSession(store: TokenStore, sid: string, fields: object = {}): Session & Data {
  const req = { sessionID: sid, sessionStore: store } as unknown as Request;
  const cookie = new session.Cookie();
  return Object.assign(store.createSession(req, { cookie }), fields) as unknown as Session & Data;
}

const fieldsOf = (data: Data | undefined) => {
  if (!data) return undefined;
  const { cookie: _, ...fields } = data;
  return fields;
};

describe("a session by hand", () => {
  test("is what was saved", async () => {
    const store = await open();
    await set(
      store,
      "one",
      newSession(store, "one", { text: "é\u0000😀", list: [1, { deep: null }], at: new Date(0) }),
    );
    expect(fieldsOf(await get(store, "one"))).toEqual({
      text: "é\u0000😀",
      list: [1, { deep: null }],
      at: "1970-01-01T00:00:00.000Z",
    });
  });

  test("that is not there is nothing, and no error", async () => {
    const store = await open();
    expect(await get(store, "none")).toBeUndefined();
    await destroy(store, "none");
    await touch(store, "none", newSession(store, "none"));
    expect(await store.length()).toBe(0);
  });

  test("without an id is missing: a websocket's upgrade without a cookie ends no process", async () => {
    const store = await open();
    for (const sid of [undefined, null, 5, {}]) {
      expect(await get(store, sid as unknown as string)).toBeUndefined();
      await destroy(store, sid as unknown as string);
    }
    const mistake = { code: "SESSION_INVALID", status: 500 };
    await expect(set(store, "x", null as never)).rejects.toMatchObject(mistake);
    await expect(set(store, undefined as never, newSession(store, "x"))).rejects.toMatchObject(mistake);
    expect(() => store.get("x", undefined as never)).toThrow(expect.objectContaining({ code: "ARGUMENT_INVALID" }));
  });

  test("is destroyed by the id that all() lists, too", async () => {
    const store = await open();
    await set(store, "one", newSession(store, "one", { a: 1 }));
    await set(store, "two", newSession(store, "two", { a: 2 }));
    const first = (await store.all()).find((session) => Reflect.get(session, "a") === 1);
    await destroy(store, first?.id ?? "");
    expect((await store.all()).map((session) => Reflect.get(session, "a"))).toEqual([2]);
  });

  test("any number of them can be looked up, each by the callback of the one before", async () => {
    const store = await open();
    await set(store, "one", newSession(store, "one", { a: 1 }));
    let found = 0;
    await new Promise<void>((resolve, reject) => {
      const next = (left: number): void =>
        store.get("one", (error, data) => {
          if (error) return reject(error);
          if (data) found++;
          if (left > 1) next(left - 1);
          else resolve();
        });
      next(10_000);
    });
    expect(found).toBe(10_000);
  });

  test("its get and set are versioned, too", async () => {
    const store = await open();
    await set(store, "one", newSession(store, "one", { a: 1 }));
    const [mine, theirs] = [await get(store, "one"), await get(store, "one")];
    await set(store, "one", Object.assign(theirs as Data, { b: 2 }));
    await set(store, "one", Object.assign(mine as Data, { c: 3 }));
    expect(fieldsOf(await get(store, "one"))).toEqual({ a: 1, b: 2, c: 3 });
  });

  test("an object that the store never answered replaces what is there", async () => {
    const store = await open();
    await set(store, "one", newSession(store, "one", { a: 1 }));
    await set(store, "one", { cookie: {}, b: 2 });
    expect(fieldsOf(await get(store, "one"))).toEqual({ b: 2 });
  });

  test("a session without a user can be stored for an id of any kind", async () => {
    const store = await open();
    for (const sid of ["__proto__", "../../x", "*", "", "é😀", "x".repeat(10_000)]) {
      await set(store, sid, newSession(store, sid, { sid }));
      expect(fieldsOf(await get(store, sid))).toEqual({ sid });
    }
  });
});

describe("writers that meet", () => {
  test("a save after a merge keeps the other writer's keys", async () => {
    const [one, other] = [await open(), await open()];
    await set(one, "s", newSession(one, "s", { a: 1 }));
    const mine = (await get(one, "s")) as Data;
    const theirs = (await get(other, "s")) as Data;
    await set(other, "s", Object.assign(theirs, { b: 2 }));
    await set(one, "s", Object.assign(mine, { c: 3 }));
    await set(one, "s", Object.assign(mine, { c: 3 }));
    await set(one, "s", Object.assign(mine, { d: 4 }));
    expect(fieldsOf(await get(other, "s"))).toEqual({ a: 1, b: 2, c: 3, d: 4 });
  });

  test("a key that both changed is the later save's, and the other's later change is not undone", async () => {
    const store = await open();
    await set(store, "s", newSession(store, "s", { a: 1 }));
    const [mine, theirs] = [(await get(store, "s")) as Data, (await get(store, "s")) as Data];
    await set(store, "s", Object.assign(theirs, { a: 2 }));
    await set(store, "s", Object.assign(mine, { a: 3 }));
    expect(fieldsOf(await get(store, "s"))).toEqual({ a: 3 });
    await set(store, "s", Object.assign(theirs, { b: 1 }));
    expect(fieldsOf(await get(store, "s"))).toEqual({ a: 3, b: 1 });
  });

  test("50 at once, each with its own key, in one process: 50 kept, by 50 writes", async () => {
    const store = await open();
    await set(store, "s", newSession(store, "s", { a: 1 }));
    const writes = jest.spyOn(LocalBackend.prototype, "write");
    const loaded = await Promise.all(Array.from({ length: 50 }, () => get(store, "s")));
    await Promise.all(
      loaded.map((data, index) => set(store, "s", Object.assign(data as Data, { [`k${index}`]: index }))),
    );
    expect(Object.keys(fieldsOf(await get(store, "s")) ?? {})).toHaveLength(51);
    expect(writes).toHaveBeenCalledTimes(50);
  });

  test("50 at once, over two stores on one folder: 50 kept", async () => {
    const stores = [await open(), await open()] as const;
    await set(stores[0], "s", newSession(stores[0], "s", { a: 1 }));
    const storeOf = (index: number) => stores[index % 2] as TokenStore;
    const loaded = await Promise.all(Array.from({ length: 50 }, (_, index) => get(storeOf(index), "s")));
    await Promise.all(
      loaded.map((data, index) => set(storeOf(index), "s", Object.assign(data as Data, { [`k${index}`]: index }))),
    );
    expect(Object.keys(fieldsOf(await get(stores[0], "s")) ?? {})).toHaveLength(51);
  });

  test("a save of what was acknowledged already costs nothing", async () => {
    const store = await open();
    const mine = newSession(store, "s", { a: 1 });
    await set(store, "s", mine);
    const writes = jest.spyOn(LocalBackend.prototype, "write");
    await set(store, "s", mine);
    await set(store, "s", (await get(store, "s")) as Data);
    expect(writes).not.toHaveBeenCalled();
  });

  test("two new sessions of one id do not overwrite each other", async () => {
    const [one, other] = [await open(), await open()];
    await set(one, "s", newSession(one, "s", { a: 1 }));
    await set(other, "s", newSession(other, "s", { b: 2 }));
    expect(fieldsOf(await get(one, "s"))).toEqual({ a: 1, b: 2 });
  });

  test("a sign-in that meets another writer still gets its absolute end from the sign-in", async () => {
    const store = await open({ timeout: 120, absolute_timeout: 60 });
    await set(store, "s", newSession(store, "s", { a: 1 }));
    const [mine, theirs] = [(await get(store, "s")) as Data, (await get(store, "s")) as Data];
    now += 30 * MINUTE;
    await set(store, "s", Object.assign(theirs, { b: 1 }));
    await set(store, "s", Object.assign(mine, { username: "ann" }));
    now += 60 * MINUTE - 1;
    expect(fieldsOf(await get(store, "s"))).toEqual({ a: 1, b: 1, username: "ann" });
    now += 1;
    expect(await get(store, "s")).toBeUndefined();
  });

  test("the stored lifetime wins unless mine changed", async () => {
    const store = await open();
    await set(store, "s", newSession(store, "s", { a: 1 }));
    const [mine, theirs] = [(await get(store, "s")) as Data, (await get(store, "s")) as Data];
    theirs.cookie.originalMaxAge = 5 * MINUTE;
    await set(store, "s", Object.assign(theirs, { b: 1 }));
    await set(store, "s", Object.assign(mine, { c: 1 }));
    expect((await get(store, "s"))?.cookie.originalMaxAge).toBe(5 * MINUTE);
  });
});

describe("an end is an end", () => {
  test("un-awaited saves followed by a destroy: gone, 100 times of 100", async () => {
    const store = await open();
    const results = await Promise.all(
      Array.from({ length: 100 }, async (_, index) => {
        const mine = newSession(store, `s${index}`, { a: 1 });
        mine.save();
        Object.assign(mine, { b: 2 }).save();
        await new Promise<void>((resolve, reject) => mine.destroy((error) => (error ? reject(error) : resolve())));
        Object.assign(mine, { c: 3 }).save();
        return get(store, `s${index}`);
      }),
    );
    expect(results.filter((data) => data !== undefined)).toEqual([]);
    await closeAll();
    expect(results).toHaveLength(100);
  });

  test("a session destroyed before its first save is never saved", async () => {
    const store = await open();
    const mine = newSession(store, "s", { a: 1 });
    await new Promise((resolve) => mine.destroy(resolve));
    await new Promise((resolve) => mine.save(resolve));
    expect(await get(store, "s")).toBeUndefined();
  });

  test("a save that outlives its session is discarded: no error, an event without the id, and for good", async () => {
    const [one, other] = [await open(), await open()];
    await set(one, "s", newSession(one, "s", { a: 1 }));
    const mine = (await get(one, "s")) as Data;
    await destroy(other, "s");
    const told = new Promise((resolve) => one.once("discard", resolve));
    await set(one, "s", Object.assign(mine, { b: 2 }));
    await set(one, "s", Object.assign(mine, { c: 3 }));
    expect(await get(one, "s")).toBeUndefined();
    expect(await told).toEqual({ session: storageKey("s").slice("session:".length, "session:".length + 12) });
  });

  test("a save of what is frozen does not bring a session back", async () => {
    const store = await open();
    const list = [1];
    const mine = Object.freeze({ cookie: {}, list });
    await set(store, "s", mine);
    await destroy(store, "s");
    list.push(2);
    await set(store, "s", mine);
    expect(await get(store, "s")).toBeUndefined();
  });

  test("a touch does not bring a session back", async () => {
    const [one, other] = [await open(), await open()];
    await set(one, "s", newSession(one, "s", { a: 1 }));
    const mine = (await get(one, "s")) as Data;
    await destroy(other, "s");
    now += 5 * MINUTE;
    await touch(one, "s", mine);
    expect(await get(one, "s")).toBeUndefined();
  });

  test("clear ends every session, and only sessions", async () => {
    const store = await open();
    const backend = new LocalBackend({ path: folder }, { now: () => now, timeout: 1000, warn: () => {} });
    await backend.write("other:thing", { value: "x", version: "v", expires: now + MINUTE }, "absent");
    for (const sid of ["a", "b"]) await set(store, sid, newSession(store, sid, { sid }));
    expect(await store.length()).toBe(2);
    await store.clear();
    expect([await store.length(), (await store.all()).length]).toEqual([0, 0]);
    expect(await backend.read("other:thing")).toBeDefined();
    await backend.close();
  });
});

describe("lifetime", () => {
  test("idle: over after timeout without a request", async () => {
    const store = await open({ timeout: 20 });
    await set(store, "s", newSession(store, "s", { a: 1 }));
    now += 20 * MINUTE - 1;
    expect(await get(store, "s")).toBeDefined();
    now += 20 * MINUTE;
    expect(await get(store, "s")).toBeUndefined();
  });

  test("a request moves the end, at most once every touch_interval", async () => {
    const store = await open({ timeout: 20, touch_interval: 60 });
    await set(store, "s", newSession(store, "s", { a: 1 }));
    const touches = jest.spyOn(LocalBackend.prototype, "touch");
    for (let second = 0; second < 100; second++) {
      now += 1000;
      await get(store, "s");
    }
    expect(touches).toHaveBeenCalledTimes(1);
  });

  test("touch_interval is capped at a tenth of the timeout", async () => {
    const store = await open({ timeout: 1, touch_interval: 600 });
    await set(store, "s", newSession(store, "s", { a: 1 }));
    for (let step = 0; step < 20; step++) {
      now += 54_000;
      expect(await get(store, "s")).toBeDefined();
    }
  });

  test("absolute: over at the end, however busy, counted from the sign-in", async () => {
    const store = await open({ timeout: 20, absolute_timeout: 60 });
    const began = now;
    await set(store, "s", newSession(store, "s", { a: 1 }));
    now += 10 * MINUTE;
    await set(store, "s", Object.assign((await get(store, "s")) as Data, { username: "ann" }));
    for (; now < began + 70 * MINUTE; now += 5 * MINUTE) {
      await set(store, "s", Object.assign((await get(store, "s")) as Data, { at: now }));
    }
    expect(await get(store, "s")).toBeUndefined();
    expect(await store.length()).toBe(0);
  });

  test("cookie.maxAge that the application sets replaces timeout; a touch after a change of it saves it", async () => {
    const store = await open({ timeout: 20 });
    const mine = newSession(store, "s", { a: 1 });
    await set(store, "s", mine);
    mine.cookie.originalMaxAge = 2 * MINUTE;
    await touch(store, "s", mine);
    now += 2 * MINUTE - 1;
    const loaded = (await get(store, "s")) as Data;
    expect(loaded.cookie.originalMaxAge).toBe(2 * MINUTE);
    loaded.cookie.originalMaxAge = MINUTE;
    await set(store, "s", loaded);
    now += MINUTE;
    expect(await get(store, "s")).toBeUndefined();
  });

  test("a touch after another writer's save moves the end, by the lifetime that the record has now", async () => {
    const store = await open({ timeout: 20 });
    await set(store, "s", newSession(store, "s", { a: 1 }));
    const [mine, theirs] = [(await get(store, "s")) as Data, (await get(store, "s")) as Data];
    theirs.cookie.originalMaxAge = 10 * MINUTE;
    await set(store, "s", theirs);
    now += 9 * MINUTE;
    await touch(store, "s", mine);
    now += 10 * MINUTE - 1;
    expect((await store.all()).length).toBe(1);
    now += 1;
    expect((await store.all()).length).toBe(0);
  });

  test("a touch that fails is logged, and no error", async () => {
    const store = await open();
    await set(store, "s", newSession(store, "s", { a: 1 }));
    jest.spyOn(LocalBackend.prototype, "touch").mockRejectedValue(new Error("out of luck"));
    now += 5 * MINUTE;
    await touch(store, "s", newSession(store, "s"));
    expect(warnings).toEqual([
      expect.stringMatching(/^express-tokenizer: The expiry of session \S{12} could not be moved/),
    ]);
  });
});

describe("what is listed", () => {
  test("all answers sessions under their hashed ids, by callback or promise; length counts them", async () => {
    const store = await open({ absolute_timeout: 10 });
    await set(store, "s", newSession(store, "s", { username: "ann" }));
    const [listed] = await store.all();
    expect(listed).toMatchObject({
      id: storageKey("s").slice("session:".length),
      username: "ann",
      createdAt: new Date(now),
      expiresAt: new Date(now + 10 * MINUTE),
    });
    expect(await new Promise((resolve) => store.all((_, sessions) => resolve(sessions)))).toEqual([listed]);
    expect(await new Promise((resolve) => store.length((_, length) => resolve(length)))).toBe(1);
  });

  test("prune drops what expired, and says how many", async () => {
    const store = await open();
    for (const sid of ["a", "b", "c"]) await set(store, sid, newSession(store, sid, { sid }));
    now += 10 * MINUTE;
    await get(store, "c");
    now += 15 * MINUTE;
    expect(await store.prune()).toBe(2);
    expect(await store.length()).toBe(1);
  });
});

describe("encrypt: session", () => {
  test("nothing of the session stands in clear, and all() tells metadata only", async () => {
    const store = await open({ encrypt: "session" });
    await set(store, "s", newSession(store, "s", { secretive: "a very private thing" }));
    const backend = new LocalBackend({ path: folder }, { now: () => now, timeout: 1000, warn: () => {} });
    expect((await backend.read(storageKey("s")))?.value).not.toMatch(/private|secretive/);
    await backend.close();
    expect(fieldsOf(await get(store, "s"))).toEqual({ secretive: "a very private thing" });
    expect(Object.keys((await store.all())[0] ?? {}).sort()).toEqual(["cookie", "createdAt", "expiresAt", "id"]);
  });

  test("merges as ever", async () => {
    const store = await open({ encrypt: "session" });
    await set(store, "s", newSession(store, "s", { a: 1 }));
    const [mine, theirs] = [(await get(store, "s")) as Data, (await get(store, "s")) as Data];
    await set(store, "s", Object.assign(theirs, { b: 2 }));
    await set(store, "s", Object.assign(mine, { c: 3 }));
    expect(fieldsOf(await get(store, "s"))).toEqual({ a: 1, b: 2, c: 3 });
  });

  test("a record that is not sealed counts as absent, and is reported once", async () => {
    const plain = await open();
    await set(plain, "s", newSession(plain, "s", { a: 1 }));
    const store = await open({ encrypt: "session" });
    expect(await get(store, "s")).toBeUndefined();
    expect(await get(store, "s")).toBeUndefined();
    expect(warnings).toEqual([expect.stringContaining("cannot be read")]);
  });

  test("a record copied to another session's key does not open", async () => {
    const store = await open({ encrypt: "session" });
    await set(store, "s", newSession(store, "s", { a: 1 }));
    const backend = new LocalBackend({ path: folder }, { now: () => now, timeout: 1000, warn: () => {} });
    const stolen = await backend.read(storageKey("s"));
    await backend.write(storageKey("t"), stolen as NonNullable<typeof stolen>, "absent");
    await backend.close();
    expect(await get(store, "t")).toBeUndefined();
  });

  test("switched off again, sealed sessions still open and are written plain at their next commit", async () => {
    const sealing = await open({ encrypt: "session" });
    await set(sealing, "s", newSession(sealing, "s", { a: 1 }));
    const store = await open();
    const loaded = (await get(store, "s")) as Data;
    const req = { sessionID: "s", sessionStore: store } as unknown as Request;
    await save(store.createSession(req, loaded));
    expect((await store.all())[0]).toMatchObject({ a: 1 });
  });
});

test("29: over max_session_kb is refused before it is sent, naming the size and the largest keys; the old is kept", async () => {
  const store = await open({ max_session_kb: 2 });
  await set(store, "s", newSession(store, "s", { kept: true }));
  const mine = Object.assign((await get(store, "s")) as Data, {
    small: 1,
    basket: "é".repeat(1024),
    history: "x".repeat(512),
  });
  const writes = jest.spyOn(LocalBackend.prototype, "write");
  await expect(set(store, "s", mine)).rejects.toMatchObject({
    code: "SESSION_TOO_LARGE",
    status: 500,
    message:
      "The session has 2.5 KB, and tokenizer.max_session_kb allows 2.0 KB. " +
      "Its largest keys: basket (2.0 KB), history (0.5 KB), kept (0.0 KB).",
  });
  expect(writes).not.toHaveBeenCalled();
  expect(fieldsOf(await get(store, "s"))).toEqual({ kept: true });
});

describe("a backend that fails", () => {
  test("refused: STORE_UNAVAILABLE, status 503, with the cause; what was stored is kept", async () => {
    const store = await open();
    await set(store, "s", newSession(store, "s", { a: 1 }));
    const mine = (await get(store, "s")) as Data;
    const cause = new Error("no");
    const spy = jest.spyOn(LocalBackend.prototype, "write").mockRejectedValue(cause);
    await expect(set(store, "s", Object.assign(mine, { b: 2 }))).rejects.toMatchObject({
      code: "STORE_UNAVAILABLE",
      status: 503,
      cause,
      message: "The session store failed.",
    });
    spy.mockRestore();
    expect(fieldsOf(await get(store, "s"))).toEqual({ a: 1 });
    await set(store, "s", mine);
    expect(fieldsOf(await get(store, "s"))).toEqual({ a: 1, b: 2 });
  });

  test("hanging: every operation ends by store_timeout, those in the queue, too; service comes back", async () => {
    const store = await open({ store_timeout: 0.2 });
    await set(store, "s", newSession(store, "s", { a: 1 }));
    const mine = (await get(store, "s")) as Data;
    const hang = () => new Promise<never>(() => {});
    const spies = [
      jest.spyOn(LocalBackend.prototype, "write").mockImplementation(hang),
      jest.spyOn(LocalBackend.prototype, "read").mockImplementation(hang),
      jest.spyOn(LocalBackend.prototype, "remove").mockImplementation(hang),
    ];
    jest.useFakeTimers({ doNotFake: ["nextTick", "queueMicrotask"] });
    const work = [
      get(store, "s"),
      ...Array.from({ length: 20 }, (_, n) => set(store, "s", { ...mine, n })),
      destroy(store, "s"),
    ];
    let count = 0;
    const outcomes = Promise.allSettled(work.map((each) => each.finally(() => count++)));
    await nextLoop();
    await jest.advanceTimersByTimeAsync(190);
    expect(count).toBe(0);
    await jest.advanceTimersByTimeAsync(20);
    expect(count).toBe(work.length);
    jest.useRealTimers();
    for (const outcome of await outcomes) {
      expect(outcome).toMatchObject({
        status: "rejected",
        reason: { code: "STORE_TIMEOUT", message: "The session store did not answer within 0.2 seconds." },
      });
    }
    for (const spy of spies) spy.mockRestore();
    await set(store, "s", Object.assign(mine, { b: 2 }));
    expect(fieldsOf(await get(store, "s"))).toEqual({ a: 1, b: 2 });
  });

  test("hanging where a session that was ended is to be removed: the load ends by store_timeout, without it", async () => {
    const store = await open({ store_timeout: 0.2 });
    await set(store, "s", newSession(store, "s", { username: "ada" }));
    const remove = jest.spyOn(LocalBackend.prototype, "remove").mockRejectedValue(new Error("disk I/O error"));
    await opened[0]?.users.revoke("ada").catch(() => {});
    now += 2 * MINUTE;
    remove.mockImplementation(() => new Promise(() => {}));
    jest.useFakeTimers({ doNotFake: ["nextTick", "queueMicrotask"] });
    const loading = get(store, "s");
    await nextLoop();
    await jest.advanceTimersByTimeAsync(210);
    jest.useRealTimers();
    remove.mockRestore();
    expect(await loading).toBeUndefined();
    expect(warnings).toEqual([expect.stringContaining("could not be removed")]);
  });

  test("a write whose answer was lost and that is tried again meets itself: one write, and nothing merged", async () => {
    const store = await open();
    const { write } = LocalBackend.prototype;
    const spy = jest.spyOn(LocalBackend.prototype, "write").mockImplementationOnce(async function lost(
      this: LocalBackend,
      ...args
    ) {
      await write.apply(this, args);
      return false;
    });
    const mine = newSession(store, "s", { a: 1 });
    await set(store, "s", mine);
    expect(spy).toHaveBeenCalledTimes(1);
    await set(store, "s", Object.assign(mine, { b: 2 }));
    expect(fieldsOf(await get(store, "s"))).toEqual({ a: 1, b: 2 });
  });

  test("nobody told: a save or an end without a callback that fails is logged, without the id", async () => {
    const store = await open();
    jest.spyOn(LocalBackend.prototype, "remove").mockRejectedValue(new Error("no"));
    store.destroy("a-raw-session-id");
    while (warnings.length === 0) await new Promise(setImmediate);
    expect(warnings).toEqual([
      "express-tokenizer: A session was not saved or ended, by a call without callback: The session store failed.",
    ]);
  });

  test("after close every operation is STORE_CLOSED", async () => {
    const store = await open();
    const mine = newSession(store, "s", { a: 1 });
    await closeAll();
    for (const work of [
      get(store, "s"),
      set(store, "s", mine),
      destroy(store, "s"),
      store.all(),
      store.clear(),
      store.prune(),
    ]) {
      await expect(work).rejects.toMatchObject({
        code: "STORE_CLOSED",
        status: 503,
        message: "The session store was closed.",
      });
    }
  });

  test("the store never says disconnect, and no error is called ENOENT", async () => {
    const store = await open();
    const emit = jest.spyOn(store, "emit");
    jest.spyOn(LocalBackend.prototype, "read").mockRejectedValue(Object.assign(new Error("no"), { code: "ENOENT" }));
    await expect(get(store, "s")).rejects.toMatchObject({ code: "STORE_UNAVAILABLE" });
    expect(emit).not.toHaveBeenCalledWith("disconnect", expect.anything());
  });
});
