/** What a client that the application made must be. */

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

/**
 * Looks at what was given.
 *
 * @returns why it cannot be used, if so
 */
export function whyNoClient(client: unknown): string | undefined {
  const { isOpen, sendCommand, status, options, then } = (client ?? {}) as Record<string, unknown>;
  const wanted = "one of the package redis, made by createClient(), createCluster() or createSentinel()";
  if (typeof then === "function") return `is a promise, as connect() answers; await it, and give ${wanted}`;
  if (typeof status === "string" && isOpen === undefined) return `is a client of ioredis; give ${wanted}`;
  if ((options as { legacyMode?: unknown } | undefined)?.legacyMode) return "is in legacyMode; give one without";
  return typeof isOpen === "boolean" && typeof sendCommand === "function" ? undefined : `must be ${wanted}`;
}
