/** What to change about a wrong value, where that can be guessed. */
import { isSection } from "./plain.js";
import type { SettingSchema } from "./settings.js";

/** What to change about a value that is not allowed, behind what was found: `: quote it`, or nothing. */
export function adviceOn(value: unknown, schema: SettingSchema): string {
  const wanted = typesOf(schema);
  if (schema.type === "object" && typeof value === "string" && /^\w+:\S/.test(value)) {
    return ": put a blank behind each colon";
  }
  if (schema.type === "object" && Array.isArray(value) && isSection(value[0]))
    return ": take the - in front of its keys away";
  if (isSection(schema.default ?? schema.examples?.[0])) {
    // Whoever names it wants what it stands for, and not to be without it.
    if (value === null || value === true) return ": write {} for its defaults";
    if (value === false) return ": take the line away";
  }
  if (value === null) {
    return wanted.includes("string") ? ": quote it, or take the line away" : ": take the line away";
  }
  if (wanted.includes("string") && (typeof value === "number" || typeof value === "boolean")) {
    return schema.enum === undefined ? ": quote it" : "";
  }
  if (typeof value !== "string") return "";
  const sign = /[,;]$/.exec(value)?.[0];
  const rest = value.slice(0, -1);
  if (sign && (schema.enum?.includes(rest) || looksLike(rest, wanted))) return `: take the ${sign} away`;
  return looksLike(value, wanted) ? ": take the quotes away" : "";
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
