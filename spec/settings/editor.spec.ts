import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import { variablesFor } from "../../lib/settings/environment.js";
import { settingSections } from "../../lib/settings/schema.js";
import { cookie } from "../../lib/settings/schema-sections.js";
import { schemaWith } from "../../lib/settings/schema-types.js";
import { typesOf } from "../../lib/settings/types-of.js";
import type { LanguageServer } from "../support/language-server.js";
import { type Editing, FIRST_LINE, startEditing } from "./editing.js";
import { GOOD_PASSWORD, loadingText, paths } from "./loading.js";

let editing: Editing;
let editor: LanguageServer;

beforeAll(async () => {
  editing = await startEditing();
  editor = editing.editor;
});
afterAll(() => editing.stop());

/** A settings file with these lines in its section `tokenizer`. */
function settings(...lines: readonly string[]): string {
  return [FIRST_LINE, "tokenizer:", ...lines.map((line) => `  ${line}`), ""].join("\n");
}

/** What is offered, by its label. */
async function offered(text: string): Promise<Record<string, { insertText: string; documentation?: string }>> {
  return Object.fromEntries((await editor.offers(text)).map(({ label, ...offer }) => [label, offer]));
}

/** Where the cursor goes: what is there already is written over. */
function field(text: string): string {
  return `\${1:${text}}`;
}

const keys = Object.keys(settingSections.tokenizer ?? {});
const types = typesOf("timeout");

describe("an editor offers", () => {
  test.each([
    ["without a type, those of local", "local", []],
    ...types.map((type) => [type, type, [`type: ${type}`]] as const),
  ])("the keys of a type and those of all types, and no other: %s", async (_, type, lines) => {
    const expected = keys.filter((key) => typesOf(key).some((each) => each === type) && (key !== "type" || !lines[0]));
    expect(expected.length).toBeGreaterThan(11);
    expect(Object.keys(await offered(settings(...lines, "|"))).sort()).toEqual(expected.sort());
  });

  test("the same while a key is being written", async () => {
    const found = await offered(settings("type: redis", "ho|"));
    expect(found.host?.insertText).toBe(`host: ${field("localhost")}`);
    expect(found).not.toHaveProperty("table");
  });

  test("the types, each with what it is", async () => {
    const found = await offered(settings("type: |"));
    expect(Object.keys(found)).toEqual(types);
    expect(found.redis).toMatchObject({
      insertText: "redis",
      documentation: expect.stringMatching("^Redis or Valkey"),
    });
    for (const { documentation } of Object.values(found)) expect(documentation).toMatch(/^[A-Z].{10}/);
  });

  test("a text in quotes for safe_password and cookie.secret, which may be lists", async () => {
    const found = await offered(settings("|"));
    expect(found.safe_password?.insertText).toBe('safe_password: "$1"');
    expect((await offered(settings("cookie:", "  |"))).secret?.insertText).toBe('secret: "$1"');
    expect(Object.values(await offered(settings("safe_password: |"))).map(({ insertText }) => insertText)).toEqual([
      '"$1"',
    ]);
  });

  test("remember with nothing in it, which is allowed, and nothing that is no YAML", async () => {
    const found = await offered(settings("remember: |"));
    expect(Object.values(found).map(({ insertText }) => insertText)).toEqual(["{}"]);
    expect(Object.keys(found)).toEqual(["{}"]);
  });

  test("a section with its type, and no wall of defaults", async () => {
    const found = await offered(`${FIRST_LINE}\n|`);
    expect(found.tokenizer?.insertText).toBe(`tokenizer:\n  type: ${field("local")}`);
  });

  test("the keys of cookie, and those of options with type: redis", async () => {
    expect(Object.keys(await offered(settings("cookie:", "  |"))).sort()).toEqual(Object.keys(cookie).sort());
    const options = Object.keys(settingSections["tokenizer.options"] ?? {});
    expect(Object.keys(await offered(settings("type: redis", "options:", "  |"))).sort()).toEqual(options.sort());
    expect(await offered(settings("type: module", "options:", "  |"))).toEqual({});
    expect(Object.keys(await offered(settings("type: postgres", "options:", "  |"))).sort()).toEqual(
      options.filter((key) => !["sentinel", "cluster", "nodes"].includes(key)).sort(),
    );
    const rest = options.filter((key) => key !== "sentinel").sort();
    expect(Object.keys(await offered(settings("type: redis", "options:", "  sentinel: m", "  |"))).sort()).toEqual(
      rest,
    );
  });
});

describe("an editor marks", () => {
  test.each([
    ["type: local", [], []],
    ["type: memory", [], []],
    ["type: redis", [], []],
    ["type: postgres", [], []],
    ["type: dynamodb", ["2: type: dynamodb needs table, here or as TOKENIZER_TABLE"], ["tokenizer.table"]],
    ["type: module", ["2: type: module needs module, here or as TOKENIZER_MODULE"], ["tokenizer.module"]],
  ])("what a type cannot do without, as the loader refuses it: %s", async (type, marked, refused) => {
    const text = settings(type, `safe_password: ${GOOD_PASSWORD}`);
    expect(await editor.faults(text)).toEqual(marked);
    expect(paths(loadingText(text))).toEqual(refused);
    const set = loadingText(text, { TOKENIZER_TABLE: "t", TOKENIZER_MODULE: "./m.js" });
    expect(set.error).toBeUndefined();
  });

  test.each([
    [
      ["type: local", "table: t"],
      ["4: table is for type: postgres or dynamodb; with type: local it changes nothing: take it away"],
    ],
    [["table: t"], ["3: table is for type: postgres or dynamodb; with type: local it changes nothing: take it away"]],
    [["type: redis", "path: x"], ["4: path is for type: local; with type: redis it changes nothing: take it away"]],
    [
      ["type: redis", "table:"],
      ["4: table is for type: postgres or dynamodb; with type: redis it changes nothing: take it away"],
    ],
    [["type: redsi"], [expect.stringMatching(/^3: Value is not accepted. Valid values: "local",/)]],
    [["tabel: t"], ["3: Property tabel is not allowed."]],
    [["type: redis", "options: { ssl: 1 }"], ['4: Incorrect type. Expected "boolean".']],
    [["type: redis", "options: { nodez: [a] }"], ["4: Property nodez is not allowed."]],
    [["safe_password: 12"], ["3: Incorrect type. Expected one of string, array."]],
    [["safe_password: [a, 1]"], ['3: Incorrect type. Expected "string".']],
    [["safe_password: []"], ["3: Array has too few items. Expected 1 or more."]],
    [['timeout: "20"'], ['3: Incorrect type. Expected "number".']],
  ])("what is wrong: %j", async (lines, marked) => {
    expect(await editor.faults(settings(...lines))).toEqual(marked);
  });

  const MAKE_ONE = "; make one with: npx express-tokenizer new-password";
  const IS_OURS = "is the … of the documentation; put a secret of your own in its place";
  const BESIDE_URL = "stands beside url, which says it; keep one";
  const whole = "url: 'redis://me:secret@redis:6379/1'";
  const redis = (...lines: string[]) => ["type: redis", ...lines];
  const postgres = (...lines: string[]) => ["type: postgres", ...lines];
  const all = "url: 'postgres://me:secret@db:5433/shop?sslmode=require'";

  test.each([
    [["safe_password: …"], [`3: safe_password ${IS_OURS}${MAKE_ONE}`], ["tokenizer.safe_password"]],
    [["safe_password: ..."], [`3: safe_password ${IS_OURS}${MAKE_ONE}`], ["tokenizer.safe_password"]],
    [["safe_password: [a, …]"], [`3: safe_password ${IS_OURS}${MAKE_ONE}`], ["tokenizer.safe_password[1]"]],
    [["cookie: { secret: … }"], [`3: secret ${IS_OURS}${MAKE_ONE}`], ["tokenizer.cookie.secret"]],
    [redis("password: …"), [`4: password ${IS_OURS}`], ["tokenizer.password"]],
    [redis("options: { ssl: true, key: …, cert: x }"), [`4: key ${IS_OURS}`], ["tokenizer.options.key"]],
    ...["host: h", "port: 1", "username: u", "password: p", "password_file: f", "database: 2"].map((line) => {
      const [key = ""] = line.split(":");
      return [redis(whole, line), [`5: ${key} ${BESIDE_URL}`], [`tokenizer.${key}`]] as const;
    }),
    ...["host: h", "port: 1", "username: u", "password: p", "password_file: f", "database: d"].map((line) => {
      const [key = ""] = line.split(":");
      return [postgres(all, line), [`5: ${key} ${BESIDE_URL}`], [`tokenizer.${key}`]] as const;
    }),
    [
      postgres("url: 'postgres:///?host=/run&user=u&password=p&dbname=d&port=1'", "host: h"),
      [`5: host ${BESIDE_URL}`],
      ["tokenizer.host"],
    ],
    [postgres("database: 5"), ['4: Incorrect type. Expected "string".'], ["tokenizer.database"]],
    [redis("database: shop"), ['4: Incorrect type. Expected "integer".'], ["tokenizer.database"]],
    [postgres("table: a.b.c"), [expect.stringMatching("^4: String does not match")], ["tokenizer.table"]],
    [postgres("prefix: x"), ["4: prefix is for type: redis; with type: postgres it changes nothing: take it away"], []],
    [
      postgres("options: { ssl: true, sentinel: m }"),
      ["4: Property sentinel is not allowed."],
      ["tokenizer.options.sentinel"],
    ],
    [redis("options: { sentinel: m }"), ["4: sentinel needs nodes"], ["tokenizer.options.nodes"]],
    [redis("options: { cluster: true }"), ["4: cluster needs nodes"], ["tokenizer.options.nodes"]],
    ...["", ", same_site: lax", ", same_site: strict"].map((rest) => {
      const message = "3: partitioned is for pages that other sites embed, which needs same_site: none beside it";
      return [[`cookie: { partitioned: true${rest} }`], [message], ["tokenizer.cookie.partitioned"]] as const;
    }),
  ])("what the loader refuses: %j", async (lines, marked, refused) => {
    const text = settings(...lines);
    expect(await editor.faults(text)).toEqual(marked);
    const loaded = loadingText(text.includes("safe_password") ? text : `${text}  safe_password: ${GOOD_PASSWORD}\n`);
    expect(paths(loaded)).toEqual(refused);
  });

  test.each([
    [redis("url: redis://redis", "username: u", "password: p", "database: 2")],
    [redis("url: 'redis://me@redis/'", "password: p", "database: 2")],
    [redis("url: 'unix:///run/redis?db=2'", "username: u", "password_file: /run/secrets/p")],
    [redis("options: { cluster: false }")],
    [postgres("url: postgres://db", "port: 5433", "username: u", "password: p", "database: d")],
    [postgres("url: 'postgres://me@db/shop'", "port: 5433", "password_file: /run/secrets/p")],
    [postgres("url: 'postgres://me:12@db'", "port: 5433", "database: d")],
    [postgres("url: 'postgres://me:secret@/shop'", "host: /run/postgresql", "port: 5433")],
    [postgres("host: /run/postgresql", "table: auth.sessions", "options: { ssl: true, ca: /etc/ca.pem }")],
    [redis("options: { cluster: true, nodes: ['a:1'] }")],
    [["cookie: { partitioned: true, same_site: none }"]],
    [["cookie: { partitioned: false }"]],
    [["remember: {}"]],
  ])("nothing that the loader takes: %j", async (lines) => {
    const text = settings(...lines, `safe_password: ${GOOD_PASSWORD}`);
    expect(await editor.faults(text)).toEqual([]);
    expect(paths(loadingText(text))).toEqual([]);
  });

  test.each([
    [["safe_password: [the new one, the old one]", "cookie: { secret: [a, b] }"]],
    [["type: module", "module: ./m.js", "options: { anything: [1, 2] }"]],
    [["type: redis", "options: { ssl: true, nodes: ['a:1'] }", "password_file: /run/secrets/p"]],
  ])("nothing that is right: %j", async (lines) => {
    expect(await editor.faults(settings(...lines))).toEqual([]);
  });
});

describe("an editor shows", () => {
  test("of a key what it is, its unit, its default and its variable", async () => {
    const shown = await editor.hover(settings("time|out: 5"));
    expect(shown).toContain("Minutes without a request");
    expect(shown).toContain("Default: 20");
    expect(shown).toContain("Environment: TOKENIZER\\_TIMEOUT");
  });

  test.each([
    ["redis", "number of the database", "Default: 0"],
    ["postgres", "name of the database", "PGDATABASE"],
  ])("of a key of two types what it is with this one: %s", async (type, what, otherwise) => {
    const shown = await editor.hover(settings(`type: ${type}`, "data|base: 1"));
    expect(shown).toContain(what);
    expect(shown).toContain(otherwise);
  });

  test("of a key of one type the same", async () => {
    const shown = await editor.hover(settings("type: dynamodb", "ta|ble: t"));
    expect(shown).toContain("the table's name");
    expect(shown).toContain("TOKENIZER\\_TABLE");
  });

  test.each(Object.entries(settingSections.tokenizer ?? {}))("of every key what is said of it: %s", async (key, of) => {
    const value = of.enum ? of.enum[0] : of.type === "object" ? "{}" : "1";
    const type = key === "type" ? [] : [`type: ${typesOf(key)[0]}`];
    const shown = await editor.hover(settings(...type, `|${key}: ${value}`));
    const plain = shown.replaceAll("\\", "");
    expect(plain).toContain((schemaWith(typesOf(key)[0], key) ?? of).description.split(". ")[0]);
    expect(plain).toContain(variablesFor(["tokenizer", key]).join(" or "));
  });

  test("of a type what each of them is", async () => {
    expect(await editor.hover(settings("type: re|dis"))).toMatch(/\* `redis`: Redis or Valkey.*\n\* `local`: A folder/);
  });
});
