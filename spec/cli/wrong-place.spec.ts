/** Commands in the wrong folder, or before the application ever ran: they make nothing, and name where they looked. */
import { chmodSync, existsSync, mkdirSync, readdirSync, statSync, symlinkSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { describe, expect, jest, test } from "@jest/globals";
import { LocalBackend } from "../../lib/backends/local/backend.js";
import { lastingFolder } from "../support/lasting-folder.js";
import { commandLine, settingsFile } from "./command-line.js";

/** Everything below a folder, with its mode. */
const contentOf = (folder: string) =>
  readdirSync(folder, { recursive: true, encoding: "utf8" })
    .sort()
    .map((name) => `${name} ${statSync(join(folder, name)).mode.toString(8)}`);

const MISSING = (path: string) =>
  `There is no sessions.db in the folder ${path}: no sessions were ever kept there. Is this the settings file of the application, and its user?`;

describe.each([
  ["sessions"],
  ["sessions", "--user", "ada"],
  ["sessions", "--json"],
  ["revoke", "--user", "ada"],
  ["revoke", "--all", "--json"],
  ["revoke", "--session", "fKMZpUDJUAlKCRf9yNtXbg"],
  ["prune"],
  ["prune", "--json"],
])("%s %s %s", (...argv) => {
  test.each([
    ["a folder that is not there", "", () => {}],
    ["an empty one", "", (path: string) => mkdirSync(path, { mode: 0o755 })],
    ["one below a file", "below", (path: string) => writeFileSync(path, "a file")],
  ])("in %s", async (_, below, make) => {
    const path = join(lastingFolder(), "tokens");
    make(path);
    const before = contentOf(dirname(path));
    const named = join(path, below);
    const file = settingsFile({ type: "local", path: named });
    const [command = "", ...options] = argv;
    expect(await commandLine([command, "--settings", file, ...options])).toEqual({
      code: 1,
      stdout: "",
      stderr: MISSING(named),
    });
    expect(contentOf(dirname(path))).toEqual(before);
    expect(existsSync(join(dirname(file), ".tokens"))).toBe(false);
  });
});

describe("check", () => {
  const check = (path: string) => commandLine(["check", "--settings", settingsFile({ type: "local", path })]);

  test.each([
    ["a folder that is not there", "tokens", () => {}],
    ["several that are not there", "a/b/tokens", () => {}],
    ["an empty one", "tokens", (path: string) => mkdirSync(path, { mode: 0o700 })],
  ])("of %s: what the application would find there is tried, and nothing stays behind", async (_, name, make) => {
    const folder = lastingFolder();
    const path = join(folder, name);
    make(path);
    const before = contentOf(folder);
    const opened = jest.spyOn(LocalBackend.prototype, "open");
    const { code, stdout, stderr } = await check(path);
    expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
    expect(opened).toHaveBeenCalledTimes(1);
    jest.restoreAllMocks();
    expect(stdout).toMatch(/^It works\.$/m);
    expect(stdout).toContain(`the folder ${path}, without sessions so far\n`);
    expect(contentOf(folder)).toEqual(before);
  });

  test("of one with a database: that one is tried", async () => {
    const path = join(lastingFolder(), "tokens");
    const backend = new LocalBackend({ path }, { now: Date.now, timeout: 2000, warn: () => {} });
    await backend.open();
    const { code, stdout } = await check(path);
    expect(code).toBe(0);
    expect(stdout).toContain(`the folder ${path}\n`);
    await backend.close();
  });

  test.each([
    ["a file", "tokens", (path: string) => writeFileSync(path, "a file"), "it is a file. Name another folder"],
    [
      "below a file",
      "file/tokens",
      (path: string) => writeFileSync(dirname(path), ""),
      "/file is a file. Name another",
    ],
    ["a link to nothing", "tokens", (path: string) => symlinkSync("/nowhere", path), "it is a symbolic link. Name a"],
    ["below a link to nothing", "link/x", (path: string) => symlinkSync("/nowhere", dirname(path)), "no folder can be"],
    ["open, with other things", "x", openToOthers, "it is open to other users and holds other things than sessions."],
    ["too long", "a".repeat(250).concat("/", "b".repeat(250)), () => {}, "bytes too long for the database. Name"],
  ])("of one that is %s: refused as the application would be, with what to do", async (_, name, make, reason) => {
    const folder = lastingFolder();
    const path = join(folder, name);
    make(path);
    const before = readdirSync(folder);
    const { code, stderr } = await check(path);
    expect({ code, stderr }).toEqual({
      code: 1,
      stderr: expect.stringContaining(`open: The folder ${path} cannot keep sessions: `),
    });
    expect(stderr).toContain(reason);
    expect(readdirSync(folder)).toEqual(before);
  });

  test("what fails on the way is told of the folder that is meant", async () => {
    const path = join(lastingFolder(), "tokens");
    jest.spyOn(LocalBackend.prototype, "touch").mockImplementation(async function (this: LocalBackend) {
      const [trial] = readdirSync(dirname(path)).filter((name) => name.startsWith(".tokens-"));
      throw new Error(`The database ${dirname(path)}/${trial}/sessions.db failed.`);
    });
    const { code, stderr } = await check(path);
    jest.restoreAllMocks();
    expect({ code, stderr }).toEqual({ code: 1, stderr: `touch: The database ${path}/sessions.db failed.` });
  });
});

function openToOthers(path: string): void {
  mkdirSync(path);
  writeFileSync(join(path, "notes.txt"), "theirs");
  chmodSync(path, 0o755);
}
