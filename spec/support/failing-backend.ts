/** A real backend, with trouble on demand. */
import { jest } from "@jest/globals";
import type { Backend } from "../../lib/backends/backend.js";
import { LocalBackend } from "../../lib/backends/local/backend.js";

type Call = "read" | "write" | "touch" | "remove";
const CALLS: readonly Call[] = ["read", "write", "touch", "remove"];

/** Waited for before the backend does its work. */
export type Trouble = () => Promise<void>;

/** The backend refuses, with an error such as an engine throws. */
export const refuse: Trouble = async () => {
  throw Object.assign(new Error("disk I/O error"), { code: "SQLITE_IOERR" });
};

/** The backend never answers. */
export const hang: Trouble = () => new Promise(() => {});

/** Holds each call until it is opened, for good. */
export class Gate {
  readonly trouble: Trouble;
  #open: () => void = () => {};
  #refuse: (error: Error) => void = () => {};

  constructor() {
    const opened = new Promise<void>((resolve, reject) => {
      this.#open = resolve;
      this.#refuse = reject;
    });
    opened.catch(() => {});
    this.trouble = () => opened;
  }

  open(): void {
    this.#open();
  }

  refuse(): void {
    this.#refuse(new Error("disk I/O error"));
  }
}

/** Every backend of that kind, of the spec file that made it. */
export class FailingBackend {
  /** How often each was called. */
  readonly calls: Record<Call, number> = { read: 0, write: 0, touch: 0, remove: 0 };
  readonly #trouble = new Map<Call, Trouble>();

  /** @param prototype of the backends; default: the local one */
  constructor(prototype: Backend = LocalBackend.prototype) {
    for (const call of CALLS) this.#wrap(prototype, call);
  }

  /** From now on this happens first. */
  on(call: Call, trouble: Trouble): void {
    this.#trouble.set(call, trouble);
  }

  /** No more trouble, and counted from zero. */
  reset(): void {
    this.#trouble.clear();
    for (const call of CALLS) this.calls[call] = 0;
  }

  #wrap(prototype: Backend, call: Call): void {
    const backend = this;
    const work: (...args: never[]) => unknown = prototype[call];
    async function troubled(this: Backend, ...args: never[]) {
      backend.calls[call]++;
      await backend.#trouble.get(call)?.();
      return Reflect.apply(work, this, args);
    }
    jest.spyOn(prototype, call).mockImplementation(troubled as never);
  }
}
