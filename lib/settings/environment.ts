/** Reads the settings that the environment holds: `TOKENIZER_` and the key in capitals. */
import { misspelt } from "./nearest.js";
import { settingSections } from "./schema.js";
import { schemaWith } from "./schema-types.js";
import type { SettingSchema } from "./schema-words.js";
import { readSecretFile } from "./secret-file.js";
import { isServiceLink, serviceLinkWarning } from "./service-links.js";
import { typesOf } from "./value-advice.js";

/** One variable that is set, and the setting that it stands for. */
export interface Reading {
  readonly variable: string;
  /** `["tokenizer", "cookie", "path"]`. */
  readonly at: readonly string[];
  /** Read by the schema's type; a text that does not fit stays a text, for the check to refuse. */
  readonly value?: unknown;
  /** Why there is no value. */
  readonly fault?: string;
}

interface Variable {
  readonly at: readonly string[];
  readonly schema: SettingSchema;
  /** With `…_FILE`: the variable that would hold the secret itself. */
  readonly fileOf?: string;
}

const PREFIX = "TOKENIZER_";
const NUMBER = /^[+-]?(?:\d+\.?\d*|\.\d+)(?:e[+-]?\d+)?$/i;

const TYPE_VARIABLE = `${PREFIX}TYPE`;

/** Names the settings file. */
export const FILE_VARIABLE = `${PREFIX}SETTINGS`;

const VARIABLES: ReadonlyMap<string, Variable> = nameVariables();

/**
 * The variables that are set, in the order of the schema. An empty one counts as not set.
 *
 * @param typeOfFile what the file says as `type`: some keys are read by it
 */
export function readEnvironment(env: NodeJS.ProcessEnv, typeOfFile?: unknown): readonly Reading[] {
  const type = env[TYPE_VARIABLE]?.trim() || typeOfFile;
  const readings: Reading[] = [];
  for (const [variable, { at, schema: usual, fileOf }] of VARIABLES) {
    const text = env[variable];
    if (!text || isServiceLink(variable, text)) continue;
    const [, key = "", below] = at;
    const schema = (below === undefined ? schemaWith(type, key) : undefined) ?? usual;
    const read =
      fileOf === undefined ? readText(text, schema) : readFile(text, schema, env[fileOf] ? fileOf : undefined);
    readings.push({ variable, at, ...read });
  }
  return readings;
}

/** The variables that can set a key, in place of the file. */
export function variablesFor(at: readonly string[]): readonly string[] {
  return [...VARIABLES].filter(([, variable]) => variable.at.join() === at.join()).map(([name]) => name);
}

/** One warning for each variable that looks like ours and is not, and one for all that Kubernetes sets. */
export function foreignVariables(env: NodeJS.ProcessEnv): readonly string[] {
  const known = [...VARIABLES.keys(), FILE_VARIABLE];
  const set = Object.keys(env).filter((variable) => variable.startsWith(PREFIX) && env[variable]);
  const links = set.filter((variable) => isServiceLink(variable, env[variable] ?? ""));
  const unknown = set.filter((variable) => !known.includes(variable) && !links.includes(variable));
  return [...unknown.map((variable) => unknownWarning(variable, known)), ...serviceLinkWarning(links)];
}

function unknownWarning(variable: string, known: readonly string[]): string {
  // Of what they all begin with, nothing can be misspelt.
  const meant = misspelt(withoutPrefix(variable), known.map(withoutPrefix));
  return `${variable} is not a setting and changes nothing${meant === undefined ? "" : `; did you mean ${PREFIX}${meant}?`}`;
}

function withoutPrefix(variable: string): string {
  return variable.slice(PREFIX.length);
}

function nameVariables(): ReadonlyMap<string, Variable> {
  const variables = new Map<string, Variable>();
  for (const [section, keys] of Object.entries(settingSections)) {
    for (const [key, schema] of Object.entries(keys)) {
      if (schema.type === "object" || schema.type === "array") continue;
      const at = [...section.split("."), key];
      const variable = PREFIX + at.slice(1).join("_").toUpperCase();
      variables.set(variable, { at, schema });
      // `password_file` is a setting of its own.
      if (schema.writeOnly && !Object.hasOwn(keys, `${key}_file`)) {
        variables.set(`${variable}_FILE`, { at, schema, fileOf: variable });
      }
    }
  }
  const ssl = variables.get(`${PREFIX}OPTIONS_SSL`);
  return ssl === undefined ? variables : variables.set(`${PREFIX}SSL`, ssl);
}

type Read = Pick<Reading, "value" | "fault">;

/** @param beside the variable that holds the same secret, if that is set, too */
function readFile(name: string, schema: SettingSchema, beside: string | undefined): Read {
  if (beside !== undefined) return { fault: `stands beside ${beside}; keep one of them` };
  const read = readSecretFile(name);
  return "fault" in read ? read : readText(read.text, schema);
}

function readText(text: string, schema: SettingSchema): Read {
  const word = text.trim();
  if (schema.enum !== undefined) return { value: schema.enum.find((allowed) => String(allowed) === word) ?? text };
  if (schema.type === "boolean") return { value: word === "true" ? true : word === "false" ? false : text };
  const types = typesOf(schema);
  if (types.includes("number") || types.includes("integer")) return { value: NUMBER.test(word) ? Number(word) : text };
  return types.includes("array") ? readTexts(text) : { value: text };
}

/** A text, or a list of them as JSON: there is no other way to write one in a variable. */
function readTexts(text: string): Read {
  if (/^\s*(["'])\s*\[.*\]\s*\1\s*$/s.test(text)) {
    return { fault: "looks like a list in quotes, which count here: take away the quotes around it" };
  }
  if (!/^\s*\[.*\]\s*$/s.test(text)) return { value: text };
  try {
    return { value: JSON.parse(text) };
  } catch {
    return { fault: 'looks like a list, but is not JSON: write it as in ["the new one", "the old one"]' };
  }
}
