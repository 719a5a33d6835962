#!/usr/bin/env node
/** `npx express-tokenizer`. */
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { createInterface } from "node:readline";
import pico from "picocolors";
import { USUAL_WIDTH } from "./command.js";
import { main } from "./main.js";
import { wrapped } from "./text.js";

const { stdin, stdout, stderr } = process;

/** Why nothing more can be printed. */
let failure: NodeJS.ErrnoException | undefined;
let isLineShown = false;

stdout.on("error", (error: NodeJS.ErrnoException) => {
  failure = error;
  // Nobody reads any more (`| head`): that is no fault.
  if (error.code === "EPIPE") return;
  process.exitCode = 1;
  tell(`Printing failed: ${error.message}`);
});
stderr.on("error", () => {});
// Node calls its own SQLite experimental, at every start: nothing that who runs a command could change.
process.removeAllListeners("warning");

function print(line: string): unknown {
  rewrite("");
  if (failure) throw failure;
  return stdout.write(`${line}\n`) ? undefined : once(stdout, "drain").catch(() => {});
}

function tell(line: string): void {
  rewrite("");
  stderr.write(`${fitted(line)}\n`);
}

/** At a terminal, broken between words rather than where its line ends. */
function fitted(text: string): string {
  if (!stderr.isTTY) return text;
  const fit = (line: string) => wrapped(line, stderr.columns || USUAL_WIDTH, `${/^ */.exec(line)?.[0]}  `);
  return text.split("\n").map(fit).join("\n");
}

function rewrite(text: string): void {
  if (isLineShown) stderr.write("\r\u001b[K");
  stderr.write(text.slice(0, (stderr.columns || 80) - 1));
  isLineShown = text !== "";
}

/** Without line editing, so that Ctrl-C ends the program as anywhere else. */
async function ask(question: string): Promise<string> {
  stderr.write(fitted(question));
  const lines = createInterface({ input: stdin });
  const line = await new Promise<string>((resolve) => lines.once("line", resolve).once("close", () => resolve("")));
  lines.close();
  return line;
}

async function run(argv: readonly string[]): Promise<number> {
  const width = stdout.isTTY ? stdout.columns || USUAL_WIDTH : undefined;
  // NO_COLOR, FORCE_COLOR and TERM=dumb are known there; a pipe of a CI run it takes for a terminal.
  const isColoured = pico.isColorSupported && (stdout.isTTY === true || Boolean(process.env.FORCE_COLOR));
  const colours = pico.createColors(isColoured);
  if (argv[0] !== "--version") return main(argv, { ...io, width, colours });
  await print(version());
  return 0;
}

function version(): string {
  const manifest = readFileSync(new URL("../../package.json", import.meta.url), "utf8");
  return (JSON.parse(manifest) as { version: string }).version;
}

const terminal = stderr.isTTY ? { rewrite, ask: stdin.isTTY ? ask : undefined } : undefined;
const io = { print, tell, env: process.env, terminal, isAttended: stdin.isTTY };
const code = await run(process.argv.slice(2)).catch((error: unknown) => {
  if (error !== failure) throw error;
  return 0;
});
process.exitCode ||= code;
