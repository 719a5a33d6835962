/** What a request began with the store, awaited or not: its answer waits for it. */
import type { Request } from "express";

const BEGUN = Symbol("begun");

/** One operation that was begun. */
export class Begun {
  /** Settles with the operation. */
  readonly over: Promise<void>;
  isOver = false;
  error: unknown;
  /** Somebody knows of its failure: who gave a callback, who awaits it, or whoever answers in the handler's place. */
  isTold: boolean;
  #resolve: () => void = () => {};
  #reject: (error: unknown) => void = () => {};

  constructor(isTold: boolean) {
    this.isTold = isTold;
    this.over = new Promise((resolve, reject) => {
      this.#resolve = resolve;
      this.#reject = reject;
    });
    // Where no answer waits for it.
    this.over.catch(() => {});
  }

  /** @param error why it failed, if it did */
  settle(error?: unknown): void {
    this.isOver = true;
    this.error = error;
    if (error) this.#reject(error);
    else this.#resolve();
  }
}

/** What `req.signIn` answers: whether somebody awaits it is known. */
class Awaitable<T> extends Promise<T> {
  begun: Begun | undefined;

  /** What is chained to it are ordinary promises. */
  static override get [Symbol.species](): PromiseConstructor {
    return Promise;
  }

  // biome-ignore lint/suspicious/noThenProperty: `await` calls it.
  override then<A = T, B = never>(
    onFulfilled?: ((value: T) => A | PromiseLike<A>) | null,
    onRejected?: ((error: unknown) => B | PromiseLike<B>) | null,
  ): Promise<A | B> {
    if (this.begun) this.begun.isTold = true;
    return super.then(onFulfilled, onRejected);
  }
}

/** What the request began so far and what its answer has not dealt with, the earliest first. */
export function begunBy(req: Request & { [BEGUN]?: Begun[] }): readonly Begun[] {
  return req[BEGUN] ?? [];
}

export function note(req: Request & { [BEGUN]?: Begun[] }, begun: Begun): void {
  req[BEGUN] = [...(req[BEGUN] ?? []), begun];
}

/**
 * Begins what is answered by a promise.
 *
 * @param failed is called with a failure that nobody awaits; nothing is thrown for it
 */
export function begin<T>(req: Request, work: Promise<T>, failed: (error: unknown, begun: Begun) => void): Promise<T> {
  const begun = new Begun(false);
  note(req, begun);
  work.then(
    () => begun.settle(),
    (error) => {
      begun.settle(error);
      failed(error, begun);
    },
  );
  const answer = new Awaitable<T>((resolve, reject) => work.then(resolve, reject));
  // Not unhandled, and not awaited by that.
  answer.catch(() => {});
  answer.begun = begun;
  return answer;
}
