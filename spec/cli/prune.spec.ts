import { expect, test } from "@jest/globals";
import { storageKey } from "../../lib/session-id.js";
import { onEveryBackend, type Place } from "../support/places.js";
import { backendOf, commandLine, settingsFile } from "./command-line.js";

async function fill(place: Place, ends: number[]) {
  const file = settingsFile(place);
  const backend = backendOf(file);
  for (const [at, end] of ends.entries()) {
    const record = { value: "value", version: `version-${at}`, expires: Date.now() + end };
    await backend.write(storageKey(String(at)), record, "absent");
  }
  await backend.close();
  return (...argv: string[]) => commandLine(["prune", "--settings", file, ...argv]);
}

onEveryBackend((places) => {
  test("drops what has expired, and nothing else", async () => {
    const prune = await fill(await places.next(), [-1, 60_000, -1, -1]);
    const isRedis = places.name === "redis";
    const nothing = "Redis drops expired records by itself: nothing to do.";
    const said = (stdout: unknown) => ({ code: 0, stdout: isRedis ? nothing : stdout, stderr: "" });
    expect(await prune()).toEqual(said("3 expired records dropped."));
    expect(await prune()).toEqual(said(expect.stringContaining("0 expired records dropped. Looked in: ")));
  });

  test("--json tells the number", async () => {
    const prune = await fill(await places.next(), [-1, 60_000]);
    expect(await prune("--json")).toEqual({
      code: 0,
      stdout: JSON.stringify({ dropped: places.name === "redis" ? 0 : 1 }),
      stderr: "",
    });
  });
});

test("a store that is not there is told, also where there is nothing to do", async () => {
  const file = settingsFile({ type: "redis", host: "127.0.0.1", port: 1 });
  expect(await commandLine(["prune", "--settings", file])).toEqual({
    code: 1,
    stdout: "",
    stderr: "Redis at 127.0.0.1:1 cannot be reached: nothing listens there.",
  });
});
