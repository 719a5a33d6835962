/** Ways to a PostgreSQL: through PgBouncer, by TLS, by its socket, by IPv6, and to a replica that takes the primary's place. */
import { networkInterfaces } from "node:os";
import { beforeAll, describe, expect, test } from "@jest/globals";
import type { PostgresBackendOptions } from "../../../lib/backends/postgres/backend.js";
import { backendContract, contractInShort } from "../../support/contract.js";
import { type Pgbouncer, startPgbouncer, withPgbouncer } from "../../support/pgbouncer.js";
import {
  errorOf,
  failureOf,
  loginAt,
  makeBackend,
  makeTable,
  record,
  startServing,
  untilServed,
} from "../../support/postgres-backend.js";
import { ADMIN } from "../../support/postgres-program.mjs";
import { type PostgresServer, startPostgres, withPostgres, withPostgresTls } from "../../support/postgres-server.js";
import { watch } from "../../support/postgres-watch.js";
import { makeCertificates, until } from "../../support/redis-server.js";
import { expectNoStrayErrors } from "../../support/stray.js";
import { TcpProxy } from "../../support/tcp-proxy.js";

expectNoStrayErrors();

let tables = 0;

/** Each case has a table of its own. */
function keepsTheContract(
  server: () => PostgresServer,
  way: () => Partial<PostgresBackendOptions>,
  cases = backendContract,
): void {
  test.each(cases)("$name", ({ run }) =>
    run(async ({ now }) => {
      const table = `case_${++tables}`;
      await makeTable(server(), table);
      const make = () => makeBackend({ ...way(), table }, { now }).backend;
      return { backend: make(), other: make() };
    }),
  );
}

withPgbouncer("PgBouncer", () => {
  let server: PostgresServer;
  let pooler: Pgbouncer;

  beforeAll(async () => {
    ({ server } = await startServing());
    pooler = await startPgbouncer({ server, poolSize: 2 });
  });

  describe("in transaction mode, with two connections, keeps the contract", () => {
    keepsTheContract(
      () => server,
      () => loginAt(pooler),
    );
  });

  test("that does not know what a connection of ours begins with: it begins without", async () => {
    const { backend, warnings } = makeBackend(loginAt(pooler));
    await backend.open();
    expect(warnings).toEqual([]);
    expect(pooler.log()).toContain("unsupported startup parameter: statement_timeout");
    const answers = Array.from({ length: 50 }, (_, n) => backend.write(`${n}`, record("x"), "absent"));
    expect(await Promise.all(answers)).toEqual(Array(50).fill(true));
    expect(await watch(server).connections()).toBeLessThanOrEqual(2);
  });

  test("that knows it, and keeps one connection for each of ours: what was prepared stays so", async () => {
    const pooler = await startPgbouncer({
      ...{ server, poolMode: "session" },
      settings: { ignore_startup_parameters: "statement_timeout" },
    });
    const { backend } = makeBackend(loginAt(pooler));
    await backend.open();
    await Promise.all(Array.from({ length: 20 }, (_, n) => backend.read(`${n}`)));
    expect(pooler.log()).not.toContain("unsupported startup parameter");
    await backend.close();
    await pooler.stop();
  });

  test("that restarts: calls fail by name or are right, and are served after it", async () => {
    const { backend } = makeBackend(loginAt(pooler));
    await untilServed(backend);
    await pooler.stop();
    expect(await failureOf(backend.read("key"))).toEqual({
      code: "STORE_UNAVAILABLE",
      message: `PostgreSQL at 127.0.0.1:${pooler.port} cannot be reached: nothing listens there.`,
    });
    await pooler.start();
    expect(await backend.read("served")).toMatchObject({ value: "x" });
    expect(await backend.write("key", record("y"), "any")).toBe(true);
  });

  test("that passes on that there is no such database", async () => {
    // It knows this user's password itself, and asks the database about nobody's.
    const login = { ...loginAt(pooler), ...ADMIN, database: "nowhere" };
    const error = await errorOf(makeBackend(login).backend.open());
    expect([error.code, error.message]).toEqual([
      "STORE_UNUSABLE",
      `PostgreSQL at 127.0.0.1:${pooler.port} refused: database "nowhere" does not exist. Check tokenizer.database, tokenizer.url or PGDATABASE.`,
    ]);
  });

  test("that knows another password says so in its own way", async () => {
    const error = await errorOf(makeBackend({ ...loginAt(pooler), password: "never to be told 2" }).backend.open());
    expect([error.code, error.message]).toEqual([
      "STORE_UNUSABLE",
      `PostgreSQL at 127.0.0.1:${pooler.port} refused: SASL authentication failed. Check tokenizer.username and tokenizer.password, or where they are from, and pg_hba.conf at the server.`,
    ]);
  });
});

withPostgres("a failover", () => {
  test("no answer is the replica's; once it is the primary, service returns without a restart", async () => {
    const { server: primary } = await startServing();
    const standby = await startPostgres({ standbyOf: primary });
    const proxy = await TcpProxy.start(primary.port);
    const { backend } = makeBackend(loginAt(proxy));
    const kept = record("kept");
    await backend.write("kept", kept, "absent");
    await Promise.all(Array.from({ length: 20 }, () => backend.read("kept")));
    await standby.caughtUp();

    proxy.target = standby.port;
    proxy.cut();
    const told = {
      code: "STORE_UNAVAILABLE",
      message: expect.stringMatching(
        /^PostgreSQL at \S+ refused: (it takes no writes|cannot execute \w+ in a read-only transaction)\. It is a read replica, or was made read-only: sessions need the primary\.$/,
      ),
    };
    // What is not repeated falls upon a connection that was cut.
    await backend.write("new", record("x"), "any").catch(() => {});
    const calls = [
      () => backend.read("kept"),
      () => backend.write("kept", record("x"), kept),
      () => backend.write("new", record("x"), "absent"),
      () => backend.write("new", record("x"), "any"),
      () => backend.touch("kept", kept.expires + 1, kept.version),
      () => backend.remove("kept"),
      () => backend.prune(),
      () => backend.entries().next(),
      () => backend.open(),
    ];
    for (const call of calls) expect(await failureOf(call())).toEqual(told);

    await primary.kill();
    await standby.promote();
    expect(await backend.read("kept")).toEqual(kept);
    expect(await backend.write("kept", record("y"), kept)).toBe(true);
    expect(await standby.sql("SELECT value FROM tokenizer_records WHERE key = 'kept'")).toEqual([{ value: "y" }]);
    await proxy.stop();
    await standby.stop();
  });

  test("connections that lead to the old primary, which takes no writes any more, are not used again", async () => {
    const { server: old } = await startServing();
    const { server: fresh } = await startServing();
    const proxy = await TcpProxy.start(old.port);
    const { backend } = makeBackend(loginAt(proxy));
    await Promise.all(Array.from({ length: 20 }, (_, n) => backend.write(`${n}`, record("old"), "any")));
    proxy.target = fresh.port;
    // As its operators do it first, while what is connected stays so.
    await old.sql("ALTER SYSTEM SET default_transaction_read_only = on");
    await old.sql("SELECT pg_reload_conf()");
    await until("it is known", async () => {
      const probe = makeBackend(loginAt(old)).backend;
      const { code } = await failureOf(probe.write("probe", record("x"), "any"));
      await probe.close();
      return code !== "";
    });
    const answers = Array.from({ length: 20 }, (_, n) => backend.write(`new ${n}`, record("new"), "absent"));
    expect(await Promise.all(answers)).toEqual(Array(20).fill(true));
    expect(await fresh.sql("SELECT FROM tokenizer_records WHERE key LIKE 'new %'")).toHaveLength(20);
    expect(await backend.read("0")).toBeUndefined();
    await proxy.stop();
  });
});

withPostgresTls("by TLS keeps the contract", () => {
  const certificates = makeCertificates();
  let server: PostgresServer;

  beforeAll(async () => {
    ({ server } = await startServing({ tls: certificates }));
  });

  keepsTheContract(
    () => server,
    () => ({ ...loginAt(server), host: "localhost", options: { ssl: true, ca: certificates.ca } }),
    contractInShort,
  );
});

withPostgres("by its socket keeps the contract", () => {
  let server: PostgresServer;

  beforeAll(async () => {
    ({ server } = await startServing());
  });

  keepsTheContract(
    () => server,
    () => ({ ...loginAt(server), host: server.socketFolder }),
    contractInShort,
  );
});

const hasIpv6 = Object.values(networkInterfaces()).some((all) => all?.some(({ address }) => address === "::1"));
(hasIpv6 ? withPostgres : describe.skip)(`by IPv6${hasIpv6 ? "" : " (left out: this machine has no ::1)"}`, () => {
  test("is served", async () => {
    const { server } = await startServing({
      ...{ settings: { listen_addresses: "::1" }, hba: ["host all all ::1/128 scram-sha-256"] },
    });
    const { backend } = makeBackend({ ...loginAt(server), host: "::1" });
    await backend.open();
    await untilServed(backend);
    await server.stop();
    expect((await failureOf(backend.read("key"))).message).toBe(
      `PostgreSQL at [::1]:${server.port} cannot be reached: nothing listens there.`,
    );
  });
});
