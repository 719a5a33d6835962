/** Words for what is wrong: where, what was found (never a secret's value), and what is allowed. */
import type { ErrorObject } from "ajv";
import { type SettingsFault, TokenizerError } from "../errors.js";
import { quoted } from "../visible.js";
import { whereElse } from "./elsewhere.js";
import { didYouMean, misspelt } from "./nearest.js";
import { settingSections } from "./schema.js";
import type { SettingSchema } from "./schema-words.js";
import { adviceOn, typesOf } from "./value-advice.js";

/** Keys and indexes from the top of the settings. */
export type Path = readonly (string | number)[];

/** A fault whose place is not yet written out. */
export interface Finding {
  readonly at: Path;
  readonly message: string;
}

/** Where the settings came from, as far as faults name it. */
export interface Origin {
  /** The file's name, or what stands for it. */
  readonly name: string;
  /** What was checked, for the order of the faults. */
  readonly document: unknown;
  /** The variable that set a key, by the key's written path. */
  readonly variables: ReadonlyMap<string, string>;
}

/** `tokenizer.nodes[1]`. A key that is not a plain word is quoted, so that it cannot draw on the terminal. */
export function writePath(at: Path): string {
  return at.map(writeStep).join("").slice(1);
}

function writeStep(step: string | number): string {
  if (typeof step === "number") {
    return `[${step}]`;
  }
  return `.${/^[\w-]{1,60}$/.test(step) ? step : quote(step)}`;
}

/** With the variable's name where a variable set it, `TOKENIZER_SAFE_PASSWORD[1]`, else the path. */
export function writePlace(at: Path, variables: ReadonlyMap<string, string>): string {
  const steps = at.map((_, index) => at.slice(0, index + 1));
  const set = steps.find((path) => variables.has(writePath(path)));
  const variable = set && variables.get(writePath(set));
  return variable === undefined ? writePath(at) : variable + at.slice(set?.length).map(writeStep).join("");
}

/** What a refusal of the schema means; `undefined` for those that only repeat another one. */
export function describe(error: ErrorObject, variables: ReadonlyMap<string, string>): Finding | undefined {
  const at = readPointer(error.instancePath);
  const schema = error.parentSchema as SettingSchema;
  switch (error.keyword) {
    case "if":
      return undefined;
    case "required":
      return missing([...at, String(error.params.missingProperty)]);
    case "additionalProperties":
      return unknownKey(at, String(error.params.additionalProperty), error);
    default:
      return schema.description === undefined
        ? undefined
        : { at, message: describeValue(error.data, schema, variables.has(writePath(at))) };
  }
}

/** All faults in one error: a heading, then a line each, in the order in which they stand in the file. */
export function refuseAll(findings: readonly Finding[], { name, document, variables }: Origin): TokenizerError {
  const faults = [...findings]
    .sort((one, other) => compareRanks(rank(one.at, document), rank(other.at, document)))
    .map<SettingsFault>(({ at, message }) => ({ path: writePlace(at, variables), message }));
  const heading = `${name}: ${faults.length === 1 ? "1 fault" : `${faults.length} faults`} in the settings`;
  const lines = faults.map(({ path, message }) => `  ${path}: ${message}`);
  return new TokenizerError("SETTINGS_INVALID", [heading, ...lines].join("\n"), { faults });
}

/** Only the first finding at a place, and none below a place that is itself at fault: one wrong value, one fault. */
export function onePerPlace(findings: readonly Finding[]): readonly Finding[] {
  const places = new Set<string>();
  return findings.filter(({ at }) => {
    const taken = at.some((_, index) => places.has(JSON.stringify(at.slice(0, index + 1))));
    places.add(JSON.stringify(at));
    return !taken;
  });
}

function readPointer(pointer: string): Path {
  return pointer
    .split("/")
    .slice(1)
    .map((step) => step.replaceAll("~1", "/").replaceAll("~0", "~"))
    .map((step) => (/^\d+$/.test(step) ? Number(step) : step));
}

function missing(at: Path): Finding {
  const schema = settingSections[writePath(at.slice(0, -1))]?.[String(at.at(-1))];
  return { at, message: `is missing${schema === undefined ? "" : ` (${gist(schema)})`}` };
}

function unknownKey(section: Path, key: string, { parentSchema, data }: ErrorObject): Finding {
  const allowed = Object.keys((parentSchema as SettingSchema).properties ?? {});
  const [before = ""] = key.split(":");
  if (before !== key && allowed.includes(before)) {
    return { at: [...section, before], message: "put a space after the colon" };
  }
  if ((data as Record<string, unknown>)[key] === null && misspelt(key, allowed) === undefined) {
    return straySecret(section);
  }
  return {
    at: [...section, key],
    message: `there is no such setting${whereElse(section, key) ?? didYouMean(key, allowed)}`,
  };
}

/** In `{ secret: one,two }` the comma makes `two` a key without a value: the name itself must not be shown. */
function straySecret(section: Path): Finding {
  const message = "a key without a value, and no setting; a text with a comma in it must stand in quotes";
  return { at: [...section, "…"], message };
}

function describeValue(value: unknown, schema: SettingSchema, byVariable: boolean): string {
  const hidden = schema.writeOnly || schema.type === "object";
  const found = hidden ? kindOf(value) : showValue(value, byVariable);
  const advice = byVariable ? "" : adviceOn(value, schema);
  const misfit = typeof value === "string" && value !== "" && schema.pattern !== undefined;
  return `found ${found}${advice}; allowed: ${misfit ? gist(schema) : `${describeAllowed(schema)} (${gist(schema)})`}`;
}

function kindOf(value: unknown): string {
  if (value === "") {
    return "an empty text";
  }
  const kinds: Record<string, string> = { string: "a text", number: "a number", boolean: "true or false, unquoted" };
  return kinds[typeof value] ?? kindOfContainer(value);
}

function kindOfContainer(value: unknown): string {
  if (value === null) {
    return "nothing (null)";
  }
  if (Array.isArray(value)) {
    return value.length === 0 ? "an empty list" : "a list";
  }
  return typeof value === "object" ? "keys and values" : `a ${typeof value}`;
}

function showValue(value: unknown, byVariable: boolean): string {
  if (typeof value === "string") {
    return value === "" || byVariable ? quote(value) : `the text ${quote(value)}`;
  }
  return typeof value === "number" || typeof value === "boolean" ? String(value) : kindOf(value);
}

/** Quoted, on one line, cut short, and without what may be a login. */
function quote(text: string): string {
  return quoted(withoutLogin(text));
}

/** Whatever is before the last @, and what follows the ? of a URL. */
function withoutLogin(text: string): string {
  const scheme = /^[\w+.-]{1,20}:\/\//.exec(text)?.[0] ?? "";
  const at = text.lastIndexOf("@");
  const shown = at === -1 ? text : `${scheme}…${text.slice(at)}`;
  return scheme === "" ? shown : shown.replace(/\?.*$/s, "?…");
}

function describeAllowed(schema: SettingSchema): string {
  if (schema.enum !== undefined) {
    const words = schema.enum.map(String);
    return `${words.slice(0, -1).join(", ")} or ${words.at(-1)}`;
  }
  return typesOf(schema)
    .map((type) => describeType(type, schema))
    .join(", or ");
}

function describeType(type: string, schema: SettingSchema): string {
  switch (type) {
    case "integer":
      return `a whole number ${describeRange(schema)}`;
    case "number":
      return `a number ${describeRange(schema)}`;
    case "boolean":
      return "true or false";
    case "array":
      return "a list of texts";
    case "object":
      return "keys and values";
    default:
      return "a text";
  }
}

function describeRange({ minimum, exclusiveMinimum, maximum }: SettingSchema): string {
  const from = exclusiveMinimum === undefined ? `from ${minimum}` : `above ${exclusiveMinimum}`;
  const to = exclusiveMinimum === undefined ? " to" : ", at most";
  return maximum === undefined ? from : `${from}${to} ${maximum}`;
}

/** The first sentence of the description: it names the unit. */
function gist({ description }: SettingSchema): string {
  return description.split(/\. /, 1)[0] ?? description;
}

/** The place among its neighbours at each level; what is not there comes after all that is. */
function rank(at: Path, document: unknown): readonly number[] {
  let within: unknown = document;
  return at.map((step) => {
    const keys: readonly string[] = typeof within === "object" && within !== null ? Object.keys(within) : [];
    const position = keys.indexOf(String(step));
    within = position === -1 ? undefined : (within as Record<string, unknown>)[String(step)];
    return position === -1 ? keys.length : position;
  });
}

function compareRanks(one: readonly number[], other: readonly number[]): number {
  const difference = one.findIndex((position, level) => position !== other[level]);
  return difference === -1 ? one.length - other.length : (one[difference] ?? 0) - (other[difference] ?? -1);
}
