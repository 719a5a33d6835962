/** What editors mark in the settings that documents show, and in those that the demo writes. */
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import { writeFirstSettings } from "../../demo-app/first-start.js";
import { ROOT } from "../../demo-app/root.js";
import { LanguageServer } from "../support/language-server.js";
import { type Editing, FIRST_LINE, startEditing } from "./editing.js";

let editing: Editing;
let editor: LanguageServer;

beforeAll(async () => {
  editing = await startEditing();
  editor = editing.editor;
});
afterAll(() => editing.stop());

describe("the samples", () => {
  /** The blocks of a document that are settings. */
  function samplesOf(document: string): readonly string[] {
    const text = readFileSync(join(ROOT, document), "utf8");
    const blocks = [...text.matchAll(/^```ya?ml\n(.*?)^```$/gms)].map(([, block = ""]) => block);
    return blocks.filter((block) => /^tokenizer:/m.test(block));
  }

  const documents = readdirSync(join(ROOT, "docs")).map((name) => `docs/${name}`);
  const samples = [...documents, "README.md"].flatMap((document) =>
    samplesOf(document).map((sample, index) => [`${document}, ${index + 1}`, sample] as const),
  );
  const example = readFileSync(join(ROOT, "settings.example.yml"), "utf8");
  const commented = example.match(/^#tokenizer:\n(?:# {2}.*\n)+/gm) ?? [];

  test("are found", () => {
    expect(samples.length).toBeGreaterThan(12);
    expect(commented.length).toBeGreaterThan(7);
  });

  test.each(samples)("have no fault but the secrets that are left out: %s", async (_, sample) => {
    const leftOut = sample.split("\n").flatMap((line, index) => {
      const [, key] = /(\w+): …(?= #| }|$)/.exec(line) ?? [];
      return key === undefined ? [] : [`${index + 1}: ${key} is the … of the documentation`];
    });
    const marked = await editor.faults(sample);
    expect(marked.map((mark) => mark.split(";")[0])).toEqual(leftOut);
  });

  test.each(samples)("name the schema first: %s", (_, sample) => {
    expect(sample.split("\n")[0]).toBe(FIRST_LINE);
  });

  test("settings.example.yml names it where it is copied to, and has no fault", async () => {
    expect(example.split("\n")[0]).toBe(FIRST_LINE);
    expect(await editor.faults(example)).toEqual([]);
    for (const each of commented) {
      expect(await editor.faults(`${FIRST_LINE}\n${each.replaceAll(/^#/gm, "")}`)).toEqual([]);
    }
  });

  test("the settings of the demo's first start name the one of the tree", async () => {
    const file = join(editing.project, "settings.yml");
    writeFirstSettings(file, join(ROOT, "settings.example.yml"));
    const [first, ...rest] = readFileSync(file, "utf8").split("\n");
    const tree = await LanguageServer.start(ROOT);
    expect(await tree.faults([first, ...rest].join("\n"))).toEqual([]);
    expect(await tree.faults([first, "tokenizer: { tabel: t }"].join("\n"))).toEqual([
      "2: Property tabel is not allowed.",
    ]);
    await tree.stop();
  });

  test("a schema that is not there is told", async () => {
    expect(await editor.faults("# yaml-language-server: $schema=./nowhere.json\ntokenizer:\n")).toEqual([
      expect.stringMatching("nowhere.json"),
    ]);
  });
});
