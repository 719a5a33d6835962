/** `grants`: what is printed, and that it is enough and runs. */
import { beforeAll, describe, expect, test } from "@jest/globals";
import { withPostgres } from "../support/postgres-server.js";
import { commandLine, settingsFile } from "./command-line.js";
import { startServer, type TestDatabase } from "./postgres-command.js";

const run = (settings: object, argv: string[] = [], env: NodeJS.ProcessEnv = {}) =>
  commandLine(["grants", "--settings", settingsFile({ type: "postgres", ...settings }), ...argv], env);

/** Those that psql would run. */
const statementsIn = (text: string) => text.split("\n").filter((line) => !/^(--|$)/.test(line));

const statements = (user: string, database: string, table: string) => [
  `GRANT CONNECT ON DATABASE "${database}" TO "${user}";`,
  `GRANT USAGE ON SCHEMA "${table.split(".")[0]}" TO "${user}";`,
  `GRANT SELECT, INSERT, UPDATE, DELETE ON TABLE "${table.replace(".", '"."')}"`,
  `  TO "${user}";`,
];

const NOWHERE = { host: "127.0.0.1", port: 1, username: "app", database: "shop" };

describe("without a connection", () => {
  test("a schema that is named is taken, and nobody is asked", async () => {
    const { code, stdout, stderr } = await run({ ...NOWHERE, table: "auth.records", store_timeout: 2 });
    expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
    expect(stdout).toBe(
      [
        ...statements("app", "shop", "auth.records"),
        "",
        "-- Worth setting, if nothing but the sessions signs in as that user. Take away",
        "-- the dashes in front of what you want.",
        "",
        "-- End what goes on after the application gave it up, which is after",
        "-- 2 seconds (store_timeout). Needed for a pool of your own, or with PgBouncer:",
        '-- ALTER ROLE "app" IN DATABASE "shop"',
        "--   SET statement_timeout = '1800ms';",
        "",
        "-- End what a process asked for that is gone (PostgreSQL 14 or newer):",
        '-- ALTER ROLE "app" IN DATABASE "shop"',
        "--   SET client_connection_check_interval = '1000ms';",
        "",
        "-- Keep sessions out of the server's log: log_min_duration_statement writes slow",
        "-- statements with their values (for a superuser; PostgreSQL 13 or newer):",
        '-- ALTER ROLE "app" IN DATABASE "shop"',
        "--   SET log_parameter_max_length = 0;",
      ].join("\n"),
    );
  });

  test("else public is, and that is told", async () => {
    const { code, stdout, stderr } = await run(NOWHERE);
    expect({ code, stderr }).toEqual({
      code: 0,
      stderr:
        "Which schema the table is in could not be asked, so public is taken. PostgreSQL at 127.0.0.1:1 cannot be reached: nothing listens there.",
    });
    expect(statementsIn(stdout)).toEqual(statements("app", "shop", "public.tokenizer_records"));
    expect(stdout).toContain("\n-- The schema is a guess, as PostgreSQL could not be asked.\n");
  });

  test.each([
    [
      "the settings'",
      { username: "app", database: "shop" },
      [],
      { PGUSER: "other", PGDATABASE: "other" },
      "app",
      "shop",
    ],
    ["the environment's", {}, [], { PGUSER: "grace", PGDATABASE: "navy" }, "grace", "navy"],
    ["one that is named", { username: "app", database: "shop" }, ["--user", "my app"], {}, "my app", "shop"],
  ] as const)("the user: %s", async (_name, settings, argv, env, user, database) => {
    const { stdout } = await run({ ...settings, table: "auth.records" }, [...argv], env);
    expect(statementsIn(stdout)).toEqual(statements(user, database, "auth.records"));
  });

  test("a name is quoted, and ends no comment", async () => {
    const argv = ["--user", 'a"; DROP TABLE x; --'];
    const { stdout } = await run({ table: "auth.records" }, argv, { PGUSER: "x", PGDATABASE: "a\nDROP TABLE y;" });
    expect(stdout).toContain('TO "a""; DROP TABLE x; --";');
    expect(stdout.match(/^DROP TABLE y;/gm)).toHaveLength(1);
    expect(stdout.match(/^-- DROP TABLE y;"$/gm)).toHaveLength(3);
  });

  test.each(["a\nb", "ä".repeat(32)])("--user %j is refused", async (user) => {
    expect(await run({ table: "auth.records" }, ["--user", user])).toEqual({
      code: 2,
      stdout: "",
      stderr:
        "--user takes the name of a role: at most 63 bytes, without control characters.\nHelp: npx express-tokenizer grants --help",
    });
  });
});

withPostgres("with a connection", () => {
  let database: TestDatabase;
  beforeAll(async () => {
    database = await (await startServer()).newDatabase();
  });

  test("the schema is where the table is found, and all that is printed runs", async () => {
    await database.sql("CREATE SCHEMA other", "ada");
    await database.sql(`ALTER DATABASE ${database.name} SET search_path = other, public`);
    const early = await database.run(["grants", "--user", "app"], "ada");
    expect(early).toMatchObject({
      code: 0,
      stderr: "There is no table tokenizer_records yet. Make it first: npx express-tokenizer create-table",
    });
    await database.run(["create-table"], "ada");
    const { code, stdout, stderr } = await database.run(["grants", "--user", "app"], "ada");
    expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
    expect(stdout).toBe(early.stdout);
    expect(statementsIn(stdout)).toEqual(statements("app", database.name, "other.tokenizer_records"));
    // Where a new table would go does not count.
    await database.sql("CREATE SCHEMA newer", "ada");
    await database.sql(`ALTER DATABASE ${database.name} SET search_path = newer, other`);
    expect(await database.run(["grants", "--user", "app"], "ada")).toEqual({ code, stdout, stderr });
    await database.sql(stdout, "ada");
    expect(await database.run(["check"], "app")).toMatchObject({ code: 0, stderr: "" });
    expect((await database.run(["grants"], "ada")).stderr).toBe(
      "ada owns the table, and needs no rights. For another user: --user NAME",
    );
    // What is worth setting, as a superuser.
    await database.sql(stdout.replaceAll(/^-- (?=ALTER| )/gm, ""));
    expect(await database.sql("SHOW statement_timeout", "app")).toEqual([{ statement_timeout: "54s" }]);
    expect(await database.run(["check"], "app")).toMatchObject({ code: 0, stderr: "" });
  });
});
