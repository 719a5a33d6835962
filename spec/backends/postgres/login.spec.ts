/** Who signs in at PostgreSQL, and what is told where that fails. */
import { rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { beforeAll, expect, test } from "@jest/globals";
import { temporaryFolder } from "../../support/app.js";
import {
  APP,
  errorOf,
  type loginAt,
  makeBackend,
  makeTable,
  record,
  refuses,
  startServing,
  untilServed,
} from "../../support/postgres-backend.js";
import { type PostgresServer, withPostgres } from "../../support/postgres-server.js";
import { expectNoStrayErrors } from "../../support/stray.js";

/** Where nothing answers. Milliseconds. */
const TIMEOUT = 500;
const RENEWED = "never to be told 2";

expectNoStrayErrors();

withPostgres("a login", () => {
  let server: PostgresServer;
  let login: ReturnType<typeof loginAt>;
  const file = join(temporaryFolder(), "password");

  beforeAll(async () => {
    ({ server, login } = await startServing());
    for (const name of ["first", "second"]) {
      await server.sql(`CREATE ROLE ${name} LOGIN PASSWORD '${APP.password}' IN ROLE app`);
    }
  });

  const without = () => ({ ...login, password: undefined });
  const inFile = (password: string | undefined) => {
    rmSync(file, { force: true });
    if (password !== undefined) writeFileSync(file, password);
    return { ...without(), password_file: file };
  };
  const refused = (username: string) =>
    new RegExp(
      `^PostgreSQL at 127\\.0\\.0\\.1:\\d+ refused: password authentication failed for user "${username}"\\. Check tokenizer\\.username and tokenizer\\.password, or where they are from, and pg_hba\\.conf at the server\\.$`,
    );
  let answered = "";

  refuses([
    [
      "a wrong password",
      () => ({ ...login, username: "first", password: RENEWED }),
      "STORE_UNUSABLE",
      refused("first"),
      { mend: () => server.sql(`ALTER ROLE first PASSWORD '${RENEWED}'`) },
    ],
    [
      "a wrong user",
      () => ({ ...login, username: "nobody" }),
      "STORE_UNUSABLE",
      refused("nobody"),
      { mend: () => server.sql(`CREATE ROLE nobody LOGIN PASSWORD '${APP.password}' IN ROLE app`) },
    ],
    [
      "no password",
      () => without(),
      "STORE_UNUSABLE",
      /^PostgreSQL at 127\.0\.0\.1:\d+ cannot be used: it asks for a password, and there is none\. Set tokenizer\.password, tokenizer\.password_file or PGPASSWORD\.$/,
    ],
    [
      "a wrong password in a file",
      () => inFile(RENEWED),
      "STORE_UNUSABLE",
      refused("app"),
      { mend: () => inFile(`${APP.password}\n`) },
    ],
    [
      "a file that is missing",
      () => inFile(undefined),
      "STORE_UNUSABLE",
      /^tokenizer\.password_file cannot be read \(ENOENT\): \/.*\/password$/,
      { mend: () => inFile(`${APP.password}\r\n`) },
    ],
    [
      "a file that is empty",
      () => inFile("\n"),
      "STORE_UNUSABLE",
      /^tokenizer\.password_file is empty: \/.*\/password$/,
      { mend: () => inFile(APP.password) },
    ],
    [
      "a wrong password from code",
      () => {
        answered = RENEWED;
        return { ...without(), credentials: async () => ({ username: "second", password: answered }) };
      },
      "STORE_UNUSABLE",
      refused("second"),
      {
        mend: () => {
          answered = APP.password;
        },
      },
    ],
    [
      "code that fails",
      () => ({ ...without(), credentials: () => Promise.reject(new Error("no token to be had.")) }),
      "STORE_UNAVAILABLE",
      /^postgres\.credentials, given to tokenizer\(\), failed: no token to be had\.$/,
    ],
    [
      "code that never answers",
      () => ({ ...without(), credentials: () => new Promise<never>(() => {}) }),
      "STORE_TIMEOUT",
      /^The password for PostgreSQL was not there in time\.$/,
      { timeout: TIMEOUT },
    ],
    [
      "no such database",
      () => ({ ...login, database: "later" }),
      "STORE_UNUSABLE",
      /^PostgreSQL at 127\.0\.0\.1:\d+ refused: database "later" does not exist\. Check tokenizer\.database, tokenizer\.url or PGDATABASE\.$/,
      {
        async mend() {
          await server.sql("CREATE DATABASE later");
          await makeTable(server, "tokenizer_records", { database: "later" });
        },
      },
    ],
    [
      "no right to connect to the database",
      () => ({ ...login, database: "forbidden" }),
      "STORE_UNUSABLE",
      /^PostgreSQL at 127\.0\.0\.1:\d+ refused: permission denied for database "forbidden"\. Which rights are needed, and how to grant them, prints: npx express-tokenizer grants$/,
      { mend: () => server.sql("GRANT CONNECT ON DATABASE forbidden TO app") },
    ],
  ]);

  beforeAll(async () => {
    await server.sql("CREATE DATABASE forbidden");
    await makeTable(server, "tokenizer_records", { database: "forbidden" });
    await server.sql("REVOKE CONNECT ON DATABASE forbidden FROM PUBLIC");
  });

  test.each([
    ["a file", () => inFile(APP.password), inFile],
    [
      "code",
      () => ({ ...without(), credentials: () => ({ password: answered }) }),
      (password: string) => {
        answered = password;
      },
    ],
  ])("that is renewed, from %s: nothing fails, and nothing is started anew", async (_name, options, renew) => {
    await server.sql(`ALTER ROLE app PASSWORD '${APP.password}'`);
    renew(APP.password);
    const { backend } = makeBackend(options());
    await backend.open();
    await server.sql(`ALTER ROLE app PASSWORD '${RENEWED}'`);
    renew(RENEWED);
    // Whoever is connected stays signed in; more at once need more connections.
    const answers = Array.from({ length: 10 }, (_, n) => backend.write(`key${n}`, record("x"), "any"));
    expect(await Promise.all(answers)).toEqual(Array(10).fill(true));
    await server.sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'app'");
    expect(await backend.read("key0")).toMatchObject({ value: "x" });
    await server.sql(`ALTER ROLE app PASSWORD '${APP.password}'`);
  });

  test("of the environment, with the place", async () => {
    const before = { ...process.env };
    const where = { PGHOST: server.socketFolder, PGPORT: String(server.port), PGDATABASE: "postgres" };
    Object.assign(process.env, where, { PGUSER: APP.username, PGPASSWORD: APP.password });
    try {
      const { backend } = makeBackend({ host: undefined });
      await backend.open();
      await untilServed(backend);
      process.env.PGPASSWORD = RENEWED;
      const error = await errorOf(makeBackend({ host: undefined }).backend.open());
      expect(error.message).toBe(
        `PostgreSQL at ${server.socketFolder}/.s.PGSQL.${server.port} refused: password authentication failed for user "app". Check tokenizer.username and tokenizer.password, or where they are from, and pg_hba.conf at the server.`,
      );
    } finally {
      process.env = before;
    }
  });
});
