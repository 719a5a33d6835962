/** What the application may give: a client that it made, or a login. */
import { givenAmiss } from "../../errors.js";

/**
 * A client of the package redis, version 6: what `createClient()`, `createCluster()`, `createSentinel()` and
 * `createClientPool()` answer. This names only what tells it from other clients.
 */
export interface RedisClient {
  /** Whether it is connected, or connecting. */
  readonly isOpen: boolean;
  /** Sends a command to Redis; `args` are the client's own. */
  sendCommand(...args: never[]): Promise<unknown>;
}

/** A login at Redis, good for one connection. */
export interface RedisCredentials {
  /** The user's name. Default: the setting `username`, else the server's default user. */
  readonly username?: string | undefined;
  /** The password, or a token that stands for it. */
  readonly password: string;
}

/** What `tokenizer()` takes for Redis: one of these keys. */
export interface RedisInCode {
  /**
   * Answers the login for one connection, at once or by promise: for tokens that expire, as those of IAM and Entra. It stands
   * in place of the setting `password`. If it throws, or does not answer within `store_timeout`, a warning says so, and
   * requests fail with 503. Default: the settings' login.
   */
  readonly credentials?: (() => RedisCredentials | Promise<RedisCredentials>) | undefined;
  /**
   * A client that you have already, in place of a connection of ours. You connect and close it, and the settings of the
   * connection are ignored. Calls still end within `store_timeout`. Default: a connection of ours.
   */
  readonly client?: RedisClient | undefined;
}

/** What is used of it beside that, as far as the kind of client has it. */
export interface AnyClient extends RedisClient {
  readonly isReady?: boolean;
  /** Another number for each connection. */
  readonly socketEpoch?: number;
  readonly options?: {
    readonly url?: string;
    readonly socket?: { readonly host?: string; readonly port?: number; readonly path?: string };
  };
  readonly slots?: readonly ({ readonly master: Master } | undefined)[];
  nodeClient?(master: Master): Promise<AnyClient>;
  getMasterNode?(): { readonly host: string; readonly port: number } | undefined;
  on?(event: "error", listener: (error: Error) => void): unknown;
  off?(event: "error", listener: (error: Error) => void): unknown;
}

/** One server of a Cluster, as the package knows it. */
export interface Master {
  readonly id: string;
  readonly address: string;
}

/** @throws TokenizerError `SETTINGS_INVALID` for a client that cannot be used, or stands beside a login */
export function checkGiven({ client, credentials }: RedisInCode): void {
  if (client === undefined) return;
  const reason = whyNoClient(client);
  if (reason !== undefined) throw givenAmiss("redis.client", reason);
  if (credentials !== undefined) {
    throw givenAmiss("redis.credentials", "stands beside redis.client, which signs in by itself; keep one");
  }
}

/** Why it cannot be used, if so. */
function whyNoClient(client: unknown): string | undefined {
  const { isOpen, sendCommand, status, options, then } = (client ?? {}) as Record<string, unknown>;
  const wanted = "one of the package redis, made by createClient(), createCluster() or createSentinel()";
  if (typeof then === "function") return `is a promise, as connect() answers; await it, and give ${wanted}`;
  if (typeof status === "string" && isOpen === undefined) return `is a client of ioredis; give ${wanted}`;
  if ((options as { legacyMode?: unknown } | undefined)?.legacyMode) return "is in legacyMode; give one without";
  return typeof isOpen === "boolean" && typeof sendCommand === "function" ? undefined : `must be ${wanted}`;
}
