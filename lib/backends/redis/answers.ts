/** Asks many servers at once, and does not wait for the slowest. */

/** How long slower ones are waited for, at most. Milliseconds. */
const PATIENCE = 100;

/**
 * What was answered, once that is enough or a moment after the first answer; when there is none, the first failure.
 *
 * @param giveUpAt by `performance.now()`; the moment is a part of the time until then
 */
export function answersOf<T, R>(
  items: readonly T[],
  giveUpAt: number,
  ask: (item: T, index: number) => Promise<R>,
  isEnough: (answers: readonly R[]) => boolean,
): Promise<readonly R[]> {
  const patience = Math.min(PATIENCE, (giveUpAt - performance.now()) / 4);
  return new Promise((resolve, reject) => {
    const answers: R[] = [];
    const asked = items.map(async (item, index) => {
      answers.push(await ask(item, index));
      if (isEnough(answers)) resolve(answers);
      else if (answers.length === 1) setTimeout(resolve, patience, answers).unref();
    });
    Promise.allSettled(asked).then(([first]) => {
      if (answers.length === 0 && first?.status === "rejected") reject(first.reason);
      else resolve(answers);
    });
  });
}
