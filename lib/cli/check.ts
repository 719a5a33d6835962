/** `check`: the settings in force, and whether and how fast the backend does all that the application asks of it. */

import { type Trial, trialOf } from "../backends/local/trial.js";
import { reasonOf } from "../backends/module/factory.js";
import { makeBackend } from "../backends/open.js";
import type { LoadedSettings } from "../settings/load.js";
import { withPostgresDefaults } from "../settings/postgres-defaults.js";
import {
  type Command,
  type Io,
  jsonOption,
  NO_COLOURS,
  readSettings,
  settingsOption,
  USUAL_WIDTH,
  withTable,
} from "./command.js";
import { isFine, measure, ROUNDS, summaryOf, type Timing } from "./measure.js";
import { accessWeaknesses } from "./postgres-table.js";
import { type Row, settingsInForce } from "./settings-in-force.js";
import { columns, counted, wrapped } from "./text.js";
import { ttlWeakness } from "./ttl.js";
import { unusedOf, weaknessesOf } from "./weaknesses.js";

/** The columns of the two tables. */
const SETTING = 18;
const OPERATION = 8;
const NUMBER = 10;
const WIDTHS = [OPERATION, NUMBER, NUMBER, NUMBER];

export const check: Command = {
  name: "check",
  summary: "check the settings, and the store that they name",
  description: `Prints the settings in force (of a secret, only whether it is set), and warns of weak ones. Then it writes, reads,
touches and removes a record of its own ${ROUNDS} times, and reads a page of the list. So it tries every permission that the
application needs, and names the one that is missing. It leaves sessions alone, and makes no local store: if there is none
yet, it tries a folder beside it and removes that again.

The exit code is 0 when all of that works, even with warnings.`,
  options: { ...settingsOption, ...jsonOption },
  examples: [
    ["check", "the settings of settings.yml"],
    ["check --settings config/settings.yml", "of another settings file"],
    ["check --json", "{ ok, settings, operations, warnings }"],
  ],
  async run(values, io) {
    const weighty: string[] = [];
    const settings = readSettings(values, io, (message) => void weighty.push(message));
    weighty.push(...weaknessesOf(settings, io.env));
    const notes = [...unusedOf(settings)];
    const note = (message: string) => void notes.push(message);
    const rows = settingsInForce(settings, io.env);
    if (!values.json) printSettings(rows, io);

    const timeout = settings.tokenizer.store_timeout * 1000;
    const timings = await tried(settings, (what) =>
      measure(makeBackend(what, { now: Date.now, timeout, warn: note }, { create: what !== settings }), io),
    );
    if (settings.tokenizer.type === "module") tellCauses(timings);
    if (settings.tokenizer.type === "dynamodb" && timings.every(isFine)) {
      const weakness = await ttlWeakness(withTable(settings.tokenizer), timeout);
      if (weakness !== undefined) note(weakness);
    }
    if (settings.tokenizer.type === "postgres" && timings.every(isFine)) {
      weighty.push(...(await accessWeaknesses(withPostgresDefaults(settings.tokenizer), io, timeout)));
    }
    const warnings = [...weighty, ...notes];
    if (values.json) printJson(rows, timings, warnings, io);
    else printTimings(timings, warnings, io);
    for (const { operation, error } of timings) if (error !== undefined) io.tell(`${operation}: ${error}`);
    // The weightiest first, below all else that is read.
    tellAll("To mend before users come:", weighty, io);
    tellAll("To look at:", notes, io);
    return timings.every(isFine) ? 0 : 1;
  },
};

function tellAll(
  heading: string,
  warnings: readonly string[],
  { tell, width = USUAL_WIDTH, colours = NO_COLOURS }: Io,
): void {
  if (warnings.length === 0) return;
  tell("");
  tell(colours.yellow(heading));
  for (const warning of warnings) tell(wrapped(`- ${warning}`, width, "  "));
}

/**
 * Tries what the settings name. A local store that is not there yet is not made, least of all by another user than the
 * application's: another one is tried in its place, and removed again.
 */
async function tried(
  settings: LoadedSettings,
  measureIt: (settings: LoadedSettings) => Promise<readonly Timing[]>,
): Promise<readonly Timing[]> {
  const { tokenizer } = settings;
  let trial: Trial | undefined;
  try {
    if (tokenizer.type === "local") trial = trialOf(tokenizer.path);
  } catch (error) {
    return [{ operation: "open", milliseconds: [], error: (error as Error).message }];
  }
  if (!trial) return measureIt(settings);
  try {
    const timings = await measureIt({ ...settings, tokenizer: { ...tokenizer, path: trial.path } });
    for (const timing of timings) {
      if (timing.error !== undefined) timing.error = timing.error.replaceAll(trial.path, tokenizer.path);
    }
    return timings;
  } finally {
    trial.remove();
  }
}

/** Errors of somebody's own backend are kept back, as they may quote a session; here there is none. */
function tellCauses(timings: readonly Timing[]): void {
  for (const timing of timings) {
    const reason = timing.cause === undefined ? "" : reasonOf(timing.cause);
    if (timing.error !== undefined && !timing.error.includes(reason)) timing.error += `: ${reason}`;
  }
}

function printSettings(rows: readonly Row[], { print }: Io): void {
  for (const { name, text } of rows) print(columns([name, text], [SETTING]));
  print("");
}

function printTimings(timings: readonly Timing[], warnings: readonly string[], io: Io): void {
  const { print, colours = NO_COLOURS } = io;
  const line = (...cells: string[]) => columns(cells, WIDTHS);
  print(colours.bold(line("", ...["times", "median", "slowest"].map(right))));
  for (const timing of timings) {
    const { operation, milliseconds } = timing;
    const { median, slowest } = summaryOf(timing);
    const cells = [String(milliseconds.length), inMilliseconds(median), inMilliseconds(slowest)];
    if (isFine(timing)) print(line(operation, ...cells.map(right)));
    else print(`${operation.padEnd(OPERATION)}  ${colours.red(right("failed"))}`);
  }
  if (!timings.every(isFine)) return;
  print("");
  if (warnings.length === 0) print(colours.green("It works."));
  else print(`${colours.green("It works")}, with ${counted(warnings.length, "warning")}.`);
}

const right = (cell: string): string => cell.padStart(NUMBER);

const inMilliseconds = (time: number | undefined): string => (time === undefined ? "" : `${time.toFixed(2)} ms`);

function printJson(rows: readonly Row[], timings: readonly Timing[], warnings: readonly string[], { print }: Io): void {
  const settings = Object.fromEntries(rows.map(({ name, value }) => [name, value]));
  const operations = timings.map((timing) => {
    const { operation, milliseconds, error } = timing;
    return isFine(timing) ? { operation, times: milliseconds.length, ...summaryOf(timing) } : { operation, error };
  });
  print(JSON.stringify({ ok: timings.every(isFine), settings, operations, warnings }, null, 2));
}
