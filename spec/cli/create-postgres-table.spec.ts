/** `create-table` with `type: postgres`, on a real server. */
import { beforeAll, describe, expect, test } from "@jest/globals";
import { startPgbouncer, withPgbouncer } from "../support/pgbouncer.js";
import { withPostgres } from "../support/postgres-server.js";
import { until } from "../support/redis-server.js";
import { commandLine, settingsFile } from "./command-line.js";
import { INDEX, startServer, TABLE, type TestDatabase } from "./postgres-command.js";

let server: Awaited<ReturnType<typeof startServer>>;
let database: TestDatabase;

const THERE = (state = "is there", schema = "public") =>
  `The table ${schema}.tokenizer_records ${state} in the database ${database.name}; ada owns it.`;
const RIGHTS = "What the user of the application needs: npx express-tokenizer grants --user NAME";
const create = (...argv: string[]) => database.run(["create-table", ...argv], "ada");

withPostgres("create-table", () => {
  beforeAll(async () => {
    server = await startServer();
    // Those of requests at Supabase.
    await server.server.sql("CREATE ROLE anon; CREATE ROLE authenticated");
  });

  describe("of a table that is not there", () => {
    test("makes it, and the application works with what grants prints", async () => {
      database = await server.newDatabase();
      expect(await create()).toEqual({ code: 0, stdout: [THERE("is made"), "Ready.", RIGHTS].join("\n"), stderr: "" });
      const before = await database.run(["check"], "app");
      expect(before).toMatchObject({
        code: 1,
        stderr: expect.stringContaining("prints: npx express-tokenizer grants"),
      });
      const { stdout } = await database.run(["grants", "--user", "app"], "ada");
      await database.sql(stdout, "ada");
      expect(await database.run(["check"], "app")).toMatchObject({ code: 0, stderr: "" });
    });

    test("makes its schema, too, and takes names to the letter", async () => {
      database = await server.newDatabase();
      const table = 'The-Schema$.Table"'.replace('"', "$");
      const { code, stdout } = await database.run(["create-table"], "ada", { table });
      expect({ code, stdout }).toEqual({ code: 0, stdout: expect.stringContaining(`The table ${table} is made in`) });
      expect(await database.sql(`SELECT count(*)::int AS count FROM "The-Schema$"."Table$"`)).toEqual([{ count: 0 }]);
      expect(await database.run(["check"], "ada", { table })).toMatchObject({ code: 0, stderr: "" });
    });

    test("in a schema that is there, without the right to make schemas", async () => {
      database = await server.newDatabase();
      await database.sql("CREATE SCHEMA auth; GRANT USAGE, CREATE ON SCHEMA auth TO app", "ada");
      expect(await database.run(["create-table"], "app", { table: "auth.records" })).toMatchObject({
        code: 0,
        stderr: "",
      });
    });

    test("waits for somebody who makes it just now", async () => {
      database = await server.newDatabase();
      const locks = (condition: string) =>
        `(SELECT FROM pg_locks WHERE locktype = 'advisory' AND ${condition} AND database = (
          SELECT oid FROM pg_database WHERE datname = current_database()))`;
      const other = database.sql(
        `SELECT pg_advisory_xact_lock(7420188310456);
        DO $$ BEGIN
          WHILE NOT EXISTS ${locks("NOT granted")} LOOP PERFORM pg_sleep(0.01); END LOOP;
        END $$;
        ${TABLE} ${INDEX}`,
        "ada",
      );
      const isHeld = `SELECT EXISTS ${locks("granted")} AS held`;
      await until("the other has begun", async () => (await database.sql(isHeld))[0]?.held === true);
      expect(await create()).toMatchObject({ code: 0, stderr: "" });
      await other;
    });

    test("two at once", async () => {
      database = await server.newDatabase();
      const both = await Promise.all([create(), create()]);
      expect(both.map(({ code, stderr }) => ({ code, stderr }))).toEqual(Array(2).fill({ code: 0, stderr: "" }));
    });

    test("tells whom default privileges let in", async () => {
      database = await server.newDatabase();
      await database.sql("ALTER DEFAULT PRIVILEGES GRANT SELECT ON TABLES TO grace, anon", "ada");
      expect(await create()).toEqual({
        code: 0,
        stdout: [THERE("is made"), "Ready.", RIGHTS].join("\n"),
        stderr: [
          'Warning: The table tokenizer_records is open to the role anon (the public API of Supabase, or another PostgREST). Take that away: REVOKE ALL ON TABLE "tokenizer_records" FROM "anon";',
          'By the default privileges of ada, these have rights on it, too: grace. Take them away from each that is not the application: REVOKE ALL ON TABLE "tokenizer_records" FROM …;',
        ].join("\n"),
      });
      expect((await database.run(["check"], "ada")).stderr).toMatch(
        /^\nTo mend before users come:\n- The table tokenizer_records is open\s+to the role anon /,
      );
    });

    test("tells nothing of an API that has no way into the schema", async () => {
      database = await server.newDatabase();
      await database.sql("CREATE SCHEMA auth; ALTER DEFAULT PRIVILEGES GRANT SELECT ON TABLES TO anon", "ada");
      const { code, stderr } = await database.run(["create-table"], "ada", { table: "auth.records" });
      expect({ code, stderr }).toEqual({ code: 0, stderr: expect.stringMatching(/^By the default privileges of ada/) });
    });

    test("tells that a schema is found by its user alone", async () => {
      database = await server.newDatabase();
      await database.sql("CREATE SCHEMA ada", "ada");
      expect(await create()).toMatchObject({
        code: 0,
        stdout: expect.stringContaining(THERE("is made", "ada")),
        stderr:
          "Warning: The schema ada is that of the user ada: others find the table only by its whole name. Write that into tokenizer.table: ada.tokenizer_records",
      });
    });
  });

  describe("of a table that is there", () => {
    test("and right: a second run changes nothing", async () => {
      database = await server.newDatabase();
      await create();
      expect(await create()).toEqual({ code: 0, stdout: `${THERE()}\nReady.`, stderr: "" });
    });

    test("without the index on expires: makes it", async () => {
      database = await server.newDatabase();
      await database.sql(TABLE, "ada");
      const stdout = [THERE(), "Its index on expires was missing, and is made.", "Ready."].join("\n");
      expect(await create()).toEqual({ code: 0, stdout, stderr: "" });
      expect(await create()).toMatchObject({ stdout: `${THERE()}\nReady.` });
    });

    test("with an index that is not valid: told", async () => {
      database = await server.newDatabase();
      await create();
      await database.sql(
        "UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'tokenizer_records_expires'::regclass",
      );
      expect(await create()).toEqual({
        code: 1,
        stdout: THERE(),
        stderr:
          'Its index on expires is not valid: it is being made, or that was broken off. If nobody makes it now, run this, and the command again: DROP INDEX CONCURRENTLY "public"."tokenizer_records_expires";',
      });
    });

    const columns = (...changes: string[]) => [
      TABLE,
      ...changes.map((change) => `ALTER TABLE tokenizer_records ${change}`),
    ];
    test.each([
      [
        "connect-pg-simple's",
        ["CREATE TABLE tokenizer_records (sid varchar PRIMARY KEY, sess json NOT NULL, expire timestamp(6) NOT NULL)"],
        "it has no column key, and it has no column version, and it has no column expires, and it has no column value, and it has the column sid, which is NOT NULL and without a default, and it has the column sess, which is NOT NULL and without a default, and it has the column expire, which is NOT NULL and without a default",
      ],
      [
        "columns of other types",
        columns("ALTER expires TYPE timestamptz USING now()", "ALTER version TYPE varchar(20)"),
        "it has the column version of type character varying(20), not text, and it has the column expires of type timestamp with time zone, not bigint",
      ],
      [
        "a column more, which wants a value",
        columns("ADD tenant text NOT NULL"),
        "it has the column tenant, which is NOT NULL and without a default",
      ],
      ["no primary key", columns("DROP CONSTRAINT tokenizer_records_pkey"), "it has no primary key on key alone"],
      [
        "a primary key on more",
        columns("DROP CONSTRAINT tokenizer_records_pkey", "ADD PRIMARY KEY (key, version)"),
        "it has no primary key on key alone",
      ],
      [
        "one that is checked late",
        columns("DROP CONSTRAINT tokenizer_records_pkey", "ADD PRIMARY KEY (key) DEFERRABLE"),
        "it has no primary key on key alone",
      ],
      [
        "a part of the keys",
        [
          ...columns("DROP CONSTRAINT tokenizer_records_pkey"),
          "CREATE UNIQUE INDEX ON tokenizer_records (key) WHERE expires > 0",
        ],
        "it has no primary key on key alone",
      ],
      [
        "an expression of keys",
        [...columns("DROP CONSTRAINT tokenizer_records_pkey"), "CREATE UNIQUE INDEX ON tokenizer_records (lower(key))"],
        "it has no primary key on key alone",
      ],
      [
        "keys that are compared loosely",
        [
          "CREATE COLLATION loose (provider = icu, locale = 'und-u-ks-level2', deterministic = false)",
          ...columns("ALTER key TYPE text COLLATE loose"),
        ],
        'it compares keys by a collation that takes different ones for the same: key must be of COLLATE "C"',
      ],
      ["a view", ["CREATE VIEW tokenizer_records AS SELECT 1 AS key"], "it is a view, and no table"],
      ["a sequence", ["CREATE SEQUENCE tokenizer_records"], "it is a sequence, and no table"],
    ])("and somebody else's, or changed: %s", async (_name, statements, faults) => {
      database = await server.newDatabase();
      for (const statement of statements) await database.sql(statement, "ada");
      expect(await create()).toEqual({
        code: 1,
        stdout: THERE(),
        stderr: `The table tokenizer_records cannot keep sessions: ${faults}. Name another one in tokenizer.table.`,
      });
    });

    test.each([
      ["a column more, which may be empty", columns("ADD created timestamptz DEFAULT now()", "ADD note text")],
      ["another collation", columns('ALTER key TYPE text COLLATE "en-x-icu"')],
      [
        "a unique index in the primary key's place",
        columns("DROP CONSTRAINT tokenizer_records_pkey", "ADD UNIQUE (key) INCLUDE (version)"),
      ],
      [
        "parts",
        [
          TABLE.replace(");", ") PARTITION BY HASH (key);"),
          "CREATE TABLE one PARTITION OF tokenizer_records FOR VALUES WITH (MODULUS 1, REMAINDER 0)",
        ],
      ],
    ])("and right in another way: %s", async (_name, statements) => {
      database = await server.newDatabase();
      for (const statement of [...statements, INDEX]) await database.sql(statement, "ada");
      expect(await create()).toEqual({ code: 0, stdout: `${THERE()}\nReady.`, stderr: "" });
      expect(await database.run(["check"], "ada")).toMatchObject({ code: 0 });
    });

    test("what is probably not meant is told", async () => {
      database = await server.newDatabase();
      await create();
      await database.sql(
        "ALTER TABLE tokenizer_records SET UNLOGGED; GRANT SELECT ON tokenizer_records TO PUBLIC",
        "ada",
      );
      await database.sql("ALTER TABLE tokenizer_records ENABLE ROW LEVEL SECURITY", "ada");
      const { code, stdout, stderr } = await create();
      expect({ code, stdout }).toEqual({ code: 0, stdout: `${THERE()}\nReady.` });
      expect(stderr.split("\n")).toEqual([
        'Warning: The table tokenizer_records is open to whoever signs in to the database (PUBLIC). Take that away: REVOKE ALL ON TABLE "tokenizer_records" FROM PUBLIC;',
        expect.stringMatching(/^Warning: The table tokenizer_records is UNLOGGED: a crash of PostgreSQL empties it/),
        'Warning: Row-level security is on for the table tokenizer_records: from others than its owner it hides each row that no policy shows, and sessions are lost without an error. Give the user of the application a policy for all rows: CREATE POLICY sessions ON "tokenizer_records" TO … USING (true);',
      ]);
    });
  });

  describe("without the right to make it", () => {
    const refused = (what: string, reason: string) =>
      `PostgreSQL at ${database.server} refused to ${what}: ${reason}. Sign in as somebody who may, or have an administrator of the database run this:`;

    test("prints what an administrator can run, and then it works", async () => {
      database = await server.newDatabase();
      const { code, stdout, stderr } = await database.run(["create-table"], "app");
      expect({ code, stderr }).toEqual({
        code: 1,
        stderr: refused(
          "make the table",
          "permission denied for schema public (since PostgreSQL 15, only the owner of a database may make tables there)",
        ),
      });
      await database.sql(stdout);
      expect(await database.run(["create-table"], "app")).toMatchObject({ code: 0, stderr: "" });
      expect(await database.run(["check"], "app")).toMatchObject({ code: 0, stderr: "" });
    });

    test("nor its schema", async () => {
      database = await server.newDatabase();
      const auth = { table: "auth.records" };
      const { code, stdout, stderr } = await database.run(["create-table"], "app", auth);
      expect({ code, stderr }).toEqual({
        code: 1,
        stderr: refused("make the table", `permission denied for database ${database.name}`),
      });
      expect(stdout).toMatch(/^CREATE SCHEMA IF NOT EXISTS "auth";\nCREATE TABLE IF NOT EXISTS "auth"\."records" \(/);
      await database.sql(stdout);
      expect(await database.run(["check"], "app", auth)).toMatchObject({ code: 0, stderr: "" });
    });

    test("nor its index", async () => {
      database = await server.newDatabase();
      await database.sql(TABLE, "ada");
      expect(await database.run(["create-table"], "app")).toEqual({
        code: 1,
        stdout: [
          THERE(),
          'CREATE INDEX CONCURRENTLY IF NOT EXISTS "tokenizer_records_expires"\n  ON "public"."tokenizer_records" (expires);',
        ].join("\n"),
        stderr: refused("make its index on expires", "must be owner of table tokenizer_records"),
      });
    });

    test("and with no schema to make it in", async () => {
      database = await server.newDatabase();
      await database.sql("DROP SCHEMA public");
      expect(await create()).toEqual({
        code: 1,
        stdout: "",
        stderr:
          "The table tokenizer_records needs a schema, and the search_path of ada leads to none. Name one in tokenizer.table, as in public.tokenizer_records.",
      });
    });
  });

  describe("--print", () => {
    test("prints SQL that may be run again, and asks nothing", async () => {
      const file = settingsFile({ type: "postgres", host: "127.0.0.1", port: 1 });
      const { code, stdout, stderr } = await commandLine(["create-table", "--settings", file, "--print"]);
      expect({ code, stdout, stderr }).toEqual({ code: 0, stdout: `${TABLE}\n${INDEX}`, stderr: "" });
      database = await server.newDatabase();
      await database.sql(stdout, "ada");
      await database.sql(stdout, "ada");
      expect(await create()).toEqual({ code: 0, stdout: `${THERE()}\nReady.`, stderr: "" });
    });

    test("with the schema that is named, but for public, which is there", async () => {
      const firstOf = async (table: string) => {
        const file = settingsFile({ type: "postgres", table });
        return (await commandLine(["create-table", "--settings", file, "--print"])).stdout.split("\n")[0];
      };
      expect(await firstOf("auth.records")).toBe('CREATE SCHEMA IF NOT EXISTS "auth";');
      expect(await firstOf("public.records")).toBe('CREATE TABLE IF NOT EXISTS "public"."records" (');
    });
  });

  test.each([
    [
      "an encoding that cannot keep every text",
      "ENCODING 'LATIN1' TEMPLATE template0",
      {},
      /has the encoding LATIN1, which cannot/,
    ],
    [
      "a wrong password",
      "",
      { password: "another-password" },
      /refused: password authentication failed for user "ada"\. Check/,
    ],
    [
      "no database of that name",
      "",
      { database: "none" },
      /refused: database "none" does not exist\. Check tokenizer\.database/,
    ],
    [
      "nothing that listens",
      "",
      { port: 1 },
      /^PostgreSQL at 127\.0\.0\.1:1 cannot be reached: nothing listens there\.$/,
    ],
  ])("%s: told, and nothing is made", async (_name, creation, more, reason) => {
    database = await server.newDatabase(creation);
    const { code, stdout, stderr } = await database.run(["create-table"], "ada", more);
    expect({ code, stdout, stderr }).toEqual({ code: 1, stdout: "", stderr: expect.stringMatching(reason) });
    expect(stderr).not.toContain("another-password");
    expect(await database.sql("SELECT to_regclass('tokenizer_records') AS found")).toEqual([{ found: null }]);
  });
});

withPgbouncer("create-table through PgBouncer, in transaction mode", () => {
  test("makes the table, and an index that is missing", async () => {
    const { server, newDatabase } = await startServer();
    database = await newDatabase();
    const { port } = await startPgbouncer({ server });
    const through = () => database.run(["create-table"], "ada", { port });
    expect(await through()).toEqual({ code: 0, stdout: [THERE("is made"), "Ready.", RIGHTS].join("\n"), stderr: "" });
    await database.sql("DROP INDEX tokenizer_records_expires", "ada");
    expect(await through()).toMatchObject({ code: 0, stdout: expect.stringContaining("was missing, and is made.") });
    expect(await through()).toEqual({ code: 0, stdout: `${THERE()}\nReady.`, stderr: "" });
  });
});

test.each([
  ["postgres", ["--kms-key", "x"], "--kms-key is for type: dynamodb."],
  ["dynamodb", ["--print"], "--print is for type: postgres."],
])("with type: %s, %j is refused", async (type, argv, message) => {
  const file = settingsFile({ type, table: "one" });
  expect(await commandLine(["create-table", "--settings", file, ...argv])).toEqual({
    code: 2,
    stdout: "",
    stderr: `${message}\nHelp: npx express-tokenizer create-table --help`,
  });
});
