/** What `type: postgres` has where the settings say nothing. The rest the environment says, which its backend reads. */
import type { TokenizerSettings } from "./settings.js";

export const postgresDefaults = { table: "tokenizer_records" } as const;

/** Loading has filled them in, and has refused a number of a database; this says so to the compiler. */
export function withPostgresDefaults(settings: TokenizerSettings) {
  const { database, table = postgresDefaults.table, ...given } = settings;
  return { ...given, table, database: typeof database === "string" ? database : undefined };
}
