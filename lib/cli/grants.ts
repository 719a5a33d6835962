/** `grants`: the least that the application's user needs of PostgreSQL, as SQL. */
import { addressOf } from "../backends/postgres/address.js";
import type { PostgresBackendOptions } from "../backends/postgres/backend.js";
import { statementTimeout } from "../backends/postgres/own-pool.js";
import { grantStatements, placedIn, quoted, tableOf } from "../backends/postgres/table.js";
import { TokenizerError } from "../errors.js";
import { withPostgresDefaults } from "../settings/postgres-defaults.js";
import { visible } from "../visible.js";
import { type Command, type Io, notForType, readSettings, settingsOption, UsageError, type Values } from "./command.js";
import { withPostgres } from "./postgres-connection.js";
import { lookAt } from "./postgres-table.js";
import { counted } from "./text.js";

/** How soon a server notices that a process is gone, in milliseconds. */
const CHECK_INTERVAL = 1000;

export const grants: Command = {
  name: "grants",
  summary: "print the least rights in PostgreSQL that the application needs",
  description: `Prints SQL for the user that the application signs in as: to connect, to use the schema, and to read and write the table;
and, as comments, what is worth setting for that user. Run it as the owner of the table. It changes nothing by itself; where
tokenizer.table names no schema, it asks PostgreSQL which one it is, and takes public if there is no answer.

To make the table: see create-table --help.`,
  options: {
    ...settingsOption,
    user: { value: "NAME", description: "the user; default: the one that the settings sign in as" },
  },
  examples: [
    ["grants > grants.sql", "for the user of settings.yml"],
    ["grants --user my_app", "for another one"],
  ],
  async run(values, io) {
    const { tokenizer: section } = readSettings(values, io);
    if (section.type !== "postgres") throw notForType(section.type, "postgres");
    const options = withPostgresDefaults(section);
    const { username, database } = addressOf(options, io.env);
    const user = userOf(values) ?? username;
    const timeout = section.store_timeout;
    const place = await placeOf(options, io, timeout * 1000);
    if (place.owner === user)
      io.tell(`${visible(user)} owns the table, and needs no rights. For another user: --user NAME`);
    const target = { user, database: place.database ?? database };
    for (const statement of grantStatements(place.table, target.user, target.database)) io.print(`${statement};`);
    if (place.isTaken) io.print(commented("The schema is a guess, as PostgreSQL could not be asked."));
    for (const line of worthSetting(target, timeout)) io.print(commented(line));
    return 0;
  },
};

function userOf({ user }: Values): string | undefined {
  if (typeof user !== "string") return undefined;
  // To the letter: it is quoted.
  if (/\p{Cc}/u.test(user) || Buffer.byteLength(user) > 63) {
    throw new UsageError("--user takes the name of a role: at most 63 bytes, without control characters.");
  }
  return user;
}

/** Where the table is, or goes. */
async function placeOf(options: PostgresBackendOptions, io: Io, timeout: number) {
  const table = tableOf(options.table);
  if (table.schemaSql !== undefined) return { table: placedIn(table.schemaSql, table) };
  try {
    const found = await withPostgres(options, io, timeout, (connection) => lookAt(connection, table));
    const schema = found.table?.schema ?? found.currentSchema ?? "public";
    if (!found.table) io.tell(`There is no table ${table.name} yet. Make it first: npx express-tokenizer create-table`);
    return { table: placedIn(quoted(schema), table), database: found.database, owner: found.table?.owner };
  } catch (error) {
    if (!(error instanceof TokenizerError)) throw error;
    io.tell(`Which schema the table is in could not be asked, so public is taken. ${error.message}`);
    return { table: placedIn(quoted("public"), table), isTaken: true };
  }
}

/** @param timeout `store_timeout`, in seconds */
function worthSetting({ user, database }: { user: string; database: string }, timeout: number): readonly string[] {
  const set = (setting: string) => `ALTER ROLE ${quoted(user)} IN DATABASE ${quoted(database)}\n  SET ${setting};`;
  return [
    "",
    "Worth setting, if nothing but the sessions signs in as that user. Take away",
    "the dashes in front of what you want.",
    "",
    "End what goes on after the application gave it up, which is after",
    `${counted(timeout, "second")} (store_timeout). Needed for a pool of your own, or with PgBouncer:`,
    set(`statement_timeout = '${statementTimeout(timeout * 1000)}ms'`),
    "",
    "End what a process asked for that is gone (PostgreSQL 14 or newer):",
    set(`client_connection_check_interval = '${CHECK_INTERVAL}ms'`),
    "",
    "Keep sessions out of the server's log: log_min_duration_statement writes slow",
    "statements with their values (for a superuser; PostgreSQL 13 or newer):",
    set("log_parameter_max_length = 0"),
  ];
}

/** A name may have several lines. */
const commented = (text: string): string => (text === "" ? "" : text.replaceAll(/^/gm, "-- "));
