import { afterEach, describe, expect, jest, test } from "@jest/globals";
import { LocalBackend } from "../../lib/backends/local/backend.js";
import { withProgress } from "../../lib/cli/progress.js";
import { storageKey } from "../../lib/session-id.js";
import { temporaryFolder } from "../support/app.js";
import { backendOf, commandLine, settingsFile, terminal } from "./command-line.js";

afterEach(() => {
  jest.useRealTimers();
  jest.restoreAllMocks();
});

/** Work that takes so long, and counts the seconds. */
async function work(seconds: number, at?: ReturnType<typeof terminal>) {
  jest.useFakeTimers();
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
  jest.useFakeTimers();
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

describe("a store that takes its time is told of by", () => {
  /** The command's timers see a second go by. */
  const slow = () => jest.advanceTimersByTimeAsync(1200);

  test.each([
    [["check"], "open", "Reaching the store … 1 s"],
    [["sessions"], "entries", "1 session … 1 s"],
    [["revoke", "--all"], "entries", "Ending all sessions of all users … 1 s"],
    [["revoke", "--session", "a".repeat(22)], "entries", "1 session looked at … 1 s"],
    [["prune"], "prune", "Dropping expired records … 1 s"],
  ] as const)("%j", async ([command, ...options], method, line) => {
    const file = settingsFile({ type: "local", path: `${temporaryFolder()}/tokens` });
    const backend = backendOf(file);
    const value = `${JSON.stringify({ created: Date.now(), v: 2 })}\n{}`;
    await backend.write(storageKey("x"), { value, version: "1", expires: Date.now() + 60_000 }, "absent");
    await backend.close();
    const { entries } = LocalBackend.prototype;
    jest.spyOn(LocalBackend.prototype, "entries").mockImplementation(async function* (this: LocalBackend) {
      yield* entries.call(this);
      if (method === "entries") await slow();
    });
    if (method !== "entries") jest.spyOn(LocalBackend.prototype, method).mockImplementation(slow as never);
    const at = terminal("y");
    jest.useFakeTimers({ doNotFake: ["nextTick", "queueMicrotask", "setImmediate"] });
    await commandLine([command, "--settings", file, ...options], {}, { terminal: at });
    expect(at.shown).toContain(line);
    expect(at.shown.at(-1)).toBe("");
  });
});
