/** Settings that stand beside the section `tokenizer`, where nobody reads them. */
import { inPlaceOf, plainName } from "./elsewhere.js";
import { type Finding, writePath } from "./faults.js";
import { misspelt } from "./nearest.js";
import { isSection, type Section, sectionOf } from "./plain.js";
import { settingSections } from "./schema.js";

const SETTINGS = new Map(Object.keys(settingSections.tokenizer ?? {}).map((key) => [plainName(key), key]));
/** Beside the section, hardly any application has these for itself. */
const OURS_ALONE: readonly string[] = [
  "timeout",
  "absolute_timeout",
  "safe_password",
  "sessions_per_user",
  "max_session_kb",
  "touch_interval",
  "store_timeout",
];
/** A section of that name is ours if all of its keys are. */
const SECTIONS = ["cookie", "remember"];
/** What only `tokenizer()`'s second argument takes. */
const OPTIONS = ["log", "clock", "redis", "postgres", "dynamodb"];

/** Names that express-session has alone: with one of these, the others are its, too. */
const THEIRS_ALONE = ["secret", "resave", "saveUninitialized", "maxAge", "genid"];

/**
 * Why there is no section `tokenizer`, or nothing in it, and what to do.
 *
 * @param isFile whether the settings are a file's: how the section is written there
 */
export function missingSection(document: Section, isFile: boolean): readonly Finding[] {
  const reason = Object.hasOwn(document, "tokenizer") && isFile ? "is empty" : "is missing";
  const advice =
    whatIsMeant(document) ??
    whatStandsBeside(document, isFile) ??
    options(document, isFile) ??
    "give it a safe_password";
  return [{ at: ["tokenizer"], message: `this section ${reason}; ${advice}` }, ...optionsOfExpressSession(document)];
}

/** What stands beside a section that is there, and is probably meant for it: one sentence, or none. */
export function standsBeside(document: Section, isFile: boolean): readonly string[] {
  const strays = straysIn(document);
  const isEmpty = isFile && document.tokenizer === null;
  const areOurs = strays.some((key) => isEmpty || OURS_ALONE.includes(key) || SECTIONS.includes(key));
  if (!areOurs) return [];
  const verb = strays.length === 1 ? "stands" : "stand";
  const move = isFile ? "indent what is meant for it" : "put into it what is meant for it";
  return [`${strays.join(", ")} ${verb} beside the section tokenizer, where nothing is read: ${move}`];
}

function whatIsMeant(document: Section): string | undefined {
  const keys = Object.keys(document).filter((key) => key !== "tokenizer");
  if (keys.some((key) => key.startsWith("tokenizer:"))) return "put a space after the colon of tokenizer:";
  const meant = keys.find((key) => misspelt(key, ["tokenizer"]) || isSection(sectionOf(document[key]).tokenizer));
  if (meant === undefined) return undefined;
  return misspelt(meant, ["tokenizer"])
    ? `did you mean it by ${writePath([meant])}?`
    : `it stands in the section ${writePath([meant])}: move it out of there, to the top`;
}

function whatStandsBeside(document: Section, isFile: boolean): string | undefined {
  const strays = straysIn(document);
  if (strays.length === 0) return undefined;
  const found = `${strays.join(", ")} ${strays.length === 1 ? "stands" : "stand"} beside it`;
  return isFile
    ? `${found}: indent ${strays.length === 1 ? "it" : "them"} below a line tokenizer:`
    : `${found}: write tokenizer({ tokenizer: { ${strays[0]}: … } })`;
}

function options(document: Section, isFile: boolean): string | undefined {
  const option = isFile ? undefined : Object.keys(document).find((key) => OPTIONS.includes(key));
  if (option !== undefined) return `${option} belongs in the second argument: tokenizer(undefined, { ${option}: … })`;
  return isFile || optionsOfExpressSession(document).length === 0
    ? undefined
    : "write tokenizer({ tokenizer: { … } }), or tokenizer() with a file settings.yml";
}

/** The settings among the keys at the top, by their names below the section. */
function straysIn(document: Section): readonly string[] {
  const keys = Object.entries(document).flatMap(([key, value]) => {
    const setting = nameOf(key);
    return setting !== undefined && couldBe(setting, value) ? [setting] : [];
  });
  return [...new Set(keys)];
}

/** `timeout`, also of `tokenizer.timeout`, `TOKENIZER_TIMEOUT` and `storeTimeout`. */
function nameOf(key: string): string | undefined {
  return SETTINGS.get(plainName(key.replace(/^tokenizer[._]/i, "")));
}

/** Other sections are the application's. */
function couldBe(setting: string, value: unknown): boolean {
  if (!isSection(value)) return true;
  const known = Object.keys(settingSections[`tokenizer.${setting}`] ?? {});
  const keys = Object.keys(value);
  return SECTIONS.includes(setting) && keys.every((key) => known.includes(key) || inPlaceOf(key) !== undefined);
}

function optionsOfExpressSession(document: Section): readonly Finding[] {
  const cookie = optionsIn(["cookie"], sectionOf(document.cookie));
  const isTheirs = THEIRS_ALONE.some((key) => Object.hasOwn(document, key));
  return [...(isTheirs ? optionsIn([], document) : []), ...cookie];
}

function optionsIn(at: readonly string[], section: Section): readonly Finding[] {
  return Object.keys(section).flatMap((key) => {
    const here = Object.hasOwn(settingSections[`tokenizer.${at.join(".")}`] ?? {}, key) ? undefined : inPlaceOf(key);
    return here === undefined ? [] : [{ at: [...at, key], message: `is an option of express-session; ${here}` }];
  });
}
