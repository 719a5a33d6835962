/** Holds handlers where a spec wants them, without a clock. */
export class Gate {
  readonly #opened: Promise<void>;
  #open: () => void = () => {};
  #waiting = 0;
  readonly #arrivals: Array<{ count: number; tell: () => void }> = [];

  constructor() {
    this.#opened = new Promise((resolve) => {
      this.#open = resolve;
    });
  }

  /** For the handler: goes on when the gate is opened. */
  pass(): Promise<void> {
    this.#waiting++;
    for (const { count, tell } of this.#arrivals) if (this.#waiting >= count) tell();
    return this.#opened;
  }

  /** For the spec: settles when so many handlers have come. */
  arrived(count = 1): Promise<void> {
    if (this.#waiting >= count) return Promise.resolve();
    return new Promise((tell) => this.#arrivals.push({ count, tell }));
  }

  open(): void {
    this.#open();
  }
}
