import { describe, expect, test } from "@jest/globals";
import fc from "fast-check";
import { didYouMean, distance, misspelt } from "../../lib/settings/nearest.js";

const NAMES = ["timeout", "store_timeout", "safe_password", "aws_region_name", "aws_access_key", "type"];

describe("what was meant", () => {
  test.each([
    ["timeot", "timeout"],
    ["safe-password", "safe_password"],
    ["SafePassword", "safe_password"],
    ["region", "aws_region_name"],
    ["tpye", "type"],
    ["typ", "type"],
  ])("%s is %s", (name, meant) => {
    expect(misspelt(name, NAMES)).toBe(meant);
    expect(didYouMean(name, NAMES)).toBe(`; did you mean ${meant}?`);
  });

  test.each(["colour", "aws", "x"])("%s is none of them: nothing is guessed", (name) => {
    expect(misspelt(name, NAMES)).toBeUndefined();
    expect(didYouMean(name, NAMES)).toBe("");
  });

  test("of two that are as near, it is the first", () => {
    expect(misspelt("pat", ["path", "part"])).toBe("path");
    expect(misspelt("pat", ["part", "path"])).toBe("part");
  });

  test("of a text as long as a file only the beginning is compared", () => {
    expect(didYouMean("timeout".padEnd(250_000, "x"), NAMES)).toBe("");
  });
});

/** By its definition, which takes too long for more than a few letters. */
function defined(one: string, other: string): number {
  if (one === "" || other === "") return one.length + other.length;
  const changed = defined(one.slice(1), other.slice(1)) + (one[0] === other[0] ? 0 : 1);
  return Math.min(changed, defined(one.slice(1), other) + 1, defined(one, other.slice(1)) + 1);
}

test("the distance of two names is Levenshtein's", () => {
  const name = fc.string({ unit: fc.constantFrom("a", "b", "c"), maxLength: 6 });
  fc.assert(
    fc.property(name, name, (one, other) => {
      expect(distance(one, other)).toBe(defined(one, other));
    }),
  );
  expect(distance("kitten", "sitting")).toBe(3);
});
