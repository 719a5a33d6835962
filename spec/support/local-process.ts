import { type ChildProcess, execFile, fork } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";
import { Worker } from "node:worker_threads";
import type { EngineName } from "../../lib/backends/local/sqlite.js";

const MAIN = fileURLToPath(new URL("local-process-main.mjs", import.meta.url));
const FLAGS = ["--disable-warning=ExperimentalWarning", "--expose-gc"];

export interface ProcessOptions {
  path: string;
  engine: EngineName;
  timeout?: number;
  umask?: number;
  /** Become this user once everything is loaded. */
  uid?: number;
  name?: string;
}

/** What a task rejected with, as far as it can be sent. */
export interface Told {
  name: string;
  code: string;
  status: number;
  message: string;
}

export interface Task {
  task: string;
  [argument: string]: unknown;
}

interface Answer {
  id?: number;
  result?: unknown;
  error?: Told;
}

interface News {
  acknowledged?: string;
  refused?: string;
  warned?: string;
}

/** A process of its own with a local backend. */
export class LocalProcess {
  readonly child: ChildProcess;
  /** The keys of what the task `work` wrote, and why it could not. */
  readonly acknowledged: string[] = [];
  readonly refused: string[] = [];
  /** What the backend warned of, and how much was acknowledged before the last of it. */
  readonly warnings: string[] = [];
  acknowledgedBefore = 0;
  #id = 0;

  private constructor(child: ChildProcess) {
    this.child = child;
    // As many tasks as a spec likes may wait at once.
    child.setMaxListeners(0);
    child.on("message", ({ acknowledged, refused, warned }: News) => {
      if (acknowledged !== undefined) this.acknowledged.push(acknowledged);
      if (refused !== undefined) this.refused.push(refused);
      if (warned === undefined) return;
      this.warnings.push(warned);
      this.acknowledgedBefore = this.acknowledged.length;
    });
  }

  static async start(options: ProcessOptions): Promise<LocalProcess> {
    const child = fork(MAIN, [JSON.stringify(options)], {
      execArgv: FLAGS,
      stdio: ["ignore", "pipe", "inherit", "ipc"],
    });
    await Promise.race([
      once(child, "message"),
      once(child, "exit").then(([code]) => {
        throw new Error(`The process ended at its start with ${code}.`);
      }),
    ]);
    return new LocalProcess(child);
  }

  /** Runs a task; rejects with what the process told of its error. */
  run(task: Task): Promise<unknown> {
    const id = ++this.#id;
    const { child } = this;
    return new Promise((resolve, reject) => {
      const settle = () => {
        child.off("message", onMessage);
        child.off("exit", onExit);
      };
      const onMessage = (answer: Answer) => {
        if (answer.id !== id) return;
        settle();
        if (answer.error) reject(answer.error);
        else resolve(answer.result);
      };
      const onExit = (code: number | null, signal: string | null) => {
        settle();
        reject(new Error(`The process ended with ${signal ?? code}.`));
      };
      child.on("message", onMessage);
      child.on("exit", onExit);
      child.send({ id, ...task });
    });
  }

  /** Resolves when, after some message of the process, something is so. */
  async until(isSo: () => boolean): Promise<void> {
    while (!isSo()) await once(this.child, "message");
  }

  call(method: string, ...args: unknown[]): Promise<unknown> {
    return this.run({ task: "call", method, args });
  }

  async kill(signal: NodeJS.Signals = "SIGKILL"): Promise<void> {
    if (this.child.exitCode !== null || this.child.signalCode !== null) return;
    const ended = once(this.child, "exit");
    this.child.kill(signal);
    await ended;
  }
}

/** Runs one task in a worker thread. */
export async function runInWorker(options: ProcessOptions & Task): Promise<unknown> {
  const worker = new Worker(MAIN, { workerData: options, execArgv: ["--disable-warning=ExperimentalWarning"] });
  // Asked for together: the end may come in one turn with the message.
  const [[answer]] = (await Promise.all([once(worker, "message"), once(worker, "exit")])) as [[Answer], unknown];
  if (answer.error) throw answer.error;
  return answer.result;
}

/**
 * Runs one task in a process below a shell command such as `ulimit -f 512`. Answers what the task did, or why the
 * command could not be run.
 */
export function runBelow(
  command: readonly string[],
  prepare: string,
  options: ProcessOptions & Task,
): Promise<{ answer?: Answer; reason?: string }> {
  const [program = "sh", ...args] = [...command, "sh", "-c", `${prepare} && exec "$0" "$@"`];
  const node = [process.execPath, ...FLAGS, MAIN, JSON.stringify(options)];
  return new Promise((resolve) => {
    execFile(program, [...args, ...node], { maxBuffer: 1e8 }, (error, stdout, stderr) => {
      try {
        resolve({ answer: JSON.parse(stdout) as Answer });
      } catch {
        resolve({ reason: `${error?.message ?? ""} ${stderr}`.trim() });
      }
    });
  });
}
