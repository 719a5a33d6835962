import { setTimeout as sleep } from "node:timers/promises";
import { describe, expect, test } from "@jest/globals";
import type { Request } from "express";
import session, { type Session, type SessionData } from "express-session";
import fc from "fast-check";
import type { Backend } from "../../lib/backends/backend.js";
import { makeBackend } from "../../lib/backends/open.js";
import { makeKeyring } from "../../lib/credentials/keyring.js";
import { type Assembly, assemble } from "../../lib/session/assembly.js";
import { RecordCodec } from "../../lib/session/record.js";
import type { TokenStore } from "../../lib/session/store.js";
import { loadSettings } from "../../lib/settings/load.js";
import { destroy, save } from "../support/by-promise.js";
import { MemoryBackend } from "../support/memory-backend.js";
import { onEveryBackend, type Place } from "../support/places.js";
import { isFull } from "../support/redis-server.js";

const RUNS = isFull ? { memory: 10_000, real: 200 } : { memory: 200, real: 5 };
const MINUTE = 60_000;
const USER = "ann";

/** One request each. What needs a session does nothing where there is none any more. */
const REQUESTS = ["set", "set", "set twice", "touch", "log out", "regenerate", "sign in", "revoke"] as const;
const SIGN_INS = ["sign in", "sign in", "revoke"] as const;
type Action = (typeof REQUESTS)[number];

/** Calls for which one may be held up: the whole operation of another writer. */
const HELD_UP = 30;

/**
 * What two or three writers do one after the other, each beside the others; the limit of sessions of a user; and which
 * call of each writer is held up, since by chance alone hardly one would be for long; and whether sessions are sealed.
 */
const planOf = (actions: readonly Action[], maxLength: number, calls: number) =>
  fc.record({
    writers: fc.array(fc.array(fc.constantFrom(...actions), { minLength: 1, maxLength }), {
      minLength: 2,
      maxLength: 3,
    }),
    limit: fc.option(fc.constant(2), { nil: undefined }),
    slow: fc.array(fc.nat(calls), { minLength: 3, maxLength: 3 }),
    isSealed: fc.boolean(),
  });
const plan = fc.oneof(planOf(REQUESTS, 5, 20), planOf(SIGN_INS, 2, 10));
type Plan = typeof plan extends fc.Arbitrary<infer T> ? T : never;

/** Waited for before and after each call of a backend, so that other writers come between; so many times as long. */
type Pause = (times: number) => Promise<void>;

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

interface WriterOptions {
  readonly parts: Assembly;
  readonly told: Told;
  readonly name: string;
  /** The session of the browser that it serves. */
  readonly id: string | undefined;
  readonly hasLimit: boolean;
}

class Writer {
  readonly #parts: Assembly;
  readonly #told: Told;
  readonly #name: string;
  readonly #hasLimit: boolean;
  #id: string | undefined;
  #count = 0;

  constructor({ parts, told, name, id, hasLimit }: WriterOptions) {
    const { store } = parts;
    this.#parts = parts;
    this.#told = told;
    this.#name = name;
    this.#id = id;
    this.#hasLimit = hasLimit;
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
      await destroy(this.#parts.store, id);
      this.#told.ended.add(id);
      this.#id = undefined;
      return;
    }
    const current = await this.#load(id);
    if (!current) return;
    if (action.startsWith("set")) await this.#set(id, current);
    if (action === "set twice") await this.#set(id, current);
    if (action === "touch") await new Promise<void>((done) => this.#parts.store.touch(id, current, done));
    if (action === "regenerate") await this.#regenerate(id);
  }

  async #set(id: string, current: Session & SessionData): Promise<void> {
    const key = `${this.#name} ${++this.#count}`;
    Object.assign(current, { [key]: true });
    await save(current);
    this.#told.saved.push({ id, key });
  }

  async #regenerate(id: string): Promise<void> {
    const req = { sessionID: id, sessionStore: this.#parts.store } as unknown as Request;
    await new Promise<void>((resolve, reject) =>
      this.#parts.store.regenerate(req, (error) => (error ? reject(error) : resolve())),
    );
    this.#told.ended.add(id);
    await save(req.session);
    this.#begin(req.session.id);
  }

  async #signIn(): Promise<void> {
    const old = (this.#id === undefined ? undefined : await this.#load(this.#id)) ?? this.#fresh(`${this.#name} none`);
    const id = `${this.#name} signed in ${++this.#count}`;
    const made = Object.assign(this.#fresh(id), { username: USER });
    try {
      await this.#parts.engine.replace(old, made, { label: this.#name });
    } catch (error) {
      // Somebody ended the user's sessions, or the limit did: nothing has changed.
      expect(this.#told.hasRevoked || this.#hasLimit).toBe(true);
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
    await this.#parts.users.revoke(USER);
    for (const id of before) if (id.includes("signed in")) this.#told.ended.add(id);
  }

  #begin(id: string): void {
    this.#told.begun.add(id);
    this.#id = id;
  }

  #fresh(id: string): Session & SessionData {
    const req = { sessionID: id, sessionStore: this.#parts.store } as unknown as Request;
    return this.#parts.store.createSession(req, { cookie: new session.Cookie() });
  }

  async #load(id: string): Promise<(Session & SessionData) | undefined> {
    const data = await load(this.#parts.store, id);
    if (!data) return undefined;
    const req = { sessionID: id, sessionStore: this.#parts.store } as unknown as Request;
    return this.#parts.store.createSession(req, data);
  }
}

function load(store: TokenStore, id: string): Promise<SessionData | undefined> {
  return new Promise((resolve, reject) =>
    store.get(id, (error, data) => (error ? reject(error) : resolve(data ?? undefined))),
  );
}

const KEYS = makeKeyring(["a safe password, for specs"], "a salt");

function sessionsOn(backend: Backend, { limit, isSealed }: Pick<Plan, "limit" | "isSealed">): Assembly {
  return assemble({
    ...{ backend, limit: limit ?? 100, now: Date.now, cookie: {}, warn: () => {} },
    keys: KEYS.then((keys) => ({ codec: new RecordCodec(keys, isSealed), ids: keys.ids })),
    timeout: 20 * MINUTE,
    touchInterval: MINUTE,
    storeTimeout: MINUTE,
    maxSessionBytes: 400 * 1024,
  });
}

/** The calls of the request, with pauses; the rest of the backend as it is. */
function paused(backend: Backend, pause: Pause, slowCall: number | undefined): Backend {
  let calls = 0;
  const around = async <T>(work: () => T | Promise<T>): Promise<T> => {
    await pause(calls++ === slowCall ? HELD_UP : 1);
    const result = await work();
    await pause(1);
    return result;
  };
  return {
    open: () => backend.open(),
    read: (key) => around(() => backend.read(key)),
    write: (key, record, expected) => around(() => backend.write(key, record, expected)),
    touch: (key, expires, version) => around(() => backend.touch(key, expires, version)),
    remove: (key) => around(() => backend.remove(key)),
    entries: () => backend.entries(),
    prune: () => backend.prune(),
    close: () => backend.close(),
  };
}

/** Runs the writers side by side, each with a store of its own as on a server of its own, and compares with what was told. */
async function check(backend: Backend, plan: Plan, pause: Pause, settled: Settled): Promise<void> {
  const { writers, limit, slow } = plan;
  const told = new Told();
  const observer = sessionsOn(backend, plan);
  const hasLimit = limit !== undefined;
  await new Writer({ parts: observer, told, name: "first", id: undefined, hasLimit }).run(["sign in"]);
  const [id] = told.begun;
  const work = writers.map((actions, n) => {
    const slowed = paused(backend, pause, slow[n]);
    return new Writer({ parts: sessionsOn(slowed, plan), told, name: `writer ${n}`, id, hasLimit }).run(actions);
  });
  await settled(Promise.all(work));

  const listed = (await observer.users.list(USER)).map(({ id }) => id);
  const alive = new Map<string, SessionData>();
  for (const id of told.begun) {
    const data = await load(observer.store, id);
    if (data) alive.set(id, data);
  }
  // Logged out stays out.
  expect([...alive.keys()].filter((id) => told.ended.has(id))).toEqual([]);
  // No change is lost to another key; and no session but by an ending.
  const mayHaveEnded = told.hasRevoked || hasLimit;
  for (const { id, key } of told.saved) {
    if (alive.has(id)) expect(alive.get(id)).toHaveProperty([key], true);
    else expect(told.ended.has(id) || mayHaveEnded).toBe(true);
  }
  // Whoever is in is listed, and nothing lives that nobody was told of.
  const isUsers = (data: SessionData) => data.username === USER;
  const signedIn = [...alive.values()]
    .filter(isUsers)
    .map((data) => observer.engine.known.snapshotOf(data)?.head.signIn?.handle);
  expect(new Set(listed)).toEqual(new Set(signedIn));
  if (limit !== undefined) expect(listed.length).toBeLessThanOrEqual(limit);
  expect(await observer.store.length()).toBe(alive.size);
}

/** Lets the writers go on until they are done. */
type Settled = (work: Promise<unknown>) => Promise<unknown>;

describe("two or three writers, in whatever order their calls come: nothing lost, nothing back, nobody unlisted", () => {
  test(`in memory, ${RUNS.memory} orders`, async () => {
    await fc.assert(
      fc.asyncProperty(plan, fc.scheduler(), async (steps, scheduler) => {
        const pause = async (times: number) => {
          for (let time = 0; time < times; time++) await scheduler.schedule(Promise.resolve());
        };
        await check(new MemoryBackend({ now: Date.now }), steps, pause, (work) => scheduler.waitFor(work));
      }),
      { numRuns: RUNS.memory },
    );
  });

  onEveryBackend((places) => {
    test(`${RUNS.real} orders`, async () => {
      const delays = fc.infiniteStream(fc.nat(5));
      await fc.assert(
        fc.asyncProperty(plan, delays, async (steps, stream) => {
          const backend = backendOn(await places.next());
          await backend.open();
          const pause = async (times: number) => void (await sleep(times * stream.next().value));
          await check(backend, steps, pause, (work) => work).finally(() => backend.close());
        }),
        // Shrinking means nothing where the engine's own time decides, too.
        { numRuns: RUNS.real, endOnFailure: true },
      );
    });
  });
});

function backendOn(place: Place): Backend {
  const settings = { tokenizer: { ...place, safe_password: "a safe password, for specs" } };
  const loaded = loadSettings(settings, { log: { warn: () => {} } });
  return makeBackend(loaded, { now: Date.now, timeout: 10_000, warn: () => {} });
}
