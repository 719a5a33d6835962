import { type ChildProcess, execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, openSync } from "node:fs";
import { text } from "node:stream/consumers";
import { describe, expect, test } from "@jest/globals";
import { storageKey } from "../../lib/session-id.js";
import { lastingFolder } from "../support/lasting-folder.js";
import { startRedis, withRedis } from "../support/redis-server.js";
import { appAt, backendOf, settingsFile } from "./command-line.js";
import { atTerminal, BIN, withTerminal } from "./real-terminal.js";

const local = () => ({ type: "local", path: `${lastingFolder()}/tokens` }) as const;

function bin(...argv: string[]): Promise<{ code: number; stdout: string; stderr: string }> {
  return binWith({}, ...argv);
}

function binWith(env: NodeJS.ProcessEnv, ...argv: string[]): Promise<{ code: number; stdout: string; stderr: string }> {
  return new Promise((resolve) => {
    execFile(process.execPath, [BIN, ...argv], { env: { ...process.env, ...env } }, (error, stdout, stderr) => {
      resolve({ code: Number(error?.code ?? 0), stdout, stderr });
    });
  });
}

/** Settings of a folder with so many sessions in it. */
async function manySessions(count: number): Promise<string> {
  const file = settingsFile(local());
  const backend = backendOf(file);
  const value = `${JSON.stringify({ created: Date.now(), v: 2 })}\n{}`;
  for (let n = 0; n < count; n++) {
    await backend.write(storageKey(String(n)), { value, version: String(n), expires: Date.now() + 60_000 }, "absent");
  }
  await backend.close();
  return file;
}

test("prints to stdout, tells to stderr, and ends with the exit code", async () => {
  const [help, wrong, failed] = await Promise.all([
    bin("--help"),
    bin("create-tabel"),
    bin("create-table", "--settings", "nowhere.yml"),
  ]);
  expect(help).toEqual({ code: 0, stdout: expect.stringMatching(/^Usage: .*\n$/s), stderr: "" });
  expect(wrong).toEqual({
    code: 2,
    stdout: "",
    stderr: expect.stringMatching(/did you mean create-table\?\nHelp: /),
  });
  expect(failed).toEqual({ code: 1, stdout: "", stderr: expect.stringMatching(/^The settings cannot be read\./) });
});
test("--version is the package's", async () => {
  const { default: manifest } = await import("../../package.json", { with: { type: "json" } });
  expect(await bin("--version")).toEqual({ code: 0, stdout: `${manifest.version}\n`, stderr: "" });
});

test("new-password: one line, which nobody has had before", async () => {
  const [one, other] = await Promise.all([bin("new-password"), bin("new-password")]);
  expect(one).toEqual({ code: 0, stdout: expect.stringMatching(/^[\w-]{43}\n$/), stderr: "" });
  expect(other.stdout).not.toBe(one.stdout);
});

test("the commands work, say nothing beside it, and end by themselves", async () => {
  const { app, file } = await appAt(local());
  await app.visitor().signIn("ada");
  const listed = await bin("sessions", "--settings", file, "--json");
  expect(listed).toEqual({ code: 0, stdout: expect.any(String), stderr: "" });
  const [{ id }] = JSON.parse(listed.stdout);
  expect(await bin("check", "--settings", file)).toEqual({
    code: 0,
    stdout: expect.stringMatching(/\nIt works\.\n$/),
    stderr: "",
  });
  expect(await bin("revoke", "--settings", file, "--session", id)).toEqual({
    code: 0,
    stdout: "1 session ended.\n",
    stderr: "",
  });
  expect(await bin("prune", "--settings", file, "--json")).toEqual({
    code: 0,
    stdout: '{"dropped":0}\n',
    stderr: "",
  });
});

test.each([
  ["a CI run, whose pipe is no terminal", { CI: "true", FORCE_COLOR: undefined }, false],
  ["FORCE_COLOR", { FORCE_COLOR: "1", NO_COLOR: undefined }, true],
  ["NO_COLOR, which wins", { FORCE_COLOR: "1", NO_COLOR: "1" }, false],
])("colours into a pipe, by %s", async (_name, env, isColoured) => {
  const { file } = await appAt(local());
  const { stdout } = await binWith(env, "check", "--settings", file);
  expect(stdout.includes("\u001b[1m")).toBe(isColoured);
});

withRedis("connections", () => {
  test("are closed, or the program would not end", async () => {
    const { port } = await startRedis();
    const file = settingsFile({ type: "redis", host: "127.0.0.1", port });
    const ended = { code: 0, stdout: expect.any(String), stderr: "" };
    expect(await bin("check", "--settings", file)).toEqual(ended);
    expect(await bin("sessions", "--settings", file, "--json")).toEqual(ended);
  });
});

describe("the reader", () => {
  test("goes (| head): the command ends, and says nothing", async () => {
    const file = await manySessions(2000);
    const child = spawn(process.execPath, [BIN, "sessions", "--settings", file]);
    const told = text(child.stderr);
    await once(child.stdout, "data");
    child.stdout.destroy();
    expect(await once(child, "close")).toEqual([0, null]);
    expect(await told).toBe("");
  });

  (existsSync("/dev/full") ? test : test.skip).each([1, 1000])(
    "has no room for %d: told, exit code 1",
    async (count) => {
      const child = spawn(process.execPath, [BIN, "sessions", "--settings", await manySessions(count)], {
        stdio: ["ignore", openSync("/dev/full", "w"), "pipe"],
      });
      const told = text(child.stderr as NonNullable<ChildProcess["stderr"]>);
      expect(await once(child, "close")).toEqual([1, null]);
      expect(await told).toMatch(/^Printing failed: ENOSPC.*\n$/);
    },
  );
});

withTerminal("at a real terminal", () => {
  test.each([
    ["y\n", 0, /\[y\/N\] y\s+1 session ended\.\s+$/],
    ["n\n", 1, /\[y\/N\] n\s+Nothing was ended\.\s+$/],
    ["\n", 1, /\[y\/N\] \s+Nothing was ended\.\s+$/],
    // The end of what is typed, and the interrupt.
    ["\u0004", 1, /\[y\/N\] .*Nothing was ended\.\s+$/s],
    ["\u0003", 130, /\[y\/N\] \^C\s*$/],
  ])("revoke asks, and %j is taken", async (typed, code, screen) => {
    const { app, file } = await appAt(local());
    await app.visitor().signIn("ada");
    const answered = await atTerminal(["revoke", "--settings", file, "--user", "ada"], { typed });
    expect(answered).toEqual({ code, screen: expect.stringMatching(screen) });
    expect(answered.screen.replace(/\s+/g, " ")).toContain(
      `End the only session of ada, in the folder ${app.path}? [y/N] `,
    );
    expect(await app.sessions.users.list("ada")).toHaveLength(code === 0 ? 0 : 1);
  });

  test("new-password says where it belongs", async () => {
    const { code, screen } = await atTerminal(["new-password"]);
    expect(code).toBe(0);
    expect(screen).toMatch(/^[\w-]{43}\r\nPut it into the settings as tokenizer\.safe_password, /);
  });
});
