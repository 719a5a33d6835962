import { describe, expect, test } from "@jest/globals";
import { merge } from "../../lib/session/merge.js";

const json = JSON.stringify;

describe("merge", () => {
  test.each([
    ["what each added is kept", { a: 1 }, { a: 1, c: 3 }, { a: 1, b: 2 }, { a: 1, b: 2, c: 3 }],
    ["what each changed is kept", { a: 1, b: 1 }, { a: 2, b: 1 }, { a: 1, b: 2 }, { a: 2, b: 2 }],
    ["a key that both changed is mine", { a: 1 }, { a: 2 }, { a: 3 }, { a: 2 }],
    ["what I removed goes", { a: 1, b: 1 }, { b: 1 }, { a: 1, b: 2 }, { b: 2 }],
    ["what they removed stays away", { a: 1, b: 1 }, { a: 1, b: 2 }, { b: 1 }, { b: 2 }],
    ["what I removed goes, though they changed it", { a: 1 }, {}, { a: 2 }, {}],
    ["what they removed comes back if I changed it", { a: 1 }, { a: 2 }, {}, { a: 2 }],
    [
      "what I left alone is theirs, nested or not",
      { a: { x: [1] } },
      { a: { x: [1] } },
      { a: { y: 1 } },
      { a: { y: 1 } },
    ],
    ["without changes of mine it is theirs", { a: 1 }, { a: 1 }, { b: 2 }, { b: 2 }],
  ])("%s", (_, base, mine, theirs, merged) => {
    expect(JSON.parse(merge(json(base), json(mine), json(theirs)))).toEqual(merged);
  });

  test("a key called __proto__ is a key like any other", () => {
    const merged = merge("{}", '{"__proto__":{"isAdmin":true},"constructor":1}', '{"b":2}');
    expect(merged).toBe('{"b":2,"__proto__":{"isAdmin":true},"constructor":1}');
    expect(Object.hasOwn(Object.prototype, "isAdmin")).toBe(false);
  });

  test("numbers and texts come through as they were written", () => {
    const text = json({ big: 1e300, small: -1.5e-9, zero: 0, text: "\u2028 \ud800 é \u0000", date: new Date(0) });
    expect(merge("{}", text, "{}")).toBe(text);
  });
});
