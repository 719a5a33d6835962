/** No password, key or value is told, also where PostgreSQL's own message quotes it. */
import { inspect } from "node:util";
import { beforeAll, expect, test } from "@jest/globals";
import { errorOf, type loginAt, makeBackend, makeTable, record, startServing } from "../../support/postgres-backend.js";
import { type PostgresServer, withPostgres } from "../../support/postgres-server.js";

const KEY = "session:secret-key";
const VALUE = "secret-value";

withPostgres("an error", () => {
  let server: PostgresServer;
  let login: ReturnType<typeof loginAt>;
  let tables = 0;

  beforeAll(async () => {
    ({ server, login } = await startServing());
  });

  const raising = (state: string) => (table: string) =>
    `CREATE FUNCTION raise_${table}() RETURNS trigger LANGUAGE plpgsql AS $$
       BEGIN RAISE EXCEPTION 'met % with %', NEW.key, NEW.value USING ERRCODE = '${state}', DETAIL = NEW.value, HINT = NEW.key; END $$;
     CREATE TRIGGER raise BEFORE INSERT ON ${table} FOR EACH ROW EXECUTE FUNCTION raise_${table}()`;

  test.each<[string, (table: string) => string, state: string]>([
    ["a value that is there already", (table) => `ALTER TABLE ${table} ADD UNIQUE (value)`, "23505"],
    ["a rule of the table", (table) => `ALTER TABLE ${table} ADD CHECK (value = 'other')`, "23514"],
    ["a column that must not be empty", (table) => `ALTER TABLE ${table} ADD more text NOT NULL`, "23502"],
    ["a value that is too long", (table) => `ALTER TABLE ${table} ALTER value TYPE varchar(5)`, "22001"],
    ["a trigger's own words", raising("P0001"), "P0001"],
    ["a trigger's own state", raising("ZZ001"), "ZZ001"],
    ["a trigger's words for a missing right", raising("42501"), "42501"],
    ["a trigger's words for a full disk", raising("53100"), "53100"],
  ])("of %s tells none of it", async (_name, alter, state) => {
    const table = `quoted_${++tables}`;
    await makeTable(server, table);
    const { backend, warnings } = makeBackend({ ...login, table });
    if (state === "23505") await backend.write("other", record(VALUE), "any");
    await server.sql(alter(table));
    const error = await errorOf(backend.write(KEY, record(VALUE), "any"));
    expect(error.code).toMatch(/^STORE_UN(USABLE|AVAILABLE)$/);
    expect(inspect([error, error.message, warnings], { depth: 9, showHidden: true })).not.toMatch(
      /secret-|never to be told/,
    );
  });

  test.each<[string, unknown[]]>([
    ["version", [KEY, null, 9_000_000_000_000, VALUE]],
    ["value", [KEY, "secret-version", 9_000_000_000_000, null]],
  ])("of a row that is no record, without its %s, is a warning that tells none of it", async (column, values) => {
    const table = `stranger_${column}`;
    await makeTable(server, table);
    await server.sql(`ALTER TABLE ${table} ALTER ${column} DROP NOT NULL`);
    await server.sql(`INSERT INTO ${table} VALUES ($1, $2, $3, $4)`, values);
    const { backend, warnings } = makeBackend({ ...login, table });
    expect(await backend.read(KEY)).toBeUndefined();
    expect(await backend.read(KEY)).toBeUndefined();
    expect(warnings).toEqual([`A row of the table ${table} is no record of ours: passed over.`]);
  });

  test("of a backend that is shown by inspect holds no password", async () => {
    const { backend } = makeBackend(login);
    await backend.open();
    expect(inspect(backend, { depth: 9, showHidden: true })).not.toContain("never to be told");
  });
});
