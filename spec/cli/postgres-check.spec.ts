/** `check` with `type: postgres`: each right that is missing is named, and who has too many. */
import { beforeAll, describe, expect, test } from "@jest/globals";
import { withPostgres } from "../support/postgres-server.js";
import { startServer, type TestDatabase } from "./postgres-command.js";

withPostgres("check", () => {
  let server: Awaited<ReturnType<typeof startServer>>;
  let database: TestDatabase;

  beforeAll(async () => {
    server = await startServer();
  });

  /** With the table, and what grants prints for the application. */
  async function granted() {
    database = await server.newDatabase();
    await database.run(["create-table"], "ada");
    await database.sql((await database.run(["grants", "--user", "app"], "ada")).stdout, "ada");
  }

  describe("without a right that grants prints", () => {
    test.each([
      ["SELECT ON TABLE tokenizer_records FROM app", "permission denied for table tokenizer_records"],
      ["INSERT ON TABLE tokenizer_records FROM app", "permission denied for table tokenizer_records"],
      ["UPDATE ON TABLE tokenizer_records FROM app", "permission denied for table tokenizer_records"],
      ["DELETE ON TABLE tokenizer_records FROM app", "permission denied for table tokenizer_records"],
      ["USAGE ON SCHEMA public FROM PUBLIC, app", 'relation "tokenizer_records" does not exist'],
      ["CONNECT ON DATABASE shop FROM PUBLIC, app", "permission denied for database"],
    ])("%s", async (right, reason) => {
      await granted();
      await database.sql(`REVOKE ${right.replace("shop", database.name)}`, "ada");
      const { code, stderr } = await database.run(["check"], "app");
      expect({ code, stderr }).toEqual({
        code: 1,
        stderr: expect.stringMatching(/^open: PostgreSQL at 127.0.0.1:\d+ /),
      });
      expect(stderr).toContain(`refused: ${reason}`);
    });
  });

  test("a table that the public may read is told, and a superuser", async () => {
    await granted();
    await database.sql("GRANT SELECT ON tokenizer_records TO PUBLIC", "ada");
    await database.sql("ALTER ROLE app SUPERUSER");
    const { code, stdout, stderr } = await database.run(["check", "--json"], "app");
    await database.sql("ALTER ROLE app NOSUPERUSER");
    expect(code).toBe(0);
    const warnings = [
      'The table tokenizer_records is open to whoever signs in to the database (PUBLIC). Take that away: REVOKE ALL ON TABLE "tokenizer_records" FROM PUBLIC;',
      "The application signs in to PostgreSQL as app, a superuser: whoever gets hold of its login has the whole server. Make it a user of its own: CREATE ROLE … LOGIN, and what this prints: npx express-tokenizer grants",
    ];
    expect(JSON.parse(stdout).warnings).toEqual(warnings);
    expect(stderr).toMatch(/^\nTo mend before users come:\n- The table/);
  });

  test("policies for all rows are fine, and what they hide is not shown to the public", async () => {
    await granted();
    await database.sql("CREATE ROLE anon; GRANT SELECT ON tokenizer_records TO anon");
    await database.sql("ALTER TABLE tokenizer_records ENABLE ROW LEVEL SECURITY", "ada");
    await database.sql("CREATE POLICY sessions ON tokenizer_records TO app USING (true)", "ada");
    const { code, stdout } = await database.run(["check", "--json"], "app");
    await database.sql("DROP OWNED BY anon; DROP ROLE anon");
    expect(code).toBe(0);
    expect(JSON.parse(stdout).warnings).toEqual([expect.stringMatching(/^Row-level security applies to the user/)]);
  });

  test.each([
    [
      "sessions",
      /^There are no live sessions\. Looked in: PostgreSQL at 127\.0\.0\.1:\d+, database shop_\d+, table tokenizer_/,
    ],
    ["prune", /^0 expired records dropped\. Looked in: PostgreSQL at 127\.0\.0\.1:\d+, database shop_\d+, table /],
  ])("%s that finds nothing says where it looked", async (command, expected) => {
    await granted();
    const { code, stdout, stderr } = await database.run([command], "app");
    expect(code).toBe(0);
    expect(stdout + stderr).toMatch(expected);
  });
});
