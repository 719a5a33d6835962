import { describe, expect, test } from "@jest/globals";
import { commandLine, settingsFile } from "./command-line.js";

describe("help", () => {
  test.each([[["--help"]], [["-h"]], [["help"]]])("of all commands: %j", async (argv) => {
    const { code, stdout, stderr } = await commandLine(argv);
    expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
    expect(stdout).toBe(`Usage: npx express-tokenizer COMMAND [OPTIONS]

Commands:
  check         check the settings, and the store that they name
  new-password  print a fresh safe_password
  sessions      list the live sessions
  revoke        end sessions: a user's, one, or everyone's
  prune         drop expired records from the store
  create-table  make the table of the settings, in PostgreSQL or DynamoDB
  grants        print the least rights in PostgreSQL that the application needs
  iam-policy    print the least IAM policy that the application needs

Examples:
  npx express-tokenizer check                     # the settings of settings.yml
  npx express-tokenizer new-password              # for tokenizer.safe_password
  npx express-tokenizer sessions                  # everybody's
  npx express-tokenizer revoke --user ada         # all sessions of one user

More about a command: npx express-tokenizer COMMAND --help`);
  });

  test("of one command by help and its name", async () => {
    expect((await commandLine(["help", "revoke"])).stdout).toBe((await commandLine(["revoke", "--help"])).stdout);
  });

  test("without a command it is told, and the exit code is 2", async () => {
    const { code, stdout, stderr } = await commandLine([]);
    expect({ code, stdout }).toEqual({ code: 2, stdout: "" });
    expect(stderr).toMatch(/^Usage: npx express-tokenizer COMMAND/);
  });

  test.each([
    ["check", 3],
    ["new-password", 1],
    ["sessions", 3],
    ["revoke", 3],
    ["prune", 3],
    ["create-table", 2],
    ["grants", 2],
    ["iam-policy", 2],
  ])("of %s: options and examples, which run", async (name, count) => {
    const { code, stdout, stderr } = await commandLine([name, "--help"]);
    expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
    expect(stdout).toMatch(new RegExp(`^Usage: npx express-tokenizer ${name} \\[OPTIONS\\]\n\n`));
    expect(/\n {2}--settings FILE {5}the settings file; default: /.test(stdout)).toBe(name !== "new-password");
    const prose = stdout.slice(0, stdout.indexOf("Examples:"));
    expect(Math.max(...prose.split("\n").map((line) => line.length))).toBeLessThanOrEqual(80);
    const examples = [...stdout.matchAll(/^ {2}npx express-tokenizer (.*?)( +# .*)?$/gm)].map(([, line]) => line ?? "");
    expect(examples).toHaveLength(count);
    // Rightly called, if there only were settings: 1 or 0, and not 2.
    for (const example of examples) {
      const argv = example.replace(/ > .*$/, "").split(" ");
      const wrongly = await commandLine(argv, { TOKENIZER_SETTINGS: "/nowhere/settings.yml" });
      expect([wrongly.code, wrongly.stderr]).not.toEqual([2, expect.anything()]);
    }
  });

  test("wins over what else is there", async () => {
    expect((await commandLine(["iam-policy", "--account", "123456789012", "--help"])).stdout).toMatch(/^Usage/);
  });
});

describe("wrongly called", () => {
  test.each([
    [["create-tabel"], "There is no command create-tabel; did you mean create-table?", ""],
    [["xyz"], "There is no command xyz.", ""],
    [["--settings", "x.yml"], "There is no command --settings.", ""],
    [["iam-policy", "--tabel", "x"], "There is no option --tabel; did you mean --table?", "iam-policy "],
    [["check", "--constructor"], "There is no option --constructor.", "check "],
    [["iam-policy", "-t", "x"], "There is no option -t.", "iam-policy "],
    [["iam-policy", "session_tokens"], "session_tokens is one word too many.", "iam-policy "],
    [["create-table", "--settings"], "--settings needs a value: FILE.", "create-table "],
    [["create-table", "--settings", "--kms-key", "x"], "--settings needs a value: FILE.", "create-table "],
    [["sessions", "--user", "-h"], "--user needs a value: NAME.", "sessions "],
    [["sessions", "--user", "--settings=x.yml"], "--user needs a value: NAME.", "sessions "],
    [["revoke", "--user", "ada", "--user", "grace"], "--user is there twice.", "revoke "],
    [["create-table", "--settings="], "--settings needs a value: FILE.", "create-table "],
    [["create-table", "--help=me"], "--help takes no value.", "create-table "],
  ])("%j", async (argv, message, of) => {
    expect(await commandLine(argv)).toEqual({
      code: 2,
      stdout: "",
      stderr: `${message}\nHelp: npx express-tokenizer ${of}--help`,
    });
  });
});

describe("the settings", () => {
  test("that are not there: told, with what to do", async () => {
    const { code, stdout, stderr } = await commandLine(["create-table", "--settings", "nowhere.yml"]);
    expect({ code, stdout }).toEqual({ code: 1, stdout: "" });
    expect(stderr).toMatch(/^The settings cannot be read\.\n {2}nowhere\.yml: there is no such file/);
  });

  test("of another backend are not for these commands", async () => {
    const file = settingsFile({ type: "redis" });
    for (const [command, types] of [
      ["create-table", "postgres or dynamodb"],
      ["grants", "postgres"],
      ["iam-policy", "dynamodb"],
    ] as const) {
      expect(await commandLine([command, "--settings", file])).toEqual({
        code: 1,
        stdout: "",
        stderr: `tokenizer.type: found redis; this command is for the table of type: ${types}.`,
      });
    }
  });

  test("are found by TOKENIZER_SETTINGS, and completed by the environment", async () => {
    const env = { TOKENIZER_SETTINGS: settingsFile({ type: "dynamodb", table: "one" }), TOKENIZER_TABLE: "another" };
    const { stdout } = await commandLine(["iam-policy"], env);
    expect(JSON.parse(stdout).Statement[0].Resource).toBe("arn:aws:dynamodb:*:*:table/another");
  });
});
