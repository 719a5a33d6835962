import { describe, expect, test } from "@jest/globals";
import { ago, exactly } from "../../demo-app/times.js";

const NOW = Date.UTC(2030, 0, 31, 12);
const SECOND = 1000;
const MINUTE = 60 * SECOND;
const HOUR = 60 * MINUTE;

describe("a moment", () => {
  test.each([
    [0, "just now"],
    [59 * SECOND, "just now"],
    [-5 * MINUTE, "just now"],
    [MINUTE, "1 minute ago"],
    [HOUR - 1, "59 minutes ago"],
    [HOUR, "1 hour ago"],
    [24 * HOUR - 1, "23 hours ago"],
    [24 * HOUR, "1 day ago"],
    [400 * 24 * HOUR, "400 days ago"],
  ])("%d milliseconds back is %s", (elapsed, words) => {
    expect(ago(new Date(NOW - elapsed), NOW)).toBe(words);
  });

  test("is told to the minute, with its zone", () => {
    expect(exactly(new Date(NOW))).toMatch(/^\d{1,2} \w+ 2030, \d\d:\d\d \S+$/);
  });
});
