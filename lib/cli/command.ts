/** What a command is, and what all of them share. */
import type { DynamodbOptions } from "../backends/dynamodb-client.js";
import { TokenizerError } from "../errors.js";
import { loadSettings } from "../settings/load.js";
import type { TokenizerSettings } from "../settings/settings.js";

/** What a command has of the world. */
export interface Io {
  /** What was asked for. One line at a time, without its end. */
  readonly print: (line: string) => void;
  /** What somebody should know: progress, warnings, errors. */
  readonly tell: (line: string) => void;
  readonly env: NodeJS.ProcessEnv;
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

/** The option of every command that reads the settings. */
export const settingsOption = {
  settings: {
    value: "FILE",
    description: "the settings file; default: the one that TOKENIZER_SETTINGS names, else settings.yml",
  },
} as const;

/**
 * The settings of a DynamoDB table.
 *
 * @throws TokenizerError `SETTINGS_INVALID`, also where they are those of another backend
 */
export function dynamodbSettings({ settings: file }: Values, { env, tell }: Io): DynamodbOptions {
  const name = typeof file === "string" ? file : undefined;
  const { tokenizer: section } = loadSettings(name, { env, log: { warn: tell } });
  return withTable(section);
}

function withTable(section: TokenizerSettings): DynamodbOptions {
  const { type, table } = section;
  if (type === "dynamodb" && table !== undefined) return { ...section, table };
  const message = `found ${type}; this command is for the table of type: dynamodb`;
  throw new TokenizerError("SETTINGS_INVALID", `tokenizer.type: ${message}.`, {
    faults: [{ path: "tokenizer.type", message }],
  });
}
