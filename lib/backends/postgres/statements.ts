/** What is asked of PostgreSQL: one statement a call, each one atomic, all of them the same text for all calls. */
import { createHash } from "node:crypto";
import type { Table } from "./table.js";

/** A statement that a connection prepares when it meets it first. */
export interface Statement {
  readonly text: string;
  /**
   * Made from the text: a pooler between may have prepared it for somebody else, who then meant the same. Missing: not
   * prepared.
   */
  readonly name?: string;
  /** Whether the first column of the first row says if the server takes writes: `on` if not. */
  readonly saysReadOnly?: boolean;
}

/** Records in one page of a listing: its values are in memory together. */
const PAGE = 64;
/** Expired records dropped in one step. */
export const PRUNE_STEP = 500;

/** The last moment that a Date can hold. */
export const END_OF_TIME = 8.64e15;
/** A column that is too small for it is found when the statement is planned. */
const LATEST = `${END_OF_TIME}::bigint`;

/** Pgpool-II, which may stand before PostgreSQL, asks replicas what looks like a read, unless it is told this first. */
const HERE = "/*NO LOAD BALANCE*/";

export type Statements = ReturnType<typeof statementsOf>;

export function statementsOf({ sql }: Table) {
  const put = `INSERT INTO ${sql} AS stored (key, version, expires, value) VALUES ($1, $2, $3, $4)
    ON CONFLICT (key) DO UPDATE SET version = excluded.version, expires = excluded.expires, value = excluded.value`;
  return {
    /**
     * $1 the table. Needs every right and column that the others need, and changes nothing. Answers the server's time in
     * milliseconds, its encoding, whether it acknowledges what could still be lost, whether a crash empties the table, whether
     * policies hide rows of it, and whether an index finds what has expired.
     */
    attempt: {
      text: `WITH
        replaced AS (UPDATE ${sql} SET version = ''::text, expires = ${LATEST}, value = ''::text WHERE false),
        added AS (INSERT INTO ${sql} AS stored (key, version, expires, value) SELECT ''::text, ''::text, ${LATEST}, ''::text
          WHERE false ON CONFLICT (key) DO UPDATE SET value = excluded.value WHERE stored.expires <= 0),
        removed AS (DELETE FROM ${sql} WHERE false RETURNING key, version, expires, value)
      SELECT (extract(epoch FROM clock_timestamp()) * 1000)::text, current_setting('server_encoding'),
        (current_setting('synchronous_commit') = 'off')::text, (relpersistence = 'u')::text,
        row_security_active(pg_class.oid)::text, EXISTS (
          SELECT FROM pg_index JOIN pg_attribute ON attrelid = indrelid AND attnum = indkey[0]
          WHERE indrelid = pg_class.oid AND attname = 'expires' AND indisvalid)::text
      FROM pg_class LEFT JOIN removed ON true WHERE oid = $1::regclass`,
    },

    /** $1 key. Always one row: whether the server takes no writes, and the record, or nulls. */
    read: {
      ...prepared(`${HERE} SELECT current_setting('transaction_read_only'), version, expires::text, value
        FROM (VALUES (1)) AS one LEFT JOIN ${sql} ON key = $1`),
      saysReadOnly: true,
    },

    /** $1 key, $2 version, $3 expires, $4 value, $5 the time. A retry that meets its own first try finds its version. */
    add: prepared(`${put} WHERE stored.expires <= $5 OR stored.version = excluded.version`),

    /** $1 key, $2 version, $3 expires, $4 value. */
    put: prepared(put),

    /** $1 key, $2 version, $3 expires, $4 value, $5 the time, $6 the version expected. */
    replace: prepared(`UPDATE ${sql} SET version = $2, expires = $3, value = $4
      WHERE key = $1 AND expires > $5 AND version IN ($6, $2)`),

    /** $1 key, $2 expires, $3 version, $4 the time. */
    touch: prepared(`UPDATE ${sql} SET expires = greatest(expires, $2)
      WHERE key = $1 AND version = $3 AND expires > $4`),

    /** $1 key. Answers when it would have ended. */
    remove: prepared(`DELETE FROM ${sql} WHERE key = $1 RETURNING expires::text`),

    /**
     * $1 the last key of the page before, $2 the time. At least one row: whether the server takes no writes, and a record, or
     * nulls. Expired ones are answered without a value.
     */
    page: {
      ...prepared(`${HERE} SELECT current_setting('transaction_read_only'), key, version, expires::text, value
        FROM (VALUES (1)) AS one LEFT JOIN (
          SELECT key, version, expires, CASE WHEN expires > $2 THEN value END AS value
          FROM ${sql} WHERE key > $1 ORDER BY key LIMIT ${PAGE}) AS page ON true ORDER BY key`),
      saysReadOnly: true,
    },

    /** $1 the time. What another process is dropping is passed over. */
    prune: prepared(`DELETE FROM ${sql} WHERE expires <= $1 AND key = ANY (ARRAY(
      SELECT key FROM ${sql} WHERE expires <= $1 ORDER BY expires LIMIT ${PRUNE_STEP} FOR UPDATE SKIP LOCKED))`),
  };
}

function prepared(text: string): Statement {
  return { text, name: `tokenizer_${createHash("sha256").update(text).digest("hex").slice(0, 32)}` };
}
