/** The scheduler of a simulation: which call goes on, fails or is lost; when processes die, records vanish and time jumps. */
import { AsyncLocalStorage } from "node:async_hooks";
import { jest } from "@jest/globals";
import type { KeyIds } from "../../../../lib/session/users/user-record.js";
import type { Users } from "../../../../lib/session/users/users.js";
import { USER_PREFIX } from "../../../../lib/session-id.js";
import { Calls } from "./calls.js";
import { Ledger } from "./ledger.js";
import { type Call, type Host, Process, STORE_TIMEOUT } from "./process.js";
import { Random } from "./random.js";
import { type Act, MINUTE, type Scenario } from "./scenarios.js";
import { SimulatedStore } from "./store.js";
import { Task } from "./task.js";
import type { Trace } from "./trace.js";

/** What a process has for `safe_password` as the first, and the ones after it. */
const PHASES: readonly [KeyIds, ...KeyIds[]] = [["old"], ["old", "new"], ["new", "old"], ["new"]];
/** Before the last one, everybody comes by. */
const LAST_PHASE = PHASES.length - 1;
const SKEW = 5 * MINUTE;
/** Of tasks that others overtake. */
const SLOW_SHARE = 0.3;

export interface WorldOptions {
  /** Where all that happens is told. */
  readonly trace?: Trace | undefined;
  readonly Store?: typeof SimulatedStore | undefined;
}

/** One for all: each that was used costs every promise from then on. */
const CURRENT = new AsyncLocalStorage<Task>();

export class World implements Host {
  readonly random: Random;
  readonly scenario: Scenario;
  readonly store: SimulatedStore;
  readonly limit: number;
  readonly ledger = new Ledger(this);
  readonly trace: Trace | undefined;
  processes: Process[];
  time = 1_800_000_000_000;
  step = 0;
  readonly #calls: Calls;
  readonly #tasks = new Set<Task>();
  readonly #ends = new WeakMap<Task, (error: Error) => void>();

  constructor(scenario: Scenario, seed: number, { trace, Store = SimulatedStore }: WorldOptions) {
    const random = new Random(seed);
    this.random = random;
    this.scenario = scenario;
    this.trace = trace;
    this.#calls = new Calls(random, (line) => this.tell(line));
    if (scenario.faults) this.#calls.faultShare = 0.04 + 0.12 * random.next();
    this.limit = scenario.limit ? random.pick([1, 2, 3]) : 100;
    this.store = new Store(() => this.time, random.chance(0.5));
    const skews = scenario.skew ? [0, SKEW, -SKEW] : [0];
    const first = random.below(3);
    this.processes = Array.from({ length: 2 + random.below(2) }, (_, id) => {
      const skew = skews[(id + first) % skews.length] ?? 0;
      return new Process({ id, skew, keyIds: PHASES[0], phase: 0 }, this);
    });
  }

  get isBusy(): boolean {
    return this.#calls.count > 0;
  }

  get hasLate(): boolean {
    return this.#calls.hasLate;
  }

  get watcher(): Ledger {
    return this.ledger;
  }

  get task(): Task {
    const task = CURRENT.getStore();
    if (!task) throw new Error("a call that belongs to no task");
    return task;
  }

  /** Runs `work` as far as it goes by itself. It ends when `done` was called, or with its process. */
  async start<T>(
    task: Task,
    work: (task: Task) => Promise<T>,
    done: (error: unknown, answer?: T) => void = () => {},
  ): Promise<void> {
    const end = (error: unknown, answer?: T) => {
      if (task.isOver) return;
      task.isOver = true;
      this.#tasks.delete(task);
      this.tell(() => `${task.name} ${error ? `rejects: ${error}` : `resolves ${JSON.stringify(answer) ?? ""}`}`);
      done(error, answer);
    };
    task.isSlow = this.random.chance(SLOW_SHARE);
    this.#tasks.add(task);
    this.#ends.set(task, (error) => end(error));
    CURRENT.run(task, () => work(task)).then((answer) => end(undefined, answer), end);
    await settled();
  }

  /** What an administrator does when nothing else is under way. */
  async quietly(kind: Act, process: Process, work: (users: Users) => Promise<void>): Promise<void> {
    await this.start(new Task(`last ${kind}`, kind, process), () => work(process.assembly.users));
    await this.finish();
  }

  call<T>(process: Process, call: Call, effect: (isLate: boolean) => T): Promise<T> {
    // Nothing of a process that died goes on.
    if (process.isDead) return new Promise(() => {});
    const { task } = this;
    this.watcher.asked(task, call);
    return this.#calls.add(task, process, call, effect);
  }

  keysInAnyOrder(): string[] {
    return this.random.shuffled(this.store.keys);
  }

  warn(message: string): void {
    this.tell(() => `${this.task.name} warns: ${message}`);
  }

  /** One turn of one call. */
  async turn({ isCalm = false } = {}): Promise<void> {
    this.step++;
    this.#calls.turn(isCalm);
    await settled();
  }

  /** Goes on until nothing is under way. Answers whether that came to an end. */
  async finish(): Promise<boolean> {
    for (let turns = 0; this.isBusy; turns++) {
      if (turns > 5000) return false;
      await this.turn({ isCalm: true });
    }
    return this.#tasks.size === 0;
  }

  /** From here on nothing fails, and what is late comes. */
  async calmDown(): Promise<boolean> {
    this.#calls.faultShare = 0;
    const isDone = await this.finish();
    while (this.hasLate) this.takeLate();
    return isDone;
  }

  takeLate(): void {
    this.step++;
    this.#calls.takeLate();
  }

  async crash(): Promise<void> {
    const process = this.random.pick(this.processes);
    this.tell(() => `process ${process.options.id} dies`);
    process.isDead = true;
    this.#calls.drop(process);
    for (const task of [...this.#tasks].filter((task) => task.process === process)) {
      task.cutOff();
      this.#ends.get(task)?.(new Error("the process died"));
    }
    this.#replace(process, process.options);
    await settled();
  }

  /** One process gets the next passwords, at most one step ahead of the others. What it has under way ends with the old ones. */
  rotate(): void {
    const process = this.random.pick(this.processes);
    const inUse = [...this.processes, ...this.#calls.processes];
    const phase = process.options.phase + 1;
    if (phase < LAST_PHASE && inUse.every((other) => other.options.phase >= phase - 1)) this.#setPhase(process, phase);
  }

  rotateAll(isLast: boolean): void {
    for (const process of this.processes) this.#setPhase(process, isLast ? LAST_PHASE : LAST_PHASE - 1);
  }

  #setPhase(process: Process, phase: number): void {
    const keyIds = PHASES[phase] ?? PHASES[0];
    this.tell(() => `process ${process.options.id} has passwords ${keyIds}`);
    this.#replace(process, { ...process.options, keyIds, phase });
  }

  #replace(process: Process, options: Process["options"]): void {
    this.processes = this.processes.map((other) => (other === process ? new Process(options, this) : other));
  }

  /** The record of some user. */
  evict(): void {
    const keys = this.#userKeys();
    if (keys.length > 0) this.#evict(this.random.pick(keys));
  }

  evictAll(): void {
    for (const key of this.#userKeys()) this.#evict(key);
  }

  #evict(key: string): void {
    this.tell((trace) => `${trace.nameOf(key)} vanishes`);
    this.store.remove(key, this.time);
    this.ledger.evicted(key);
  }

  #userKeys(): string[] {
    return this.store.keys.filter((key) => key.startsWith(USER_PREFIX));
  }

  /** Longer than `store_timeout`: unless the processes stand still meanwhile, what is under way has failed by then. */
  async advance(milliseconds: number): Promise<void> {
    if (!this.scenario.frozen) {
      for (const task of this.#tasks) task.cutOff();
      while (this.isBusy) {
        this.#calls.timeOut();
        jest.advanceTimersByTime(STORE_TIMEOUT);
        await settled();
        // What goes on after that, to take things back.
        while (this.isBusy && this.random.chance(0.5)) await this.turn();
      }
    }
    this.time += milliseconds;
    this.ledger.noteEnds();
    this.tell(() => `${milliseconds / MINUTE} minutes pass`);
  }

  tell(line: (trace: Trace) => string): void {
    this.trace?.add(this.step, line);
  }
}

/** When all that goes on by itself has come to a call. */
function settled(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}
