/** Tries all that is ever asked of a backend, and how long that takes. */
import { randomUUID } from "node:crypto";
import { isDeepStrictEqual } from "node:util";
import type { Awaitable } from "../awaitable.js";
import type { Backend } from "../backends/backend.js";
import type { Io } from "./command.js";
import { withProgress } from "./progress.js";

/** One operation, every time that it was tried. */
export interface Timing {
  readonly operation: string;
  readonly milliseconds: number[];
  /** Why it failed. */
  error?: string;
  /** What the backend threw, where that is not all told. */
  cause?: unknown;
}

export const ROUNDS = 20;
/** Of the record's value, in bytes: that of an ordinary session. */
const SIZE = 1024;
/** How long the record lives if it cannot be removed, in milliseconds. */
const LIFETIME = 30_000;

/** Opens the backend, tries it, leaves nothing behind and closes it. No operation is tried again after one has failed. */
export async function measure(backend: Backend, io: Io): Promise<readonly Timing[]> {
  const [open, list] = [newTiming("open"), newTiming("list")];
  const changes = ["write", "read", "touch", "remove"].map(newTiming);
  const key = `check:${randomUUID()}`;
  let step = "Reaching the store";
  const work = async () => {
    if (!(await time(open, () => backend.open().then(() => true)))) return [open];
    for (let round = 1; round <= ROUNDS && changes.every(isFine); round++) {
      step = `Measuring, round ${round} of ${ROUNDS}`;
      await tryRound(backend, key, changes);
    }
    step = "Reading a page of the list";
    await time(list, () => readPage(backend.entries()));
    return [open, ...changes, list];
  };
  try {
    return await withProgress(io, () => step, work);
  } finally {
    // A removal that failed may do now; else the record ends by itself.
    if (!changes.every(isFine)) await Promise.resolve(backend.remove(key)).catch(() => {});
    await backend.close();
  }
}

/** In milliseconds. Of what was done once, there is no median. */
export function summaryOf({ milliseconds }: Timing): { median: number | undefined; slowest: number } {
  const sorted = [...milliseconds].sort((one, other) => one - other);
  const rounded = (number = 0) => Number(number.toFixed(3));
  const median = sorted.length > 1 ? rounded(sorted[sorted.length >> 1]) : undefined;
  return { median, slowest: rounded(sorted.at(-1)) };
}

export const isFine = ({ error }: Timing): boolean => error === undefined;

const newTiming = (operation: string): Timing => ({ operation, milliseconds: [] });

async function tryRound(backend: Backend, key: string, timings: readonly Timing[]): Promise<void> {
  const [write, read, touch, remove] = timings as [Timing, Timing, Timing, Timing];
  const record = { value: "x".repeat(SIZE), version: randomUUID(), expires: Date.now() + LIFETIME };
  // Where nothing was written, that nothing is found is right.
  const isRight = (isThere: boolean) => isThere || !isFine(write);
  await time(write, () => backend.write(key, record, "absent"));
  await time(read, async () => isRight(isDeepStrictEqual({ ...(await backend.read(key)) }, record)));
  await time(touch, async () => isRight(await backend.touch(key, record.expires + 1, record.version)));
  await time(remove, async () => isRight(await backend.remove(key)));
}

/** @param work answers whether the answer was right */
async function time(timing: Timing, work: () => Awaitable<boolean>): Promise<boolean> {
  const started = performance.now();
  try {
    const isRight = await work();
    timing.milliseconds.push(performance.now() - started);
    if (!isRight) timing.error = "the answer was wrong: the record was not as it had been left a moment before.";
  } catch (error) {
    timing.error = (error as Error).message;
    timing.cause = (error as Error).cause;
  }
  return isFine(timing);
}

async function readPage(entries: AsyncIterable<unknown>): Promise<boolean> {
  for await (const _ of entries) break;
  return true;
}
