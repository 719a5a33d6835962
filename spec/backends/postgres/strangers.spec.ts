/** What answers in place of PostgreSQL, nothing at all, and the package that is missing: told by name. */
import { once } from "node:events";
import { createServer as createHttpServer } from "node:http";
import { type AddressInfo, createServer, type Server } from "node:net";
import { afterAll, beforeAll, expect, jest, test } from "@jest/globals";
import { freePort } from "../../support/free-port.mjs";
import { failureOf, refuses } from "../../support/postgres-backend.js";
import { startRedis, withRedis } from "../../support/redis-server.js";
import { expectNoStrayErrors } from "../../support/stray.js";

/** Where nothing answers. Milliseconds. */
const TIMEOUT = 500;

expectNoStrayErrors();

withRedis("what is no PostgreSQL is told", () => {
  const opened: Server[] = [];
  const portOf = async (server: Server) => {
    opened.push(server.listen(0, "127.0.0.1"));
    await once(server, "listening");
    return (server.address() as AddressInfo).port;
  };
  let [silent, http, redis] = [0, 0, 0];

  beforeAll(async () => {
    silent = await portOf(createServer((socket) => socket.on("error", () => {}).resume()));
    http = await portOf(createHttpServer());
    redis = (await startRedis()).port;
  });

  afterAll(() => {
    for (const server of opened) server.close();
  });

  refuses([
    [
      "nothing",
      () => ({ host: "localhost", port: 1 }),
      "STORE_UNAVAILABLE",
      /^PostgreSQL at localhost:1 cannot be reached: nothing listens there\.$/,
    ],
    [
      "no such host",
      () => ({ host: "postgres.invalid" }),
      "STORE_UNAVAILABLE",
      /^PostgreSQL at postgres\.invalid:5432 cannot be reached: (there is no such host|the host's name could not be looked up)\.$/,
    ],
    [
      "no such socket",
      () => ({ host: "/nowhere" }),
      "STORE_UNAVAILABLE",
      /^PostgreSQL at \/nowhere\/\.s\.PGSQL\.5432 cannot be reached: there is no such socket\.$/,
    ],
    [
      "something that never answers",
      () => ({ port: silent }),
      "STORE_UNAVAILABLE",
      /^PostgreSQL at 127\.0\.0\.1:\d+ cannot be reached: no connection was made in time\.$/,
      { timeout: TIMEOUT },
    ],
    [
      "a server of HTTP",
      () => ({ port: http }),
      "STORE_UNAVAILABLE",
      /^PostgreSQL at \S+ cannot be reached: the connection was ended while it was being made\. Check tokenizer\.host and tokenizer\.port, or tokenizer\.url: something else may answer there\.$/,
    ],
    [
      "Redis, which waits for more",
      () => ({ port: redis }),
      "STORE_UNAVAILABLE",
      /^PostgreSQL at 127\.0\.0\.1:\d+ cannot be reached: no connection was made in time\.$/,
      { timeout: TIMEOUT },
    ],
  ]);

  test.each<[string, () => object, string, string, string]>([
    [
      "the package that is missing",
      () => {
        throw Object.assign(new Error("Cannot find module 'pg'"), { code: "MODULE_NOT_FOUND" });
      },
      "PACKAGE_MISSING",
      "tokenizer.type: postgres needs the package pg, version 8.11 or a newer 8. Install it: npm install pg",
      "",
    ],
    [
      "the package before 8.11, which may end the process at a missing password",
      () => ({ native: null }),
      "PACKAGE_MISSING",
      "tokenizer.type: postgres needs the package pg, version 8.11 or a newer 8. Found is an older one. Install the newer: npm install pg@8",
      "",
    ],
    [
      "the package's other client, which goes on without TLS where the settings ask for it",
      () => ({ escapeIdentifier() {} }),
      "STORE_UNUSABLE",
      "NODE_PG_FORCE_NATIVE has pg use pg-native, which does not verify servers as the settings say: take it away, or give a pool of your own in code, as postgres: { pool }.",
      "1",
    ],
  ])("%s", async (_, found, code, message, native) => {
    jest.doMock("pg", found);
    jest.resetModules();
    process.env.NODE_PG_FORCE_NATIVE = native;
    try {
      const { PostgresBackend } = await import("../../../lib/backends/postgres/backend.js");
      const options = { host: "127.0.0.1", port: await freePort(), table: "records" };
      const backend = new PostgresBackend(options, { now: Date.now, timeout: TIMEOUT, warn() {} });
      expect(await failureOf(backend.open())).toEqual({ code, message });
      expect(await failureOf(backend.read("key"))).toEqual({ code, message });
      await backend.close();
    } finally {
      delete process.env.NODE_PG_FORCE_NATIVE;
      jest.dontMock("pg");
      jest.resetModules();
    }
  });
});
