/** What works, and is probably not meant, or will not do for long: told at start. */
import { TokenizerError } from "../../errors.js";
import { clockWarning } from "../clock.js";
import type { Place } from "./errors.js";
import type { Row } from "./pool.js";

/** Its database takes any text, as it came: ours is UTF-8. */
const ENCODINGS = ["UTF8", "SQL_ASCII"];

/**
 * One warning for each.
 *
 * @param found what the statement `attempt` answered
 * @param now milliseconds since 1970
 * @throws TokenizerError `STORE_UNUSABLE` where not every session could be kept
 */
export function weaknessesOf(found: Row, { server, table }: Place, now: number): readonly string[] {
  const [time, encoding, isAsynchronous, isUnlogged, isSecured, isIndexed] = found;
  refuseEncoding(encoding, server);
  const clock = clockWarning(Number(time) - now, `PostgreSQL at ${server}`);
  return [
    ...(clock === undefined ? [] : [clock]),
    ...(isAsynchronous === "true" ? [ASYNCHRONOUS] : []),
    ...(isUnlogged === "true" ? [unlogged(table)] : []),
    ...(isSecured === "true" ? [secured(table)] : []),
    ...(isIndexed === "false" ? [notIndexed(table)] : []),
  ];
}

/** @throws TokenizerError `STORE_UNUSABLE` where not every session could be kept */
export function refuseEncoding(encoding: string | null | undefined, server: string): void {
  if (typeof encoding !== "string" || ENCODINGS.includes(encoding)) return;
  throw new TokenizerError(
    "STORE_UNUSABLE",
    `The database of PostgreSQL at ${server} has the encoding ${encoding}, which cannot keep every text. Make one with the encoding UTF8, and name it in tokenizer.database.`,
  );
}

const ASYNCHRONOUS =
  "PostgreSQL acknowledges what a crash can still undo (synchronous_commit is off): a saved change may be lost, and a session that was signed out come back. Set it to on for the user of the sessions: ALTER ROLE … SET synchronous_commit = on.";

export const unlogged = (table: string): string =>
  `The table ${table} is UNLOGGED: a crash of PostgreSQL empties it, a replica does not have it, and all users are signed out then. To keep them: ALTER TABLE … SET LOGGED.`;

const secured = (table: string): string =>
  `Row-level security applies to the user of the sessions on the table ${table}: what its policies hide is a session lost, without an error. Give it a policy for all rows, or switch that off.`;

const notIndexed = (table: string): string =>
  `The table ${table} has no index on expires: each look for expired sessions reads the whole table. Make it: npx express-tokenizer create-table`;
