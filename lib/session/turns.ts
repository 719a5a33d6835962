/** One operation after the other on each key, and every one of them over by its deadline. */
import { TokenizerError } from "../errors.js";

/** The time that one load, save, sign-in or sign-out may take, however many steps it has. */
export class Deadline {
  #passed = false;
  readonly #timer: NodeJS.Timeout;
  readonly #over: Promise<never>;

  /** @param milliseconds `store_timeout` */
  constructor(milliseconds: number) {
    let expire: (reason: TokenizerError) => void = () => {};
    this.#over = new Promise<never>((_, reject) => {
      expire = reject;
    });
    // Raced by every step; alone, it must not count as an unhandled rejection.
    this.#over.catch(() => {});
    this.#timer = setTimeout(() => {
      this.#passed = true;
      expire(
        new TokenizerError("STORE_TIMEOUT", `The session store did not answer within ${milliseconds / 1000} seconds.`),
      );
    }, milliseconds);
  }

  /** The step's outcome, or `STORE_TIMEOUT` when it is not there in time. */
  race<T>(step: Promise<T>): Promise<T> {
    return Promise.race([step, this.#over]);
  }

  /** Throws when time is up, so that what nobody waits for any more does not go on. */
  check(): Promise<void> | undefined {
    return this.#passed ? this.#over : undefined;
  }

  clear(): void {
    clearTimeout(this.#timer);
  }
}

/** A key's queue. It lives while operations wait in it, and so does what they leave for each other. */
export interface Line<Memo> {
  last: Promise<unknown>;
  memo?: Memo | undefined;
}

/** Queues by key. A key costs nothing once its last operation is over. */
export class Turns<Memo> {
  readonly #lines = new Map<string, Line<Memo>>();

  /** Runs `task` when all earlier tasks of the key are over, well or badly. Answers what it answers. */
  async take<T>(key: string, deadline: Deadline, task: (line: Line<Memo>) => Promise<T>): Promise<T> {
    const waiting = this.#lines.get(key);
    const line = waiting ?? { last: Promise.resolve() };
    const run = async () => {
      await deadline.check();
      return task(line);
    };
    const mine = deadline.race(waiting ? waiting.last.then(run, run) : run());
    line.last = mine;
    if (!waiting) this.#lines.set(key, line);
    try {
      return await mine;
    } finally {
      if (line.last === mine) this.#lines.delete(key);
    }
  }

  /** Settles when no operation is under way any more. */
  async idle(): Promise<void> {
    await Promise.allSettled([...this.#lines.values()].map((line) => line.last));
  }
}
