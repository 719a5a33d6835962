/** What `tokenizer()` was given, where that is nothing that it takes: by Express itself, or in the wrong place. */
import { givenAmiss, TokenizerError } from "../errors.js";
import { inPlaceClause } from "./elsewhere.js";
import { didYouMean } from "./nearest.js";
import { isSection } from "./plain.js";
import { settingSections, settingsSchema } from "./schema.js";

/**
 * What is misspelt, or stands where nobody looks, must not be passed over: a client, least of all.
 *
 * @param names of the options that there are
 * @throws TokenizerError `SETTINGS_INVALID`
 */
export function checkArguments(source: unknown, options: unknown, names: readonly string[]): void {
  // `app.use(tokenizer)`: Express calls it, with each request and its response.
  if (isSection(options) && "setHeader" in options) {
    throw refusal("got a request; call it in your code: app.use(tokenizer())");
  }
  const found = whatElse(source);
  if (found !== undefined) {
    throw refusal(`takes the name of a settings file, or an object of settings; it got ${found}`);
  }
  if (!isSection(options)) throw refusal("takes an object as its second argument");
  const unknown = Object.keys(options).find((key) => !names.includes(key));
  if (unknown !== undefined)
    throw givenAmiss(unknown, `is no option${whereMeant(unknown) ?? didYouMean(unknown, names)}`);
  checkLog(options.log);
  checkClock(options.clock);
}

/** Otherwise the first warning would end the process, just when there is something to warn of. */
function checkLog(log: unknown): void {
  if (log === undefined || hasMethod(log, "warn")) return;
  throw givenAmiss("log", "must be an object with a method warn(message), as console is");
}

function checkClock(clock: unknown): void {
  if (clock === undefined || typeof clock === "function" || hasMethod(clock, "now")) return;
  throw givenAmiss(
    "clock",
    "must be a function that answers milliseconds since 1970, or an object with a method now()",
  );
}

function hasMethod(value: unknown, name: string): boolean {
  return (
    (typeof value === "object" || typeof value === "function") &&
    value !== null &&
    typeof Reflect.get(value, name) === "function"
  );
}

function whatElse(source: unknown): string | undefined {
  if (source === undefined) return undefined;
  if (typeof source === "string") return source === "" ? "an empty text" : undefined;
  if (source instanceof URL) return "a URL: give fileURLToPath(url)";
  if (Array.isArray(source)) return "a list";
  if (!isSection(source)) return source === null ? "null" : `a ${typeof source}`;
  return typeof source.then === "function" ? "a promise: await it" : undefined;
}

function whereMeant(key: string): string | undefined {
  if (key === "client") return "; give { redis: { client } } or { dynamodb: { client } }";
  if (key === "pool") return "; give { postgres: { pool } }";
  const settings = Object.hasOwn(settingsSchema.properties, key)
    ? `${key}: { … }`
    : Object.hasOwn(settingSections.tokenizer ?? {}, key) && `tokenizer: { ${key}: … }`;
  if (settings) return `, but a setting: put it into the first argument, tokenizer({ ${settings} })`;
  return inPlaceClause(key);
}

function refusal(message: string): TokenizerError {
  return new TokenizerError("SETTINGS_INVALID", `tokenizer() ${message}.`, {
    faults: [{ path: "tokenizer()", message }],
  });
}
