/** Text that comes from somewhere, made fit for eyes: messages, logs and terminals. */

/** Of names that messages show. */
const MOST_SHOWN = 60;

/**
 * Control characters, and others that move or hide text, as JSON escapes: what a user called himself must not draw on
 * somebody's terminal. JSON text stays the same JSON.
 */
export function visible(text: string): string {
  return text.replace(/[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}]/gu, (found) =>
    Array.from({ length: found.length }, (_, at) => `\\u${found.charCodeAt(at).toString(16).padStart(4, "0")}`).join(
      "",
    ),
  );
}

/** What a value is, where the value itself must not be shown. */
export function kindOf(value: unknown): string {
  if (value === undefined || value === null) return String(value);
  if (typeof value === "string") return value === "" ? "an empty text" : "a text";
  return `a value of type ${Array.isArray(value) ? "array" : typeof value}`;
}

/** In quotes, on one line, and no longer than a message can bear. */
export function quoted(text: string): string {
  const characters = [...text.slice(0, 2 * MOST_SHOWN)];
  const isLonger = characters.length > MOST_SHOWN;
  return visible(JSON.stringify(isLonger ? `${characters.slice(0, MOST_SHOWN).join("")}…` : text));
}

/** A key as it stands, or quoted where it is no plain word. */
export function keyName(key: string): string {
  return /^[\w$-]{1,60}$/.test(key) ? key : quoted(key);
}
