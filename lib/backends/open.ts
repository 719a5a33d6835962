/** From the settings to the backend that they name. */
import { dirname } from "node:path";
import { givenAmiss } from "../errors.js";
import type { LoadedSettings } from "../settings/load.js";
import { withPostgresDefaults } from "../settings/postgres-defaults.js";
import { withRedisDefaults } from "../settings/redis-defaults.js";
import type { TokenizerSettings } from "../settings/settings.js";
import type { Backend, BackendContext } from "./backend.js";
import { DynamodbBackend } from "./dynamodb/backend.js";
import type { DynamodbClient, DynamodbInCode } from "./dynamodb/given-client.js";
import { LocalBackend } from "./local/backend.js";
import { MemoryBackend } from "./memory/backend.js";
import { ModuleBackend } from "./module/backend.js";
import type { ModulePlace } from "./module/factory.js";
import { PostgresBackend } from "./postgres/backend.js";
import type { PostgresCredentials, PostgresInCode, PostgresPool } from "./postgres/given-pool.js";
import { RedisBackend } from "./redis/backend.js";
import type { RedisClient, RedisCredentials, RedisInCode } from "./redis/given-client.js";

export type {
  DynamodbClient,
  DynamodbInCode,
  PostgresCredentials,
  PostgresInCode,
  PostgresPool,
  RedisClient,
  RedisCredentials,
  RedisInCode,
};

/**
 * What a settings file cannot hold: a client, or a function that answers a login. Part of `TokenizerOptions`. What is not for
 * the `type` of the settings is ignored; but if you give clients, one must be for that type, unless it is `memory`, which
 * tests put in its place. Else `tokenizer()` throws `SETTINGS_INVALID`.
 */
export interface BackendsInCode {
  /** With `type: redis`: a client or a login. Default: the settings say how to connect. */
  readonly redis?: RedisInCode | undefined;
  /** With `type: postgres`: a pool or a login. Default: the settings say how to connect. */
  readonly postgres?: PostgresInCode | undefined;
  /** With `type: dynamodb`: a client. Default: the settings say how to connect. */
  readonly dynamodb?: DynamodbInCode | undefined;
}

export interface BackendOptions {
  readonly inCode?: BackendsInCode | undefined;
  /** Whether a place that is missing is made, where the backend can do that. Default: yes. */
  readonly create?: boolean | undefined;
}

/**
 * Makes the backend; reaching it is its own `open`.
 *
 * @throws TokenizerError `SETTINGS_INVALID` for what is given in code and cannot be used
 */
export function makeBackend(
  settings: LoadedSettings,
  context: BackendContext,
  { inCode, create }: BackendOptions = {},
): Backend {
  const { tokenizer: section } = settings;
  refuseMisplaced(inCode);
  refuseClientOfOther(section.type, inCode);
  switch (section.type) {
    case "local":
      return new LocalBackend({ path: section.path, create }, context);
    case "memory":
      return new MemoryBackend(context);
    case "redis":
      return new RedisBackend({ ...withRedisDefaults(section), ...inCode?.redis }, context);
    case "postgres":
      return new PostgresBackend({ ...withPostgresDefaults(section), ...inCode?.postgres }, context);
    case "dynamodb":
      return new DynamodbBackend({ ...section, ...inCode?.dynamodb, table: section.table ?? "" }, context);
    case "module":
      return new ModuleBackend({ ...modulePlace(settings), options: { ...section.options } }, context);
  }
}

/** What may be given in code for each. */
const IN_CODE = new Map<keyof BackendsInCode, readonly string[]>([
  ["redis", ["client", "credentials"] satisfies (keyof RedisInCode)[]],
  ["postgres", ["pool", "credentials"] satisfies (keyof PostgresInCode)[]],
  ["dynamodb", ["client"] satisfies (keyof DynamodbInCode)[]],
]);

/** What a client has, or a pool, or a promise, that what holds one has not; redis's clients have no keys to see. */
const METHODS = ["send", "sendCommand", "connect", "then"];

/** Where a client itself stands in place of `{ client }`, the settings alone would say where sessions go, unnoticed. */
function refuseMisplaced(inCode: BackendsInCode = {}): void {
  for (const [type, keys] of IN_CODE) {
    const given: unknown = inCode[type] ?? {};
    const isOurs =
      typeof given === "object" &&
      given !== null &&
      !METHODS.some((method) => method in given) &&
      Object.keys(given).every((key) => keys.includes(key));
    if (!isOurs) throw givenAmiss(type, `must be ${keys.map((key) => `{ ${type}: { ${key} } }`).join(" or ")}`);
  }
}

/** Somebody who gives a client and leaves out the type would have sessions in a folder. */
function refuseClientOfOther(type: TokenizerSettings["type"], inCode: BackendsInCode = {}): void {
  const { redis, postgres, dynamodb } = inCode;
  const clients = { redis: redis?.client, postgres: postgres?.pool, dynamodb: dynamodb?.client };
  const given = Object.entries(clients).flatMap(([name, client]) => (client ? [name] : []));
  const [name] = given;
  if (name === undefined || type === "memory" || given.includes(type)) return;
  const what = name === "postgres" ? "pool" : "client";
  throw givenAmiss(
    `${name}.${what}`,
    `is for type: ${name}, and tokenizer.type is ${type}; set the type, or leave out the ${what}`,
  );
}

/** With `type: module`: where the module is. */
export function modulePlace({ tokenizer: { module = "" }, file }: LoadedSettings): ModulePlace {
  return { module, folder: file === undefined ? process.cwd() : dirname(file) };
}
