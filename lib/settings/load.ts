/** Settings from a file or an object: read, checked, completed, frozen. */
import { Ajv, type ValidateFunction } from "ajv";
import { FILE_VARIABLE, foreignVariables, type Reading, readEnvironment } from "./environment.js";
import { describe, type Finding, onePerPlace, refuseAll, writePath, writePlace } from "./faults.js";
import { readSettingsFile, type SettingsFile } from "./file.js";
import type { Asking } from "./file-advice.js";
import { folderOf } from "./folder.js";
import { copyPlain, deepFreeze, isSection, type Section, sectionOf } from "./plain.js";
import { checkPostgresTexts } from "./postgres-rules.js";
import { checkRedisTexts } from "./redis-rules.js";
import { checkRules, type Draft } from "./rules.js";
import { EDITORS_KEYWORDS, settingsSchema } from "./schema.js";
import { fillInUrl, withoutUrls } from "./server-url.js";
import type { Settings, SettingsInput } from "./settings.js";
import { missingSection, standsBeside } from "./strays.js";
import { typesOf, whyUnused } from "./types-of.js";
import { long, misspeltAuthenticator, weak, worldReadable, wrapped } from "./warnings.js";

/** Settings, and where they came from. */
export interface LoadedSettings extends Settings {
  /** The settings file, absolute; missing when an object was given. A relative `path` or `module` is meant from its folder. */
  readonly file?: string;
  /** What is set, and is for another type, each with why it changes nothing. Missing when there is nothing of the kind. */
  readonly unused?: readonly string[];
}

/** What `loadSettings` needs from outside. */
export interface LoadOptions {
  /** Where warnings go, one line each. */
  readonly log: { warn(message: string): void };
  /** Default `process.env`. */
  readonly env?: NodeJS.ProcessEnv;
  /** Who asks, for advice on how to name another file. Default `code`. */
  readonly asking?: Asking;
}

/** What was opened, before anything in it is looked at. */
interface Source {
  readonly name: string;
  readonly document: Section;
  readonly readings: readonly Reading[];
  readonly file?: string;
  readonly warnings: readonly string[];
}

const DEFAULT_FILE = "settings.yml";
const DEFAULT_TYPE = settingsSchema.properties.tokenizer.properties.type.default;
const OBJECT_NAME = "The object given to tokenizer()";

let compiled: ValidateFunction | undefined;

/**
 * Reads settings. A file is completed by the environment, which wins; an object stands by itself, and of the
 * environment only `NODE_ENV` and the signs of a cloud are looked at.
 *
 * @param source a file's name, or an object. Missing: the file that `TOKENIZER_SETTINGS` names, else `settings.yml`.
 * @throws {TokenizerError} `SETTINGS_INVALID`, with all `faults` at once and no secret's value anywhere.
 */
export function loadSettings(source: string | SettingsInput | undefined, options: LoadOptions): LoadedSettings {
  const { log, env = process.env, asking = "code" } = options;
  const opened = typeof source === "object" ? openObject(source) : openFile(source, env, asking);
  const variables = new Map(opened.readings.map(({ at, variable }) => [writePath(at), variable]));
  for (const warning of opened.warnings) {
    log.warn(warning);
  }
  const given = makeDraft(opened);
  const unused = findUnused(given, variables);
  const { draft, findings } = check(given, opened, variables, env);
  if (findings.length > 0) {
    throw refuseAll(findings, { name: opened.name, document: given, variables });
  }
  const beside = standsBeside(opened.document, opened.file !== undefined);
  for (const warning of [
    ...weak(draft, variables),
    ...wrapped(draft, variables),
    ...long(draft, variables),
    ...beside,
  ]) {
    log.warn(warning);
  }
  return complete(draft, { ...(opened.file && { file: opened.file }), ...(unused.length > 0 && { unused }) });
}

function openObject(document: SettingsInput): Source {
  const section = isSection(document) ? document : {};
  return { name: OBJECT_NAME, document: section, readings: [], warnings: misspeltAuthenticator(section) };
}

function openFile(name: string | undefined, env: NodeJS.ProcessEnv, asking: Asking): Source {
  const file: SettingsFile = readSettingsFile(name ?? (env[FILE_VARIABLE] || DEFAULT_FILE), asking);
  return {
    ...file,
    readings: readEnvironment(env, sectionOf(file.document.tokenizer).type),
    warnings: [...foreignVariables(env), ...worldReadable(file), ...misspeltAuthenticator(file.document)],
  };
}

/** Of the other sections, and of `authenticator`'s other keys, nothing comes along. */
function makeDraft({ document, readings }: Source): Draft {
  const { authenticator, tokenizer } = document;
  const copy = { ...(isSection(tokenizer) ? tokenizer : undefined) };
  const draft: Record<string, unknown> = {
    authenticator: isSection(authenticator) ? copyPlain({ type: authenticator.type }) : (authenticator ?? {}),
    tokenizer: isSection(tokenizer) ? copyPlain(copy) : (tokenizer ?? {}),
  };
  const url = readings.find(({ at }) => writePath(at) === "tokenizer.url")?.value;
  if (typeof url === "string" && isSection(draft.tokenizer)) draft.tokenizer = withoutUrls(draft.tokenizer, url);
  for (const { at, value, fault } of readings) {
    if (fault === undefined) assign(draft, at, value);
  }
  return draft as unknown as Draft;
}

/** What is no section stays as it is, for the check to refuse. */
function assign(target: Record<string, unknown>, [key = "", ...rest]: readonly string[], value: unknown): void {
  if (rest.length === 0) {
    target[key] = value;
    return;
  }
  target[key] ??= {};
  if (isSection(target[key])) {
    assign(target[key] as Record<string, unknown>, rest, value);
  }
}

/** Answers the draft as it counts, with its defaults and what a `url` stands for. */
function check(
  given: Draft,
  { document, readings, file }: Source,
  variables: ReadonlyMap<string, string>,
  env: NodeJS.ProcessEnv,
): { draft: Draft; findings: readonly Finding[] } {
  const isFile = file !== undefined;
  if ((document.tokenizer ?? undefined) === undefined && readings.length === 0) {
    return { draft: given, findings: missingSection(document, isFile) };
  }
  const sound = isSection(given.authenticator) && isSection(given.tokenizer);
  const texts = sound ? checkTexts(given.tokenizer) : [];
  const unread = readings.flatMap(({ at, fault }) => (fault === undefined ? [] : [{ at, message: fault }]));
  const findings = [...unread, ...texts, ...checkSchema(given, variables)];
  const beside = standsBeside(document, isFile).map((message) => ({ at: ["tokenizer"], message }));
  if (!sound) return { draft: given, findings: onePerPlace(findings) };
  const draft = texts.length > 0 ? given : { ...given, tokenizer: fillInUrl(given.tokenizer) };
  const all = onePerPlace([...findings, ...checkRules(draft, env)]);
  return { draft, findings: all.length === 0 ? [] : [...all, ...beside] };
}

/** Those of Redis with every other type, too: what may hold a password must not be shown. */
function checkTexts(tokenizer: Section): readonly Finding[] {
  return tokenizer.type === "postgres" ? checkPostgresTexts(tokenizer) : checkRedisTexts(tokenizer);
}

/** Fills in the defaults, too. */
function checkSchema(draft: Draft, variables: ReadonlyMap<string, string>): readonly Finding[] {
  compiled ??= new Ajv({
    allErrors: true,
    strict: true,
    allowUnionTypes: true,
    useDefaults: true,
    verbose: true,
    keywords: EDITORS_KEYWORDS,
  }).compile(settingsSchema);
  compiled(draft);
  return (compiled.errors ?? []).flatMap((error) => describe(error, variables) ?? []);
}

/** Before defaults are filled in. */
function findUnused({ tokenizer }: Draft, variables: ReadonlyMap<string, string>): readonly string[] {
  if (!isSection(tokenizer)) return [];
  const type = tokenizer.type ?? DEFAULT_TYPE;
  return Object.keys(tokenizer)
    .filter((key) => !typesOf(key).some((other) => other === type))
    .map((key) => `${writePlace(["tokenizer", key], variables)} ${whyUnused(key, String(type))}`);
}

function complete({ authenticator, tokenizer }: Draft, found: Pick<LoadedSettings, "file" | "unused">): LoadedSettings {
  const path = folderOf(typeof tokenizer.path === "string" ? tokenizer.path : undefined, found.file);
  const settings = { authenticator, tokenizer: { ...tokenizer, path }, ...found };
  return deepFreeze(settings) as unknown as LoadedSettings;
}
