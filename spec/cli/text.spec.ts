import { describe, expect, test } from "@jest/globals";
import { cut, localTime, padded, wrapped } from "../../lib/cli/text.js";

describe("local times", () => {
  const now = new Date(2026, 11, 31, 23, 50).getTime();

  test.each([
    ["today", new Date(2026, 11, 31, 3, 4, 5), "Dec 31 03:04"],
    ["soon, in another year", new Date(2027, 0, 1, 0, 10), "Jan  1 00:10"],
    ["in a year", new Date(2027, 11, 31), "Dec 31  2027"],
    ["half a year ago", new Date(2026, 5, 1, 12), "Jun  1  2026"],
  ])("%s", (_name, time, told) => {
    expect(localTime(time, now)).toBe(told);
  });
});

test("padded and cut by the columns that a terminal takes", () => {
  expect(padded("日本", 6)).toBe("日本  ");
  expect(padded("abcdef", 3)).toBe("abcdef");
  expect(cut("日本語", 6)).toBe("日本語");
  expect(cut("日本語", 5)).toBe("日本…");
  expect(cut("日本語", 4)).toBe("日…");
  expect(cut("ab\\u001bcd", 7)).toBe("ab…");
  expect(cut("ab\\u001bcde", 9)).toBe("ab\\u001b…");
});

describe("wrapped", () => {
  test("between words, each line with the indent but the first", () => {
    expect(wrapped("one two three", 7, "  ")).toBe("one two\n  three");
    expect(wrapped("one two three", 9, "    ")).toBe("one two\n    three");
    expect(wrapped("first\nsecond", 80, "  ")).toBe("first\n  second");
  });

  test("a word that is too wide has a line of its own", () => {
    expect(wrapped("see https://example.com/a/long/way here", 10)).toBe("see\nhttps://example.com/a/long/way\nhere");
  });
});
