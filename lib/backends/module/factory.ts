/** From `tokenizer.module` to the function that makes the user's backend. */
import { existsSync } from "node:fs";
import { createRequire } from "node:module";
import { isAbsolute, join, resolve } from "node:path";
import { pathToFileURL } from "node:url";
import { TokenizerError } from "../../errors.js";
import type { Backend, BackendFactory, StoredRecord } from "../backend.js";

/** Where the user's module is. */
export interface ModulePlace {
  /** A path, which begins with `.` or is absolute, or a package's name. */
  readonly module: string;
  /** The folder that both are meant from. */
  readonly folder: string;
}

const METHODS = {
  open: true,
  read: true,
  write: true,
  touch: true,
  remove: true,
  entries: true,
  prune: true,
  close: true,
} satisfies Record<Exclude<keyof Backend, "maxValueBytes" | "expiresByItself">, true>;

const NOT_FOUND: ReadonlySet<unknown> = new Set(["ERR_MODULE_NOT_FOUND", "MODULE_NOT_FOUND"]);

/** `import()` cannot load it, and `require` perhaps can. */
const CANNOT_IMPORT: ReadonlySet<unknown> = new Set([
  // jest's CommonJS has `import()` with Node's flag --experimental-vm-modules only.
  "ERR_VM_DYNAMIC_IMPORT_CALLBACK_MISSING",
  "ERR_VM_DYNAMIC_IMPORT_CALLBACK_MISSING_FLAG",
  // ts-node and its like teach `require` new kinds of files, but not `import()`.
  "ERR_UNKNOWN_FILE_EXTENSION",
]);

/** Of an error's message, which may go on for pages. */
const MOST_SHOWN = 300;

/** The file that is meant; `undefined` where it is a package. */
export function fileOf({ module, folder }: ModulePlace): string | undefined {
  const isPath = /^\.\.?(?:[\\/]|$)/.test(module) || isAbsolute(module);
  return isPath ? resolve(folder, module) : undefined;
}

/** @throws TokenizerError `SETTINGS_INVALID` without such a file, `PACKAGE_MISSING`, `STORE_UNUSABLE` */
export async function loadFactory(place: ModulePlace): Promise<BackendFactory> {
  const exported = defaultOf(await load(place));
  if (typeof exported !== "function") {
    throw unusable(place, `its default export is ${kindOf(exported)}. ${WHAT_TO_EXPORT}`);
  }
  if (/^class\b/.test(Function.prototype.toString.call(exported))) {
    throw unusable(place, `its default export is a class. ${WHAT_TO_EXPORT}`);
  }
  return exported as BackendFactory;
}

/**
 * What the user's function has made, if that is a backend.
 *
 * @throws TokenizerError `STORE_UNUSABLE`
 */
export function checkBackend(made: Backend | null | undefined, place: ModulePlace): Backend {
  if (typeof made !== "object" || made === null) {
    throw unusable(place, `its function made ${kindOf(made)} where a backend was expected.`);
  }
  const missing = Object.keys(METHODS).filter((name) => typeof made[name as keyof typeof METHODS] !== "function");
  if (missing.length === 0) return made;
  throw unusable(place, `the backend that it makes lacks ${missing.join(", ")}. Add what is missing.`);
}

/**
 * What its `read` or `entries` answered, if that is a record: what is nearly one would be lost later, without a reason.
 *
 * @throws TokenizerError `STORE_UNUSABLE`, without anything of the answer
 */
export function checkRecord<T extends StoredRecord>(answer: T, method: string, place: ModulePlace): T {
  const wrong = whyNoRecord(answer);
  if (wrong === undefined) return answer;
  const shape = "{ value, version, expires }: two texts, and milliseconds since 1970 as a number";
  throw unusable(place, `the backend's ${method} must answer ${shape}; found ${wrong}.`);
}

function whyNoRecord(answer: StoredRecord): string | undefined {
  if (typeof answer !== "object" || answer === null) return `it ${kindOf(answer)}`;
  const { value, version, expires } = answer;
  if (typeof value !== "string") return `value ${kindOf(value)}`;
  if (typeof version !== "string") return `version ${kindOf(version)}`;
  if (typeof expires !== "number") return `expires ${kindOf(expires)}`;
  return Number.isNaN(expires) ? "expires of type number, and none" : undefined;
}

/** What was thrown, on one line, and without the password of a URL. */
export function reasonOf(error: unknown): string {
  const [line = ""] = (error instanceof Error ? error.message : String(error)).split("\n", 1);
  const shown = line.replace(/\/\/[^/@]*@/g, "//…@");
  return shown.length > MOST_SHOWN ? `${shown.slice(0, MOST_SHOWN)}…` : shown;
}

/** How messages name it. */
export const nameOf = ({ module }: ModulePlace): string => `tokenizer.module: ${JSON.stringify(module)}`;

const WHAT_TO_EXPORT =
  "Export a function that makes the backend: export default (options, context) => new MyBackend(options, context)";

async function load(place: ModulePlace): Promise<unknown> {
  const file = fileOf(place);
  try {
    return await loadFrom(place, file);
  } catch (error) {
    // Asked only now: what compiles on the fly may have found another file under this name.
    if (file !== undefined && !existsSync(file)) throw noSuchFile(place, file, error);
    if (!NOT_FOUND.has(codeOf(error))) {
      throw unusable(place, `it failed while it was loaded: ${reasonOf(error)}`, error);
    }
    const what = file === undefined ? "it, or something that it needs," : "something that it needs";
    const message = `${nameOf(place)}: ${what} is not installed (${reasonOf(error)}). ${HOW_TO_INSTALL}`;
    throw new TokenizerError("PACKAGE_MISSING", message, { cause: error });
  }
}

const HOW_TO_INSTALL = "Install it with npm; a file of your own is named by a path that begins with ./";

async function loadFrom({ module, folder }: ModulePlace, file: string | undefined): Promise<unknown> {
  const require = createRequire(join(folder, "settings.yml"));
  const found = file ?? resolved(require, module);
  try {
    return await import(found === undefined ? module : pathToFileURL(found).href);
  } catch (error) {
    if (!CANNOT_IMPORT.has(codeOf(error))) throw error;
    return { default: required(require, found ?? module) };
  }
}

function required(require: NodeJS.Require, file: string): unknown {
  try {
    return require(file);
  } catch (cause) {
    const isModule = codeOf(cause) === "ERR_REQUIRE_ESM" || /^SyntaxError: .*\b(?:import|export)\b/.test(String(cause));
    throw isModule ? new Error(NO_MODULES, { cause }) : cause;
  }
}

const NO_MODULES =
  "it is an ES module, which jest cannot load from CommonJS. Have jest transform it, write it as CommonJS, or start " +
  "node with --experimental-vm-modules";

/**
 * A package's file, found from the folder as `require` finds it. Else it is left to `import`, which looks from here: so it
 * does for packages that only `import` may load, and for settings that lie outside of the project.
 */
function resolved(require: NodeJS.Require, module: string): string | undefined {
  try {
    return require.resolve(module);
  } catch {
    return undefined;
  }
}

function codeOf(error: unknown): unknown {
  return memberOf(error, "code");
}

function defaultOf(loaded: unknown): unknown {
  const exported = memberOf(loaded, "default");
  // CommonJS that was compiled from an ES module has its default export one step further in.
  return memberOf(exported, "default") ?? exported;
}

function memberOf(value: unknown, name: string): unknown {
  return typeof value === "object" && value !== null ? Reflect.get(value, name) : undefined;
}

function kindOf(value: unknown): string {
  if (value === undefined) return "missing";
  return value === null ? "null" : `of type ${typeof value}`;
}

function noSuchFile(place: ModulePlace, file: string, cause: unknown): TokenizerError {
  const message =
    `found ${JSON.stringify(place.module)}, but there is no file ${file}. A path is meant from the folder of the ` +
    "settings file, else from the working directory, and has its ending: ./my-backend.js";
  return new TokenizerError("SETTINGS_INVALID", `tokenizer.module: ${message}`, {
    faults: [{ path: "tokenizer.module", message }],
    cause,
  });
}

function unusable(place: ModulePlace, message: string, cause?: unknown): TokenizerError {
  return new TokenizerError("STORE_UNUSABLE", `${nameOf(place)}: ${message}`, { cause });
}
