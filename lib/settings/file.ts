/** Reads a settings file: from its name to one plain document, or a refusal that says what to do. */
import { readFileSync, type Stats, statSync } from "node:fs";
import { resolve } from "node:path";
import { CORE_SCHEMA, loadAll, mergeTag } from "js-yaml";
import { TokenizerError } from "../errors.js";
import { visible } from "../visible.js";
import { type Asking, adviceWithout, howToBegin, howToOwn } from "./file-advice.js";
import { describeYamlFault } from "./yaml-faults.js";

/** A settings file as it was found; what stands in its sections is not yet checked. */
export interface SettingsFile {
  /** As the caller named it. */
  readonly name: string;
  /** The same, absolute. */
  readonly file: string;
  readonly document: Readonly<Record<string, unknown>>;
  /** Whether every user of the machine can read it. Always false on Windows, where the mode does not say. */
  readonly worldReadable: boolean;
  /** Whether this process could not read it any more, if its owner alone could. */
  readonly isOthers: boolean;
}

const MOST_BYTES = 256 * 1024;
/** A file written out holds far fewer values; only aliases can make so many of it. */
const MOST_VALUES = 1_000_000;
const MOST_LEVELS = 100;
const READABLE_BY_OTHERS = 0o004;
const NO_SUCH_FILE = "there is no such file";
const NOT_ALLOWED = "this process may not read the file";

/** Applications share the file, and `<<` is common in those; other tags would make objects that are not plain. */
const SCHEMA = CORE_SCHEMA.withTags(mergeTag);

/** @throws {TokenizerError} `SETTINGS_INVALID`: there is no such file, or it is not one YAML mapping. */
export function readSettingsFile(name: string, asking: Asking): SettingsFile {
  const file = resolve(name);
  const stats = statFile(name, file, asking);
  if (!stats.isFile()) {
    const found = stats.isDirectory() ? "this is a folder" : "this is not a file";
    throw refusal(name, `${found}. ${adviceWithout(file, stats.isDirectory(), asking)}`);
  }
  if (stats.size > MOST_BYTES) {
    throw refusal(name, `the file has ${stats.size} bytes; a settings file has at most ${MOST_BYTES} (256 KiB).`);
  }
  const document = parse(name, readText(name, file));
  if (document === null) throw refusal(name, `the file is empty. ${howToBegin(asking)}`);
  const worldReadable = process.platform !== "win32" && (stats.mode & READABLE_BY_OTHERS) !== 0;
  return { name, file, document, worldReadable, isOthers: belongsToOthers(stats) };
}

/** Root can read everybody's. */
function belongsToOthers({ uid }: Stats): boolean {
  const own = process.geteuid?.() ?? 0;
  return own !== 0 && own !== uid;
}

function statFile(name: string, file: string, asking: Asking): Stats {
  try {
    return statSync(file);
  } catch (error) {
    const reason = whyUnreadable(error);
    const advice = reason === NO_SUCH_FILE ? ` ${adviceWithout(file, false, asking)}` : "";
    throw refusal(name, `${reason} (${file}).${advice}`, error);
  }
}

function readText(name: string, file: string): string {
  const bytes = readBytes(name, file);
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch {
    throw refusal(name, "the file is not UTF-8 text; save it as UTF-8.");
  }
}

function readBytes(name: string, file: string): Buffer {
  try {
    return readFileSync(file);
  } catch (error) {
    const reason = whyUnreadable(error);
    throw refusal(name, `${reason} (${file}).${reason === NOT_ALLOWED ? ` ${howToOwn(name)}` : ""}`, error);
  }
}

function whyUnreadable(error: unknown): string {
  const code = (error as NodeJS.ErrnoException).code;
  if (code === "ENOENT" || code === "ENOTDIR") {
    return NO_SUCH_FILE;
  }
  return code === "EACCES" || code === "EPERM" ? NOT_ALLOWED : `the file cannot be read: ${code ?? "unknown"}`;
}

/** Null: there is nothing in it. */
function parse(name: string, text: string): Readonly<Record<string, unknown>> | null {
  const documents = parseYaml(name, text);
  if (documents.length > 1) {
    throw refusal(name, `the file holds ${documents.length} YAML documents; keep one, and take the lines --- away.`);
  }
  const [document = null] = documents;
  if (document === null) return null;
  if (typeof document !== "object" || Array.isArray(document)) {
    const found = Array.isArray(document) ? "a list" : `a ${typeof document === "string" ? "text" : typeof document}`;
    throw refusal(name, `the file holds ${found}; it must hold sections, beginning with a line tokenizer:`);
  }
  refuseExpansion(name, document);
  return document as Readonly<Record<string, unknown>>;
}

function parseYaml(name: string, text: string): unknown[] {
  try {
    return loadAll(text, { schema: SCHEMA, maxDepth: MOST_LEVELS });
  } catch (error) {
    // The parser's own error quotes the lines around the fault, secrets among them: it must not become the cause.
    throw refusal(name, describeYamlFault(error));
  }
}

/** Aliases are shared, not copied: small to parse, but whoever walks the document walks all of what they stand for. */
function refuseExpansion(name: string, document: unknown): void {
  let values = 0;
  const visit = (value: unknown, level: number): void => {
    values += 1;
    if (values > MOST_VALUES || level > MOST_LEVELS) {
      throw refusal(name, "its aliases (*name) stand for too much, or for themselves. Write the settings out.");
    }
    if (typeof value === "object" && value !== null) {
      for (const child of Object.values(value)) {
        visit(child, level + 1);
      }
    }
  };
  visit(document, 0);
}

function refusal(name: string, message: string, cause?: unknown): TokenizerError {
  // A name, too, comes from outside.
  const fault = { path: visible(name), message: visible(message) };
  return new TokenizerError("SETTINGS_INVALID", `The settings cannot be read.\n  ${fault.path}: ${fault.message}`, {
    faults: [fault],
    cause,
  });
}
