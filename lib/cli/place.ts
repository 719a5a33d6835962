/** Where the sessions are, as a person would say it. No secret is in it. */
import { resolve } from "node:path";
import type { RedisOptions, TokenizerSettings } from "../settings/settings.js";

export function placeOf(settings: TokenizerSettings, env: NodeJS.ProcessEnv): string {
  const { type, path, module } = settings;
  if (type === "local") return `the folder ${resolve(path)}`;
  if (type === "redis") return redisPlace(settings);
  return type === "dynamodb" ? dynamodbPlace(settings, env) : `the module ${module}`;
}

/** `host:port`, as in `options.nodes`. */
export function redisServers({ host, port, options }: TokenizerSettings): readonly string[] {
  const { nodes } = (options ?? {}) as RedisOptions;
  return nodes ?? [`${host.includes(":") ? `[${host}]` : host}:${port}`];
}

function redisPlace(settings: TokenizerSettings): string {
  const { database, prefix, options } = settings;
  const { sentinel, cluster } = (options ?? {}) as RedisOptions;
  const servers = redisServers(settings).join(", ");
  const what = cluster
    ? "the Redis Cluster of"
    : sentinel
      ? `the master ${sentinel} that Sentinels name, at`
      : "Redis at";
  return `${what} ${servers}, ${database === 0 ? "" : `database ${database}, `}keys beginning with ${prefix}`;
}

function dynamodbPlace(settings: TokenizerSettings, env: NodeJS.ProcessEnv): string {
  const { table, aws_region_name, endpoint } = settings;
  const region = aws_region_name ?? (env.AWS_REGION || env.AWS_DEFAULT_REGION || "the profile's region");
  const at = endpoint === undefined ? "" : `, by way of ${withoutLogin(endpoint)}`;
  return `the DynamoDB table ${table} in ${region}${at}`;
}

function withoutLogin(url: string): string {
  return URL.canParse(url) ? new URL(url).origin : "an endpoint that is no URL";
}
