/** What a command is, and what all of them share. */
import { createColors } from "picocolors";
import type { DynamodbOptions } from "../backends/dynamodb/sdk.js";
import { TokenizerError } from "../errors.js";
import { type LoadedSettings, loadSettings } from "../settings/load.js";
import type { TokenizerSettings } from "../settings/settings.js";
import { makeTokenizer } from "../tokenizer.js";
import { visible } from "../visible.js";
import { placeOf } from "./place.js";

/** What a command has of the world. */
export interface Io {
  /** What was asked for. One line at a time, without its end. Who prints many awaits each, so that they do not pile up. */
  readonly print: (line: string) => unknown;
  /** What somebody should know: progress, warnings, errors. */
  readonly tell: (line: string) => void;
  readonly env: NodeJS.ProcessEnv;
  /** Of the terminal that `print` reaches, in columns. Missing where that is none: then nothing is cut. */
  readonly width?: number | undefined;
  /** Default: none. */
  readonly colours?: Colours | undefined;
  /** Where `tell` reaches a terminal. */
  readonly terminal?: Terminal | undefined;
  /** Whether somebody sits there and types, also where nothing told reaches them. Default: nobody. */
  readonly isAttended?: boolean | undefined;
}

export type Colours = ReturnType<typeof createColors>;

export const NO_COLOURS: Colours = createColors(false);

/** Of a terminal, where nothing tells. Columns. */
export const USUAL_WIDTH = 80;

export interface Terminal {
  /** Rewrites one line, below what was told; an empty text takes it away. */
  readonly rewrite: (text: string) => void;
  /** Answers the line that is typed, empty if there is none. Missing where nobody types. */
  readonly ask?: ((question: string) => Promise<string>) | undefined;
}

/** One option, always `--name`, and with a value unless `value` is missing. */
export interface OptionDescription {
  /** What stands for the value in the help: `FILE`. */
  readonly value?: string;
  readonly description: string;
}

/** An option's text, or true where it takes none. */
export type Values = Readonly<Record<string, string | true | undefined>>;

export interface Command {
  readonly name: string;
  /** One line, for the list of commands. */
  readonly summary: string;
  /** What it does and what it needs, for its own help. */
  readonly description: string;
  readonly options: Readonly<Record<string, OptionDescription>>;
  /** What follows `express-tokenizer`, each with what it is good for. */
  readonly examples: readonly (readonly [line: string, purpose: string])[];
  /**
   * Answers the exit code.
   *
   * @throws TokenizerError, UsageError
   */
  run(values: Values, io: Io): Promise<number>;
}

/** The command line is wrong: told with the way to its help, exit code 2. */
export class UsageError extends Error {}

/** What a command works with: the sessions as an application has them, and what only the command line needs. */
export type Parts = ReturnType<typeof makeTokenizer>;

/** The option of every command that reads the settings. */
export const settingsOption = {
  settings: {
    value: "FILE",
    description: "the settings file; default: the one that TOKENIZER_SETTINGS names, else settings.yml",
  },
} as const;

/** The option of every command whose answer a program may want to read. */
export const jsonOption = { json: { description: "print JSON" } } as const;

/** Tells what somebody should mend, in whatever command. */
function warner({ tell, colours = NO_COLOURS }: Io): (message: string) => void {
  return (message) => tell(`${colours.yellow("Warning:")} ${message}`);
}

/**
 * The settings that the options and the environment name.
 *
 * @throws TokenizerError `SETTINGS_INVALID`
 */
export function readSettings({ settings: file }: Values, io: Io, warn = warner(io)): LoadedSettings {
  return loadSettings(typeof file === "string" ? file : undefined, {
    env: io.env,
    log: { warn },
    asking: "command",
  });
}

/**
 * Works with the sessions of the settings; whatever happens, the backend is closed again. A store that is not there is
 * not made: whoever looks in the wrong place must not find an empty one there.
 *
 * @throws TokenizerError `SETTINGS_INVALID`, also where no other process can see the sessions
 */
export async function withSessions<T>(
  settings: LoadedSettings,
  io: Io,
  work: (parts: Parts) => Promise<T>,
): Promise<T> {
  if (settings.tokenizer.type === "memory") throw wrongType(IN_MEMORY);
  const parts = makeTokenizer(settings, { now: Date.now, warn: warner(io), create: false });
  try {
    await parts.sessions.ready;
    return await work(parts);
  } finally {
    await parts.sessions.close();
  }
}

/** What is told beside an answer that found nothing: it may be the wrong place. */
export function lookedIn(settings: LoadedSettings, { env }: Io): string {
  return `Looked in: ${visible(placeOf(settings, env))}`;
}

/**
 * The settings of a DynamoDB table.
 *
 * @throws TokenizerError `SETTINGS_INVALID`, also where they are those of another backend
 */
export function dynamodbSettings(values: Values, io: Io): DynamodbOptions {
  return withTable(readSettings(values, io).tokenizer);
}

/** @throws TokenizerError `SETTINGS_INVALID` where they are those of another backend */
export function withTable(section: TokenizerSettings): DynamodbOptions {
  const { type, table } = section;
  if (type === "dynamodb" && table !== undefined) return { ...section, table };
  throw notForType(type, "dynamodb");
}

/** @param types those that the command is for */
export function notForType(type: string, types: string): TokenizerError {
  return wrongType(`found ${type}; this command is for the table of type: ${types}`);
}

const IN_MEMORY =
  "found memory: those sessions are in the application's own process, where no command sees them. To end all of them, " +
  "restart it; from inside, sessions.users lists and ends them";

function wrongType(message: string): TokenizerError {
  return new TokenizerError("SETTINGS_INVALID", `tokenizer.type: ${message}.`, {
    faults: [{ path: "tokenizer.type", message }],
  });
}
