/** Errors that no handler saw. */
import { afterAll, afterEach, beforeAll, expect } from "@jest/globals";

/** No spec of the file may leave one behind. */
export function expectNoStrayErrors(): void {
  const stray: unknown[] = [];
  const onStray = (reason: unknown) => void stray.push(reason);
  beforeAll(() => {
    process.on("unhandledRejection", onStray).on("uncaughtException", onStray);
  });
  afterEach(() => {
    expect(stray).toEqual([]);
  });
  afterAll(() => {
    process.off("unhandledRejection", onStray).off("uncaughtException", onStray);
  });
}
