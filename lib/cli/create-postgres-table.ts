/** `create-table` with `type: postgres`: makes the table of the settings, or finds that it is right; or prints the SQL. */
import type { PostgresBackendOptions } from "../backends/postgres/backend.js";
import {
  createStatements,
  grantStatements,
  indexStatement,
  placedIn,
  quoted,
  type Table,
  tableOf,
} from "../backends/postgres/table.js";
import { refuseEncoding, unlogged } from "../backends/postgres/weaknesses.js";
import { TokenizerError } from "../errors.js";
import { visible } from "../visible.js";
import type { Io } from "./command.js";
import { type PostgresConnection, whyDenied, withPostgres } from "./postgres-connection.js";
import { exposureOf, type Found, type FoundTable, faultsOf, indexOnExpires, lookAt } from "./postgres-table.js";

/** One statement's time, and that of an index on a table that is full. Milliseconds. */
const STATEMENT_TIMEOUT = 20_000;
const INDEX_TIMEOUT = 300_000;

/** Of two that make the same table at once, the second waits; the number means nothing. */
const ONE_AT_A_TIME = "SELECT pg_advisory_xact_lock(7420188310456)";

/** Prints what makes the table, as often as it is carried out. Answers the exit code. */
export async function printPostgresTable({ table: name }: PostgresBackendOptions, { print }: Io): Promise<number> {
  const table = tableOf(name);
  print(scriptOf([...schemaStatements(table), ...createStatements(table)]));
  return 0;
}

/** Answers the exit code. */
export function createPostgresTable(options: PostgresBackendOptions, io: Io): Promise<number> {
  return withPostgres(options, io, STATEMENT_TIMEOUT, (connection) => new TableMaker(connection, options, io).make());
}

class TableMaker {
  readonly #connection: PostgresConnection;
  readonly #options: PostgresBackendOptions;
  readonly #table: Table;
  readonly #io: Io;

  constructor(connection: PostgresConnection, options: PostgresBackendOptions, io: Io) {
    this.#connection = connection;
    this.#options = options;
    this.#table = tableOf(options.table);
    this.#io = io;
  }

  async make(): Promise<number> {
    const found = await lookAt(this.#connection, this.#table);
    refuseEncoding(found.encoding, this.#connection.server);
    if (found.table) return this.#finish(found, found.table, "is there");
    if (!(await this.#create(found))) return 1;
    const made = await lookAt(this.#connection, this.#table);
    if (!made.table) throw this.#unusable("was made, and is not there any more");
    const code = await this.#finish(made, made.table, "is made");
    this.#tellOfDefaults(made.table);
    return code;
  }

  /** Answers whether that was allowed. */
  async #create({ user, database, currentSchema, hasSchema }: Found): Promise<boolean> {
    const schemaSql = this.#table.schemaSql ?? (currentSchema === null ? undefined : quoted(currentSchema));
    if (schemaSql === undefined) {
      throw this.#unusable(
        `needs a schema, and the search_path of ${user} leads to none. Name one in tokenizer.table, as in public.${this.#table.name}`,
      );
    }
    const place = placedIn(schemaSql, this.#table);
    const statements = [...(hasSchema ? [] : schemaStatements(place)), ...createStatements(place)];
    return this.#allowed("make the table", () => this.#connection.run([ONE_AT_A_TIME, ...statements]), [
      ...statements,
      ...grantStatements(place, user, database),
    ]);
  }

  async #finish(found: Found, table: FoundTable, state: string): Promise<number> {
    const { print, tell } = this.#io;
    const name = `${table.schema}.${this.#table.name.replace(/^.*[.]/, "")}`;
    print(visible(`The table ${name} ${state} in the database ${found.database}; ${table.owner} owns it.`));
    const faults = faultsOf(table);
    if (faults.length > 0) {
      throw this.#unusable(`cannot keep sessions: it ${faults.join(", and it ")}. Name another one in tokenizer.table`);
    }
    if (!(await this.#haveIndex(table))) return 1;
    for (const warning of this.#warningsOf(found, table)) tell(`Warning: ${visible(warning)}`);
    print("Ready.");
    return 0;
  }

  /** Answers whether what has expired will be found. */
  async #haveIndex(table: FoundTable): Promise<boolean> {
    const index = indexOnExpires(table);
    if (index?.isValid) return true;
    const place = placedIn(quoted(table.schema), this.#table);
    if (index) {
      this.#io.tell(
        `Its index on expires is not valid: it is being made, or that was broken off. If nobody makes it now, run this, and the command again: DROP INDEX CONCURRENTLY ${quoted(table.schema)}.${quoted(index.name)};`,
      );
      return false;
    }
    // Sessions may be written meanwhile.
    const statement = indexStatement(place, { isInService: true });
    const work = (connection: PostgresConnection) => connection.run([statement]);
    const isMade = await this.#allowed(
      "make its index on expires",
      () => withPostgres(this.#options, this.#io, INDEX_TIMEOUT, work),
      [statement],
    );
    if (isMade) this.#io.print("Its index on expires was missing, and is made.");
    return isMade;
  }

  #warningsOf({ user }: Found, table: FoundTable): readonly string[] {
    const { name, sql, schemaSql } = this.#table;
    const exposure = exposureOf(table, this.#table);
    return [
      ...(exposure === undefined ? [] : [exposure]),
      ...(table.isUnlogged ? [unlogged(name)] : []),
      ...(table.isSecured
        ? [
            `Row-level security is on for the table ${name}: from others than its owner it hides each row that no policy shows, and sessions are lost without an error. Give the user of the application a policy for all rows: CREATE POLICY sessions ON ${sql} TO … USING (true);`,
          ]
        : []),
      ...(schemaSql === undefined && table.schema === user
        ? [
            `The schema ${user} is that of the user ${user}: others find the table only by its whole name. Write that into tokenizer.table: ${table.schema}.${name}`,
          ]
        : []),
    ];
  }

  /** What ALTER DEFAULT PRIVILEGES has added to a table that was just made. */
  #tellOfDefaults({ owner, grantees, apiRoles }: FoundTable): void {
    const { print, tell } = this.#io;
    const others = grantees.filter((grantee) => grantee !== "PUBLIC" && !apiRoles.includes(grantee));
    if (others.length > 0) {
      tell(
        visible(
          `By the default privileges of ${owner}, these have rights on it, too: ${others.join(", ")}. Take them away from each that is not the application: REVOKE ALL ON TABLE ${this.#table.sql} FROM …;`,
        ),
      );
    }
    print("What the user of the application needs: npx express-tokenizer grants --user NAME");
  }

  /** Answers whether it was; if not, it is told who can do that, and the SQL is printed. */
  async #allowed(what: string, work: () => Promise<void>, statements: readonly string[]): Promise<boolean> {
    const { print, tell } = this.#io;
    try {
      await work();
      return true;
    } catch (error) {
      const reason = whyDenied(error);
      if (reason === undefined) throw error;
      tell(
        visible(
          `PostgreSQL at ${this.#connection.server} refused to ${what}: ${reason}${/schema public\b/.test(reason) ? SINCE_15 : "."} Sign in as somebody who may, or have an administrator of the database run this:`,
        ),
      );
      print(scriptOf(statements));
      return false;
    }
  }

  #unusable(fault: string): TokenizerError {
    return new TokenizerError("STORE_UNUSABLE", `The table ${this.#table.name} ${visible(fault)}.`);
  }
}

/** Made only where it is missing: even IF NOT EXISTS takes the right to make schemas. */
function schemaStatements({ schemaSql }: Table): readonly string[] {
  return schemaSql === undefined || schemaSql === quoted("public") ? [] : [`CREATE SCHEMA IF NOT EXISTS ${schemaSql}`];
}

const SINCE_15 = " (since PostgreSQL 15, only the owner of a database may make tables there).";

const scriptOf = (statements: readonly string[]): string => statements.map((statement) => `${statement};`).join("\n");
