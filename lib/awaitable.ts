/** What is there at once, or comes by promise: going on with what is there at once takes no turns of the loop. */

/** A value that is there at once, or comes by promise. */
export type Awaitable<T> = T | Promise<T>;

export function isPromise<T>(value: Awaitable<T>): value is Promise<T> {
  // Of whatever realm: test runners have several.
  return typeof value === "object" && value !== null && "then" in value;
}

/** Goes on with the value: at once if it is there. */
export function after<T, R>(value: Awaitable<T>, work: (value: T) => Awaitable<R>): Awaitable<R> {
  return isPromise(value) ? value.then(work) : work(value);
}
