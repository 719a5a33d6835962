import { setTimeout as sleep } from "node:timers/promises";
import { afterEach, beforeEach, describe, expect, jest, test } from "@jest/globals";
import type { Request } from "express";
import session, { type Session, type SessionData } from "express-session";
import type { Backend } from "../../../lib/backends/backend.js";
import { TokenizerError } from "../../../lib/errors.js";
import type { SessionEngine } from "../../../lib/session/engine.js";
import type { TokenStore } from "../../../lib/session/store.js";
import { storageKey, userKey } from "../../../lib/session-id.js";
import { loadSettings } from "../../../lib/settings/load.js";
import { makeTokenizer, type Tokenizer } from "../../../lib/tokenizer.js";
import { destroy, save } from "../../support/by-promise.js";
import { onEveryBackend, type Place } from "../../support/places.js";
import { isFull, until } from "../../support/redis-server.js";

const MINUTE = 60_000;
const ROUNDS = isFull ? 200 : 5;
/** For all rounds, in milliseconds. */
const PATIENCE = 300_000 + 1000 * ROUNDS;

let place: Place;
let now: number;
let opened: Tokenizer[];

async function open(settings: Place = {}): Promise<Tokenizer> {
  const input = {
    tokenizer: { ...place, safe_password: "a safe password, for specs", store_timeout: 60, ...settings },
  };
  const warn = () => {};
  const { sessions, engine } = makeTokenizer(loadSettings(input, { log: { warn } }), { now: () => now, warn });
  engines.set(sessions.store, engine);
  opened.push(sessions);
  await sessions.ready;
  return sessions;
}

const engines = new Map<TokenStore, SessionEngine>();

let ids = 0;
/** A request whose session signs a user in: saved by the application, as after passport. */
async function signIn({ store }: Tokenizer, username: string, label?: string): Promise<Request> {
  const req = { sessionID: `raw-id-${++ids}`, sessionStore: store } as unknown as Request;
  const created = Object.assign(store.createSession(req, { cookie: new session.Cookie() }), { username });
  await (label === undefined ? save(created) : engines.get(store)?.replace(newSession(store), created, { label }));
  return req;
}

function newSession(store: Tokenizer["store"]): Session & SessionData {
  const req = { sessionID: `raw-id-${++ids}`, sessionStore: store } as unknown as Request;
  return store.createSession(req, { cookie: new session.Cookie() });
}

function isAlive({ store }: Tokenizer, { sessionID }: Request): Promise<boolean> {
  return new Promise((resolve, reject) =>
    store.get(sessionID, (error, data) => (error ? reject(error) : resolve(Boolean(data)))),
  );
}

async function alive(sessions: Tokenizer, requests: readonly Request[]): Promise<Request[]> {
  const states = await Promise.all(requests.map((req) => isAlive(sessions, req)));
  return requests.filter((_, index) => states[index]);
}

async function fulfilled<T>(work: ReadonlyArray<Promise<T>>): Promise<T[]> {
  const outcomes = await Promise.allSettled(work);
  for (const outcome of outcomes) {
    if (outcome.status === "rejected") expect(outcome.reason).toMatchObject({ code: "SESSION_REVOKED", status: 503 });
  }
  return outcomes.flatMap((outcome) => (outcome.status === "fulfilled" ? [outcome.value] : []));
}

/** Milliseconds; now and then long enough for another writer's whole operation. */
const aWhile = () => Math.random() * (Math.random() < 0.1 ? 40 : 4);

/** Every call of the backend takes a while, and not the same: so steps of several writers come between each other. */
function delayEveryCall(backend: Backend): void {
  for (const name of ["read", "write", "remove"] as const) {
    const { [name]: method } = backend;
    jest.spyOn(backend, name).mockImplementation(async function (this: Backend, ...args: never[]) {
      await sleep(aWhile());
      const result = await Reflect.apply(method, this, args);
      await sleep(aWhile());
      return result;
    } as never);
  }
}

onEveryBackend(({ prototype, next }) => {
  beforeEach(async () => {
    place = await next();
    // Redis keeps its own time, so it is the real one.
    now = Date.now();
    opened = [];
  });

  afterEach(async () => {
    jest.restoreAllMocks();
    await Promise.all(opened.map((sessions) => sessions.close()));
  });

  /** A request whose touch is due, and that touch, which goes on beside the answer. */
  async function visit(sessions: Tokenizer, req: Request): Promise<void> {
    const touch = jest.spyOn(prototype, "touch");
    expect(await isAlive(sessions, req)).toBe(true);
    await until("the session is touched", () => touch.mock.results.length > 0);
    await touch.mock.results[0]?.value;
    touch.mockRestore();
  }

  describe("list", () => {
    test("tells each live session, the oldest first, with its label and times, and which is the current one", async () => {
      const sessions = await open({ absolute_timeout: 30 });
      const began = now;
      await signIn(sessions, "ann", "phone");
      now += MINUTE;
      const current = await signIn(sessions, "ann");
      await signIn(sessions, "Ann");
      const listed = await sessions.users.list("ann", { current });
      expect(listed).toEqual([
        {
          id: expect.stringMatching(/^[\w-]{22}$/),
          label: "phone",
          remembered: false,
          bound: false,
          createdAt: new Date(began),
          lastSeenAt: new Date(began),
          expiresAt: new Date(began + 20 * MINUTE),
          current: false,
        },
        expect.objectContaining({ label: undefined, createdAt: new Date(now), current: true }),
      ]);
      expect(await sessions.users.list("nobody")).toEqual([]);
    });

    test("a handle is not the cookie's value, and nothing of it", async () => {
      const sessions = await open();
      const { sessionID } = await signIn(sessions, "ann");
      const [{ id } = { id: "" }] = await sessions.users.list("ann");
      const [{ id: hashed } = { id: "" }] = await sessions.store.all();
      expect(id).not.toBe("");
      expect([sessionID, hashed]).not.toContain(id);
      expect(hashed).not.toContain(id);
    });

    test("lastSeenAt follows the requests; an expired session is not listed", async () => {
      const sessions = await open();
      const [one] = [await signIn(sessions, "ann"), await signIn(sessions, "ann")];
      now += 15 * MINUTE;
      await visit(sessions, one);
      now += 10 * MINUTE;
      const listed = await sessions.users.list("ann");
      expect(listed.map(({ lastSeenAt }) => lastSeenAt)).toEqual([new Date(now - 10 * MINUTE)]);
    });

    test("a session that goes over to another user, or to none, is listed there, or nowhere", async () => {
      const sessions = await open();
      const req = await signIn(sessions, "ann");
      Object.assign(req.session, { username: "bob" });
      await save(req.session);
      expect([await sessions.users.list("ann"), await sessions.users.list("bob")]).toMatchObject([
        [],
        [{ label: undefined }],
      ]);
      delete req.session.username;
      await save(req.session);
      expect(await sessions.users.list("bob")).toEqual([]);
      expect(await isAlive(sessions, req)).toBe(true);
    });

    test("a session that went over to another user is not the first one's, even if that could not be noted", async () => {
      const sessions = await open();
      const req = await signIn(sessions, "ann");
      const { write } = prototype;
      jest.spyOn(prototype, "write").mockImplementation(async function (this: Backend, key, ...args) {
        if (key === userKey("ann")) throw new TokenizerError("STORE_UNAVAILABLE", "refused by the spec");
        return write.call(this, key, ...args);
      });
      Object.assign(req.session, { username: "bob" });
      await save(req.session);
      jest.restoreAllMocks();
      expect(await sessions.users.list("ann")).toEqual([]);
      expect(await sessions.users.revoke("ann")).toBe(0);
      expect(await sessions.users.list("bob")).toHaveLength(1);
    });

    test("what is over is looked at once, and then no more", async () => {
      const sessions = await open();
      await signIn(sessions, "ann");
      now += 15 * MINUTE;
      await signIn(sessions, "ann");
      now += 10 * MINUTE;
      const reads = jest.spyOn(prototype, "read");
      const countOf = async () => {
        reads.mockClear();
        await sessions.users.list("ann");
        return reads.mock.calls.length;
      };
      // The user's record and the sessions. One look could miss a sign-in that is under way, so it takes two.
      expect([await countOf(), await countOf(), await countOf()]).toEqual([3, 3, 2]);
    });

    test("is kept as long as the sessions are, however long they live", async () => {
      const sessions = await open();
      const req = await signIn(sessions, "ann");
      for (let step = 0; step < 20; step++) {
        now += 15 * MINUTE;
        await visit(sessions, req);
        expect(await sessions.users.list("ann")).toHaveLength(1);
        await sessions.store.prune();
      }
    });

    test("works with sealed sessions, too", async () => {
      const sessions = await open({ encrypt: "session", sessions_per_user: 1 });
      await signIn(sessions, "ann");
      await signIn(sessions, "ann", "second");
      expect(await sessions.users.list("ann")).toMatchObject([{ label: "second" }]);
    });

    test("costs what the user has, not what all have; a request that changes nothing costs one read", async () => {
      const sessions = await open();
      const req = await signIn(sessions, "ann");
      await Promise.all(Array.from({ length: 50 }, (_, n) => signIn(sessions, `other-${n}`)));
      const reads = jest.spyOn(prototype, "read");
      const writes = jest.spyOn(prototype, "write");
      await sessions.users.list("ann");
      expect([reads.mock.calls.length, writes.mock.calls.length]).toEqual([2, 0]);
      await isAlive(sessions, req);
      expect([reads.mock.calls.length, writes.mock.calls.length]).toEqual([3, 0]);
    });
  });

  describe("revoke", () => {
    test("ends all, only some, or all but some; by request or handle; and tells how many", async () => {
      const sessions = await open();
      const requests = [];
      for (let count = 0; count < 5; count++) requests.push(await signIn(sessions, "ann"));
      const [first, second] = requests as [Request, Request];
      const ids = (await sessions.users.list("ann")).map(({ id }) => id);
      expect(await sessions.users.revoke("ann", { only: ids[4] as string })).toBe(1);
      expect(await sessions.users.revoke("ann", { only: [ids[4] as string, ids[3] as string, "nothing"] })).toBe(1);
      expect(await sessions.users.revoke("ann", { only: first })).toBe(1);
      expect(await sessions.users.revoke("bob", { only: second })).toBe(0);
      expect(await sessions.users.revoke("ann", { only: undefined })).toBe(0);
      expect(await sessions.users.revoke("ann", { except: second })).toBe(1);
      expect(await alive(sessions, requests)).toEqual([second]);
      expect(await sessions.users.revoke("ann")).toBe(1);
      expect([await sessions.store.length(), await sessions.users.list("ann")]).toEqual([0, []]);
    });

    test("takes what an application has at hand: req.sessionID, and the id of store.all()", async () => {
      const sessions = await open();
      const [mine, phone, tablet] = [
        await signIn(sessions, "ann"),
        await signIn(sessions, "ann"),
        await signIn(sessions, "ann"),
      ];
      const all = await sessions.store.all();
      const idOf = (req: Request) => all.find(({ id }) => storageKey(req.sessionID).endsWith(id))?.id ?? "";
      expect(await sessions.users.revoke("ann", { only: idOf(phone) })).toBe(1);
      expect(await alive(sessions, [mine, phone, tablet])).toEqual([mine, tablet]);
      expect(await sessions.users.revoke("ann", { except: mine.sessionID })).toBe(1);
      expect(await alive(sessions, [mine, phone, tablet])).toEqual([mine]);
      expect(await sessions.users.revoke("bob", { only: mine.sessionID })).toBe(0);
      expect(await sessions.users.revoke("ann", { only: [mine.sessionID] })).toBe(1);
      expect(await alive(sessions, [mine])).toEqual([]);
    });

    test("revokeEveryone ends the sessions of all users, and leaves anonymous ones", async () => {
      const sessions = await open();
      for (const name of ["ann", "ann", "bob"]) await signIn(sessions, name);
      await save(Object.assign(newSession(sessions.store), { cart: 1 }));
      expect(await sessions.users.revokeEveryone()).toBe(3);
      expect(await sessions.store.length()).toBe(1);
    });

    test("a sign-in that is ended while its session is being written is refused, and leaves nothing", async () => {
      const [one, other] = [await open(), await open()];
      const { write } = prototype;
      const revoked: number[] = [];
      jest.spyOn(prototype, "write").mockImplementation(async function (this: Backend, key, ...args) {
        if (key.startsWith("session:")) revoked.push(await other.users.revoke("ann"));
        return write.call(this, key, ...args);
      });
      await expect(signIn(one, "ann")).rejects.toMatchObject({ code: "SESSION_REVOKED", status: 503 });
      expect(revoked).toEqual([0]);
      expect([await one.store.length(), await one.users.list("ann")]).toEqual([0, []]);
    });

    test(
      `during sign-ins, from two stores, ${ROUNDS} rounds: nothing revoked comes back, nothing lives unlisted`,
      async () => {
        const [one, other] = [await open(), await open()];
        delayEveryCall(prototype);
        for (let round = 0; round < ROUNDS; round++) {
          const before = await signIn(one, "ann");
          const signingIn = Array.from({ length: 6 }, (_, n) => signIn(n % 2 ? one : other, "ann"));
          const revoking = (async () => {
            for (let times = 0; times < 3; times++) await other.users.revoke("ann");
          })();
          const saving = save(Object.assign(before.session, { late: round }));
          const requests = await fulfilled(signingIn);
          await Promise.all([revoking, saving]);
          expect(await isAlive(one, before)).toBe(false);
          expect(await one.users.list("ann")).toHaveLength((await alive(one, requests)).length);
          expect(await one.store.length()).toBe((await alive(one, requests)).length);
          await one.users.revoke("ann");
          expect(await one.store.length()).toBe(0);
        }
      },
      PATIENCE,
    );
  });

  describe("sessions_per_user", () => {
    test("5 sign-ins with a limit of 3: the first two are out, 3 are listed", async () => {
      const sessions = await open({ sessions_per_user: 3 });
      const requests = [];
      for (let count = 0; count < 5; count++) requests.push(await signIn(sessions, "ann"));
      expect(await alive(sessions, requests)).toEqual(requests.slice(2));
      expect(await sessions.users.list("ann")).toHaveLength(3);
    });

    test(
      "20 sign-ins at once with a limit of 3, from two stores: 3 alive, 3 listed, none alive unlisted",
      async () => {
        const stores = [await open({ sessions_per_user: 3 }), await open({ sessions_per_user: 3 })] as const;
        delayEveryCall(prototype);
        for (let round = 0; round < ROUNDS / 5; round++) {
          const name = `user ${round}`;
          const requests = await fulfilled(
            Array.from({ length: 20 }, (_, n) => signIn(stores[n % 2] as Tokenizer, name)),
          );
          expect(await alive(stores[0], requests)).toHaveLength(3);
          expect(await stores[0].users.list(name)).toHaveLength(3);
          expect(await stores[0].store.length()).toBe(3 * (round + 1));
        }
      },
      PATIENCE,
    );

    test("a session that expired or was signed out makes room: no live one has to give way for it", async () => {
      const sessions = await open({ sessions_per_user: 2 });
      const first = await signIn(sessions, "ann");
      const second = await signIn(sessions, "ann");
      now += 15 * MINUTE;
      await visit(sessions, first);
      now += 10 * MINUTE;
      expect(await isAlive(sessions, second)).toBe(false);
      const third = await signIn(sessions, "ann");
      await destroy(sessions.store, third.sessionID);
      const fourth = await signIn(sessions, "ann");
      expect(await alive(sessions, [first, third, fourth])).toEqual([first, fourth]);
    });
  });
});
