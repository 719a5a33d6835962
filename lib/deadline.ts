/** A bound on waiting: for one call, or for all the steps of one operation. */
import { storeTimedOut } from "./errors.js";

/** The time that one operation may take, however many steps it has. */
export class Deadline {
  #isPassed = false;
  readonly #timer: NodeJS.Timeout;
  /** Where our own loop was held up, the answer may be there already: it is read before `setImmediate`. */
  #lastTurn: NodeJS.Immediate | undefined;
  readonly #over: Promise<never>;

  /**
   * @param milliseconds from now
   * @param late makes the error of what is not there in time; default: `STORE_TIMEOUT`
   */
  constructor(milliseconds: number, late: () => Error = () => storeTimedOut(milliseconds)) {
    let expire: (reason: Error) => void = () => {};
    this.#over = new Promise<never>((_, reject) => {
      expire = reject;
    });
    // Raced by every step; alone, it must not count as an unhandled rejection.
    this.#over.catch(() => {});
    const pass = () => {
      this.#isPassed = true;
      expire(late());
    };
    this.#timer = setTimeout(
      () => {
        this.#lastTurn = setImmediate(pass);
      },
      Math.max(milliseconds, 1),
    );
  }

  /** What the step comes to, or the error of being late when that is not there in time. */
  race<T>(step: Promise<T>): Promise<T> {
    return Promise.race([step, this.#over]);
  }

  /** Throws when time is up, so that what nobody waits for any more does not go on. */
  check(): Promise<void> | undefined {
    return this.#isPassed ? this.#over : undefined;
  }

  clear(): void {
    clearTimeout(this.#timer);
    clearImmediate(this.#lastTurn);
  }

  /** Runs `work` under a deadline of its own, which its steps race. */
  static async during<T>(
    milliseconds: number,
    work: (deadline: Deadline) => Promise<T>,
    late?: () => Error,
  ): Promise<T> {
    const deadline = new Deadline(milliseconds, late);
    try {
      return await work(deadline);
    } finally {
      deadline.clear();
    }
  }
}

/**
 * What the work comes to, or the error of `late` when that is not there in time.
 *
 * @param giveUpAt by `performance.now()`
 */
export function within<T>(giveUpAt: number, work: Promise<T>, late: () => Error): Promise<T> {
  return new Promise((resolve, reject) => {
    // Not a race: what `late` lets go of may make the work fail, and that is not why it failed.
    const deadline = new Deadline(giveUpAt - performance.now(), () => {
      const error = late();
      reject(error);
      return error;
    });
    work.then(resolve, reject).finally(() => deadline.clear());
  });
}
