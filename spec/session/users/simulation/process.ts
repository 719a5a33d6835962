/** A process of a simulation: the real classes, over a backend whose calls the world delays, refuses and loses. */
import type { Backend, Entry, Expected, StoredRecord } from "../../../../lib/backends/backend.js";
import { type Assembly, assemble } from "../../../../lib/session/assembly.js";
import { RecordCodec } from "../../../../lib/session/record.js";
import type { KeyIds } from "../../../../lib/session/users/user-record.js";
import { MINUTE } from "./scenarios.js";
import type { SimulatedStore } from "./store.js";
import type { Task } from "./task.js";

export const TIMEOUT = 20 * MINUTE;
export const TOUCH_INTERVAL = MINUTE;
export const STORE_TIMEOUT = 2000;

/** A call, as the trace tells it. */
export interface Call {
  readonly op: "read" | "write" | "touch" | "remove" | "scan";
  readonly key: string;
  readonly record?: StoredRecord;
  readonly expires?: number;
}

/** Where calls go, and who looks at their effects. */
export interface Host {
  readonly time: number;
  readonly store: SimulatedStore;
  readonly watcher: Watcher;
  readonly limit: number;
  /** Whose code runs. */
  readonly task: Task;
  /** Settles when the world lets it; its effect may come before, after that, or never. */
  call<T>(process: Process, call: Call, effect: (isLate: boolean) => T): Promise<T>;
  /** The keys that there are, in any order. */
  keysInAnyOrder(): string[];
  warn(message: string): void;
}

export interface Write {
  readonly key: string;
  readonly record: StoredRecord;
  readonly before: StoredRecord | undefined;
  /** When the task began to look at sessions for that. */
  readonly since: number | undefined;
  /** Whether that is still of the request's load. */
  readonly isLoading: boolean;
  readonly isCreation: boolean;
  readonly isLate: boolean;
}

/** Hears of effects, each before the next one. */
export interface Watcher {
  asked(task: Task, call: Call): void;
  read(task: Task, key: string, found: StoredRecord | undefined): void;
  wrote(task: Task, write: Write): void;
  touched(key: string): void;
  removed(task: Task, key: string, before: StoredRecord | undefined, isLate: boolean): void;
}

interface ProcessOptions {
  readonly id: number;
  /** How much its clock is fast, in milliseconds. */
  readonly skew: number;
  readonly keyIds: KeyIds;
  /** How far it has come with the rotation of passwords. */
  readonly phase: number;
}

/** One life of a process: after it died, or with other passwords, it is another one. */
export class Process {
  readonly options: ProcessOptions;
  readonly assembly: Assembly;
  isDead = false;
  readonly #host: Host;

  constructor(options: ProcessOptions, host: Host) {
    this.options = options;
    this.#host = host;
    this.assembly = assemble({
      backend: this.#backend(),
      keys: Promise.resolve({ codec: new RecordCodec(undefined, false), ids: options.keyIds }),
      timeout: TIMEOUT,
      touchInterval: TOUCH_INTERVAL,
      storeTimeout: STORE_TIMEOUT,
      maxSessionBytes: 400 * 1024,
      limit: host.limit,
      now: () => this.now,
      cookie: {},
      warn: (message) => host.warn(message),
    });
  }

  get now(): number {
    return this.#host.time + this.options.skew;
  }

  #backend(): Backend {
    const nothing = async () => {};
    return {
      open: nothing,
      close: nothing,
      prune: async () => 0,
      read: (key) => this.#read(key),
      write: (key, record, expected) => this.#write(key, record, expected),
      touch: (key, expires, version) => this.#touch(key, expires, version),
      remove: (key) => this.#remove(key),
      entries: () => this.#entries(),
    };
  }

  #read(key: string): Promise<StoredRecord | undefined> {
    const { store, watcher, task } = this.#host;
    return this.#host.call(this, { op: "read", key }, () => {
      const found = store.read(key, this.now);
      watcher.read(task, key, found);
      return found;
    });
  }

  #write(key: string, record: StoredRecord, expected: Expected): Promise<boolean> {
    const { store, watcher, task } = this.#host;
    const [since, isLoading] = [task.lookedSince, task.loading !== undefined];
    return this.#host.call(this, { op: "write", key, record }, (isLate) => {
      const before = store.read(key, this.now);
      const wasWritten = store.write(key, record, expected, this.now);
      const isCreation = expected === "absent";
      if (wasWritten) watcher.wrote(task, { key, record, before, since, isLoading, isCreation, isLate });
      return wasWritten;
    });
  }

  #touch(key: string, expires: number, version: string): Promise<boolean> {
    const { store, watcher } = this.#host;
    return this.#host.call(this, { op: "touch", key, expires }, () => {
      const wasThere = store.touch(key, expires, version, this.now);
      if (wasThere) watcher.touched(key);
      return wasThere;
    });
  }

  #remove(key: string): Promise<boolean> {
    const { store, watcher, task } = this.#host;
    return this.#host.call(this, { op: "remove", key }, (isLate) => {
      const before = store.read(key, this.now);
      const wasLive = store.remove(key, this.now);
      watcher.removed(task, key, before, isLate);
      return wasLive;
    });
  }

  /** A page of two after the other. */
  async *#entries(): AsyncGenerator<Entry> {
    const { store } = this.#host;
    const keys = this.#host.keysInAnyOrder();
    for (let start = 0; start < keys.length; start += 2) {
      const page = keys.slice(start, start + 2);
      const scan = { op: "scan", key: page.join() } as const;
      yield* await this.#host.call(this, scan, () => store.scan(page, this.now));
    }
  }
}
