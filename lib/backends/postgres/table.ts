/** The table that holds records: what it is called in SQL, how it is made, and which rights its user needs. */

/** A table, with its schema if that is named. */
export interface Table {
  /** As the settings have it. */
  readonly name: string;
  /** The same in SQL. */
  readonly sql: string;
  /** Of the index by which expired records are found. */
  readonly indexSql: string;
  readonly schemaSql: string | undefined;
}

/** @param name `name` or `schema.name`, taken to the letter */
export function tableOf(name: string): Table {
  const parts = name.split(".");
  const own = parts.pop() ?? "";
  const [schema] = parts;
  const schemaSql = schema === undefined ? undefined : quoted(schema);
  return {
    name,
    sql: schemaSql === undefined ? quoted(own) : `${schemaSql}.${quoted(own)}`,
    indexSql: quoted(`${own}_expires`),
    schemaSql,
  };
}

/** Makes the table and its index, where they are not there yet. Keys compare by bytes, which no library of the system changes. */
export function createStatements(table: Table): readonly string[] {
  return [
    `CREATE TABLE IF NOT EXISTS ${table.sql} (
  key text COLLATE "C" PRIMARY KEY,
  version text NOT NULL,
  expires bigint NOT NULL,
  value text NOT NULL
)`,
    indexStatement(table),
  ];
}

/** @param isInService whether sessions may be written meanwhile; then it stands in no transaction */
export function indexStatement({ sql, indexSql }: Table, { isInService = false } = {}): string {
  return `CREATE INDEX ${isInService ? "CONCURRENTLY " : ""}IF NOT EXISTS ${indexSql}\n  ON ${sql} (expires)`;
}

/**
 * The least that the user in service needs.
 *
 * @param role the user's name
 * @param database to grant the connection to it, too
 */
export function grantStatements(table: Table, role: string, database?: string): readonly string[] {
  const { sql, schemaSql = "public" } = table;
  const user = quoted(role);
  return [
    ...(database === undefined ? [] : [`GRANT CONNECT ON DATABASE ${quoted(database)} TO ${user}`]),
    `GRANT USAGE ON SCHEMA ${schemaSql} TO ${user}`,
    `GRANT SELECT, INSERT, UPDATE, DELETE ON TABLE ${sql}\n  TO ${user}`,
  ];
}

/** @param schemaSql where it is if it names no schema */
export function placedIn(schemaSql: string, table: Table): Table {
  return table.schemaSql === undefined ? { ...table, sql: `${schemaSql}.${table.sql}`, schemaSql } : table;
}

/** An identifier, to the letter. */
export function quoted(identifier: string): string {
  return `"${identifier.replaceAll('"', '""')}"`;
}
