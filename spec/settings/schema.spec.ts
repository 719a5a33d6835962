import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { describe, expect, test } from "@jest/globals";
import { Ajv } from "ajv";
import { settingSections, settingsSchema } from "../../lib/settings/schema.js";
import { SAMPLE_SAFE_PASSWORD } from "../../lib/settings/settings.js";
import { typesOf } from "../../lib/settings/types-of.js";
import { loadingText, writeSettings } from "./loading.js";

const root = (name: string): string => readFileSync(new URL(`../../${name}`, import.meta.url), "utf8");

describe("settings.schema.json", () => {
  const schema = JSON.parse(root("settings.schema.json"));

  test("is what npm run schema writes (npm run build && npm run schema)", () => {
    const written = writeSettings("");
    execFileSync(process.execPath, [fileURLToPath(new URL("../../scripts/schema.mjs", import.meta.url)), written]);
    expect(root("settings.schema.json")).toBe(readFileSync(written, "utf8"));
  });

  // Words for editors; a validator knows them, or passes over them.
  const keywords = ["enumDescriptions", "defaultSnippets", "errorMessage", "patternErrorMessage"];

  test.each([
    ["it", schema],
    ["what checks settings", settingsSchema],
  ])("is draft-07 that a strict validator takes: %s", (_, each) => {
    expect(each.$schema).toBe("http://json-schema.org/draft-07/schema#");
    const options = { strict: true, allowUnionTypes: true, keywords: [...keywords, "deprecationMessage"] };
    expect(() => new Ajv(options).compile(each)).not.toThrow();
  });

  /** What an editor says that knows the word (yaml-language-server does). */
  function toldOf(tokenizer: object): string[] {
    const told: string[] = [];
    const ajv = new Ajv({ allowUnionTypes: true, keywords }).addKeyword({
      keyword: "deprecationMessage",
      compile: (message: string) => () => told.push(message) > 0,
    });
    expect(ajv.compile(schema)({ tokenizer })).toBe(true);
    return told;
  }

  test.each([
    [
      { type: "redis", path: "x", host: "h" },
      ["path is for type: local; with type: redis it changes nothing: take it away"],
    ],
    [{ host: "h" }, ["host is for type: redis or postgres; with type: local it changes nothing: take it away"]],
    [
      { type: "dynamodb", table: "t", options: { ssl: true } },
      ["options is for type: redis, postgres or module; with type: dynamodb it changes nothing: take it away"],
    ],
    [{ type: "module", module: "m", options: { a: 1 }, timeout: 5 }, []],
    [{ type: "redis", options: { ssl: true }, cookie: { path: "/" } }, []],
  ])("lets editors warn of what is for another type: %j", (tokenizer, told) => {
    expect(toldOf(tokenizer)).toEqual(told);
  });

  test("says of each setting for which type it is, as the table has it", () => {
    for (const [key, { description }] of Object.entries(settingSections.tokenizer ?? {})) {
      const told = [...description.matchAll(/(?:^|[.] )([a-z]+(?: and [a-z]+)*): /g)].flatMap(([, named = ""]) =>
        named.split(" and "),
      );
      const types = key === "module" ? ["module"] : told.length > 0 ? told : typesOf("timeout");
      expect([key, typesOf(key)]).toEqual([key, types]);
    }
  });

  test("marks every secret, and nothing else, writeOnly", () => {
    const secrets = Object.entries(settingSections).flatMap(([section, keys]) =>
      Object.keys(keys)
        .filter((key) => keys[key]?.writeOnly)
        .map((key) => `${section}.${key}`),
    );
    expect(secrets.sort()).toEqual([
      "tokenizer.aws_access_key",
      "tokenizer.aws_secret_key",
      "tokenizer.aws_session_token",
      "tokenizer.cookie.secret",
      "tokenizer.options.key",
      "tokenizer.password",
      "tokenizer.safe_password",
      "tokenizer.url",
    ]);
  });

  test.each(
    Object.values(settingSections)
      .flatMap((keys) => Object.entries(keys))
      .map(([key, { description, type }]) => [key, description, type] as const),
  )("says the unit of %s", (_, description, type) => {
    expect(description).toMatch(/^\S.{10,}/);
    if (type === "number") {
      expect(description).toMatch(/^(Minutes|Seconds) /);
    }
    if (type === "integer") {
      expect(description).toMatch(/number of|port/);
    }
  });
});

describe("the examples that users already have", () => {
  const rest = ["timeout: 20 # minutes", "safe_password: correct-horse-battery-staple"];

  test.each([
    ["local with path", ["type: local", "path: /tmp/tokens"], {}],
    ["dynamodb with only a table", ["type: dynamodb", "table: session_tokens"], {}],
    ["dynamodb with a profile", ["type: dynamodb", "table: t", "profile_name: p", "aws_region_name: us-east-1"], {}],
    ["dynamodb with the two keys", ["type: dynamodb", "table: t", "aws_access_key: a", "aws_secret_key: b"], {}],
    ["redis with host alone", ["type: redis", "host: localhost"], { port: 6379 }],
    ["redis with host and port", ["type: redis", "host: localhost", "port: 6379"], { port: 6379 }],
    ["postgres alone", ["type: postgres"], { table: "tokenizer_records" }],
    ["postgres with a url", ["type: postgres", "url: postgres://ada:x@db/shop"], { host: "db", database: "shop" }],
    ["redis with TLS", ["type: redis", "host: localhost", "options: { ssl: true }"], { port: 6379 }],
    ["redis with TLS, in blocks", ["type: redis", "host: localhost", "options:", "  ssl: true"], { port: 6379 }],
  ])("%s", (_, lines, expected) => {
    const result = loadingText(["tokenizer:", ...lines, ...rest].join("\n  "));
    expect(result.error).toBeUndefined();
    expect(result.warnings).toEqual([]);
    expect(result.settings?.tokenizer).toMatchObject({ timeout: 20, ...expected });
  });
});

describe("settings.example.yml", () => {
  const text = root("settings.example.yml");
  const commented = text.match(/^#tokenizer:\n(?:# {2}.*\n)+/gm) ?? [];
  const examples = [text, ...commented.map((block) => block.replace(/^#/gm, ""))];

  test("has `local` live, and an example of each other kind", () => {
    const types = examples.map((example) => loadingText(example).settings?.tokenizer.type);
    expect(types).toEqual([
      "local",
      "memory",
      "dynamodb",
      "dynamodb",
      "dynamodb",
      "redis",
      "redis",
      "redis",
      "redis",
      "postgres",
      "postgres",
    ]);
  });

  test.each(examples.map((example) => [example.match(/^ {2}type: .*\n.*/m)?.[0] ?? "", example] as const))(
    "validates:%s",
    (_, example) => {
      const { error, warnings, settings } = loadingText(example);
      expect(error).toBeUndefined();
      expect(settings?.tokenizer.timeout).toBe(20);
      if (settings?.tokenizer.type !== "memory") {
        expect(warnings).toEqual([expect.stringMatching("^tokenizer.safe_password is the sample")]);
        expect(settings?.tokenizer.safe_password).toBe(SAMPLE_SAFE_PASSWORD);
      } else expect(warnings).toEqual([]);
      expect(example).toContain("timeout: 20 # minutes");
    },
  );

  test("has the sample on a line of its own, for the demo to replace", () => {
    expect(text).toMatch(new RegExp(`^  safe_password: ${SAMPLE_SAFE_PASSWORD}$`, "m"));
  });
});
