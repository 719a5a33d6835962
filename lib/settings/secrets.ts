/** The secrets among the settings: where they stand, and which of them are no secret, or probably not as meant. */
import type { Finding, Path } from "./faults.js";
import { isSection, type Section } from "./plain.js";
import { settingSections } from "./settings.js";

/** What is set at the place of a secret, whatever it is. */
export interface Secret {
  readonly at: Path;
  readonly value: unknown;
}

/** In the order of the schema; of a list each one. */
export function secretsIn(document: Section): readonly Secret[] {
  return Object.entries(settingSections).flatMap(([path, keys]) => {
    const at = path.split(".");
    const section = at.reduce<unknown>((within, key) => (isSection(within) ? within[key] : undefined), document);
    if (!isSection(section)) return [];
    return (
      Object.keys(keys)
        .filter((key) => keys[key]?.writeOnly)
        // A URL without a login is none.
        .filter((key) => key !== "url" || String(section[key]).includes("@"))
        .flatMap((key) => eachOf([...at, key], section[key]))
    );
  });
}

function eachOf(at: Path, value: unknown): readonly Secret[] {
  if (Array.isArray(value)) return value.map((one, index) => ({ at: [...at, index], value: one }));
  return value === undefined ? [] : [{ at, value }];
}

/** Refused everywhere: it was pasted from the documentation, where it stands for a secret. */
export function findPlaceholders(document: Section): readonly Finding[] {
  return secretsIn(document)
    .filter(({ value }) => typeof value === "string" && /^\s*(…|\.\.\.)\s*$/.test(value))
    .map(({ at }) => ({ at, message: "is the … of the documentation; put a secret of your own in its place" }));
}

/** White space around a secret is part of it, and of a key in PEM it does not matter. */
export function findSpaced(document: Section): readonly Path[] {
  return secretsIn(document)
    .filter(({ value }) => typeof value === "string" && value !== value.trim() && !value.includes("-----BEGIN "))
    .map(({ at }) => at);
}
