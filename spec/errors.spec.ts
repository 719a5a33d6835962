import { inspect } from "node:util";
import { describe, expect, test } from "@jest/globals";
import { TokenizerError } from "../lib/errors.js";

describe("an error that nobody catches is printed with what it has, and nothing else", () => {
  const shown = (error: TokenizerError) => Object.keys({ ...error }).filter((key) => key !== "name");

  test("code and status", () => {
    const error = new TokenizerError("STORE_CLOSED", "The session store was closed.");
    expect(shown(error)).toEqual(["code", "status", "statusCode"]);
    expect(inspect(error)).not.toMatch(/undefined|faults|ended|failed/);
  });

  test("the faults of the settings", () => {
    const faults = [{ path: "tokenizer.port", message: "found 0" }];
    const error = new TokenizerError("SETTINGS_INVALID", "1 fault", { faults });
    expect(shown(error)).toEqual(["code", "status", "statusCode", "faults"]);
    expect(error.faults).toBe(faults);
  });

  test("how many sessions were ended, and how many not, also none", () => {
    const error = new TokenizerError("STORE_TIMEOUT", "late", { ended: 0, failed: 2 });
    expect(shown(error)).toEqual(["code", "status", "statusCode", "ended", "failed"]);
    expect([error.ended, error.failed]).toEqual([0, 2]);
  });
});

test("what an error does not have is undefined, and its faults are an empty list that nobody can fill", () => {
  const error = new TokenizerError("STORE_CLOSED", "closed");
  expect([error.ended, error.failed, error.faults]).toEqual([undefined, undefined, []]);
  expect(Object.isFrozen(error.faults)).toBe(true);
});
