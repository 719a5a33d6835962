/** The program at a terminal of its own, where somebody types an answer when asked. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { describe } from "@jest/globals";

/** `npm test` has built it. */
export const BIN = fileURLToPath(new URL("../../dist/cli/bin.mjs", import.meta.url));

/** Gives a program a terminal. */
const SCRIPT = "/usr/bin/script";
const isPossible = process.platform === "linux" && existsSync(SCRIPT);
if (!isPossible) console.warn(`Left out what needs a terminal: there is no ${SCRIPT} of Linux.`);

export const withTerminal = isPossible ? describe : describe.skip;

export const SIZE = { cols: 80, rows: 24 };

export interface AtTerminal {
  /** What is typed when the program asks; a `\u0003` is Ctrl-C. */
  readonly typed?: string;
  /** Whether the terminal shows what is typed. */
  readonly echo?: boolean;
  readonly cwd?: string;
  readonly env?: NodeJS.ProcessEnv;
}

/** Answers the exit code, 128 and more for a signal, and every byte that the terminal got. */
export async function atTerminal(
  argv: readonly string[],
  { typed = "", echo = true, cwd = process.cwd(), env = {} }: AtTerminal = {},
): Promise<{ readonly code: number; readonly screen: string }> {
  const program = [process.execPath, BIN, ...argv].map((word) => `'${word}'`).join(" ");
  const command = `stty cols ${SIZE.cols} rows ${SIZE.rows} ${echo ? "echo" : "-echo"}; exec ${program}`;
  const child = spawn(SCRIPT, ["--quiet", "--return", "--command", command, "/dev/null"], {
    stdio: ["pipe", "pipe", "inherit"],
    cwd,
    env: { ...process.env, ...env, TERM: "xterm", SHELL: "/bin/sh" },
  });
  let screen = "";
  let isAsked = false;
  child.stdout.setEncoding("utf8").on("data", (text: string) => {
    screen += text;
    if (isAsked || !screen.includes("[y/N] ")) return;
    isAsked = true;
    child.stdin.write(typed);
  });
  const [code] = await once(child, "close");
  return { code, screen };
}
