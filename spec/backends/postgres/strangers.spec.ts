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

  test("the package that is missing", async () => {
    jest.doMock("pg", () => {
      throw Object.assign(new Error("Cannot find module 'pg'"), { code: "MODULE_NOT_FOUND" });
    });
    jest.resetModules();
    try {
      const { PostgresBackend } = await import("../../../lib/backends/postgres/backend.js");
      const options = { host: "127.0.0.1", port: await freePort(), table: "records" };
      const backend = new PostgresBackend(options, { now: Date.now, timeout: TIMEOUT, warn() {} });
      const refusal = {
        code: "PACKAGE_MISSING",
        message: "tokenizer.type: postgres needs the package pg, version 8. Install it: npm install pg",
      };
      expect(await failureOf(backend.open())).toEqual(refusal);
      expect(await failureOf(backend.read("key"))).toEqual(refusal);
      await backend.close();
    } finally {
      jest.dontMock("pg");
      jest.resetModules();
    }
  });
});
