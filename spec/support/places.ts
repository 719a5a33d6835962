/** What holds on every backend: the same specs on each, on a place of its own. */
import { describe } from "@jest/globals";
import type { Backend } from "../../lib/backends/backend.js";
import { DynamodbBackend } from "../../lib/backends/dynamodb/backend.js";
import { LocalBackend } from "../../lib/backends/local/backend.js";
import { PostgresBackend } from "../../lib/backends/postgres/backend.js";
import { RedisBackend } from "../../lib/backends/redis/backend.js";
import type { SettingsInput } from "../../lib/settings/settings.js";
import { clientOf, isAmazons, makeTable, sharedDynamodb, switchTtlOn, WAY } from "./dynamodb-server.js";
import { lastingFolder } from "./lasting-folder.js";
import { withPostgres } from "./postgres-server.js";
import { isFull, startCluster, withRedis } from "./redis-server.js";
import { shared } from "./shared.js";

/** The section `tokenizer` that names a place. Processes may share it. Its `store_timeout` is more than a busy machine takes. */
export type Place = Partial<SettingsInput["tokenizer"]>;

const PATIENT = { store_timeout: 60 };

export interface Places {
  readonly name: string;
  /** Whose calls a spec counts, delays or lets fail. */
  readonly prototype: Backend;
  /** Leaves the specs out where the engine is not installed. */
  readonly describe: (name: string, define: () => void) => void;
  /** One with nothing in it. */
  next(): Promise<Place>;
}

const local: Places = {
  name: "local",
  prototype: LocalBackend.prototype,
  describe,
  async next() {
    return { type: "local", path: lastingFolder(), cloud: false, ...PATIENT };
  },
};

let prefixes = 0;
const redis: Places = {
  name: "redis",
  prototype: RedisBackend.prototype,
  describe: withRedis,
  async next() {
    const server = { host: "127.0.0.1", ...(await shared("redis")) };
    return { type: "redis", ...server, prefix: `place ${++prefixes}:`, ...PATIENT };
  },
};

/** Three masters, which end with the spec file. */
export const redisCluster: Places = {
  ...redis,
  name: "a Redis Cluster",
  async next() {
    const nodes = (await clusterServers()).map(({ address }) => address);
    return { type: "redis", prefix: `place ${++prefixes}:`, options: { cluster: true, nodes }, ...PATIENT };
  },
};
const clusterServers = once(() => startCluster(3));

const postgres: Places = {
  name: "postgres",
  prototype: PostgresBackend.prototype,
  describe: withPostgres,
  async next() {
    const { host, port, username, password, database, table } = await shared("postgres");
    return { type: "postgres", host, port, username, password, database, table, ...PATIENT };
  },
};

const dynamodb: Places = {
  name: "dynamodb",
  prototype: DynamodbBackend.prototype,
  describe,
  async next() {
    const endpoint = await sharedDynamodb();
    const client = await dynamodbClient();
    const table = await makeTable(client);
    await switchTtlOn(client, table);
    return { type: "dynamodb", ...WAY, endpoint, table, ...PATIENT };
  },
};
const dynamodbClient = once(async () => clientOf({ endpoint: await sharedDynamodb() }));

/** All four; DynamoDB alone, where the specs run on Amazon's own emulator. */
export const everyBackend: readonly Places[] = isAmazons ? [dynamodb] : [local, redis, postgres, dynamodb];

/** The same with every session sealed whole. */
export const sealedOnEveryBackend: readonly Places[] = everyBackend.map((places) => ({
  ...places,
  name: `${places.name}, sealed`,
  next: async () => ({ ...(await places.next()), encrypt: "session" }),
}));

/** Of those, one in an ordinary run, for specs that take a while: what seals is the same on all. */
export const sealedSomewhere: readonly Places[] = isFull ? sealedOnEveryBackend : sealedOnEveryBackend.slice(0, 1);

export function onEveryBackend(define: (places: Places) => void, backends = everyBackend): void {
  for (const places of backends) places.describe(`on ${places.name}`, () => define(places));
}

function once<T>(start: () => Promise<T>): () => Promise<T> {
  let started: Promise<T> | undefined;
  return () => {
    started ??= start();
    return started;
  };
}
