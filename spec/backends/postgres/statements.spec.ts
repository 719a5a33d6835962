/** What calls cost: messages on the way, how a statement finds its rows, and what a listing holds in memory. */
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { afterAll, beforeAll, expect, test } from "@jest/globals";
import { statementsOf } from "../../../lib/backends/postgres/statements.js";
import { tableOf } from "../../../lib/backends/postgres/table.js";
import { type loginAt, makeBackend, makeTable, record, startServing } from "../../support/postgres-backend.js";
import { type PostgresServer, withPostgres } from "../../support/postgres-server.js";
import { isFull } from "../../support/redis-server.js";
import { TcpProxy } from "../../support/tcp-proxy.js";

/** Records that are listed, and characters of each: together ten times of what may be in memory, or more. */
const [LISTED, SIZE] = [isFull ? 100_000 : 20_000, 5000];

/** The letters of the messages that a client sends after its login. */
function lettersOf(chunks: readonly Buffer[]): string {
  const bytes = Buffer.concat(chunks);
  let letters = "";
  for (let at = 0; at < bytes.length; at += 1 + bytes.readInt32BE(at + 1))
    letters += String.fromCharCode(bytes[at] ?? 0);
  return letters;
}

withPostgres("a statement", () => {
  let server: PostgresServer;
  let login: ReturnType<typeof loginAt>;
  let proxy: TcpProxy;

  beforeAll(async () => {
    ({ server, login } = await startServing());
    proxy = await TcpProxy.start(server.port);
  });

  afterAll(() => proxy?.stop());

  test("is one round trip, and parsed once for each connection", async () => {
    const { backend } = makeBackend({ ...login, port: proxy.port });
    await backend.open();
    const old = record("old");
    const sent = async (call: () => unknown) => {
      const chunks: Buffer[] = [];
      proxy.onRequest = (chunk) => chunks.push(chunk);
      await call();
      return lettersOf(chunks);
    };
    const calls = {
      put: () => backend.write("key", old, "any"),
      add: () => backend.write("key", old, "absent"),
      replace: () => backend.write("key", old, old),
      touch: () => backend.touch("key", old.expires, old.version),
      read: () => backend.read("key"),
      prune: () => backend.prune(),
      remove: () => backend.remove("key"),
    };
    for (const [name, call] of Object.entries(calls)) {
      // Parse, Bind, Describe, Execute, Sync; then the same without the first.
      expect([name, await sent(call), await sent(call)]).toEqual([name, "PBDES", "BDES"]);
    }
    expect(proxy.connections).toBe(1);
  });

  test("finds its rows by the key or by the index, also where the plan is for any values", async () => {
    await makeTable(server, "large");
    await server.sql(
      "INSERT INTO large SELECT md5(n::text), 'v', 1000000 + n, repeat('x', 100) FROM generate_series(1, 50000) AS n",
    );
    await server.sql("ANALYZE large");
    const { attempt: _, ...statements } = statementsOf(tableOf("large"));
    const values: Record<keyof typeof statements, readonly string[]> = {
      read: ["'key'"],
      add: ["'key'", "'v'", "1", "'x'", "1"],
      put: ["'key'", "'v'", "1", "'x'"],
      replace: ["'key'", "'v'", "1", "'x'", "1", "'w'"],
      touch: ["'key'", "1", "'v'", "1"],
      remove: ["'key'"],
      page: ["'key'", "1"],
      prune: ["1000100"],
    };
    for (const [name, given] of Object.entries(values) as [keyof typeof statements, readonly string[]][]) {
      for (const mode of ["force_generic_plan", "force_custom_plan"]) {
        const rows = await server.sql(
          `SET plan_cache_mode = ${mode}; PREPARE it AS ${statements[name].text}; EXPLAIN EXECUTE it(${given.join(", ")})`,
        );
        const plan = rows.map((row) => String(row["QUERY PLAN"])).join("\n");
        expect([name, mode, plan]).toEqual([name, mode, expect.not.stringContaining("Seq Scan")]);
        if (!/INSERT/.test(statements[name].text))
          expect(plan).toMatch(/Index (Only )?Scan using large_(pkey|expires)/);
      }
    }
  });

  test("that prunes looks at what has expired, not at what there is", async () => {
    await makeTable(server, "pruned");
    const fill = "INSERT INTO pruned SELECT md5(n::text), 'v',";
    await server.sql(`${fill} 9000000000000000, repeat('x', 200) FROM generate_series(1, 50000) AS n`);
    await server.sql(`${fill} n, 'x' FROM generate_series(100001, 101200) AS n`);
    await server.sql("ANALYZE pruned");
    const { backend } = makeBackend({ ...login, table: "pruned" });
    const tuples = async () => {
      await server.sql("SELECT pg_stat_force_next_flush()").catch(() => {});
      const [row] = await server.sql(
        "SELECT seq_scan::int AS scans, seq_tup_read::int AS rows FROM pg_stat_user_tables WHERE relname = 'pruned'",
      );
      return row;
    };
    const before = await tuples();
    expect(await backend.prune()).toBe(1200);
    expect(await backend.prune()).toBe(0);
    await backend.close();
    expect(await tuples()).toEqual(before);
  });

  test(`that lists ${LISTED} holds a page of them in memory`, async () => {
    await makeTable(server, "listed");
    await server.sql(
      `INSERT INTO listed SELECT 'key ' || n, 'v', 9000000000000, repeat('x', ${SIZE}) FROM generate_series(1, ${LISTED}) AS n`,
    );
    const { backend } = makeBackend({ ...login, table: "listed" });
    setFlagsFromString("--expose-gc");
    const collect = runInNewContext("gc") as () => void;
    const used = () => {
      collect();
      return process.memoryUsage().heapUsed;
    };
    await backend.read("key");
    const before = used();
    let [count, most] = [0, 0];
    for await (const _ of backend.entries()) {
      if (++count % (LISTED / 5) === 0) most = Math.max(most, used());
    }
    expect(count).toBe(LISTED);
    expect(most - before).toBeLessThan((20_000 * SIZE) / 10);
  });
});
