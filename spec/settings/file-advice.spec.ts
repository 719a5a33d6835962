import { mkdirSync, mkdtempSync, realpathSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { afterAll, beforeEach, describe, expect, test } from "@jest/globals";
import { loadSettings } from "../../lib/settings/load.js";
import { commandLine } from "../cli/command-line.js";
import { loading } from "./loading.js";

const top = realpathSync(mkdtempSync(join(tmpdir(), "file-advice-spec-")));
const before = process.cwd();
let count = 0;
let folder = "";

/** Two levels of its own: nothing that lies about on the machine is near. */
beforeEach(() => {
  count += 1;
  folder = join(top, String(count), "app");
  mkdirSync(folder, { recursive: true });
  process.chdir(folder);
});
afterAll(() => {
  process.chdir(before);
  rmSync(top, { recursive: true });
});

function put(...names: readonly string[]): void {
  for (const name of names) {
    mkdirSync(dirname(join(folder, name)), { recursive: true });
    writeFileSync(join(folder, name), "tokenizer: {}\n", { mode: 0o600 });
  }
}

const told = (name?: string) => loading(name).error?.faults[0]?.message;
const HOW_TO_BEGIN =
  "Copy node_modules/express-tokenizer/settings.example.yml to settings.yml and give it a safe_password, or name another file: ";

describe("a settings file that lies nearby is named", () => {
  test.each([
    ["settings.yaml", undefined, "settings.yaml"],
    ["setting.yml", undefined, "setting.yml"],
    ["settings.json", undefined, "settings.json"],
    ["Settings.YML", undefined, "Settings.YML"],
    ["settings.yml.txt", undefined, "settings.yml.txt"],
    ["config/settings.yml", undefined, "config/settings.yml"],
    ["server/settings.yaml", undefined, "server/settings.yaml"],
    ["../settings.yml", undefined, "../settings.yml"],
    ["settings.yml", "setings.yml", "settings.yml"],
    ["my-app.yml", "myapp.yml", "my-app.yml"],
    ["config/settings.yml", "config", "config/settings.yml"],
    ["config/settings.yml", "config/my.yml", "config/settings.yml"],
  ])("%s, for %s", (name, asked, meant) => {
    put(name);
    expect(told(asked)).toMatch(/^(there is no such file \(.*\)|this is a folder)\. Is it /);
    expect(told(asked)?.split(". Is it ")[1]).toBe(
      `${meant}? Then name it: tokenizer("${meant}"), or TOKENIZER_SETTINGS.`,
    );
  });

  test("several are named, but not all of many", () => {
    put("a/settings.yml", "b/settings.yml", "c/settings.yml", "d/settings.yml", "settings.yaml");
    expect(told()).toMatch(
      / Is it settings\.yaml or a\/settings\.yml or b\/settings\.yml\? Then name it: tokenizer\("settings\.yaml"\)/,
    );
  });

  test.each([
    "node_modules/settings.yml",
    ".git/settings.yml",
    "a/b/settings.yml",
    "config.yml",
    "settings.example.yml",
  ])("but not %s", (name) => {
    put(name);
    expect(told()).toContain(`. ${HOW_TO_BEGIN}tokenizer("config/settings.yml"), or TOKENIZER_SETTINGS.`);
  });

  test("on the command line, with its option", async () => {
    put("config/settings.yml");
    const { code, stderr } = await commandLine(["check"]);
    expect(code).toBe(1);
    expect(stderr).toBe(
      `The settings cannot be read.\n  settings.yml: there is no such file (${join(folder, "settings.yml")}). Is it config/settings.yml? Then name it: --settings config/settings.yml.`,
    );
  });
});

describe("without one, the command line says where to run it, and its option", () => {
  const advice = "Run the command in the application's folder, or name the settings file: --settings FILE.";

  test.each([
    [["check"], "settings.yml"],
    [["sessions", "--settings", "conf/my.yml"], "conf/my.yml"],
  ])("%j", async (argv, name) => {
    const { stderr } = await commandLine(argv);
    expect(stderr).toBe(
      `The settings cannot be read.\n  ${name}: there is no such file (${join(folder, name)}). ${advice}`,
    );
  });

  test("a folder, and an empty file", async () => {
    expect((await commandLine(["check", "--settings", "."])).stderr).toContain(
      `.: this is a folder. ${HOW_TO_BEGIN}--settings FILE.`,
    );
    writeFileSync(join(folder, "settings.yml"), "");
    expect((await commandLine(["check"])).stderr).toContain(`the file is empty. ${HOW_TO_BEGIN}--settings FILE.`);
  });
});

test("at the root of the machine nothing is searched", () => {
  process.chdir("/");
  const load = () => loadSettings("no-such-settings-file.conf", { log: console, env: {} });
  expect(load).toThrow(`(/no-such-settings-file.conf). ${HOW_TO_BEGIN}`);
});
