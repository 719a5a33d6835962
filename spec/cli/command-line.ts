/** The command line in this process, with what it printed and told. */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Backend } from "../../lib/backends/backend.js";
import { makeBackend } from "../../lib/backends/open.js";
import type { Io } from "../../lib/cli/command.js";
import { main } from "../../lib/cli/main.js";
import { loadSettings } from "../../lib/settings/load.js";
import { Clock, startApp } from "../support/app.js";
import { lastingFolder } from "../support/lasting-folder.js";
import type { Place } from "../support/places.js";

/** Runs it; everything comes back as text. */
export async function commandLine(argv: string[], env: NodeJS.ProcessEnv = {}, more: Partial<Io> = {}) {
  const printed: string[] = [];
  const told: string[] = [];
  const io = { print: (line: string) => printed.push(line), tell: (line: string) => told.push(line), env };
  const code = await main(argv, { ...io, ...more });
  return { code, stdout: printed.join("\n"), stderr: told.join("\n") };
}

/** An application at a place, and the command line over the same settings. */
export async function appAt(place: Place) {
  const clock = new Clock();
  // The command line has the real time, and no other.
  clock.time = Date.now();
  const app = await startApp({
    settings: place,
    clock,
    routes(express) {
      express.post("/sign-in-labelled", (req, res, next) => {
        const { label, ...credentials } = req.body;
        req.signIn(credentials, { label }).then(() => res.sendStatus(204), next);
      });
    },
  });
  const file = settingsFile({ ...place, path: app.path });
  const run = (argv: string[], more: Partial<Io> = {}) => {
    const [command = "", ...options] = argv;
    return commandLine([command, "--settings", file, ...options], {}, more);
  };
  return { app, file, run };
}

/** The backend that a settings file names, not opened yet. */
export function backendOf(file: string): Backend {
  const settings = loadSettings(file, { log: console, env: {} });
  return makeBackend(settings, { now: Date.now, timeout: 60_000, warn: () => {} });
}

/** A terminal at which somebody answers every question alike. */
export function terminal(answer: string) {
  const questions: string[] = [];
  /** What stood in the line that is rewritten. */
  const shown: string[] = [];
  return {
    questions,
    shown,
    rewrite: (text: string) => void shown.push(text),
    async ask(question: string) {
      questions.push(question);
      return answer;
    },
  };
}

/** A settings file of its own; answers its name. */
export function settingsFile(tokenizer: object): string {
  const file = join(lastingFolder(), "settings.yml");
  // JSON is YAML.
  writeFileSync(
    file,
    JSON.stringify({ tokenizer: { safe_password: "a safe password for specs", store_timeout: 60, ...tokenizer } }),
    {
      mode: 0o600,
    },
  );
  return file;
}
