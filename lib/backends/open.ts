/** From the settings to the backend that they name. */
import { dirname } from "node:path";
import { givenAmiss, TokenizerError } from "../errors.js";
import type { LoadedSettings } from "../settings/load.js";
import { withRedisDefaults } from "../settings/redis-defaults.js";
import type { TokenizerSettings } from "../settings/settings.js";
import type { Backend, BackendContext } from "./backend.js";
import { DynamodbBackend } from "./dynamodb/backend.js";
import type { DynamodbClient, DynamodbInCode } from "./dynamodb/given-client.js";
import { LocalBackend } from "./local/backend.js";
import { MemoryBackend } from "./memory/backend.js";
import { ModuleBackend } from "./module/backend.js";
import type { ModulePlace } from "./module/factory.js";
import { RedisBackend } from "./redis/backend.js";
import type { RedisClient, RedisCredentials, RedisInCode } from "./redis/given-client.js";

export type { DynamodbClient, DynamodbInCode, RedisClient, RedisCredentials, RedisInCode };

/**
 * What a settings file cannot hold: a client, or a function that answers a login. Part of `TokenizerOptions`. What is not for
 * the `type` of the settings is ignored; but if you give clients, one must be for that type, unless it is `memory`, which
 * tests put in its place. Else `tokenizer()` throws `SETTINGS_INVALID`.
 */
export interface BackendsInCode {
  /** With `type: redis`: a client or a login. Default: the settings say how to connect. */
  readonly redis?: RedisInCode | undefined;
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
      throw new TokenizerError("STORE_UNUSABLE", "type: postgres is not built yet.");
    case "dynamodb":
      return new DynamodbBackend({ ...section, ...inCode?.dynamodb, table: section.table ?? "" }, context);
    case "module":
      return new ModuleBackend({ ...modulePlace(settings), options: { ...section.options } }, context);
  }
}

/** What may be given in code for each. */
const IN_CODE = new Map<keyof BackendsInCode, readonly string[]>([
  ["redis", ["client", "credentials"] satisfies (keyof RedisInCode)[]],
  ["dynamodb", ["client"] satisfies (keyof DynamodbInCode)[]],
]);

/** What a client has, or a promise of one, that what holds a client has not; redis's clients have no keys to see. */
const METHODS = ["send", "sendCommand", "then"];

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
function refuseClientOfOther(type: TokenizerSettings["type"], { redis, dynamodb }: BackendsInCode = {}): void {
  const given = Object.entries({ redis, dynamodb }).flatMap(([name, { client } = {}]) => (client ? [name] : []));
  const [name] = given;
  if (name === undefined || type === "memory" || given.includes(type)) return;
  throw givenAmiss(
    `${name}.client`,
    `is for type: ${name}, and tokenizer.type is ${type}; set the type, or leave out the client`,
  );
}

/** With `type: module`: where the module is. */
export function modulePlace({ tokenizer: { module = "" }, file }: LoadedSettings): ModulePlace {
  return { module, folder: file === undefined ? process.cwd() : dirname(file) };
}
