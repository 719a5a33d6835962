/** What `type: redis` has where the settings say nothing. */
import type { TokenizerSettings } from "./settings.js";

export const redisDefaults = { host: "localhost", port: 6379, database: 0, prefix: "tokenizer:" } as const;

/** Loading has filled them in; this says so to the compiler. */
export function withRedisDefaults(settings: TokenizerSettings) {
  const { database, ...given } = settings;
  const { host = redisDefaults.host, port = redisDefaults.port, prefix = redisDefaults.prefix } = given;
  return {
    ...given,
    host,
    port,
    prefix,
    database: typeof database === "number" ? database : redisDefaults.database,
  };
}
