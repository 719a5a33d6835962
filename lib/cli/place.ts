/** Where the sessions are, as a person would say it. No secret is in it. */
import { type Endpoint, findEndpoint, findRegion, isHttpUrl } from "../backends/dynamodb/endpoint.js";
import { hasDatabase } from "../backends/local/folder.js";
import { fileOf, type ModulePlace } from "../backends/module/factory.js";
import { modulePlace } from "../backends/open.js";
import { addressOf, nameOf as nameOfPostgres } from "../backends/postgres/address.js";
import { nameOf } from "../backends/redis/address.js";
import { TokenizerError } from "../errors.js";
import type { LoadedSettings } from "../settings/load.js";
import { withPostgresDefaults } from "../settings/postgres-defaults.js";
import { withRedisDefaults } from "../settings/redis-defaults.js";
import type { RedisOptions, TokenizerSettings } from "../settings/settings.js";

export function placeOf(settings: LoadedSettings, env: NodeJS.ProcessEnv): string {
  const { tokenizer: section } = settings;
  switch (section.type) {
    case "local":
      return `the folder ${section.path}${hasDatabase(section.path) ? "" : ", without sessions so far"}`;
    case "memory":
      return "the memory of the application's process";
    case "redis":
      return redisPlace(section);
    case "postgres":
      return postgresPlace(section, env);
    case "dynamodb":
      return dynamodbPlace(section, env);
    case "module":
      return moduleName(modulePlace(settings));
  }
}

/** `host:port`, as in `options.nodes`, or a socket's path. */
export function redisServers(settings: TokenizerSettings): readonly string[] {
  const { host, port, options } = withRedisDefaults(settings);
  const { nodes } = (options ?? {}) as RedisOptions;
  return nodes ?? [nameOf({ host, port })];
}

function moduleName(place: ModulePlace): string {
  const file = fileOf(place);
  return `the backend of ${file ?? `the package ${place.module}`}`;
}

function redisPlace(settings: TokenizerSettings): string {
  const { database, prefix, options } = withRedisDefaults(settings);
  const { sentinel, cluster } = (options ?? {}) as RedisOptions;
  const servers = redisServers(settings).join(", ");
  const what = cluster
    ? "the Redis Cluster of"
    : sentinel
      ? `the master ${sentinel} that Sentinels name, at`
      : "Redis at";
  return `${what} ${servers}, ${database === 0 ? "" : `database ${database}, `}keys beginning with ${prefix}`;
}

function postgresPlace(settings: TokenizerSettings, env: NodeJS.ProcessEnv): string {
  const place = postgresAddress(settings, env);
  if (place instanceof TokenizerError) return `PostgreSQL, but ${place.message.replace(/[.]$/, "")}`;
  const { host, port, database } = settings;
  const at = whose(env, { PGHOST: host, PGPORT: port });
  const of = whose(env, { PGDATABASE: database });
  return `PostgreSQL at ${nameOfPostgres(place)}${at}, database ${place.database}${of}, table ${settings.table}`;
}

/** The variables that say it, as the settings beside them do not. */
function whose(env: NodeJS.ProcessEnv, settings: Record<string, unknown>): string {
  const names = Object.keys(settings).filter((name) => settings[name] === undefined && env[name]);
  return names.length === 0 ? "" : ` (${names.join(", ")})`;
}

/** Or why that is not known: the environment says what cannot be used. */
export function postgresAddress(settings: TokenizerSettings, env: NodeJS.ProcessEnv) {
  try {
    return addressOf(withPostgresDefaults(settings), env);
  } catch (error) {
    if (error instanceof TokenizerError) return error;
    throw error;
  }
}

function dynamodbPlace(settings: TokenizerSettings, env: NodeJS.ProcessEnv): string {
  const { table } = settings;
  const region = findRegion(settings, env)?.name ?? "the profile's region";
  const endpoint = findEndpoint(settings, env);
  const at = endpoint === undefined ? "" : `, by way of ${withoutLogin(endpoint)}`;
  return `the DynamoDB table ${table} in ${region}${at}`;
}

function withoutLogin({ url, setBy }: Endpoint): string {
  if (!isHttpUrl(url)) return `${setBy}, which is no URL`;
  return `${new URL(url).origin}${setBy.startsWith("AWS_") ? ` (${setBy})` : ""}`;
}
