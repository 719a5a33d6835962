import { setTimeout as sleep } from "node:timers/promises";
import { describe, expect, test } from "@jest/globals";
import type { Request } from "express";
import session, { type Session, type SessionData } from "express-session";
import fc from "fast-check";
import type { Backend } from "../../lib/backends/backend.js";
import { makeBackend } from "../../lib/backends/open.js";
import { RecordCodec } from "../../lib/session/record.js";
import { TokenStore } from "../../lib/session/store.js";
import { storageKey } from "../../lib/session-id.js";
import { loadSettings } from "../../lib/settings/load.js";
import { MemoryBackend } from "../support/memory-backend.js";
import { onEveryBackend, type Place } from "../support/places.js";
import { isFull } from "../support/redis-server.js";

const RUNS = isFull ? { memory: 5000, real: 200 } : { memory: 300, real: 12 };
const MINUTE = 60_000;
const PATIENCE = 300_000;
const USER = "ann";

/** One request each. What needs a session does nothing where there is none any more. */
const ACTIONS = ["set", "set", "set", "touch", "log out", "regenerate", "sign in", "revoke"] as const;
type Action = (typeof ACTIONS)[number];

/** What two or three writers do one after the other, each beside the others; and the limit of sessions of a user. */
const plan = fc.record({
  writers: fc.array(fc.array(fc.constantFrom(...ACTIONS), { minLength: 1, maxLength: 5 }), {
    minLength: 2,
    maxLength: 3,
  }),
  limit: fc.option(fc.constant(2), { nil: undefined }),
});
type Plan = typeof plan extends fc.Arbitrary<infer T> ? T : never;

/** Waited for before and after each call of a backend, so that other writers come between. */
type Pause = () => Promise<void>;

/** What was told to the browsers, in the order that it was told. */
class Told {
  /** Sessions whose cookie a browser got. */
  readonly begun = new Set<string>();
  /** And that were told to be over. */
  readonly ended = new Set<string>();
  /** Keys told to be saved, with the session that they are in. */
  readonly saved: Array<{ id: string; key: string }> = [];
  /** Whether somebody may have ended sessions without naming them. */
  hasRevoked = false;
}

class Writer {
  readonly #store: TokenStore;
  readonly #told: Told;
  readonly #name: string;
  #id: string | undefined;
  #count = 0;

  constructor(store: TokenStore, told: Told, name: string, id: string) {
    this.#store = store;
    this.#told = told;
    this.#name = name;
    this.#id = id;
    store.generate = (req) => {
      const id = `${this.#name} regenerated ${++this.#count}`;
      Object.assign(req, { sessionID: id });
      Object.assign(req, { session: this.#fresh(id) });
    };
  }

  async run(actions: readonly Action[]): Promise<void> {
    for (const action of actions) await this.#act(action);
  }

  async #act(action: Action): Promise<void> {
    if (action === "revoke") return this.#revoke();
    if (action === "sign in") return this.#signIn();
    if (this.#id === undefined) return;
    const id = this.#id;
    if (action === "log out") {
      await this.#store.remove(id);
      this.#told.ended.add(id);
      this.#id = undefined;
      return;
    }
    const current = await this.#load(id);
    if (!current) return;
    if (action === "set") await this.#set(id, current);
    else if (action === "touch") await new Promise<void>((done) => this.#store.touch(id, current, done));
    else await this.#regenerate(id);
  }

  async #set(id: string, current: Session & SessionData): Promise<void> {
    const key = `${this.#name} ${++this.#count}`;
    Object.assign(current, { [key]: true });
    await this.#store.commit(current);
    this.#told.saved.push({ id, key });
  }

  async #regenerate(id: string): Promise<void> {
    const req = { sessionID: id, sessionStore: this.#store } as unknown as Request;
    await new Promise<void>((resolve, reject) =>
      this.#store.regenerate(req, (error) => (error ? reject(error) : resolve())),
    );
    this.#told.ended.add(id);
    await this.#store.commit(req.session);
    this.#begin(req.session.id);
  }

  async #signIn(): Promise<void> {
    const old = (this.#id === undefined ? undefined : await this.#load(this.#id)) ?? this.#fresh(`${this.#name} none`);
    const id = `${this.#name} signed in ${++this.#count}`;
    const made = Object.assign(this.#fresh(id), { username: USER });
    try {
      await this.#store.replace(old, made, this.#name);
    } catch (error) {
      // Somebody ended the user's sessions, or the limit did: nothing has changed.
      expect(error).toMatchObject({
        status: 503,
        code: expect.stringMatching(/^(SESSION_REVOKED|STORE_UNAVAILABLE)$/),
      });
      return;
    }
    this.#told.ended.add(old.id);
    this.#begin(id);
  }

  async #revoke(): Promise<void> {
    const before = [...this.#told.begun];
    this.#told.hasRevoked = true;
    await this.#store.endSessionsOf(USER, () => true);
    for (const id of before) if (id.includes("signed in")) this.#told.ended.add(id);
  }

  #begin(id: string): void {
    this.#told.begun.add(id);
    this.#id = id;
  }

  #fresh(id: string): Session & SessionData {
    const req = { sessionID: id, sessionStore: this.#store } as unknown as Request;
    return this.#store.createSession(req, { cookie: new session.Cookie() });
  }

  async #load(id: string): Promise<(Session & SessionData) | undefined> {
    const data = await load(this.#store, id);
    if (!data) return undefined;
    const req = { sessionID: id, sessionStore: this.#store } as unknown as Request;
    return this.#store.createSession(req, data);
  }
}

function load(store: TokenStore, id: string): Promise<SessionData | undefined> {
  return new Promise((resolve, reject) =>
    store.get(id, (error, data) => (error ? reject(error) : resolve(data ?? undefined))),
  );
}

function storeOn(backend: Backend, limit: number | undefined): TokenStore {
  return new TokenStore({
    ...{ backend, sessionsPerUser: limit, now: Date.now, cookie: {}, warn: () => {} },
    codec: Promise.resolve(new RecordCodec(undefined, false)),
    timeout: 20 * MINUTE,
    touchInterval: MINUTE,
    storeTimeout: MINUTE,
  });
}

/** The calls of the request, with pauses; the rest of the backend as it is. */
function paused(backend: Backend, pause: Pause): Backend {
  const around = async <T>(work: () => Promise<T>): Promise<T> => {
    await pause();
    const result = await work();
    await pause();
    return result;
  };
  return {
    open: () => backend.open(),
    read: (key) => around(() => backend.read(key)),
    write: (key, record, expected) => around(() => backend.write(key, record, expected)),
    touch: (key, expires) => around(() => backend.touch(key, expires)),
    remove: (key) => around(() => backend.remove(key)),
    entries: () => backend.entries(),
    prune: () => backend.prune(),
    close: () => backend.close(),
  };
}

/** Runs the writers side by side, each with a store of its own as on a server of its own, and compares with what was told. */
async function check(backend: Backend, { writers, limit }: Plan, pause: Pause, settled: Settled): Promise<void> {
  const told = new Told();
  const observer = storeOn(backend, limit);
  const [first] = [new Writer(observer, told, "first", "none")];
  await first.run(["sign in"]);
  const [start = ""] = told.begun;
  const work = writers.map((actions, n) =>
    new Writer(storeOn(paused(backend, pause), limit), told, `writer ${n}`, start).run(actions),
  );
  await settled(Promise.all(work));

  const listed = (await observer.sessionsOf(USER)).map(({ key }) => key);
  const alive = new Map<string, SessionData>();
  for (const id of told.begun) {
    const data = await load(observer, id);
    if (data) alive.set(id, data);
  }
  // Logged out stays out.
  expect([...alive.keys()].filter((id) => told.ended.has(id))).toEqual([]);
  // No change is lost to another key; and no session but by an ending.
  const mayHaveEnded = told.hasRevoked || limit !== undefined;
  for (const { id, key } of told.saved) {
    if (alive.has(id)) expect(alive.get(id)).toHaveProperty([key], true);
    else expect(told.ended.has(id) || mayHaveEnded).toBe(true);
  }
  // Whoever is in is listed, and nothing lives that nobody was told of.
  const signedIn = [...alive].filter(([, { username }]) => username === USER).map(([id]) => storageKey(id));
  expect(new Set(listed)).toEqual(new Set(signedIn));
  if (limit !== undefined) expect(listed.length).toBeLessThanOrEqual(limit);
  expect(await observer.length()).toBe(alive.size);
}

/** Lets the writers go on until they are done. */
type Settled = (work: Promise<unknown>) => Promise<unknown>;

describe("two or three writers, in whatever order their calls come: nothing lost, nothing back, nobody unlisted", () => {
  test(
    `in memory, ${RUNS.memory} orders`,
    async () => {
      await fc.assert(
        fc.asyncProperty(plan, fc.scheduler(), async (steps, scheduler) => {
          const pause = () => scheduler.schedule(Promise.resolve());
          await check(new MemoryBackend({ now: Date.now }), steps, pause, (work) => scheduler.waitFor(work));
        }),
        { numRuns: RUNS.memory },
      );
    },
    PATIENCE,
  );

  onEveryBackend((places) => {
    test(
      `${RUNS.real} orders`,
      async () => {
        const delays = fc.infiniteStream(fc.nat(8));
        await fc.assert(
          fc.asyncProperty(plan, delays, async (steps, stream) => {
            const backend = backendOn(await places.next());
            await backend.open();
            const pause = async () => void (await sleep(stream.next().value));
            await check(backend, steps, pause, (work) => work).finally(() => backend.close());
          }),
          // Shrinking means nothing where the engine's own time decides, too.
          { numRuns: RUNS.real, endOnFailure: true },
        );
      },
      PATIENCE,
    );
  });
});

function backendOn(place: Place): Backend {
  const settings = { tokenizer: { ...place, safe_password: "a safe password, for specs" } };
  const { tokenizer } = loadSettings(settings, { log: { warn: () => {} } });
  return makeBackend(tokenizer, { now: Date.now, timeout: 10_000, warn: () => {} });
}
