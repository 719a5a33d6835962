/** The secrets among the settings: where they stand, and which of them are no secret, or probably not as meant. */
import type { Finding, Path } from "./faults.js";
import { isSection, type Section } from "./plain.js";
import { settingSections } from "./schema.js";

/** What is set at the place of a secret, whatever it is. */
export interface Secret {
  readonly at: Path;
  readonly value: unknown;
}

/** In the order of the schema; of a list each one. */
export function secretsIn(document: Section): readonly Secret[] {
  return Object.entries(settingSections).flatMap(([path, keys]) => {
    const at = path.split(".");
    const section = valueAt(document, at);
    if (!isSection(section)) return [];
    return (
      Object.keys(keys)
        .filter((key) => keys[key]?.writeOnly)
        // A URL without a login is none.
        .filter((key) => key !== "url" || /@|[?&]password=/.test(String(section[key])))
        .flatMap((key) => eachOf([...at, key], section[key]))
    );
  });
}

export function valueAt(document: Section, at: readonly string[]): unknown {
  return at.reduce<unknown>((within, key) => (isSection(within) ? within[key] : undefined), document);
}

function eachOf(at: Path, value: unknown): readonly Secret[] {
  if (Array.isArray(value)) return value.map((one, index) => ({ at: [...at, index], value: one }));
  return value === undefined ? [] : [{ at, value }];
}

/** What another program was to fill in, and did not: `${NAME}`, `$NAME`, `$(NAME)`, `%NAME%`, `{{ name }}`, `#{name}`, `<name>`, `[YOUR-PASSWORD]`. */
const TO_BE_FILLED_IN =
  /^([$#]\{[^{}]*\}|\$\([^()]*\)|\$[A-Z_][A-Z0-9_]*|%[A-Z_][A-Z0-9_]*%|\{\{.*\}\}|<[^<>]*>|\[[A-Z_ -]*PASSWORD\])$/s;

/** Ends the sentence about a secret that is missing or weak. */
export const HOW_TO_MAKE_ONE = "make one with: npx express-tokenizer new-password";

/** Where any secret will do. The others somebody else has given. */
const OF_OUR_OWN: readonly string[] = ["safe_password", "secret"];

/** Refused everywhere: what stands for a secret is known to whoever reads the file. */
export function findPlaceholders(document: Section): readonly Finding[] {
  return secretsIn(document).flatMap(({ at, value }) => {
    const message = typeof value === "string" ? whyPlaceholder(value.trim()) : undefined;
    const isOwn = at.some((step) => OF_OUR_OWN.includes(String(step)));
    return message === undefined ? [] : [{ at, message: isOwn ? `${message}; ${HOW_TO_MAKE_ONE}` : message }];
  });
}

function whyPlaceholder(text: string): string | undefined {
  if (text === "…" || text === "...") return "is the … of the documentation; put a secret of your own in its place";
  return TO_BE_FILLED_IN.test(QUOTED.exec(text)?.[2] ?? text)
    ? "is a variable or a placeholder that nobody filled in; nothing is filled in here: put the secret itself in its place, or into its variable of the environment"
    : undefined;
}

/** White space around a text is part of it, and of a key in PEM it does not matter. */
export function isSpaced({ value }: Secret): boolean {
  return typeof value === "string" && value !== value.trim() && !value.includes("-----BEGIN ");
}

const QUOTED = /^(["'])(.+)\1$/s;

/** Quotes are part of it, too: some readers of variables keep those that stand in a file. */
export function isQuoted({ value }: Secret): boolean {
  return typeof value === "string" && QUOTED.test(value.trim());
}
