/** What of an answer waits for the save: each `write`, each flush and the `end`, in their order. */

/** No literal: one for each answer, as a list of them, would outlive the answer. */
class Sending {
  readonly send: () => unknown;
  readonly args: readonly unknown[];

  constructor(send: () => unknown, args: readonly unknown[]) {
    this.send = send;
    this.args = args;
  }
}

export class Held {
  readonly #all = new Set<Sending>();

  /** @param args what the handler gave */
  add(send: () => unknown, args: readonly unknown[] = []): void {
    this.#all.add(new Sending(send, args));
  }

  /** Sends all of it. Answers whether a buffer is full by then. */
  release(): boolean {
    let isFull = false;
    for (const next of this.#all) {
      isFull = next.send() === false || isFull;
      this.#all.delete(next);
    }
    return isFull;
  }

  /** It is never sent. */
  drop(tell: (args: readonly unknown[]) => unknown): void {
    for (const { args } of this.#all) tell(args);
    this.#all.clear();
  }
}
