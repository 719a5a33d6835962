import { spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, realpathSync, rmSync, symlinkSync } from "node:fs";
import { homedir, tmpdir } from "node:os";
import { dirname, join, parse } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, describe, expect, test } from "@jest/globals";
import { temporaryFolderAbove } from "../../lib/settings/folder.js";
import { GOOD_PASSWORD, loading, section, writeSettings } from "./loading.js";

const PROGRAM = fileURLToPath(new URL("../../dist/cli/bin.mjs", import.meta.url));
const folder = realpathSync(mkdtempSync(join(tmpdir(), "folder-spec-")));

afterAll(() => rmSync(folder, { recursive: true }));

function pathOf(path?: string, env: NodeJS.ProcessEnv = {}) {
  const file = writeSettings(section(...(path === undefined ? [] : [`path: ${JSON.stringify(path)}`])));
  const { settings, error } = loading(file, env);
  return { path: settings?.tokenizer.path, beside: dirname(file), faults: error?.faults };
}

describe("the folder", () => {
  test("without a setting: .tokens beside the settings file, wherever the process runs", () => {
    const { path, beside } = pathOf();
    expect(path).toBe(join(beside, ".tokens"));
  });

  test("without a setting and a settings file: .tokens in the working directory", () => {
    const { settings } = loading({ tokenizer: { safe_password: GOOD_PASSWORD } });
    expect(settings?.tokenizer.path).toBe(join(process.cwd(), ".tokens"));
  });

  test("is the same for a command in a shell and for the service, whose environment is another", () => {
    const { path, beside } = pathOf(undefined, {
      STATE_DIRECTORY: "/var/lib/my-app",
      XDG_STATE_HOME: "/home/ada/.state",
    });
    expect(path).toBe(join(beside, ".tokens"));
  });

  test.each([
    ["tokens", (beside: string) => join(beside, "tokens")],
    ["./a/../tokens", (beside: string) => join(beside, "tokens")],
    ["../tokens", (beside: string) => join(beside, "..", "tokens")],
    ["/srv/tokens/", () => "/srv/tokens"],
    ["~/tokens", () => join(homedir(), "tokens")],
    ["~", () => homedir()],
    ["./~ada", (beside: string) => join(beside, "~ada")],
    ["a~b/100%", (beside: string) => join(beside, "a~b", "100%")],
  ])("%s is meant from the settings file", (path, expected) => {
    const found = pathOf(path);
    expect(found.path).toBe(expected(found.beside));
  });

  test("by environment, the same", () => {
    expect(pathOf("elsewhere", { TOKENIZER_PATH: "~/tokens" }).path).toBe(join(homedir(), "tokens"));
  });

  const VARIABLES =
    "variables are not replaced here; write the whole path, or ~/ for the home folder, or let the shell set TOKENIZER_PATH";
  const HOMES =
    "~ stands for the home folder of the user that the application runs as, and for no other; write the whole path, or ./ before the name";
  const QUOTES = "the quotes around it would be part of the name; take them away";
  const SPACE = "the white space around it would be part of the name; take it away";
  const WINDOWS =
    "it is a path of Windows, and this is another system; write one of this system, or set TOKENIZER_PATH here";
  const A_URL = "it is a URL; write the folder's path alone";
  test.each([
    ["$HOME/tokens", VARIABLES],
    ["$" + "{HOME}/tokens", VARIABLES],
    ["/srv/$USER/tokens", VARIABLES],
    ["$(pwd)/tokens", VARIABLES],
    ["%APPDATA%\\tokens", VARIABLES],
    ['"/srv/tokens"', QUOTES],
    ["'./tokens'", QUOTES],
    ["/srv/tokens\r", SPACE],
    [" /srv/tokens", SPACE],
    ["C:\\data\\tokens", WINDOWS],
    ["d:/tokens", WINDOWS],
    ["\\\\server\\tokens", WINDOWS],
    ["file:./tokens", A_URL],
    ["file:///srv/tokens", A_URL],
    ["sqlite://srv/tokens", A_URL],
    ["~ada/tokens", HOMES],
    ["~tokens", HOMES],
  ])("%s is refused, with what to write", (path, reason) => {
    expect(pathOf(path).faults).toEqual([
      { path: "tokenizer.path", message: `found ${JSON.stringify(path)}: ${reason}` },
    ]);
  });

  test("~/ is refused for a user without a home", () => {
    const file = writeSettings(section("path: ~/tokens"));
    // In another process: this one's own home is asked of the system.
    const { stderr } = spawnSync(process.execPath, [PROGRAM, "check", "--settings", file], {
      env: { ...process.env, HOME: "" },
      encoding: "utf8",
    });
    expect(stderr).toContain(
      '\n  tokenizer.path: found "~/tokens": this user has no home folder, and HOME names none; write the whole path\n',
    );
  });

  test("where no folder is asked for, what it is called does not matter", () => {
    const { error } = loading({ tokenizer: { type: "redis", path: "$HOME", safe_password: GOOD_PASSWORD } });
    expect(error).toBeUndefined();
  });
});

describe("a temporary folder above it", () => {
  test.each([
    ["/tmp", "/tmp"],
    ["/tmp/tokens", "/tmp"],
    ["/var/tmp/app/tokens", "/var/tmp"],
    ["/dev/shm/tokens", "/dev/shm"],
    ["/run/user/1000/tokens", "/run"],
  ])("%s: %s", (path, above) => {
    expect(temporaryFolderAbove(path, {})).toBe(above);
  });

  test("as the environment names it", () => {
    expect(temporaryFolderAbove("/scratch/tokens", { TMPDIR: "/scratch/" })).toBe("/scratch/");
    expect(temporaryFolderAbove("/scratch/tokens", { TMPDIR: "" })).toBeUndefined();
  });

  test.each(["/srv/tokens", "/var/lib/app/tokens", "/tmpfs/tokens", "/home/ada/tmp/tokens", "/runtime"])(
    "%s: none",
    (path) => {
      expect(temporaryFolderAbove(path, {})).toBeUndefined();
    },
  );

  test("by way of a link, in the path or to the temporary folder", () => {
    mkdirSync(join(folder, "temporary"));
    symlinkSync(join(folder, "temporary"), join(folder, "link"));
    const { root } = parse(folder);
    expect(temporaryFolderAbove(join(folder, "link", "tokens"), { TMPDIR: join(folder, "temporary") })).toBeDefined();
    // Of a system whose own is elsewhere.
    expect(temporaryFolderAbove(join(root, "srv", "tokens"), { TMPDIR: join(folder, "link") })).toBeUndefined();
  });
});
