/** What the application may give: a pool that it made, or a login. */
import { givenAmiss } from "../../errors.js";
import { nameOf } from "./address.js";

/** A pool of the package pg, version 8: what `new Pool()` answers. This names only what tells it from other things. */
export interface PostgresPool {
  /** How many connections there are. */
  readonly totalCount: number;
  /** Calls `callback` with a connection, which goes back by its method `release`, or with an error. */
  connect(
    callback: (error: Error | undefined, client: { release(destroy?: Error | boolean): void } | undefined) => void,
  ): void;
}

/** A login at PostgreSQL, good for one connection. */
export interface PostgresCredentials {
  /** The user's name. Default: the setting `username`, else `PGUSER`, else the system's user. */
  readonly username?: string | undefined;
  /** The password, or a token that stands for it. */
  readonly password: string;
}

/** What `tokenizer()` takes for PostgreSQL: one of these keys. */
export interface PostgresInCode {
  /**
   * Answers the login for one connection, at once or by promise: for tokens that expire, as those of IAM and Entra. It stands
   * in place of the setting `password`. If it throws, or does not answer within `store_timeout`, requests fail with 503.
   * Default: the settings' login.
   */
  readonly credentials?: (() => PostgresCredentials | Promise<PostgresCredentials>) | undefined;
  /**
   * A pool that you have already, in place of one of ours. You make and end it, and the settings of the connection are
   * ignored. Calls still end within `store_timeout`: the connection of one that does not is destroyed. Default: a pool of
   * ours, of up to 10 connections.
   */
  readonly pool?: PostgresPool | undefined;
}

/** @throws TokenizerError `SETTINGS_INVALID` for a pool that cannot be used, or stands beside a login */
export function checkGiven({ pool, credentials }: PostgresInCode): void {
  if (pool === undefined) return;
  const reason = whyNoPool(pool);
  if (reason !== undefined) throw givenAmiss("postgres.pool", reason);
  if (credentials !== undefined) {
    throw givenAmiss("postgres.credentials", "stands beside postgres.pool, which signs in by itself; keep one");
  }
}

type Things = Readonly<Record<string, unknown>>;

/** Why it cannot be used, if so. */
function whyNoPool(pool: unknown): string | undefined {
  const wanted = "a pool of the package pg: new Pool({ … })";
  const isThing = (typeof pool === "object" && pool !== null) || typeof pool === "function";
  const { connect, query, totalCount, then, begin, unsafe, $pool, $client } = (isThing ? pool : {}) as Things;
  if (typeof then === "function") return `is a promise; await it, and give ${wanted}`;
  if (typeof begin === "function" && typeof unsafe === "function") return `is of the package postgres; give ${wanted}`;
  if ($pool !== undefined) return "is pg-promise's database; give the pool in it, which is its $pool";
  if ($client !== undefined) return `is Drizzle's database; give its $client, if that is ${wanted}`;
  if (typeof connect === "function" && typeof query === "function" && totalCount === undefined) {
    return `is a single client, which serves one request at a time; give ${wanted}`;
  }
  return typeof connect === "function" && typeof totalCount === "number" ? undefined : `must be ${wanted}`;
}

/** Never with its login. */
export function serverOf(pool: PostgresPool): string {
  const { options = {} } = pool as { options?: { host?: string; port?: number; connectionString?: string } };
  const { host, port, connectionString: url } = options;
  if (url !== undefined && URL.canParse(url)) return new URL(url).host || "the server of postgres.pool";
  return host === undefined ? "the server of postgres.pool" : nameOf({ host, port: Number(port) || 5432 });
}
