/** Where PostgreSQL is: what the settings say, else what the environment says to every client of it, else the usual place. */
import { userInfo } from "node:os";
import { TokenizerError } from "../../errors.js";
import type { PostgresOptions } from "../../settings/settings.js";

export interface Address {
  /** A name, an IP address, or, beginning with `/`, the folder of a Unix socket. */
  readonly host: string;
  /** Of a socket, too: it is in the socket's name. */
  readonly port: number;
}

/** Which database it is, and who asks. */
export interface Place extends Address {
  readonly username: string;
  readonly database: string;
}

export interface PlaceSettings {
  readonly host?: string | undefined;
  readonly port?: number | undefined;
  readonly username?: string | undefined;
  readonly database?: string | undefined;
}

const DEFAULT_PORT = 5432;
const MOST_PORT = 65_535;

/**
 * What a connection is made with. A variable that is empty counts as not set.
 *
 * @throws TokenizerError `STORE_UNUSABLE` where `PGPORT` is no port, `PGHOST` names several servers, or nobody says which user
 *   it is
 */
export function addressOf(settings: PlaceSettings, env: NodeJS.ProcessEnv = process.env): Place {
  const username = settings.username ?? (env.PGUSER || userOfSystem(env));
  return {
    host: settings.host ?? hostOf(env),
    port: settings.port ?? portOf(env),
    username,
    database: settings.database ?? (env.PGDATABASE || username),
  };
}

const VERIFIED = ["require", "verify-ca", "verify-full"];

/**
 * Whether it is TLS: as the settings say, else `PGSSLMODE`, which sockets pass over.
 *
 * @throws TokenizerError `STORE_UNUSABLE` for a mode that would go on without it
 */
export function tlsOf(host: string, options: PostgresOptions, { PGSSLMODE: mode } = process.env): PostgresOptions {
  if (options.ssl !== undefined || host.startsWith("/") || !mode || mode === "disable") return options;
  if (VERIFIED.includes(mode)) return { ...options, ssl: true };
  if (mode === "no-verify") return { ...options, ssl: true, verify: false };
  throw unusable(
    `PGSSLMODE is ${mode}, which promises nothing: make it require or disable, or set tokenizer.options.ssl`,
  );
}

/** `host:port`, or the socket's path. */
export function nameOf({ host, port }: Address): string {
  if (host.startsWith("/")) return `${host.replace(/\/+$/, "")}/.s.PGSQL.${port}`;
  return `${host.includes(":") ? `[${host}]` : host}:${port}`;
}

function hostOf({ PGHOST: host }: NodeJS.ProcessEnv): string {
  if (!host) return "localhost";
  if (host.includes(",")) throw unusable("PGHOST names several servers: name the one that always leads to the primary");
  return host;
}

function portOf({ PGPORT: text }: NodeJS.ProcessEnv): number {
  if (!text) return DEFAULT_PORT;
  const port = Number(text);
  if (/^\s*\d+\s*$/.test(text) && port >= 1 && port <= MOST_PORT) return port;
  throw unusable(`PGPORT is no port, which is a number from 1 to ${MOST_PORT}`);
}

/** In a container, the number of the user may have no name. */
function userOfSystem({ USER, USERNAME }: NodeJS.ProcessEnv): string {
  try {
    return userInfo().username;
  } catch {
    const name = USER || USERNAME;
    if (name) return name;
    throw unusable("PGUSER is not set, nor is tokenizer.username, and the system has no name for this process's user");
  }
}

function unusable(fault: string): TokenizerError {
  return new TokenizerError("STORE_UNUSABLE", `${fault}.`);
}
