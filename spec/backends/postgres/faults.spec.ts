/** A server that freezes, is killed, or has no connection left: what calls come to, and that service returns by itself. */
import { beforeAll, expect, test } from "@jest/globals";
import {
  failureOf,
  type loginAt,
  makeBackend,
  record,
  startServing,
  untilServed,
} from "../../support/postgres-backend.js";
import { type PostgresServer, withPostgres } from "../../support/postgres-server.js";
import { type Watch, watch } from "../../support/postgres-watch.js";
import { until } from "../../support/redis-server.js";
import { expectNoStrayErrors } from "../../support/stray.js";

/** Where nothing answers. Milliseconds. */
const TIMEOUT = 600;
/** Of a pool of ours. */
const MOST = 10;

expectNoStrayErrors();

withPostgres("a server", () => {
  let server: PostgresServer;
  let login: ReturnType<typeof loginAt>;
  let watched: Watch;

  beforeAll(async () => {
    ({ server, login } = await startServing());
    watched = watch(server);
  });

  test("that is frozen before anybody is connected: each call is over in time, and served when it thaws", async () => {
    const { backend } = makeBackend(login, { timeout: TIMEOUT });
    server.freeze();
    const start = performance.now();
    const calls = Array.from({ length: 2 * MOST }, (_, n) => failureOf(n % 2 ? backend.read("a") : backend.prune()));
    const told = await Promise.all([failureOf(backend.open()), ...calls]);
    const took = performance.now() - start;
    server.thaw();
    expect(took).toBeLessThan(5 * TIMEOUT);
    expect(new Set(told.map(({ code, message }) => `${code}: ${message.replace(/:\d+/, "")}`))).toEqual(
      new Set(["STORE_UNAVAILABLE: PostgreSQL at 127.0.0.1 cannot be reached: no connection was made in time."]),
    );
    await untilServed(backend);
  });

  test("that freezes in service: each call is over in time, and served when it thaws", async () => {
    const { backend } = makeBackend(login, { timeout: TIMEOUT });
    await untilServed(backend);
    for (let round = 0; round < 2; round++) {
      server.freeze();
      const start = performance.now();
      const told = await Promise.all(
        Array.from({ length: 3 * MOST }, (_, n) =>
          failureOf(n % 2 ? backend.read("a") : backend.write("a", record("x"), "absent")),
        ),
      );
      const took = performance.now() - start;
      server.thaw();
      expect(took).toBeLessThan(5 * TIMEOUT);
      for (const { code } of told) expect(code).toMatch(/^STORE_(TIMEOUT|UNAVAILABLE)$/);
      await untilServed(backend);
    }
  });

  test("that is killed and started again, under load: nothing that was acknowledged is missing", async () => {
    const { backend } = makeBackend(login, { timeout: TIMEOUT });
    const patient = makeBackend(login).backend;
    const failures = new Set<string>();
    let isOver = false;
    let done = 0;
    const callers = Array.from({ length: 20 }, async (_, n) => {
      const key = `kept ${n}`;
      let known = record("0");
      await patient.write(key, known, "any");
      let acknowledged = 0;
      for (let count = 1; !isOver; count++) {
        const next = record(String(count));
        try {
          if (await backend.write(key, next, { version: known.version })) acknowledged = count;
          done++;
          known = next;
        } catch (error) {
          failures.add((error as Error & { code: string }).code);
          known = (await patient.read(key).catch(() => undefined)) ?? known;
        }
      }
      return { key, acknowledged };
    });
    for (let round = 0; round < 2; round++) {
      const enough = done + 200;
      await until("work is done", () => done >= enough);
      await server.kill();
      await until("it is noticed", () => failures.size > 0);
      await server.start();
    }
    const enough = done + 200;
    await until("work is done again", () => done >= enough);
    isOver = true;
    for (const { key, acknowledged } of await Promise.all(callers)) {
      expect(Number((await patient.read(key))?.value)).toBeGreaterThanOrEqual(acknowledged);
    }
    expect([...failures].filter((code) => !/^STORE_(TIMEOUT|UNAVAILABLE)$/.test(code))).toEqual([]);
  });

  test("that has fewer connections for us than a pool wants: all calls succeed, with those that there are", async () => {
    const { backend } = makeBackend(login);
    await server.sql("ALTER ROLE app CONNECTION LIMIT 2");
    await until("all are free", async () => {
      await watched.terminate();
      return (await watched.connections()) === 0;
    });
    const answers = Array.from({ length: 20 }, (_, n) => backend.write(`few ${n}`, record("x"), "absent"));
    expect(await Promise.all(answers)).toEqual(Array(20).fill(true));
    expect(await watched.connections()).toBeLessThanOrEqual(2);
    await server.sql("ALTER ROLE app CONNECTION LIMIT -1");
  });

  test("whose table is locked: told by name in time, and no more wait there than the pool has, nor for longer", async () => {
    const { backend } = makeBackend(login, { timeout: TIMEOUT });
    await untilServed(backend);
    // It is held until all of them have ended: by their deadlines alone, that is.
    const release = await watched.hold("LOCK TABLE tokenizer_records IN ACCESS EXCLUSIVE MODE");
    const told = new Set<string>();
    for (let round = 0; round < 3; round++) {
      const calls = Array.from({ length: 3 * MOST }, (_, n) => failureOf(backend.write(`${n}`, record("x"), "any")));
      for (const { code, message } of await Promise.all(calls)) told.add(`${code}: ${message.replace(/:\d+/, "")}`);
      expect(await watched.waiting()).toBeLessThanOrEqual(MOST);
    }
    // What was connected late has less time than the server gives it.
    told.delete("STORE_TIMEOUT: PostgreSQL at 127.0.0.1 did not answer within 0.6 seconds.");
    expect([...told].sort()).toEqual([
      `STORE_TIMEOUT: All ${MOST} connections to PostgreSQL at 127.0.0.1 were busy until time was up.`,
      "STORE_TIMEOUT: PostgreSQL at 127.0.0.1 did not finish in time: canceling statement due to statement timeout. Perhaps something holds a lock on the table tokenizer_records.",
    ]);
    await until("nobody waits there any more", async () => (await watched.waiting()) === 0);
    await release();
    await untilServed(backend);
    // What was given up is not carried out later.
    expect(await backend.read("0")).toBeUndefined();
  });
});
