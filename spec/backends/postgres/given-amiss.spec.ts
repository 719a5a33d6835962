/** What is given in place of a pool, and refused before anything is asked. */
import { describe, expect, test } from "@jest/globals";
import pg from "pg";
import type { PostgresPool } from "../../../lib/backends/postgres/given-pool.js";
import { startTokenizer } from "../../support/tokenizers.js";

describe("what is refused", () => {
  const WANTED = "a pool of the package pg: new Pool({ … })";
  const client = new pg.Client();
  const pool = new pg.Pool();
  const ofPostgresJs = Object.assign(() => {}, { begin() {}, unsafe() {}, end() {} });

  test.each([
    ["a client", client, `is a single client, which serves one request at a time; give ${WANTED}`],
    ["one that is still connecting", Promise.resolve(), `is a promise; await it, and give ${WANTED}`],
    ["what the package postgres makes", ofPostgresJs, `is of the package postgres; give ${WANTED}`],
    [
      "pg-promise's database",
      { connect() {}, query() {}, $pool: {} },
      "is pg-promise's database; give the pool in it, which is its $pool",
    ],
    ["Drizzle's database", { $client: {} }, `is Drizzle's database; give its $client, if that is ${WANTED}`],
    ["the options of one", { host: "localhost" }, `must be ${WANTED}`],
    ["the class", pg.Pool, `must be ${WANTED}`],
    ["nothing", null, `must be ${WANTED}`],
    ["nothing of the kind", "postgres://localhost", `must be ${WANTED}`],
    ["an empty one", {}, `must be ${WANTED}`],
  ])("%s", (_name, given, reason) => {
    expect(() => startTokenizer({ type: "postgres" }, { postgres: { pool: given as PostgresPool } })).toThrow(
      expect.objectContaining({
        code: "SETTINGS_INVALID",
        message: `postgres.pool, given to tokenizer(), ${reason}.`,
        faults: [{ path: "postgres.pool", message: reason }],
      }),
    );
  });

  test("credentials beside it", () => {
    const credentials = () => ({ password: "x" });
    expect(() => startTokenizer({ type: "postgres" }, { postgres: { pool, credentials } })).toThrow(
      "postgres.credentials, given to tokenizer(), stands beside postgres.pool, which signs in by itself; keep one.",
    );
  });

  test("the pool one step too high", () => {
    expect(() => startTokenizer({ type: "postgres" }, { postgres: pool } as object)).toThrow(
      "postgres, given to tokenizer(), must be { postgres: { pool } }",
    );
  });
});
