/** One operation after the other on each key, and every one of them over by its deadline. */
import type { Deadline } from "../deadline.js";

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
