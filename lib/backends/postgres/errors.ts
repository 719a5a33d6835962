/** How it is told what went wrong with PostgreSQL: the cause and the way out, never a password, a key or a value. */
import { TokenizerError } from "../../errors.js";
import { explainTls, reasonOf } from "../network.js";
import { ConnectionFailure, isError, READ_ONLY, Refusal } from "./failures.js";

/** What is known of where the error is from. */
export interface Place {
  /** `host:port`, as messages have it. */
  readonly server: string;
  /** As the settings have it. */
  readonly table: string;
  /** Whether the connections are the application's own, of which the settings say nothing. */
  readonly isGiven: boolean;
}

/** The error that callers get. */
export function explain(error: unknown, place: Place): TokenizerError {
  if (error instanceof TokenizerError) return error;
  if (error instanceof Refusal) return explainRefusal(error, place);
  if (error instanceof ConnectionFailure) return explainFailure(error, place);
  const reason = isError(error) ? error.message : String(error);
  return new TokenizerError("STORE_UNAVAILABLE", `PostgreSQL failed: ${reason}.`, { cause: error });
}

/** `STORE_TIMEOUT`, naming the server. */
export function timedOut({ server }: Place, milliseconds: number): TokenizerError {
  return new TokenizerError(
    "STORE_TIMEOUT",
    `PostgreSQL at ${server} did not answer within ${Number((milliseconds / 1000).toFixed(3))} seconds.`,
  );
}

/** @param connections how many there are, all of them busy */
export function allBusy({ server, isGiven }: Place, connections: number): TokenizerError {
  const advice = isGiven ? " Give the pool that is postgres.pool more, or release those that are held." : "";
  return new TokenizerError(
    "STORE_TIMEOUT",
    `All ${connections} connections to PostgreSQL at ${server} were busy until time was up.${advice}`,
  );
}

/** Missing: it is nothing that they can mend. */
type Advice = (refusal: Refusal, place: Place) => string | undefined;

/** What the settings, or whoever runs the server, can mend. */
const UNUSABLE: Readonly<Record<string, Advice>> = {
  "28P01": checkLogin,
  "28000": checkLogin,
  "3D000": checkDatabase,
  "42P01": missingTable,
  "3F000": missingTable,
  "42501": () => "Which rights are needed, and how to grant them, prints: npx express-tokenizer grants",
  "42703": otherTable,
  "42P10": otherTable,
  "42804": otherTable,
  "42809": otherTable,
  "42883": otherTable,
  "23502": otherTable,
  "23505": otherTable,
  "23514": otherTable,
  "22P02": otherTable,
  "22001": otherTable,
  "22003": otherTable,
  "22021": () => "The database must have the encoding UTF8: make another one, and name it in tokenizer.database.",
  "22P05": () => "The database must have the encoding UTF8: make another one, and name it in tokenizer.database.",
  "08P01": poolersWord,
};

/** What passes, with what it means. */
const UNAVAILABLE: Readonly<Record<string, string>> = {
  [READ_ONLY]: "It is a read replica, or was made read-only: sessions need the primary.",
  "53100": "Its disk is full.",
  "53200": "It is out of memory.",
  "53300":
    "Raise max_connections there, put PgBouncer before it, or run fewer processes: each has up to 10 connections.",
  "57P03": "It is starting, stopping or recovering.",
};

function explainRefusal(refusal: Refusal, place: Place): TokenizerError {
  const { state, message } = refusal;
  const told = `PostgreSQL at ${place.server} refused: ${message}.`;
  if (state === "57014" && /statement timeout/.test(message)) {
    const text = `PostgreSQL at ${place.server} did not finish in time: ${message}. Perhaps something holds a lock on the table ${place.table}.`;
    return new TokenizerError("STORE_TIMEOUT", text, { cause: refusal });
  }
  const advice = UNUSABLE[state]?.(refusal, place);
  return advice === undefined
    ? new TokenizerError("STORE_UNAVAILABLE", joined(told, UNAVAILABLE[state] ?? ""), { cause: refusal })
    : new TokenizerError("STORE_UNUSABLE", joined(told, advice), { cause: refusal });
}

function checkLogin({ message }: Refusal, { isGiven }: Place): string {
  if (isGiven) return "";
  if (/certificate/i.test(message)) {
    return "It wants a certificate of ours: set tokenizer.options.cert and tokenizer.options.key.";
  }
  if (/encryption|\bSSL\b|insecure/i.test(message)) {
    return "If it wants TLS, set tokenizer.options.ssl: true, or sslmode=require in tokenizer.url.";
  }
  return "Check tokenizer.username and tokenizer.password, or where they are from, and pg_hba.conf at the server.";
}

function checkDatabase(_: Refusal, { isGiven }: Place): string {
  return isGiven ? "" : "Check tokenizer.database, tokenizer.url or PGDATABASE.";
}

/** PgBouncer has one state for all: also for a server that it cannot reach, which passes. */
function poolersWord(refusal: Refusal, place: Place): string | undefined {
  if (refusal.isOfParameter) return "If a pooler or a proxy stands before PostgreSQL, have it pass this on.";
  if (/^no such database|^database .* does not exist/i.test(refusal.message)) return checkDatabase(refusal, place);
  return /authentication|password|no such user/i.test(refusal.message) ? checkLogin(refusal, place) : undefined;
}

/** Without its schema, it is looked for where that user's search_path says, and where that user may look. */
function missingTable(_: Refusal, { table }: Place): string {
  const schema = table.includes(".")
    ? ""
    : `. If that finds it there, name its schema: tokenizer.table: schema.${table}`;
  return `Make the table ${table}: npx express-tokenizer create-table${schema}`;
}

function otherTable(_: Refusal, { table }: Place): string {
  return `The table ${table} is somebody else's, or was changed. Name one of our own in tokenizer.table, and make it: npx express-tokenizer create-table`;
}

function explainFailure({ cause, wasConnected }: ConnectionFailure, { server, isGiven }: Place): TokenizerError {
  if (isGiven && /after calling end on the pool/.test(cause.message)) {
    const text = "The pool that is postgres.pool was ended. End it after sessions.close(), which needs it no more.";
    return new TokenizerError("STORE_UNUSABLE", text, { cause });
  }
  const unusable = isGiven ? undefined : whyUnusable(cause);
  if (unusable !== undefined) {
    return new TokenizerError("STORE_UNUSABLE", `PostgreSQL at ${server} cannot be used: ${unusable}`, { cause });
  }
  if (!wasConnected && !isGiven && /terminated unexpectedly/.test(cause.message)) {
    const text = `PostgreSQL at ${server} cannot be reached: the connection was ended while it was being made. Check tokenizer.host and tokenizer.port, or tokenizer.url: something else may answer there.`;
    return new TokenizerError("STORE_UNAVAILABLE", text, { cause });
  }
  const text = wasConnected
    ? `The connection to PostgreSQL at ${server} was lost: ${reasonOf(cause)}.`
    : `PostgreSQL at ${server} cannot be reached: ${reasonOf(cause)}.`;
  return new TokenizerError("STORE_UNAVAILABLE", text, { cause });
}

function whyUnusable(cause: Error): string | undefined {
  if (/does not support SSL/.test(cause.message)) {
    return "it does not speak TLS. Take away tokenizer.options.ssl, sslmode in tokenizer.url, or PGSSLMODE, if you trust the network.";
  }
  if (/password must be a(?: non-empty)? string/.test(cause.message)) {
    return "it asks for a password, and there is none. Set tokenizer.password, tokenizer.password_file or PGPASSWORD.";
  }
  if (/Unknown authentication/.test(cause.message))
    return "it asks for a way to sign in that the package pg does not know, such as GSS or SSPI. Allow a password in pg_hba.conf: scram-sha-256.";
  return explainTls(cause);
}

const joined = (text: string, advice: string): string => (advice === "" ? text : `${text} ${advice}`);
