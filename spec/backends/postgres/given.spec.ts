/** A pool that the application made: filled and ended by it, under our deadlines. */
import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import pg from "pg";
import { backendContract, contractInShort } from "../../support/contract.js";
import {
  APP,
  failureOf,
  type loginAt,
  makeBackend,
  makeTable,
  record,
  startServing,
  untilServed,
} from "../../support/postgres-backend.js";
import { type PostgresServer, withPostgres } from "../../support/postgres-server.js";
import { type Watch, watch } from "../../support/postgres-watch.js";
import { until } from "../../support/redis-server.js";
import { expectNoStrayErrors } from "../../support/stray.js";
import { startTokenizer } from "../../support/tokenizers.js";

/** Where nothing answers. Milliseconds. */
const TIMEOUT = 400;

expectNoStrayErrors();

withPostgres("a pool of the application's", () => {
  let server: PostgresServer;
  let login: ReturnType<typeof loginAt>;
  let watched: Watch;
  let tables = 0;
  const made = new Set<pg.Pool>();

  beforeAll(async () => {
    ({ server, login } = await startServing());
    watched = watch(server);
  });

  afterAll(async () => {
    for (const pool of made) if (!pool.ending) await pool.end();
  });

  /** One whose owner listens for errors, as most do. */
  function makePool(options: pg.PoolConfig = {}): pg.Pool {
    const { username: user, ...rest } = login;
    const pool = new pg.Pool({ host: "127.0.0.1", ...rest, user, ssl: false, ...options });
    pool.on("error", () => {});
    made.add(pool);
    return pool;
  }

  const bigintsAsNumbers = new pg.TypeOverrides();
  bigintsAsNumbers.setTypeParser(pg.types.builtins.INT8, Number);
  bigintsAsNumbers.setTypeParser(pg.types.builtins.TEXT, (text) => ({ text }));

  describe.each<[string, pg.PoolConfig, typeof backendContract]>([
    ["as it comes", {}, backendContract],
    [
      "of one connection, that parses what it answers in its own way, and in binary",
      { max: 1, types: bigintsAsNumbers, binary: true } as pg.PoolConfig,
      contractInShort,
    ],
    ["that sends statements before the answers to others", { pipeline: true } as pg.PoolConfig, contractInShort],
  ])("%s keeps the contract", (_name, options, cases) => {
    let pool: pg.Pool;

    beforeAll(() => {
      pool = makePool(options);
    });

    test.each(cases)("$name", ({ run }) =>
      run(async ({ now }) => {
        const table = `given_${++tables}`;
        await makeTable(server, table);
        const make = () => makeBackend({ pool, table }, { now }).backend;
        return { backend: make(), other: make() };
      }),
    );
  });

  test("serves two tables at once, and the application beside them", async () => {
    const pool = makePool({ max: 2 });
    await makeTable(server, "beside");
    const [one, other] = [makeBackend({ pool }).backend, makeBackend({ pool, table: "beside" }).backend];
    const work = Array.from({ length: 30 }, async (_, n) => {
      await one.write(`both ${n}`, record("one"), "any");
      await other.write(`both ${n}`, record("other"), "any");
      expect((await pool.query("SELECT 1::bigint AS n")).rows).toEqual([{ n: "1" }]);
      return [(await one.read(`both ${n}`))?.value, (await other.read(`both ${n}`))?.value];
    });
    expect(await Promise.all(work)).toEqual(Array(30).fill(["one", "other"]));
  });

  test("is left open, with nothing of ours on it", async () => {
    const pool = makePool({ max: 1 });
    const client = await pool.connect();
    client.release();
    const listeners = () =>
      [pool, client].map((each) => each.eventNames().map((name) => [name, each.listenerCount(name)]));
    const before = listeners();
    const { backend } = makeBackend({ pool });
    await backend.open();
    await backend.read("key");
    await backend.close();
    expect(listeners()).toEqual(before);
    expect((await pool.query("SELECT 1 AS n")).rows).toEqual([{ n: 1 }]);
    expect(await failureOf(backend.read("key"))).toEqual({
      code: "STORE_CLOSED",
      message: "The session store was closed.",
    });
  });

  test.each(["BEGIN", "BEGIN; SELECT 1/0"])(
    "with a transaction that somebody forgot (%s): what is saved is not undone with it",
    async (text) => {
      const pool = makePool({ max: 1 });
      const client = await pool.connect();
      await client.query(text).catch(() => {});
      client.release();
      const { backend } = makeBackend({ pool });
      const kept = record("kept");
      expect(await backend.write("kept", kept, "any")).toBe(true);
      await pool.query("ROLLBACK").catch(() => {});
      expect(await backend.read("kept")).toEqual(kept);
    },
  );

  test.each(["DISCARD ALL", "DEALLOCATE ALL", "SET statement_timeout = 0; SET search_path = public"])(
    "whose connections somebody resets by %s serves as before",
    async (text) => {
      const pool = makePool({ max: 3 });
      const { backend } = makeBackend({ pool });
      for (let round = 0; round < 3; round++) {
        const calls = Array.from({ length: 9 }, async (_, n) => {
          expect(await backend.write(`reset ${n}`, record("x"), "any")).toBe(true);
          await pool.query(text);
          expect(await backend.read(`reset ${n}`)).toMatchObject({ value: "x" });
        });
        await Promise.all(calls);
      }
    },
  );

  test("without timeouts, of a frozen server: calls end in time, nothing piles up, and it serves after it", async () => {
    const pool = makePool({ max: 2 });
    const { backend } = makeBackend({ pool }, { timeout: TIMEOUT });
    await untilServed(backend);
    server.freeze();
    const start = performance.now();
    for (let round = 0; round < 3; round++) {
      const told = await Promise.all(Array.from({ length: 20 }, () => failureOf(backend.read("key"))));
      for (const { code } of told) expect(code).toBe("STORE_TIMEOUT");
    }
    const took = performance.now() - start;
    server.thaw();
    expect(took).toBeLessThan(3 * 5 * TIMEOUT);
    await untilServed(backend);
    await until("nobody waits", () => pool.waitingCount === 0);
    expect(pool.totalCount).toBeLessThanOrEqual(2);
    await until("all are free", () => pool.idleCount === pool.totalCount);
  });

  test("that hands out no connection: a thousand calls wait, and no more", async () => {
    const pool = makePool({ max: 1 });
    const { backend } = makeBackend({ pool }, { timeout: TIMEOUT });
    const client = await pool.connect();
    for (let round = 0; round < 10; round++) {
      await Promise.all(Array.from({ length: 300 }, () => failureOf(backend.read("key"))));
    }
    // Those that were on their way already go on to wait.
    expect(pool.waitingCount).toBeLessThan(1000 + 300);
    expect(await failureOf(backend.read("key"))).toEqual({
      code: "STORE_TIMEOUT",
      message: `All 1 connections to PostgreSQL at 127.0.0.1:${server.port} were busy until time was up. Give the pool that is postgres.pool more, or release those that are held.`,
    });
    client.release();
    await untilServed(backend);
    await until("nobody waits", () => pool.waitingCount === 0);
  });

  test("that its owner ended is told", async () => {
    const pool = makePool();
    const { backend } = makeBackend({ pool });
    await backend.open();
    await pool.end();
    const told = {
      code: "STORE_UNUSABLE",
      message: "The pool that is postgres.pool was ended. End it after sessions.close(), which needs it no more.",
    };
    expect(await failureOf(backend.read("key"))).toEqual(told);
    expect(await failureOf(backend.open())).toEqual(told);
    await backend.close();
  });

  test("that its owner ends under calls: each ends in time", async () => {
    const pool = makePool({ max: 1 });
    const { backend } = makeBackend({ pool }, { timeout: TIMEOUT });
    await backend.open();
    const release = await watched.hold("LOCK TABLE tokenizer_records IN ACCESS EXCLUSIVE MODE");
    const calls = Array.from({ length: 5 }, () => failureOf(backend.read("key")));
    const ending = pool.end();
    for (const { code } of await Promise.all(calls)) expect(code).toMatch(/^STORE_(TIMEOUT|UNAVAILABLE)$/);
    await release();
    await ending;
  });

  test("what waits for an answer, or for a connection, ends with the sessions", async () => {
    const pool = makePool({ max: 1 });
    const { backend } = makeBackend({ pool });
    await backend.open();
    const release = await watched.hold("LOCK TABLE tokenizer_records IN ACCESS EXCLUSIVE MODE");
    const calls = [failureOf(backend.read("key")), failureOf(backend.write("closed", record("x"), "any"))];
    await until("one waits", async () => (await watched.waiting()) === 1);
    await backend.close();
    expect(await Promise.all(calls)).toEqual(
      Array(2).fill({ code: "STORE_CLOSED", message: "The session store was closed." }),
    );
    await release();
    expect((await pool.query("SELECT FROM tokenizer_records WHERE key = 'closed'")).rows).toEqual([]);
  });

  test("an application goes by it, whatever the settings say of the connection", async () => {
    const pool = makePool();
    const section = { type: "postgres", host: "nowhere.invalid", password: "another" } as const;
    const sessions = startTokenizer(section, { postgres: { pool } });
    await sessions.ready;
    expect(await sessions.health()).toMatchObject({ ok: true });
    await sessions.close();
    expect(pool.ended).toBe(false);
  });

  test.each([
    ["its parts", () => ({})],
    [
      "a URL",
      () => ({ host: undefined, connectionString: `postgres://app:${APP.password}@127.0.0.1:${server.port}/postgres` }),
    ],
  ])("that cannot sign in, by %s: told without its login, nor advice about settings", async (_name, options) => {
    await server.sql(`ALTER ROLE app PASSWORD 'never to be told 2'`);
    const pool = makePool(options());
    const told = await failureOf(makeBackend({ pool }).backend.open());
    await server.sql(`ALTER ROLE app PASSWORD '${APP.password}'`);
    expect(told).toEqual({
      code: "STORE_UNUSABLE",
      message: `PostgreSQL at 127.0.0.1:${server.port} refused: password authentication failed for user "app".`,
    });
  });
});
