/** What docs/ shows is what runs: settings load, code is that of the specs named, and what is to be copied compiles. */
import { execFile } from "node:child_process";
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { SourceTextModule } from "node:vm";
import { afterAll, describe, expect, test } from "@jest/globals";
import { loadSettings } from "../../lib/settings/load.js";

const ROOT = fileURLToPath(new URL("../..", import.meta.url));
const DOCS = join(ROOT, "docs");
const TSC = join(ROOT, "node_modules/typescript/bin/tsc");
const run = promisify(execFile);

/** Inside of the project, where the package's own name means the built package. */
mkdirSync(join(ROOT, ".cache"), { recursive: true });
const folder = mkdtempSync(join(ROOT, ".cache", "docs-"));

afterAll(() => {
  rmSync(folder, { recursive: true, force: true });
});

const read = (name: string) => readFileSync(join(DOCS, name), "utf8");

function blocksOf(text: string, language: string): string[] {
  const blocks = [...text.matchAll(/```(\w+)\n([\s\S]*?)```/g)].filter(([, name]) => name === language);
  return blocks.map(([, , code = ""]) => code);
}

/** How far a line is set in depends on what is around it. */
function unindented(code: string): string {
  return code.replace(/^ +/gm, "");
}

describe.each(["beside.md", "operation.md", "postgres.md", "recipes.md"])("%s", (name) => {
  const sections = read(name)
    .split(/^## /m)
    .slice(1)
    .filter((section) => blocksOf(section, "ts").length > 0);

  test.each(sections.map((section) => [section.split("\n", 1).join(), section] as const))(
    "%s: as in its spec",
    (_title, section) => {
      const [, spec = ""] = /Shown by `(spec\/[^`]+)`/.exec(section) ?? [];
      const source = unindented(readFileSync(join(ROOT, spec), "utf8"));
      for (const block of blocksOf(section, "ts")) expect(source).toContain(unindented(block));
    },
  );
});

test("every spec of spec/beside has its section in beside.md", () => {
  const named = [...read("beside.md").matchAll(/^Shown by `spec\/beside\/(.*?)`/gm)].map(([, spec]) => spec);
  expect(named.sort()).toEqual(readdirSync(join(ROOT, "spec/beside")).sort());
});

describe("migration.md", () => {
  const text = read("migration.md");

  test("what is there afterwards compiles", async () => {
    const files = blocksOf(text, "ts").map((code, n) => {
      writeFileSync(join(folder, `after-${n}.mts`), code);
      return `after-${n}.mts`;
    });
    expect(files).not.toEqual([]);
    const flags = [
      "--strict",
      "--noEmit",
      "--skipLibCheck",
      "--pretty",
      "false",
      "--module",
      "nodenext",
      "--types",
      "node",
    ];
    const outcome = await run(process.execPath, [TSC, "--ignoreConfig", ...flags, ...files], { cwd: folder }).catch(
      (failure: { stdout: string }) => failure,
    );
    expect(outcome.stdout).toBe("");
  });

  test("what was there before is JavaScript", () => {
    for (const code of blocksOf(text, "js")) expect(() => new SourceTextModule(code)).not.toThrow();
  });

  test("what copies sessions is what its spec runs", () => {
    const copying = text.match(/^(async )?function copy[\s\S]*?^}$/gm) ?? [];
    expect(copying).toHaveLength(2);
    const spec = readFileSync(join(ROOT, "spec/migration.spec.ts"), "utf8");
    for (const each of copying) expect(spec).toContain(each);
  });
});

/** Its YAML is of Docker and Kubernetes, too: deploying.spec.ts runs all of it. */
const WITH_MANIFESTS = "deploying.md";

const settings = readdirSync(DOCS)
  .filter((name) => name !== WITH_MANIFESTS)
  .flatMap((name) => blocksOf(read(name), "yaml").map((text, n) => ({ name, number: n + 1, text })));

test.each(settings)("$name: the settings of its example $number are right, also in production", ({ text }) => {
  const file = join(folder, "settings.yml");
  writeFileSync(file, text.replaceAll("…", "x".repeat(32)), { mode: 0o600 });
  const warnings: string[] = [];
  // Where an example leaves the password out, it comes from the environment.
  const env = { NODE_ENV: "production", TOKENIZER_SAFE_PASSWORD: "x".repeat(32) };
  loadSettings(file, { log: { warn: (line) => warnings.push(line) }, env });
  expect(warnings).toEqual([]);
});
