/** The calls of a simulation that are under way: which one goes on, fails, is late or is lost. */
import { TokenizerError } from "../../../../lib/errors.js";
import type { Call, Process } from "./process.js";
import type { Random } from "./random.js";
import type { Task } from "./task.js";
import type { Trace } from "./trace.js";

interface Pending {
  readonly task: Task;
  readonly process: Process;
  readonly call: Call;
  wasTaken: boolean;
  /** Its effect. */
  take(isLate: boolean): void;
  answer(): void;
  refuse(error: Error): void;
}

type Tell = (line: (trace: Trace) => string) => void;

export class Calls {
  /** How many of them fail, from 0 to 1. */
  faultShare = 0;
  readonly #random: Random;
  readonly #tell: Tell;
  #pending: Pending[] = [];
  /** Whose effect comes later than their answer, or than the death of whoever made them. */
  readonly #late: Pending[] = [];

  constructor(random: Random, tell: Tell) {
    this.#random = random;
    this.#tell = tell;
  }

  get count(): number {
    return this.#pending.length;
  }

  get hasLate(): boolean {
    return this.#late.length > 0;
  }

  get processes(): Process[] {
    return this.#pending.map(({ process }) => process);
  }

  add<T>(task: Task, process: Process, call: Call, effect: (isLate: boolean) => T): Promise<T> {
    return new Promise<T>((resolve, refuse) => {
      let answer = () => {};
      const take = (isLate: boolean) => {
        const result = effect(isLate);
        this.#tell((trace) => `${task.name} ${isLate ? "late " : ""}${trace.called(call, result)}`);
        answer = () => resolve(result);
      };
      this.#pending.push({ task, process, call, wasTaken: false, take, answer: () => answer(), refuse });
    });
  }

  /** One turn of one call: its effect, its answer, or a failure. */
  turn(isCalm: boolean): void {
    const first = this.#random.pick(this.#pending);
    const pending = first.task.isSlow ? this.#random.pick(this.#pending) : first;
    if (!pending.wasTaken) {
      if (!isCalm && this.#random.chance(this.faultShare)) {
        this.#fail(pending);
        return;
      }
      pending.wasTaken = true;
      pending.take(false);
      if (!isCalm && this.#random.chance(0.5)) return;
    }
    this.#pending.splice(this.#pending.indexOf(pending), 1);
    pending.answer();
  }

  takeLate(): void {
    const [late] = this.#late.splice(this.#random.below(this.#late.length), 1);
    late?.take(true);
  }

  /** Nothing of a process goes on, but for what is on its way. */
  drop(process: Process): void {
    for (const pending of this.#pending) {
      if (pending.process === process && !pending.wasTaken && this.#random.chance(0.3)) this.#late.push(pending);
    }
    this.#pending = this.#pending.filter((pending) => pending.process !== process);
  }

  /** Nobody answers any more. */
  timeOut(): void {
    const all = this.#pending;
    this.#pending = [];
    for (const pending of all) {
      const how = pending.wasTaken ? "answered late" : this.#random.pick(["answered late", "late", "lost"] as const);
      this.#tell((trace) => `${pending.task.name} ${trace.called(pending.call)} is ${how}, past store_timeout`);
      if (!pending.wasTaken && how === "answered late") pending.take(false);
      if (how === "late") this.#late.push(pending);
      pending.task.noteTrouble(pending.call.op);
      pending.refuse(new TokenizerError("STORE_TIMEOUT", "simulated"));
    }
  }

  #fail(pending: Pending): void {
    const how = this.#random.pick(["refused", "refused after its effect", "late", "late"] as const);
    this.#tell((trace) => `${pending.task.name} ${trace.called(pending.call)} is ${how}`);
    if (how === "refused after its effect") pending.take(false);
    if (how === "late") this.#late.push(pending);
    this.#pending.splice(this.#pending.indexOf(pending), 1);
    pending.task.noteTrouble(pending.call.op);
    pending.refuse(new TokenizerError("STORE_UNAVAILABLE", "simulated"));
  }
}
