/** Which settings are read with which `type`. */
import type { TokenizerSettings } from "./settings.js";

/** Where a server is, and how to sign in. */
const SERVER = ["url", "host", "port", "username", "password", "password_file", "database", "options"] as const;

/** What is read with one type alone, or with some. All other settings are for every type. */
const SETTINGS_OF: Readonly<Record<TokenizerSettings["type"], readonly (keyof TokenizerSettings)[]>> = {
  local: ["path"],
  memory: [],
  redis: [...SERVER, "prefix"],
  postgres: [...SERVER, "table"],
  dynamodb: [
    "table",
    "aws_region_name",
    "profile_name",
    "aws_access_key",
    "aws_secret_key",
    "aws_session_token",
    "endpoint",
  ],
  module: ["module", "options"],
};
const TYPES = Object.keys(SETTINGS_OF) as TokenizerSettings["type"][];

/** The types that a setting is for, where that is not all of them. */
export function typesOf(key: string): readonly TokenizerSettings["type"][] {
  const types = TYPES.filter((type) => SETTINGS_OF[type].some((name) => name === key));
  return types.length === 0 ? TYPES : types;
}

/** Says why a setting of another type changes nothing. */
export function whyUnused(key: string, type: string): string {
  return `is for type: ${inWords(typesOf(key))}; with type: ${type} it changes nothing: take it away`;
}

/** `redis, postgres or module` */
function inWords(types: readonly string[]): string {
  return types.join(", ").replace(/, ([^,]*)$/, " or $1");
}
