/** Words for what YAML cannot read: where it is, and what to change there. Never with a value. */
import { YAMLException } from "js-yaml";
import { settingSections, settingsSchema } from "./schema.js";

type Mark = NonNullable<YAMLException["mark"]>;

const QUOTING = " A text with : # & * ! % @ or quotes in it belongs in 'single quotes'.";

/** A line that makes no key, because of how it is written; the parser stumbles over that line or the next one. */
const NO_KEYS: readonly (readonly [RegExp, string])[] = [
  [/^ *(?:- +)?[A-Za-z_][\w.-]+:[^\s:/\\]/, "put a space after the colon"],
  [/^ *([\w.-]+) *=/, "put a colon and a space in place of the ="],
  [/^ *([\w.-]+)(?: +\S+)? *$/, "put a colon after the key"],
];

/** In the parser's words. */
const NO_KEY = /mapping entry|mapping key|end of the stream/;

const OUR_WORDS: readonly string[] = [
  ...Object.keys(settingsSchema.properties),
  ...Object.values(settingSections).flatMap((keys) => Object.keys(keys)),
];

/** The parser has no codes, only reasons; they change the wording here, and nothing else. */
export function describeYamlFault(error: unknown): string {
  if (!(error instanceof YAMLException)) {
    return "this is not YAML that can be read.";
  }
  const { mark, reason } = error;
  const where = mark === undefined ? "" : `line ${mark.line + 1}, column ${mark.column + 1}: `;
  const twice = reason === "duplicated mapping key" ? keyAt(mark) : undefined;
  if (twice !== undefined) {
    return `${where}the key ${twice} is there twice; keep one.`;
  }
  const meant = mark && whatIsMeant(mark, reason);
  if (meant !== undefined) {
    return meant;
  }
  const advice = reason.includes("exceeded") ? "" : QUOTING;
  return `${where}${withoutValues(reason)}.${advice}`;
}

/** Some reasons go on to quote a tag or an alias: an unquoted password may have been read as one. */
function withoutValues(reason: string): string {
  return reason.replace(/(?:: |\s*!<|\s*").*$/s, "");
}

function keyAt(mark: YAMLException["mark"]): string | undefined {
  return mark && /^[\w.-]{1,64}(?=\s*:)/.exec(mark.buffer.slice(mark.position))?.[0];
}

function whatIsMeant({ buffer, line, column }: Mark, reason: string): string | undefined {
  const lines = buffer.split(/\r\n|\r|\n/);
  if (/^ *\t/.test(lines[line] ?? "")) {
    return `line ${line + 1}, column ${column + 1}: the line is set in with a tab, which YAML does not allow; use spaces.`;
  }
  return NO_KEY.test(reason) ? (noKey(lines, line) ?? otherIndentation(lines, line)) : undefined;
}

/** The first of the lines that make no key: at the mark, or right above it. */
function noKey(lines: readonly string[], line: number): string | undefined {
  const written = lines.flatMap((text, at) => (at <= line && /^ *[^\s#]/.test(text) ? [at] : []));
  const faulty = (at: number | undefined) => at !== undefined && adviceOn(lines[at] ?? "");
  let index = faulty(written.at(-1)) ? written.length - 1 : written.length - 2;
  while (faulty(written[index - 1])) index -= 1;
  const first = written[index];
  const advice = faulty(first);
  return first !== undefined && advice ? `line ${first + 1}: ${advice}.` : undefined;
}

function adviceOn(text: string): string | undefined {
  return NO_KEYS.find(([pattern]) => {
    const [found, key] = pattern.exec(text) ?? [];
    return found !== undefined && (key === undefined || OUR_WORDS.includes(key));
  })?.[1];
}

/** A key that is indented as none of the lines above it, and not as the first one of a section. */
function otherIndentation(lines: readonly string[], line: number): string | undefined {
  const [{ depth } = {}, ...above] = lines
    .slice(0, line + 1)
    .flatMap(keyIn)
    .reverse();
  const [last] = above;
  if (depth === undefined || last === undefined || keyIn(lines[line] ?? "").length === 0) return undefined;
  if (above.some((other) => other.depth === depth) || (depth > last.depth && last.isEmpty)) return undefined;
  return `line ${line + 1}: the line is indented by ${spaces(depth)}, and the one above by ${last.depth}; indent the lines of one section alike.`;
}

/** How far a line's key is indented, and whether its value must follow below. */
function keyIn(text: string): { depth: number; isEmpty: boolean }[] {
  const [found, indent = "", value] = /^( *)(?:- +)?[\w.-]+:(?:\s+([^\s#])|\s|$)/.exec(text) ?? [];
  return found === undefined ? [] : [{ depth: indent.length, isEmpty: value === undefined }];
}

const spaces = (count: number): string => `${count} space${count === 1 ? "" : "s"}`;
