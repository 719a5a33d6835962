/** What to change about a wrong value, where that can be guessed. */
import { isSection } from "./plain.js";
import type { SettingSchema } from "./schema-words.js";

/** What to change about a value that is not allowed, behind what was found: `: quote it`, or nothing. */
export function adviceOn(value: unknown, schema: SettingSchema): string {
  const advice = schema.type === "object" ? onSection(value, schema) : onValue(value, schema);
  return advice === undefined ? "" : `: ${advice}`;
}

function onSection(value: unknown, schema: SettingSchema): string | undefined {
  if (typeof value === "string" && /^\w+:\S/.test(value)) return "put a space after each colon";
  if (Array.isArray(value) && isSection(value[0])) return "take the - in front of its keys away";
  if (isSection(schema.default ?? schema.examples?.[0])) {
    // Whoever names it wants what it stands for, and not to be without it.
    if (value === null || value === true) return "write {} for its defaults";
    if (value === false) return "take the line away";
  }
  return value === null ? "take the line away" : undefined;
}

function onValue(value: unknown, schema: SettingSchema): string | undefined {
  const wanted = typesOf(schema);
  if (value === null) return wanted.includes("string") ? "quote it, or take the line away" : "take the line away";
  if (typeof value === "string") return onText(value, schema);
  if (wanted.includes("string") && schema.enum === undefined) {
    return typeof value === "number" || typeof value === "boolean" ? "quote it" : undefined;
  }
  const isLarge = Number.isSafeInteger(value) && Number(value) > Number(schema.maximum);
  return isLarge ? notInMilliseconds(Number(value), schema) : undefined;
}

function onText(text: string, schema: SettingSchema): string | undefined {
  const wanted = typesOf(schema);
  const sign = /[,;]$/.exec(text)?.[0];
  const rest = text.slice(0, -1);
  if (sign && (schema.enum?.includes(rest) || looksLike(rest, wanted))) return `take the ${sign} away`;
  return looksLike(text, wanted) ? "take the quotes away" : undefined;
}

const MILLISECONDS = { Minutes: 60_000, Seconds: 1000 };

/** Programs count in milliseconds, as express-session's `maxAge` does; these settings do not. */
export function notInMilliseconds(value: number, { description }: SettingSchema): string | undefined {
  const [unit] = (/^(Minutes|Seconds)/.exec(description) ?? []) as ("Minutes" | "Seconds")[];
  if (unit === undefined) return undefined;
  const meant = value / MILLISECONDS[unit];
  const example = Number.isInteger(meant) ? `: for ${value} milliseconds write ${meant}` : "";
  return `it counts in ${unit.toLowerCase()}, not in milliseconds${example}`;
}

function looksLike(text: string, wanted: readonly string[]): boolean {
  if (wanted.includes("boolean")) {
    return text === "true" || text === "false";
  }
  return (wanted.includes("number") || wanted.includes("integer")) && text.trim() !== "" && Number.isFinite(+text);
}

export function typesOf({ type = [] }: SettingSchema): readonly string[] {
  return typeof type === "string" ? [type] : type;
}
