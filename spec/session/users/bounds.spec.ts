/** What a user's sessions cost: a request, a sign-in, and the most sessions that a user may have. */
import { setTimeout as sleep } from "node:timers/promises";
import { afterEach, beforeEach, describe, expect, jest, test } from "@jest/globals";
import type { Backend, StoredRecord } from "../../../lib/backends/backend.js";
import { newId } from "../../../lib/session/users/user-record.js";
import { storageKey, userKey } from "../../../lib/session-id.js";
import { onEveryBackend } from "../../support/places.js";
import { isFull } from "../../support/redis-server.js";
import { countBackendCalls } from "../../support/stored.js";
import { type Opened, Servers, type Visit } from "./opened.js";

const MOST = isFull ? 1000 : 200;
/** What is done at once before the loop has a turn. */
const AT_ONCE = 25;

onEveryBackend(({ prototype, next }) => {
  let servers: Servers;

  beforeEach(async () => {
    servers = new Servers(await next(), prototype);
  });

  afterEach(async () => {
    jest.restoreAllMocks();
    await servers.close();
  });

  describe("calls of the backend", () => {
    test("an unchanged request: 1 read; one that is due: 1 read more, and the touch", async () => {
      const server = await servers.open();
      const req = await server.signIn("ann");
      const backend = countBackendCalls(prototype);
      await server.engine.load(req.sessionID);
      expect(backend.calls).toEqual({ read: 1, write: 0, touch: 0, remove: 0 });
      backend.clear();
      servers.forward(2);
      await server.engine.load(req.sessionID);
      expect(backend.calls).toEqual({ read: 2, write: 0, touch: 1, remove: 0 });
    });

    test("a changed request: 2; one that is due: 1 read more", async () => {
      const server = await servers.open();
      const req = await server.signIn("ann");
      const change = async (minutes: number) => {
        servers.forward(minutes);
        const backend = countBackendCalls(prototype);
        const { session } = (await server.load(req)) as Visit;
        Object.assign(session, { minutes });
        await server.engine.commit(session);
        const { calls } = backend;
        backend.clear();
        return calls;
      };
      expect(await change(0.5)).toEqual({ read: 1, write: 1, touch: 0, remove: 0 });
      expect(await change(1)).toEqual({ read: 2, write: 1, touch: 1, remove: 0 });
    });

    test("a sign-in: 4; in place of the user's session: 7, at the limit, too, and a read for each session", async () => {
      const server = await servers.open({ sessions_per_user: 2 });
      const backend = countBackendCalls(prototype);
      const req = await server.signIn("ann");
      expect(backend.calls).toEqual({ read: 2, write: 2, touch: 0, remove: 0 });
      backend.clear();
      await server.signIn("ann", { req });
      expect(backend.calls).toEqual({ read: 3, write: 3, touch: 0, remove: 1 });
      await server.signIn("ann");
      backend.clear();
      await server.signIn("ann");
      // Three that are looked at, the one that gives way once more; marked, removed, dropped.
      expect(backend.calls).toEqual({ read: 7, write: 4, touch: 0, remove: 1 });
    });

    test("a sign-out: 4; a list: 1, and 1 for each session", async () => {
      const server = await servers.open();
      const [req] = [await server.signIn("ann"), await server.signIn("ann")];
      const backend = countBackendCalls(prototype);
      await server.users.list("ann");
      expect(backend.calls).toEqual({ read: 3, write: 0, touch: 0, remove: 0 });
      backend.clear();
      await server.engine.remove(storageKey(req.sessionID), "sign-out");
      expect(backend.calls).toEqual({ read: 2, write: 1, touch: 0, remove: 1 });
    });
  });

  describe(`${MOST} sessions of one user`, () => {
    /** Made by copying one, since that many sign-ins take a while. The oldest is a real one. */
    async function many(server: Opened) {
      const req = await server.signIn("ann");
      const reads = jest.spyOn(prototype, "read");
      await server.users.list("ann");
      const [backend] = reads.mock.contexts as [Backend];
      reads.mockRestore();
      const key = userKey("ann");
      const [session, user] = [await backend.read(storageKey(req.sessionID)), await backend.read(key)];
      if (!session || !user) throw new Error("nobody is signed in");
      const record = JSON.parse(user.value);
      const [handle] = record.handles;
      for (let count = 1; count < MOST; count += AT_ONCE) {
        const copies = Array.from({ length: Math.min(AT_ONCE, MOST - count) }, (_, n) => {
          const copy = { ...handle, id: newId(), key: storageKey(`copy ${count + n}`) };
          record.handles.push(copy);
          const value = session.value.replace(handle.id, copy.id);
          return backend.write(copy.key, { ...session, value, version: newId() }, "absent");
        });
        await Promise.all(copies);
      }
      const value = JSON.stringify(record);
      expect(await backend.write(key, { ...user, value, version: newId() }, { version: user.version })).toBe(true);
      return { req, backend, bytes: Buffer.byteLength(value) };
    }

    /** The most calls that began before the loop had a turn. */
    function mostInOneTurn() {
      let [inTurn, most] = [0, 0];
      let isOver = false;
      const turn = () => {
        inTurn = 0;
        if (!isOver) setImmediate(turn);
      };
      turn();
      for (const method of ["read", "write", "remove"] as const) {
        const { [method]: real } = prototype;
        jest.spyOn(prototype, method).mockImplementation(function (this: Backend, ...args: never[]) {
          most = Math.max(most, ++inTurn);
          return Reflect.apply(real, this, args);
        } as never);
      }
      return () => {
        isOver = true;
        jest.restoreAllMocks();
        return most;
      };
    }

    test("are listed, limited and ended, a few at a time; the record has 120 bytes for each", async () => {
      const server = await servers.open({ sessions_per_user: MOST });
      const { req, bytes } = await many(server);
      expect(bytes).toBeLessThan(120 * MOST + 200);
      const counted = mostInOneTurn();
      expect(await server.users.list("ann")).toHaveLength(MOST);
      const latest = await server.signIn("ann");
      expect(await server.alive([req, latest])).toEqual([latest]);
      expect(await server.users.list("ann")).toHaveLength(MOST);
      expect(await server.users.revoke("ann", { except: latest })).toBe(MOST - 1);
      expect(await server.users.revoke("ann")).toBe(1);
      expect(await server.store.length()).toBe(0);
      // Each few are read and removed: twice as many calls, and those of the user's record beside them.
      expect(counted()).toBeLessThanOrEqual(2 * AT_ONCE + 5);
      expect(server.warnings).toEqual([]);
    });

    test("are ended although each call takes 20 ms, within the time for each few", async () => {
      const server = await servers.open({ sessions_per_user: MOST });
      await many(server);
      for (const method of ["read", "remove", "write"] as const) {
        const { [method]: real } = prototype;
        jest.spyOn(prototype, method).mockImplementation(async function (this: Backend, ...args: never[]) {
          await sleep(20);
          return Reflect.apply(real, this, args);
        } as never);
      }
      expect(await server.users.revoke("ann")).toBe(MOST);
      jest.restoreAllMocks();
      expect(await server.store.length()).toBe(0);
    });
  });

  test("a record that is full: a sign-in makes room, or is refused, and says so", async () => {
    const server = await servers.open();
    const reads = jest.spyOn(prototype, "read");
    const req = await server.signIn("ann");
    const [backend] = reads.mock.contexts as [Backend];
    reads.mockRestore();
    const user = (await backend.read(userKey("ann"))) as StoredRecord;
    const record = JSON.parse(user.value);
    const fill = async (part: object) => {
      const { version } = (await backend.read(userKey("ann"))) as StoredRecord;
      const others = Array.from({ length: 1999 }, () => ({ id: newId(), key: storageKey(newId()), by: "x", ...part }));
      const value = JSON.stringify({ ...record, handles: [...record.handles, ...others] });
      expect(await backend.write(userKey("ann"), { ...user, value, version: newId() }, { version })).toBe(true);
    };
    // Another application's: not ours to end. Those that are gone leave at the second look, as ours do.
    await fill({});
    await expect(server.signIn("ann")).rejects.toMatchObject({ code: "TOO_MANY_SESSIONS", status: 503 });
    expect(await server.isIn(req)).toBe(true);
    const after = await server.signIn("ann");
    expect(await server.alive([req, after])).toEqual([req, after]);
    await server.users.revoke("ann", { only: after });
    await fill({ by: record.handles[0].by, ending: true });
    const latest = await server.signIn("ann");
    expect(await server.alive([req, latest])).toEqual([req, latest]);
    expect(await server.users.list("ann")).toHaveLength(2);
  });
});
