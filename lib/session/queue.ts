/** One operation after the other on each key. */
import type { Awaitable } from "../awaitable.js";
import type { Deadline } from "../deadline.js";

/** A key's queue, and what its operations leave for those behind them. It lasts until the last of them is over. */
export interface Shared<Left> {
  left?: Left | undefined;
}

interface Queue<Left> extends Shared<Left> {
  last: Promise<unknown>;
}

/** A queue for each key. A key costs nothing once its last operation is over. */
export class KeyedQueue<Left = never> {
  readonly #queues = new Map<string, Queue<Left>>();

  /** Runs `task` when all earlier tasks of the key are over, well or badly. Answers what it answers. */
  async run<T>(key: string, deadline: Deadline, task: (shared: Shared<Left>) => Awaitable<T>): Promise<T> {
    const waiting = this.#queues.get(key);
    const queue = waiting ?? { last: Promise.resolve() };
    const start = async () => {
      deadline.check();
      return task(queue);
    };
    // What does not wait for its turn waits in its steps alone, which are bounded.
    const mine = waiting ? deadline.race(waiting.last.then(start, start)) : start();
    queue.last = mine;
    if (!waiting) this.#queues.set(key, queue);
    try {
      return await mine;
    } finally {
      if (queue.last === mine) this.#queues.delete(key);
    }
  }
}
