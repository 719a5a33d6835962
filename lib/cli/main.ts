/** The command line: finds the command, reads its options, tells what went wrong. One file a command. */
import { parseArgs } from "node:util";
import { TokenizerError } from "../errors.js";
import { didYouMean } from "../settings/nearest.js";
import { check } from "./check.js";
import { type Command, type Io, USUAL_WIDTH, UsageError, type Values } from "./command.js";
import { createTable } from "./create-table.js";
import { grants } from "./grants.js";
import { iamPolicy } from "./iam-policy.js";
import { newPassword } from "./new-password.js";
import { prune } from "./prune.js";
import { revoke } from "./revoke.js";
import { sessions } from "./sessions.js";
import { wrapped } from "./text.js";

const COMMANDS: readonly Command[] = [check, newPassword, sessions, revoke, prune, createTable, grants, iamPolicy];

const PROGRAM = "npx express-tokenizer";
/** The widest name of an option with its value, and two spaces. */
const COLUMN = 20;
/** Where an example's purpose begins, if it is not longer. */
const EXAMPLE_COLUMN = 48;

/**
 * Runs a command.
 *
 * @param argv what follows the program's name
 * @returns the exit code: 0 done, 1 failed, 2 wrongly called
 */
export async function main(argv: readonly string[], io: Io): Promise<number> {
  const [name, ...rest] = argv;
  const width = io.width ?? USUAL_WIDTH;
  if (name === "--help" || name === "-h" || name === "help") {
    const about = COMMANDS.find((candidate) => candidate.name === rest[0]);
    io.print(about ? helpOf(about, width) : helpOfAll(width));
    return 0;
  }
  if (name === undefined) {
    io.tell(helpOfAll(width));
    return 2;
  }
  const command = COMMANDS.find((candidate) => candidate.name === name);
  try {
    if (!command) throw new UsageError(`There is no command ${name}${didYouMean(name, namesOf(COMMANDS)) || "."}`);
    const values = readOptions(command, rest);
    if (values.help) {
      io.print(helpOf(command, width));
      return 0;
    }
    return await command.run(values, io);
  } catch (error) {
    if (error instanceof TokenizerError) {
      io.tell(error.message);
      return 1;
    }
    if (!(error instanceof UsageError)) throw error;
    io.tell(error.message);
    io.tell(`Help: ${PROGRAM} ${command ? `${command.name} ` : ""}--help`);
    return 2;
  }
}

function readOptions({ options }: Command, argv: readonly string[]): Values {
  const types = Object.entries(options).map(([name, { value }]) => [
    name,
    { type: value === undefined ? ("boolean" as const) : ("string" as const) },
  ]);
  const { tokens } = parseArgs({
    args: [...argv],
    options: { ...Object.fromEntries(types), help: { type: "boolean", short: "h" } },
    strict: false,
    tokens: true,
  });
  const values: Record<string, string | true> = {};
  for (const token of tokens) {
    if (token.kind === "option-terminator") continue;
    if (token.kind === "positional") throw new UsageError(`${token.value} is one word too many.`);
    const { name, rawName, value } = token;
    const option = name === "help" ? { value: undefined } : Object.hasOwn(options, name) && options[name];
    if (!option)
      throw new UsageError(`There is no option ${rawName}${didYouMean(`--${name}`, flagsOf(options)) || "."}`);
    if (option.value === undefined && value !== undefined) throw new UsageError(`${rawName} takes no value.`);
    if (values[name] !== undefined) throw new UsageError(`${rawName} is there twice.`);
    // `--settings --kms-key …`: the value was forgotten. But a session's id may well begin with a -.
    const isMissing = !value || (!token.inlineValue && isOption(value, options));
    if (option.value !== undefined && isMissing) throw new UsageError(`${rawName} needs a value: ${option.value}.`);
    values[name] = value ?? true;
  }
  return values;
}

function isOption(word: string, options: Command["options"]): boolean {
  const [, name] = /^--([^=]+)/.exec(word) ?? [];
  return word === "-h" || name === "help" || (name !== undefined && Object.hasOwn(options, name));
}

function helpOfAll(width: number): string {
  const column = Math.max(...namesOf(COMMANDS).map((name) => name.length)) + 2;
  return [
    `Usage: ${PROGRAM} COMMAND [OPTIONS]`,
    "",
    "Commands:",
    ...COMMANDS.map(({ name, summary }) => `  ${name.padEnd(column)}${summary}`),
    "",
    "Examples:",
    ...exampleLines(
      [check, newPassword, sessions, revoke].flatMap(({ examples }) => examples.slice(0, 1)),
      width,
    ),
    "",
    `More about a command: ${PROGRAM} COMMAND --help`,
  ].join("\n");
}

function helpOf({ name, description, options, examples }: Command, width: number): string {
  const all = { ...options, help: { description: "this text" } };
  return [
    `Usage: ${PROGRAM} ${name} [OPTIONS]`,
    "",
    ...description.split("\n\n").flatMap((paragraph) => [wrapped(paragraph.replaceAll("\n", " "), width), ""]),
    "Options:",
    ...Object.entries(all).map(([option, { value, description: text }]: [string, Command["options"][string]]) => {
      const left = `--${option}${value === undefined ? "" : ` ${value}`}`;
      return wrapped(`  ${left.padEnd(COLUMN)}${text}`, width, " ".repeat(COLUMN + 2));
    }),
    "",
    "Examples:",
    ...exampleLines(examples, width),
  ].join("\n");
}

/** Each with its purpose behind it, or above it where there is no room. */
function exampleLines(examples: Command["examples"], width: number): string[] {
  return examples.flatMap(([line, purpose]) => {
    const command = `  ${PROGRAM} ${line}`;
    const behind = `${command.padEnd(EXAMPLE_COLUMN)}  # ${purpose}`;
    return behind.length <= width ? behind : [`  # ${purpose}`, command];
  });
}

const flagsOf = (options: Command["options"]): string[] => Object.keys(options).map((name) => `--${name}`);

const namesOf = (commands: readonly Command[]): string[] => commands.map(({ name }) => name);
