import { afterEach, beforeEach, describe, expect, jest, test } from "@jest/globals";
import { withProgress } from "../../lib/cli/progress.js";
import { terminal } from "./command-line.js";

beforeEach(() => {
  jest.useFakeTimers();
});

afterEach(() => {
  jest.useRealTimers();
});

/** Work that takes so long, and counts the seconds. */
async function work(seconds: number, at?: ReturnType<typeof terminal>) {
  const told: string[] = [];
  const io = { print: () => {}, tell: (line: string) => void told.push(line), env: {}, terminal: at };
  let count = 0;
  const counting = setInterval(() => count++, 1000);
  const done = withProgress(
    io,
    () => `${count} done`,
    () => new Promise((resolve) => setTimeout(resolve, seconds * 1000, "answer")),
  );
  await jest.advanceTimersByTimeAsync(seconds * 1000);
  clearInterval(counting);
  expect(await done).toBe("answer");
  expect(jest.getTimerCount()).toBe(0);
  return told;
}

describe("at a terminal", () => {
  test("one line is rewritten every second, and taken away at the end", async () => {
    const at = terminal("");
    expect(await work(3.5, at)).toEqual([]);
    expect(at.shown).toEqual(["1 done … 1 s", "2 done … 2 s", "3 done … 3 s", ""]);
  });

  test("what takes less than a second shows nothing", async () => {
    const at = terminal("");
    await work(0.9, at);
    expect(at.shown).toEqual([""]);
  });
});

describe("elsewhere", () => {
  test("a line every ten seconds", async () => {
    expect(await work(25)).toEqual([10, 20].map((s) => expect.stringMatching(`^\\d+ done … ${s} s$`)));
  });
});

test("a failure ends it, too", async () => {
  const at = terminal("");
  const io = { print: () => {}, tell: () => {}, env: {}, terminal: at };
  const failed = withProgress(
    io,
    () => "",
    () => Promise.reject(new Error("no")),
  );
  await expect(failed).rejects.toThrow("no");
  expect(jest.getTimerCount()).toBe(0);
  expect(at.shown).toEqual([""]);
});
