/** What is in the way at start: told by name, and gone without a restart when it is mended. */
import { beforeAll, expect, test } from "@jest/globals";
import pg from "pg";
import {
  APP,
  failureOf,
  loginAt,
  makeBackend,
  makeTable,
  type Refusal,
  refuses,
  startServing,
} from "../../support/postgres-backend.js";
import { type PostgresServer, startPostgres, withPostgres } from "../../support/postgres-server.js";
import { expectNoStrayErrors } from "../../support/stray.js";

expectNoStrayErrors();

withPostgres("a server in the way at start is told", () => {
  let server: PostgresServer;
  let login: ReturnType<typeof loginAt>;
  const sql = (text: string) => server.sql(text);

  beforeAll(async () => {
    ({ server, login } = await startServing());
  });

  const GRANTS = "Which rights are needed, and how to grant them, prints: npx express-tokenizer grants$";
  const RIGHTS = ["SELECT", "INSERT", "UPDATE", "DELETE"];
  const rights = RIGHTS.map((right): Refusal => {
    const table = `without_${right.toLowerCase()}`;
    return [
      `no right to ${right}`,
      () => ({ ...login, table }),
      "STORE_UNUSABLE",
      new RegExp(`^PostgreSQL at 127\\.0\\.0\\.1:\\d+ refused: permission denied for table ${table}\\. ${GRANTS}`),
      { mend: () => sql(`GRANT ${right} ON ${table} TO app`) },
    ];
  });

  const key = 'key text COLLATE "C" PRIMARY KEY';
  const LAYOUTS = {
    "of connect-pg-simple": "sid varchar PRIMARY KEY, sess json NOT NULL, expire timestamp(6) NOT NULL",
    "that has not all columns": `${key}, expires bigint, value text`,
    "with a time for a number": `${key}, version text, expires timestamptz, value text`,
    "with a number that is too small": `${key}, version text, expires integer, value text`,
    "with JSON for text": `${key}, version text, expires bigint, value jsonb`,
    "without its primary key": "key text, version text, expires bigint, value text",
  };
  const layouts = Object.keys(LAYOUTS).map((name, n): Refusal => {
    const [table, text] = [
      `other_${n}`,
      "is somebody else's, or was changed\\. Name one of our own in tokenizer\\.table",
    ];
    return [
      `a table ${name}`,
      () => ({ ...login, table }),
      "STORE_UNUSABLE",
      new RegExp(`^PostgreSQL at \\S+ refused: .*\\. The table ${table} ${text}, and make it: npx \\S+ create-table$`),
      { mend: () => sql(`DROP TABLE ${table}`).then(() => makeTable(server, table)) },
    ];
  });

  beforeAll(async () => {
    for (const right of RIGHTS) {
      await makeTable(server, `without_${right.toLowerCase()}`);
      await sql(`REVOKE ${right} ON without_${right.toLowerCase()} FROM app`);
    }
    for (const [n, columns] of Object.values(LAYOUTS).entries()) {
      await sql(`CREATE TABLE other_${n} (${columns}); GRANT ALL ON other_${n} TO app`);
    }
    await sql("CREATE SCHEMA closed");
    await makeTable(server, "closed.records");
    await sql("REVOKE USAGE ON SCHEMA closed FROM app");
    await sql("CREATE DATABASE latin ENCODING 'LATIN1' LOCALE 'C' TEMPLATE template0");
    await makeTable(server, "tokenizer_records", { database: "latin" });
    await sql(`CREATE ROLE many LOGIN PASSWORD '${APP.password}' IN ROLE app CONNECTION LIMIT 0`);
    await sql(`CREATE ROLE reader LOGIN PASSWORD '${APP.password}' IN ROLE app`);
    await sql("ALTER ROLE reader SET default_transaction_read_only = on");
  });

  refuses([
    ...rights,
    ...layouts,
    [
      "no right to the schema",
      () => ({ ...login, table: "closed.records" }),
      "STORE_UNUSABLE",
      new RegExp(`^PostgreSQL at \\S+ refused: permission denied for schema closed\\. ${GRANTS}`),
      { mend: () => sql("GRANT USAGE ON SCHEMA closed TO app") },
    ],
    [
      "no table",
      () => ({ ...login, table: "later" }),
      "STORE_UNUSABLE",
      /^PostgreSQL at \S+ refused: relation "later" does not exist\. Make the table later: npx express-tokenizer create-table\. If that finds it there, name its schema: tokenizer\.table: schema\.later$/,
      { mend: () => makeTable(server, "later") },
    ],
    [
      "no schema",
      () => ({ ...login, table: "nowhere.records" }),
      "STORE_UNUSABLE",
      /^PostgreSQL at \S+ refused: relation "nowhere\.records" does not exist\. Make the table nowhere\.records: npx/,
      { mend: () => sql("CREATE SCHEMA nowhere").then(() => makeTable(server, "nowhere.records")) },
    ],
    [
      "a database of another encoding",
      () => ({ ...login, database: "latin" }),
      "STORE_UNUSABLE",
      /^The database of PostgreSQL at \S+ has the encoding LATIN1, which cannot keep every text\. Make one with the encoding UTF8, and name it in tokenizer\.database\.$/,
    ],
    [
      "no connection left",
      () => ({ ...login, username: "many" }),
      "STORE_UNAVAILABLE",
      /^PostgreSQL at \S+ refused: too many connections for role "many"\. Raise max_connections there, put PgBouncer before/,
      { mend: () => sql("ALTER ROLE many CONNECTION LIMIT -1") },
    ],
    [
      "a user who may not write",
      () => ({ ...login, username: "reader" }),
      "STORE_UNAVAILABLE",
      /^PostgreSQL at \S+ refused: cannot execute \w+ in a read-only transaction\. It is a read replica, or was made read-only: sessions need the primary\.$/,
      { mend: () => sql("ALTER ROLE reader RESET default_transaction_read_only") },
    ],
  ]);

  test("a replica, until it is promoted", async () => {
    const standby = await startPostgres({ standbyOf: server });
    await standby.caughtUp();
    const { backend } = makeBackend(loginAt(standby));
    const told = {
      code: "STORE_UNAVAILABLE",
      message: expect.stringMatching(/: cannot execute \w+ in a read-only transaction\. It is a read replica, or was /),
    };
    expect(await failureOf(backend.open())).toEqual(told);
    await standby.promote();
    await backend.open();
    await standby.stop();
  });

  test("a server that is going down, until it is back", async () => {
    const { server, login } = await startServing();
    const guest = new pg.Client({ ...login, user: APP.username, ssl: false });
    await guest.connect();
    // It waits for the guest, and takes nobody else in.
    const stopping = server.stop("smart");
    const { backend } = makeBackend(login);
    let told = await failureOf(backend.open());
    // Its signal may come a moment later.
    while (told.code === "") told = await failureOf(makeBackend(login).backend.open());
    expect(told).toEqual({
      code: "STORE_UNAVAILABLE",
      message: `PostgreSQL at 127.0.0.1:${login.port} refused: the database system is shutting down. It is starting, stopping or recovering.`,
    });
    await guest.end();
    await stopping;
    await server.start();
    await backend.open();
  });

  test("a server that comes later serves, without another open", async () => {
    const { server, login } = await startServing();
    await server.stop();
    const { backend } = makeBackend(login);
    expect(await failureOf(backend.open())).toEqual({
      code: "STORE_UNAVAILABLE",
      message: `PostgreSQL at 127.0.0.1:${login.port} cannot be reached: nothing listens there.`,
    });
    await server.start();
    expect(await backend.read("key")).toBeUndefined();
  });
});
