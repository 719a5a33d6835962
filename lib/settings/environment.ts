/** Reads the settings that the environment holds: `TOKENIZER_` and the key in capitals. */
import { misspelt } from "./nearest.js";
import { type SettingSchema, settingSections } from "./settings.js";

/** One variable that is set, and the setting that it stands for. */
export interface Reading {
  readonly variable: string;
  /** `["tokenizer", "cookie", "path"]`. */
  readonly at: readonly string[];
  /** Read by the schema's type; a text that does not fit stays a text, for the check to refuse. */
  readonly value: unknown;
}

interface Variable {
  readonly at: readonly string[];
  readonly schema: SettingSchema;
}

const PREFIX = "TOKENIZER_";
const NUMBER = /^[+-]?(?:\d+\.?\d*|\.\d+)(?:e[+-]?\d+)?$/i;

/** Names the settings file. */
export const FILE_VARIABLE = `${PREFIX}SETTINGS`;

const VARIABLES: ReadonlyMap<string, Variable> = nameVariables();

/** The variables that are set, in the order of the schema. An empty one counts as not set. */
export function readEnvironment(env: NodeJS.ProcessEnv): readonly Reading[] {
  const readings: Reading[] = [];
  for (const [variable, { at, schema }] of VARIABLES) {
    const text = env[variable];
    if (text) {
      readings.push({ variable, at, value: readText(text, schema) });
    }
  }
  return readings;
}

/** One warning for each variable that looks like ours and is not. */
export function unknownVariables(env: NodeJS.ProcessEnv): readonly string[] {
  const known = [...VARIABLES.keys(), FILE_VARIABLE];
  // Of what they all begin with, nothing can be misspelt.
  const names = known.map(withoutPrefix);
  return Object.keys(env)
    .filter((variable) => variable.startsWith(PREFIX) && env[variable] && !known.includes(variable))
    .map((variable) => {
      const meant = misspelt(withoutPrefix(variable), names);
      return `${variable} is not a setting and changes nothing${meant === undefined ? "" : `; did you mean ${PREFIX}${meant}?`}`;
    });
}

function withoutPrefix(variable: string): string {
  return variable.slice(PREFIX.length);
}

function nameVariables(): ReadonlyMap<string, Variable> {
  const variables = new Map<string, Variable>();
  for (const [section, keys] of Object.entries(settingSections)) {
    for (const [key, schema] of Object.entries(keys)) {
      if (schema.type !== "object" && schema.type !== "array") {
        const at = [...section.split("."), key];
        variables.set(PREFIX + at.slice(1).join("_").toUpperCase(), { at, schema });
      }
    }
  }
  const ssl = variables.get(`${PREFIX}OPTIONS_SSL`);
  return ssl === undefined ? variables : variables.set(`${PREFIX}SSL`, ssl);
}

function readText(text: string, schema: SettingSchema): unknown {
  const word = text.trim();
  if (schema.enum !== undefined) {
    return schema.enum.find((allowed) => String(allowed) === word) ?? text;
  }
  if (schema.type === "boolean") {
    return word === "true" ? true : word === "false" ? false : text;
  }
  if (schema.type === "number" || schema.type === "integer") {
    return NUMBER.test(word) ? Number(word) : text;
  }
  return text;
}
