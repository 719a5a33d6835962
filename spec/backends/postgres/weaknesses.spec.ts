/** What works, and is probably not meant: told at start, and only there. */
import { beforeAll, expect, test } from "@jest/globals";
import { APP, type loginAt, makeBackend, makeTable, record, startServing } from "../../support/postgres-backend.js";
import { type PostgresServer, withPostgres } from "../../support/postgres-server.js";

withPostgres("a warning at start", () => {
  let server: PostgresServer;
  let login: ReturnType<typeof loginAt>;

  beforeAll(async () => {
    ({ server, login } = await startServing());
  });

  /** Those who sign in anew have it. */
  const forRole = (setting: string) => async (table: string) => {
    await server.sql(`CREATE ROLE ${table} LOGIN PASSWORD '${APP.password}' IN ROLE app`);
    await server.sql(`ALTER ROLE ${table} SET ${setting}`);
    return { username: table };
  };
  const sql = (statement: (table: string) => string) => async (table: string) => {
    await server.sql(statement(table));
    return {};
  };
  const none = async () => ({});

  test.each<[string, (table: string) => Promise<object>, RegExp[], number?]>([
    ["nothing", none, []],
    [
      "synchronous_commit that is off",
      forRole("synchronous_commit = off"),
      [
        /^PostgreSQL acknowledges what a crash can still undo \(synchronous_commit is off\): .* ALTER ROLE … SET synchronous_commit = on\.$/,
      ],
    ],
    ["synchronous_commit that is local", forRole("synchronous_commit = local"), []],
    [
      "a table that is UNLOGGED",
      sql((table) => `ALTER TABLE ${table} SET UNLOGGED`),
      [/^The table table_\d is UNLOGGED: .* ALTER TABLE … SET LOGGED\.$/],
    ],
    [
      "a table without its index",
      sql((table) => `DROP INDEX ${table}_expires`),
      [/^The table table_\d has no index on expires: .* npx express-tokenizer create-table$/],
    ],
    ["an index of another name", sql((table) => `ALTER INDEX ${table}_expires RENAME TO ${table}_of_mine`), []],
    [
      "row-level security",
      sql(
        (table) =>
          `ALTER TABLE ${table} ENABLE ROW LEVEL SECURITY; CREATE POLICY all_${table} ON ${table} USING (true)`,
      ),
      [/^Row-level security applies to the user of the sessions on the table table_\d: /],
    ],
    [
      "two at once",
      sql((table) => `ALTER TABLE ${table} SET UNLOGGED; DROP INDEX ${table}_expires`),
      [/UNLOGGED/, /no index/],
    ],
    [
      "a clock that is ahead",
      none,
      [/^The clock of this machine is about 10 minutes ahead of that of PostgreSQL at 127\.0\.0\.1:\d+: /],
      600_000,
    ],
    ["a clock that is behind", none, [/is about 10 minutes behind that of PostgreSQL/], -600_000],
  ])("of %s", async (_name, alter, expected, ahead = 0) => {
    const table = `table_${++tables}`;
    await makeTable(server, table);
    const { backend, warnings, clock } = makeBackend({ ...login, table, ...(await alter(table)) });
    clock.ahead = ahead;
    await backend.open();
    expect(warnings).toEqual(expected.map((each) => expect.stringMatching(each)));
    expect(await backend.write("key", record("x", Date.now() + 3_600_000), "any")).toBe(true);
    expect(await backend.read("key")).toMatchObject({ value: "x" });
    expect(warnings).toHaveLength(expected.length);
  });

  let tables = 0;
});
