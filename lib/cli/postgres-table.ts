/** What PostgreSQL knows of a table, and what of that is not as sessions need it. The application itself never asks for it. */
import type { PostgresBackendOptions } from "../backends/postgres/backend.js";
import { quoted, type Table, tableOf } from "../backends/postgres/table.js";
import type { TokenizerError } from "../errors.js";
import type { Io } from "./command.js";
import { type PostgresConnection, withPostgres } from "./postgres-connection.js";

/** Where it was looked for, and by whom. */
export interface Found {
  readonly user: string;
  readonly isSuperuser: boolean;
  readonly database: string;
  readonly encoding: string;
  /** Where a table goes that names no schema; null where there is none. */
  readonly currentSchema: string | null;
  /** Whether the schema that the table names is there; true where it names none. */
  readonly hasSchema: boolean;
  readonly table: FoundTable | null;
}

export interface FoundTable {
  readonly schema: string;
  readonly owner: string;
  /** As `pg_class.relkind` has it. */
  readonly kind: string;
  readonly isUnlogged: boolean;
  readonly isSecured: boolean;
  readonly columns: readonly Column[];
  readonly indexes: readonly Index[];
  /** Who has rights beside the owner; `PUBLIC` for everybody. */
  readonly grantees: readonly string[];
  /** Of the roles that requests to PostgREST run as, those that may read or change rows, by whatever way. */
  readonly apiRoles: readonly string[];
}

interface Column {
  readonly name: string;
  readonly type: string;
  /** Whether a row needs a value in it that nobody else gives. */
  readonly isNeeded: boolean;
  /** Whether texts that differ compare as equal. */
  readonly isLoose: boolean;
}

interface Index {
  readonly name: string;
  /** Of its keys in order; null for an expression. */
  readonly columns: readonly (string | null)[];
  /** Whether it holds every row, and is one that a conflict can be told by. */
  readonly isUnique: boolean;
  readonly isWhole: boolean;
  readonly isValid: boolean;
}

/** The roles of requests, as PostgREST's documentation and Supabase call them. */
const API_ROLES = ["anon", "authenticated"];

/** $1 the table in SQL, $2 its schema or an empty text. Before PostgreSQL 12 no collation was loose. */
const LOOK = `SELECT json_build_object(
  'user', current_user,
  'isSuperuser', (SELECT rolsuper FROM pg_roles WHERE rolname = current_user),
  'database', current_database(),
  'encoding', current_setting('server_encoding'),
  'currentSchema', current_schema(),
  'hasSchema', $2 = '' OR EXISTS (SELECT FROM pg_namespace WHERE nspname = $2),
  'table', (SELECT json_build_object(
    'schema', nspname,
    'owner', pg_get_userbyid(relowner),
    'kind', relkind,
    'isUnlogged', relpersistence = 'u',
    'isSecured', relrowsecurity,
    'columns', (SELECT coalesce(json_agg(json_build_object(
        'name', attname,
        'type', format_type(atttypid, atttypmod),
        'isNeeded', attnotnull AND NOT atthasdef AND attidentity = '',
        'isLoose', coalesce(to_jsonb(pg_collation)->>'collisdeterministic' = 'false', false)
      ) ORDER BY attnum), '[]')
      FROM pg_attribute LEFT JOIN pg_collation ON pg_collation.oid = attcollation
      WHERE attrelid = pg_class.oid AND attnum > 0 AND NOT attisdropped),
    'indexes', (SELECT coalesce(json_agg(json_build_object(
        'name', index.relname,
        'columns', (SELECT json_agg(attname ORDER BY place)
          FROM unnest(indkey) WITH ORDINALITY AS keys (number, place)
          LEFT JOIN pg_attribute ON attrelid = indrelid AND attnum = number AND number <> 0
          WHERE place <= indnkeyatts),
        'isUnique', indisunique AND indimmediate,
        'isWhole', indpred IS NULL,
        'isValid', indisvalid
      )), '[]')
      FROM pg_index JOIN pg_class AS index ON index.oid = indexrelid WHERE indrelid = pg_class.oid),
    'grantees', (SELECT coalesce(json_agg(DISTINCT CASE grantee WHEN 0 THEN 'PUBLIC' ELSE pg_get_userbyid(grantee) END), '[]')
      FROM aclexplode(relacl) WHERE grantee <> relowner),
    'apiRoles', (SELECT coalesce(json_agg(rolname ORDER BY rolname), '[]') FROM pg_roles
      WHERE rolname IN (${API_ROLES.map((role) => `'${role}'`).join(", ")})
      AND has_schema_privilege(pg_roles.oid, relnamespace, 'USAGE')
      AND has_table_privilege(pg_roles.oid, pg_class.oid, 'SELECT, INSERT, UPDATE, DELETE'))
  ) FROM pg_class JOIN pg_namespace ON pg_namespace.oid = relnamespace WHERE pg_class.oid = to_regclass($1))
)`;

/** @throws TokenizerError */
export async function lookAt(connection: PostgresConnection, { sql, name, schemaSql }: Table): Promise<Found> {
  const [schema = ""] = schemaSql === undefined ? [] : name.split(".");
  const [row] = await connection.ask(LOOK, [sql, schema]);
  return JSON.parse(row?.[0] ?? "{}");
}

const KINDS: Readonly<Record<string, string>> = {
  v: "a view",
  m: "a materialized view",
  f: "a foreign table",
  i: "an index",
  I: "an index",
  S: "a sequence",
  c: "a type",
};
const COLUMNS = { key: "text", version: "text", expires: "bigint", value: "text" };

/** Why sessions cannot be kept in it, each the end of a sentence about the table; none if they can. */
export function faultsOf({ kind, columns, indexes }: FoundTable): readonly string[] {
  const what = KINDS[kind];
  if (what !== undefined) return [`is ${what}, and no table`];
  const faults = Object.entries(COLUMNS).flatMap(([name, type]) => {
    const found = columns.find((column) => column.name === name);
    if (found?.type === type) return [];
    return found ? [`has the column ${name} of type ${found.type}, not ${type}`] : [`has no column ${name}`];
  });
  const needed = columns.filter(({ name, isNeeded }) => isNeeded && !Object.hasOwn(COLUMNS, name));
  faults.push(...needed.map(({ name }) => `has the column ${name}, which is NOT NULL and without a default`));
  if (faults.length > 0) return faults;
  if (columns.some(({ name, isLoose }) => name === "key" && isLoose))
    faults.push('compares keys by a collation that takes different ones for the same: key must be of COLLATE "C"');
  if (!indexes.some(isOnKeyAlone)) faults.push("has no primary key on key alone");
  return faults;
}

const isOnKeyAlone = ({ columns, isUnique, isWhole, isValid }: Index): boolean =>
  columns.join() === "key" && columns.length === 1 && isUnique && isWhole && isValid;

/** The index by which expired records are found, if there is one; it may be invalid. */
export function indexOnExpires({ indexes }: FoundTable): Index | undefined {
  const found = indexes.filter(({ columns: [first], isWhole }) => first === "expires" && isWhole);
  return found.find(({ isValid }) => isValid) ?? found[0];
}

/** Who else may read or change sessions, and how that is taken away; `undefined` where nobody is known. */
export function exposureOf({ grantees, apiRoles, isSecured }: FoundTable, table: Table): string | undefined {
  const everybody = grantees.includes("PUBLIC") ? ["PUBLIC"] : [];
  // Without a policy for them, they see no row.
  const roles = isSecured ? [] : apiRoles;
  if (everybody.length + roles.length === 0) return undefined;
  const who = [...everybody.map(() => "whoever signs in to the database (PUBLIC)"), ...roles.map(apiName)];
  const from = [...everybody, ...roles.map(quoted)].join(", ");
  return `The table ${table.name} is open to ${who.join(" and to ")}. Take that away: REVOKE ALL ON TABLE ${table.sql} FROM ${from};`;
}

/**
 * Who can get at sessions without need, as far as the settings' login may ask.
 *
 * @param timeout in milliseconds
 */
export async function accessWeaknesses(
  options: PostgresBackendOptions,
  io: Pick<Io, "env">,
  timeout: number,
): Promise<readonly string[]> {
  const table = tableOf(options.table);
  try {
    const { table: found, ...asker } = await withPostgres(options, io, timeout, (connection) =>
      lookAt(connection, table),
    );
    const exposure = found ? exposureOf(found, table) : undefined;
    return [...(exposure === undefined ? [] : [exposure]), ...(asker.isSuperuser ? [superuser(asker)] : [])];
  } catch (error) {
    return [`Who else may read the table ${table.name} could not be found out. ${(error as TokenizerError).message}`];
  }
}

const superuser = ({ user }: Pick<Found, "user">): string =>
  `The application signs in to PostgreSQL as ${user}, a superuser: whoever gets hold of its login has the whole server. Make it a user of its own: CREATE ROLE … LOGIN, and what this prints: npx express-tokenizer grants`;

const apiName = (role: string): string => `the role ${role} (the public API of Supabase, or another PostgREST)`;
