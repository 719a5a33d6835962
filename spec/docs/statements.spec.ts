/** What CONTRIBUTING and docs/aws.md say is so: paths, commands, policies. */
import { execFileSync } from "node:child_process";
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, describe, expect, test } from "@jest/globals";
import { main } from "../../lib/cli/main.js";
import { loadSettings } from "../../lib/settings/load.js";
import { startApp } from "../support/app.js";

const ROOT = fileURLToPath(new URL("../..", import.meta.url));
const PASSWORD = "x".repeat(32);
const folder = mkdtempSync(join(tmpdir(), "express-tokenizer-docs-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const read = (file: string) => readFileSync(join(ROOT, file), "utf8");

function blocksOf(file: string, language: string): string[] {
  return [...read(file).matchAll(/```(\w+)\n([\s\S]*?)```/g)]
    .filter(([, name]) => name === language)
    .map(([, , text = ""]) => text);
}

describe("CONTRIBUTING.md", () => {
  const [tree = ""] = blocksOf("CONTRIBUTING.md", "text");

  test("every path of its tree is there, and every folder of ours is in it", () => {
    const paths = pathsOf(tree);
    expect(paths.length).toBeGreaterThan(20);
    expect(paths.filter((path) => !existsSync(join(ROOT, path)))).toEqual([]);
    const folders = [".", "lib"].flatMap((parent) =>
      readdirSync(join(ROOT, parent), { withFileTypes: true })
        .filter((entry) => entry.isDirectory() && !/^(\..*|node_modules|dist.*|tokens|coverage)$/.test(entry.name))
        .map(({ name }) => join(parent, name, "/")),
    );
    expect(paths).toEqual(expect.arrayContaining(folders));
  });

  test("every command of npm that it names is one of package.json", () => {
    const { scripts } = JSON.parse(read("package.json"));
    const named = [...read("CONTRIBUTING.md").matchAll(/npm run ([\w:-]+)/g)].map(([, name]) => name);
    expect(named.filter((name) => !(name && name in scripts))).toEqual([]);
  });
});

describe("docs/aws.md", () => {
  const [settings = ""] = blocksOf("docs/aws.md", "yaml");
  const [policy = "", secretPolicy = "", task = ""] = blocksOf("docs/aws.md", "json");
  const [container] = JSON.parse(task).containerDefinitions;
  const env = {
    ECS_CONTAINER_METADATA_URI_V4: "http://169.254.170.2/v4/1",
    ...Object.fromEntries(container.environment.map((one: { name: string; value: string }) => [one.name, one.value])),
    ...Object.fromEntries(container.secrets.map(({ name }: { name: string }) => [name, PASSWORD])),
  };

  function loadAsTask(text: string) {
    const file = join(folder, "settings.yml");
    writeFileSync(file, text, { mode: 0o600 });
    const warnings: string[] = [];
    const loaded = loadSettings(file, { log: { warn: (line) => warnings.push(line) }, env });
    return { loaded, warnings };
  }

  test("its settings load with the environment of its task definition, without a warning", () => {
    const { loaded, warnings } = loadAsTask(settings);
    expect(loaded.tokenizer).toMatchObject({ type: "dynamodb", table: "session_tokens", safe_password: PASSWORD });
    expect(warnings).toEqual([]);
  });

  test("type: local is refused there", () => {
    expect(() => loadAsTask("tokenizer:\n  type: local\n")).toThrow(/cloud installation \(Amazon ECS or Fargate/);
  });

  test("its policy is what the command before it prints", async () => {
    const command = blocksOf("docs/aws.md", "sh").find((text) => text.includes("iam-policy")) ?? "";
    const printed: string[] = [];
    const argv = command.trim().replace("npx express-tokenizer ", "").split(" ");
    expect(await main(argv, { print: (line) => printed.push(line), tell: () => {}, env: {} })).toBe(0);
    expect(JSON.parse(printed.join("\n"))).toEqual(JSON.parse(policy));
  });

  test("every command of ours that it names is one, and takes those options", async () => {
    const commands = [...read("docs/aws.md").matchAll(/npx express-tokenizer ([a-z-]+)((?: --[a-z-]+)*)/g)];
    expect(commands.length).toBeGreaterThan(5);
    for (const [, command = "", options = ""] of commands) {
      const printed: string[] = [];
      const io = { print: (line: string) => printed.push(line), tell: () => {}, env: {} };
      expect(await main([command, "--help"], io)).toBe(0);
      for (const option of options.split(" ").filter(Boolean)) expect(printed.join("\n")).toContain(option);
    }
  });

  test("the secret that may be read is the one that the task is given", () => {
    const [{ Resource }] = JSON.parse(secretPolicy).Statement;
    expect(Resource.replace(/-\?{6}$/, "")).toBe(container.secrets[0].valueFrom);
  });

  test.each(blocksOf("docs/aws.md", "js").map((text) => [text.split("\n")[0], text]))("%s is a module", (_, text) => {
    const file = join(folder, "example.mjs");
    writeFileSync(file, text ?? "");
    expect(execFileSync(process.execPath, ["--check", file], { encoding: "utf8" })).toBe("");
  });

  test("the settings of its function are settings, on Lambda", () => {
    const text = blocksOf("docs/aws.md", "js").find((block) => block.includes("handler")) ?? "";
    const [, object = ""] = /tokenizer\((\{[\s\S]*?\n\})\);/.exec(text) ?? [];
    const evaluate = new Function("process", "SecretString", `return ${object}`);
    const section = evaluate({ env: { AWS_REGION: "eu-central-1" } }, JSON.stringify([PASSWORD, "o".repeat(32)]));
    const loaded = loadSettings(section, { log: console, env: { AWS_LAMBDA_FUNCTION_NAME: "my-app" } });
    expect(loaded.tokenizer.safe_password).toHaveLength(2);
  });

  test("after a move the old cookie is rightly signed, and its session over: req.sessionEnded says so", async () => {
    const [from, to] = [await startApp(), await startApp()];
    const browser = from.visitor();
    await browser.signIn();
    expect((await to.visitor(browser.cookie).get("/session")).body).toEqual({ values: {}, ended: true });
    expect((await to.visitor().get("/session")).body).toEqual({ values: {}, ended: false });
  });
});

/** The full paths of a tree that is drawn by indentation. */
function pathsOf(tree: string): string[] {
  const parents: string[] = [];
  return tree
    .split("\n")
    .map((line) => /^( *)(\S+)/.exec(line))
    .filter((found) => found !== null)
    .map(([, indent = "", name = ""]) => {
      const depth = indent.length / 2;
      parents.length = depth;
      parents.push(name);
      return parents.join("");
    });
}
