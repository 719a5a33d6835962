/** A process with its children, as one: stopped, continued and killed. By Linux's /proc. */
import { type ChildProcess, spawn } from "node:child_process";
import { setTimeout as sleep } from "node:timers/promises";
import { read } from "./postgres-program.mjs";

export class ProcessFamily {
  readonly #parent: number;
  #stopped: number[] = [];
  #guard: ChildProcess | undefined;

  constructor(parent: number) {
    this.#parent = parent;
  }

  /** SIGSTOP to all, also to those that it starts meanwhile. */
  stop(): void {
    if (this.#stopped.length > 0) return;
    this.#stop(this.#parent);
    for (const child of this.#children()) this.#stop(child);
    // A stopped process that loses us would stay for ever: the guard's input ends when we do, and Ctrl-C is for us.
    const script = `trap "" INT TERM HUP; read _; kill -CONT "$@"`;
    this.#guard = spawn("sh", ["-c", script, "sh", ...this.#stopped.map(String)], {
      stdio: ["pipe", "ignore", "ignore"],
    });
  }

  continue(): void {
    this.#guard?.kill("SIGKILL");
    for (const pid of this.#stopped.splice(0)) signal(pid, "SIGCONT");
  }

  /** SIGKILL to all; waits until they are gone. */
  async kill(): Promise<void> {
    this.stop();
    this.#guard?.kill("SIGKILL");
    const pids = this.#stopped.splice(0);
    for (const pid of pids) signal(pid, "SIGKILL");
    while (pids.some((pid) => !/^Z?$/.test(stateOf(pid)))) await sleep(5);
  }

  #stop(pid: number): void {
    this.#stopped.push(pid);
    signal(pid, "SIGSTOP");
    // Until then it may still start another. Not a promise: nobody else gets a turn between.
    while (!/^[TZ]?$/.test(stateOf(pid)));
  }

  #children(): number[] {
    return read(`/proc/${this.#parent}/task/${this.#parent}/children`).split(" ").filter(Boolean).map(Number);
  }
}

function signal(pid: number, name: NodeJS.Signals): void {
  try {
    process.kill(pid, name);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "ESRCH") throw error;
  }
}

/** `T` for stopped, `Z` for ended and not yet fetched by its parent; empty for gone. */
function stateOf(pid: number): string {
  // The name before it is in parentheses, and may have any in it.
  return /.*\) (.)/.exec(read(`/proc/${pid}/stat`))?.[1] ?? "";
}
