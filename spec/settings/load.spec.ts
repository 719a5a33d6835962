import { chmodSync, mkdirSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { inspect } from "node:util";
import { describe, expect, jest, test } from "@jest/globals";
import { loadSettings } from "../../lib/settings/load.js";
import { SAMPLE_SAFE_PASSWORD, type SettingsInput } from "../../lib/settings/settings.js";
import { cpuTime } from "../support/cpu.js";
import { GOOD_PASSWORD, type Loading, loading, loadingText, paths, section, writeSettings } from "./loading.js";

const PRODUCTION = { NODE_ENV: "production" };
const RANDOM = "npx express-tokenizer new-password";

function expectOneFault(result: Loading, path: string, message: string | RegExp): void {
  expect(paths(result)).toEqual([path]);
  expect(result.error?.code).toBe("SETTINGS_INVALID");
  expect(result.error?.status).toBe(500);
  expect(result.error?.faults[0]?.message).toMatch(message);
  expect(result.error?.message).toMatch(message);
}

/** A fault of the file as a whole has the file's name for its path. */
function expectRefusedFile(file: string, message: string | RegExp): void {
  expectOneFault(loading(file), file, message);
}

describe("defaults", () => {
  test("of an object with a password alone", () => {
    expect(loading({ tokenizer: { safe_password: GOOD_PASSWORD } })).toEqual({
      error: undefined,
      warnings: [],
      settings: {
        authenticator: { type: "local" },
        tokenizer: {
          type: "local",
          timeout: 20,
          safe_password: GOOD_PASSWORD,
          salt: "express-tokenizer",
          encrypt: "credentials",
          touch_interval: 60,
          sessions_per_user: 100,
          max_session_kb: 400,
          store_timeout: 2,
          cookie: { name: "token", secure: "auto", same_site: "lax", path: "/" },
          path: join(process.cwd(), ".tokens"),
        },
      },
    });
  });

  test.each([
    ["local", {}],
    ["redis", { host: "localhost", port: 6379, database: 0, prefix: "tokenizer:" }],
    // The environment says the rest, PGHOST and so on: the backend reads it.
    ["postgres", { table: "tokenizer_records" }],
  ] as const)("of a type's own keys: %s", (type, expected) => {
    const { settings } = loading({ tokenizer: { type, safe_password: GOOD_PASSWORD } });
    const { host, port, username, password, database, prefix, table } = settings?.tokenizer ?? {};
    expect({ host, port, username, password, database, prefix, table }).toEqual(expected);
  });

  test("of a section remember, which is not there by itself: 30 days and 90", () => {
    expect(loadingText(section()).settings?.tokenizer).not.toHaveProperty("remember");
    const remember = { timeout: 43_200, absolute_timeout: 129_600 };
    expect(loadingText(section("remember: {}")).settings?.tokenizer.remember).toEqual(remember);
    expect(loadingText(section("remember: { timeout: 60 }")).settings?.tokenizer.remember).toEqual({
      ...remember,
      timeout: 60,
    });
  });

  test("beside what a cookie says", () => {
    const { settings } = loadingText(section("cookie: { name: sid, secure: true }"));
    expect(settings?.tokenizer.cookie).toEqual({ name: "sid", secure: true, same_site: "lax", path: "/" });
  });

  test("stand where an object says undefined", () => {
    const { settings } = loading({ tokenizer: { safe_password: GOOD_PASSWORD, timeout: undefined, table: undefined } });
    expect(settings?.tokenizer.timeout).toBe(20);
    expect(settings?.tokenizer).not.toHaveProperty("table");
  });

  test("are not shared between two loads", () => {
    const [one, other] = [1, 2].map(() => loading({ tokenizer: { safe_password: GOOD_PASSWORD } }).settings);
    expect(one?.tokenizer.cookie).not.toBe(other?.tokenizer.cookie);
  });
});

describe("the result", () => {
  test("is frozen all the way down", () => {
    const { settings } = loadingText(
      section("type: redis", "cookie: { secret: [0123456789abcdef, x23456789abcdef0] }", "options: { ssl: true }"),
    );
    const parts = [settings, settings?.tokenizer, settings?.authenticator, settings?.tokenizer.cookie];
    for (const part of [...parts, settings?.tokenizer.cookie.secret, settings?.tokenizer.options]) {
      expect(part).toBeInstanceOf(Object);
      expect(Object.isFrozen(part)).toBe(true);
    }
  });

  test("leaves the object that was given as it was", () => {
    const input = { tokenizer: { safe_password: GOOD_PASSWORD, cookie: { name: "sid" } } };
    loading(input);
    expect(input).toEqual({ tokenizer: { safe_password: GOOD_PASSWORD, cookie: { name: "sid" } } });
    expect(Object.isFrozen(input.tokenizer.cookie)).toBe(false);
  });

  test("keeps the live objects among a module's options, and does not freeze them", () => {
    const client = new (class Client {
      open = false;
    })();
    const { settings } = loading({
      tokenizer: { type: "module", module: "./mine.js", safe_password: GOOD_PASSWORD, options: { client, deep: [{}] } },
    });
    const options = settings?.tokenizer.options as { client: unknown; deep: unknown[] };
    expect(options.client).toBe(client);
    expect(Object.isFrozen(client)).toBe(false);
    expect(Object.isFrozen(options.deep[0])).toBe(true);
  });

  test("keeps what a module's options share, and a circle among them", () => {
    const text = `${section("type: module", "module: m", "options: { one: &shared { a: 1 }, other: *shared }")}\n`;
    expect(loadingText(text).settings?.tokenizer.options).toEqual({ one: { a: 1 }, other: { a: 1 } });
    const circle: Record<string, unknown> = {};
    circle.self = circle;
    const tokenizer = { type: "module" as const, module: "m", safe_password: GOOD_PASSWORD, options: circle };
    const options = loading({ tokenizer }).settings?.tokenizer.options as typeof circle;
    expect(options.self).toBe(options);
    expect(Object.isFrozen(options)).toBe(true);
  });

  test("holds nothing of other sections, nor authenticator's other keys, and refuses none of them", () => {
    const text = `database: { tiemout: 1 }\nauthenticator: { type: ldap, url: x }\n${section()}`;
    const file = writeSettings(text);
    const { settings } = loading(file);
    expect(Object.keys(settings ?? {}).sort()).toEqual(["authenticator", "file", "tokenizer"]);
    expect(settings?.authenticator).toEqual({ type: "ldap" });
    expect(settings?.file).toBe(file);
  });

  test("names no file when an object was given", () => {
    expect(loading({ tokenizer: { safe_password: GOOD_PASSWORD } }).settings).not.toHaveProperty("file");
  });
});

describe("31 missing, empty, a list", () => {
  test("31 there is no such file", () => {
    expectRefusedFile(join(tmpdir(), "no", "such.yml"), /there is no such file \(.*such\.yml\)\. Copy .*example\.yml/);
  });

  test("31 a name from a variable whose line ended in CR: it does not draw on the terminal", () => {
    const { error } = loading(undefined, { TOKENIZER_SETTINGS: "no-such.yml\r" });
    expect(error?.message).toContain("no-such.yml\\u000d: there is no such file (");
    expect(error?.message).not.toContain("\r");
  });

  test("31 a folder", () => {
    const folder = `${writeSettings("")}.d`;
    mkdirSync(folder);
    expectRefusedFile(folder, "this is a folder");
  });

  test.each([
    ["nothing at all", "", "the file is empty"],
    ["comments only", "# tokenizer:\n", "the file is empty"],
    ["a document marker only", "---\n", "the file is empty"],
    ["a list", "- tokenizer\n", "the file holds a list; it must hold sections"],
    ["a text", "tokenizer\n", "the file holds a text; it must hold sections"],
    ["a number", "5\n", "the file holds a number; it must hold sections"],
  ])("31 %s", (_, text, message) => {
    expectRefusedFile(writeSettings(text), message);
  });

  test.each([
    ["no section", "app: {}\n", "tokenizer", "this section is missing; give it a safe_password"],
    ["an empty section", "tokenizer:\n", "tokenizer", "this section is empty; give it a safe_password"],
    ["a misspelt section", "tokenzier: {}\n", "tokenizer", "this section is missing; did you mean it by tokenzier?"],
    ["a section that is a list", "tokenizer: [1]\n", "tokenizer", "found a list; allowed: keys and values"],
    ["a section that is a text", "tokenizer: hunter2\n", "tokenizer", /found a text; allowed: keys and values/],
    ["an authenticator that is a text", `authenticator: ldap\n${section()}`, "authenticator", "found a text; allowed"],
  ])("31 %s", (_, text, path, message) => {
    expectOneFault(loadingText(text), path, message);
  });

  test.each([
    ["no object", null],
    ["an empty object", {}],
  ])("31 %s", (_, source) => {
    expectOneFault(loading(source as unknown as SettingsInput), "tokenizer", "this section is missing");
  });
});

describe("files that would cost too much", () => {
  const doubling = Array.from({ length: 40 }, (_, level) => `k${level + 1}: &k${level + 1} [*k${level}, *k${level}]`);
  const merging = Array.from({ length: 2000 }, (_, index) => `m${index}: { <<: *all }`);
  const wide = Array.from({ length: 1000 }, (_, index) => `w${index}: 1`).join(", ");

  test.each([
    ["32 an alias bomb", ["k0: &k0 [x]", ...doubling, section("options: *k40")].join("\n"), /its aliases .* too much/],
    ["32 an alias bomb in another section", ["k0: &k0 [x]", ...doubling, section()].join("\n"), "its aliases"],
    ["32 an alias of itself", `me: &me [*me]\n${section()}`, /its aliases .* for themselves/],
    ["32 a merge bomb", [`all: &all { ${wide} }`, ...merging].join("\n"), "merge keys exceeded"],
    ["33 deep nesting, closed", `a: ${"[".repeat(100_000)}${"]".repeat(100_000)}`, /column \d+: nesting exceeded/],
    ["33 deep nesting, open", `a: ${"{a: ".repeat(60_000)}`, /column \d+: nesting exceeded/],
    [
      "33 deep nesting by indentation",
      Array.from({ length: 400 }, (_, i) => `${" ".repeat(i)}a:`).join("\n"),
      "nesting",
    ],
    ["33 more than 256 KiB", `#${"x".repeat(256 * 1024)}`, "the file has 262145 bytes"],
  ])("%s", (_, text, message) => {
    const started = cpuTime();
    expectRefusedFile(writeSettings(text), message);
    expect(cpuTime() - started).toBeLessThan(5000);
  });

  test("a merge key of an ordinary size works", () => {
    const { settings } = loadingText(`usual: &usual { timeout: 5 }\n${section("<<: *usual")}`);
    expect(settings?.tokenizer.timeout).toBe(5);
  });
});

describe("34 duplicate or unknown key", () => {
  test.each([
    ["in our section", section("timeout: 5", "timeout: 6"), "line 4, column 3: the key timeout is there twice"],
    ["a section", "tokenizer: {}\ntokenizer: {}\n", "line 2, column 1: the key tokenizer is there twice"],
  ])("34 duplicate %s", (_, text, message) => {
    expectRefusedFile(writeSettings(text), message);
  });

  test.each([
    ["tabel: x", "tokenizer.tabel", "there is no such setting; did you mean table?"],
    ["Timeout: 20", "tokenizer.Timeout", "did you mean timeout?"],
    ["store-timeout: 2", "tokenizer.store-timeout", "did you mean store_timeout?"],
    ["absoluteTimeout: 2", "tokenizer.absoluteTimeout", "did you mean absolute_timeout?"],
    ["magenta: red", "tokenizer.magenta", /there is no such setting$/],
    ["abc: 1", "tokenizer.abc", /there is no such setting$/],
    ["tls: true", "tokenizer.tls", "there is no such setting; did you mean tokenizer.options.ssl?"],
    ["options: { db: 1 }", "tokenizer.options.db", "there is no such setting; did you mean tokenizer.database?"],
    ["connectionString: x", "tokenizer.connectionString", "there is no such setting; did you mean tokenizer.url?"],
    ["conString: x", "tokenizer.conString", "there is no such setting; did you mean tokenizer.url?"],
    ["connection: { host: h }", "tokenizer.connection", "there is no such setting; did you mean tokenizer.url?"],
    ["user: ada", "tokenizer.user", "there is no such setting; did you mean tokenizer.username?"],
    ["dbname: x", "tokenizer.dbname", "there is no such setting; did you mean tokenizer.database?"],
    ["sslmode: require", "tokenizer.sslmode", "there is no such setting; use tokenizer.options.ssl, or put it into"],
    [
      "options: { rejectUnauthorized: false }",
      "tokenizer.options.rejectUnauthorized",
      "there is no such setting; did you mean tokenizer.options.verify?",
    ],
    ["tableName: x", "tokenizer.tableName", "there is no such setting; did you mean tokenizer.table?"],
    [
      "schemaName: x",
      "tokenizer.schemaName",
      "there is no such setting; write it into tokenizer.table, as in schema.t",
    ],
    ["schema: x", "tokenizer.schema", "there is no such setting; write it into tokenizer.table, as in schema.table"],
    ["pool: {}", "tokenizer.pool", "there is no such setting; give your pool in code: tokenizer(…, { postgres: { pool"],
    ["pruneSessionInterval: 60", "tokenizer.pruneSessionInterval", "there is no such setting; it is not needed: exp"],
    [
      "createTableIfMissing: true",
      "tokenizer.createTableIfMissing",
      "there is no such setting; make the table once: npx express-tokenizer create-table",
    ],
    ["ttl: 20", "tokenizer.ttl", "there is no such setting; did you mean tokenizer.timeout?"],
    ["cookie: { samesite: lax }", "tokenizer.cookie.samesite", "did you mean same_site?"],
    ["remember: { timout: 60 }", "tokenizer.remember.timout", "did you mean timeout?"],
    ["remember: { absolute: 60 }", "tokenizer.remember.absolute", "there is no such setting"],
    ["cookie: { httponly: lax }", "tokenizer.cookie.httponly", "the cookie always has HttpOnly"],
    ["options: { verfiy: true }", "tokenizer.options.verfiy", "did you mean verify?"],
    ["ssl: true", "tokenizer.ssl", "it belongs in the section tokenizer.options"],
    ["same_site: lax", "tokenizer.same_site", "it belongs in the section tokenizer.cookie"],
    ["__proto__: { timeout: 5 }", "tokenizer.__proto__", "there is no such setting"],
    ["constructor: 1", "tokenizer.constructor", "there is no such setting"],
    ['"a\\e[31m\\nb": 1', 'tokenizer."a\\u001b[31m\\nb"', "there is no such setting"],
  ])("34 unknown: %s", (line, path, message) => {
    expectOneFault(loadingText(section(line)), path, message);
  });

  test("34 an unknown key of an object", () => {
    const tokenizer = { safe_password: GOOD_PASSWORD, tiemout: 5 } as SettingsInput["tokenizer"];
    expectOneFault(loading({ tokenizer }), "tokenizer.tiemout", "did you mean timeout?");
  });

  test("34 the part of a secret after a comma is not shown as a key", () => {
    const result = loadingText(section("cookie: { secret: 0123456789abcdef,hunter2 }"));
    expectOneFault(result, 'tokenizer.cookie."…"', "a text with a comma in it must stand in quotes");
    expect(result.error?.message).not.toMatch("hunter2");
  });
});

describe("35 a secret that YAML does not read as a text", () => {
  const secrets: readonly (readonly [string, (value: string) => string])[] = [
    ["tokenizer.safe_password", (value) => `tokenizer: { safe_password: ${value} }`],
    ["tokenizer.safe_password[0]", (value) => `tokenizer: { safe_password: [${value}] }`],
    ["tokenizer.cookie.secret", (value) => section(`cookie: { secret: ${value} }`)],
    ["tokenizer.password", (value) => section(`password: ${value}`)],
    ["tokenizer.options.key", (value) => section(`options: { key: ${value} }`)],
  ];
  const values = [
    ["0123", "found a number: quote it"],
    ["1e5", "found a number: quote it"],
    ["0x1f", "found a number: quote it"],
    [".inf", "found a number: quote it"],
    ["true", "found true or false, unquoted: quote it"],
    ["null", "found nothing (null): quote it"],
    ["~", "found nothing (null): quote it"],
  ] as const;
  const rows = secrets.flatMap(([path, write]) => values.map(([value, words]) => [path, value, words, write] as const));

  test.each(rows)("35 %s: %s", (path, value, words, write) => {
    const result = loadingText(write(value));
    expectOneFault(result, path, words);
    if (/\d/.test(value)) {
      expect(result.error?.message).not.toMatch(new RegExp(`\\b(?:${value}|${Number(value)})\\b`));
    }
  });

  test("35 quoted, each is taken as it stands", () => {
    const { settings } = loadingText('tokenizer: { safe_password: ["0123", "1e5", "null", "yes "] }');
    expect(settings?.tokenizer.safe_password).toEqual(["0123", "1e5", "null", "yes "]);
  });

  test.each([
    ['safe_password: ""', "tokenizer.safe_password", "found an empty text; allowed: a text, or a list of texts"],
    ["safe_password: []", "tokenizer.safe_password", "found an empty list; allowed: a text, or a list of texts"],
    ["safe_password: { a: b }", "tokenizer.safe_password", "found keys and values; allowed: a text, or a list"],
    [`safe_password: [${GOOD_PASSWORD}, [a]]`, "tokenizer.safe_password[1]", "found a list; allowed: a text"],
  ])("35 %s", (line, path, message) => {
    expectOneFault(loadingText(`tokenizer: { ${line} }`), path, message);
  });
});

describe("36 a sample or short secret", () => {
  const sample = "is the sample of the documentation";
  const short = "is shorter than 16 characters";
  const rows = [
    ["the sample", { safe_password: SAMPLE_SAFE_PASSWORD }, "tokenizer.safe_password", sample],
    ["15 characters", { safe_password: "x".repeat(15) }, "tokenizer.safe_password", short],
    ["15 emoji", { safe_password: "🔑".repeat(15) }, "tokenizer.safe_password", short],
    ["an older one", { safe_password: [GOOD_PASSWORD, "hunter2"] }, "tokenizer.safe_password[1]", short],
    [
      "a cookie's sample",
      { safe_password: GOOD_PASSWORD, cookie: { secret: SAMPLE_SAFE_PASSWORD } },
      "tokenizer.cookie.secret",
      sample,
    ],
    [
      "a cookie's short one",
      { safe_password: GOOD_PASSWORD, cookie: { secret: [GOOD_PASSWORD, "hunter2"] } },
      "tokenizer.cookie.secret[1]",
      short,
    ],
  ] as const;

  test.each(rows)("36 %s: refused in production", (_, tokenizer, path, reason) => {
    const result = loading({ tokenizer }, PRODUCTION);
    expectOneFault(result, path, reason);
    expect(result.error?.message).toMatch(RANDOM);
    expect(result.error?.message).not.toMatch("hunter2");
    expect(result.warnings).toEqual([]);
  });

  test.each(rows)("36 %s: warned of once elsewhere", (_, tokenizer, path, reason) => {
    const { settings, warnings } = loading({ tokenizer });
    expect(settings).toBeDefined();
    expect(warnings).toHaveLength(1);
    expect(warnings[0]).toMatch(`${path} ${reason}`);
    expect(warnings[0]).not.toMatch("hunter2");
  });

  test.each([
    "changeme",
    "change-me-in-production",
    "CHANGE_THIS_TO_SOMETHING_SECRET",
    "changeme1234567890",
    "replace-me-with-a-secret",
    "your-secret-password-here",
    "YOUR_SAFE_PASSWORD_HERE",
    "insert-your-password-here",
  ])("36 %s is a placeholder: warned of, and refused in production", (password) => {
    const reason = "is a placeholder, which anybody can guess";
    const tokenizer = { safe_password: password };
    expect(loading({ tokenizer }).warnings).toEqual([
      `tokenizer.safe_password ${reason}. With NODE_ENV=production that is refused; make one with: ${RANDOM}`,
    ]);
    expectOneFault(loading({ tokenizer }, PRODUCTION), "tokenizer.safe_password", reason);
  });

  test.each([
    "changes are the one constant",
    "changement de direction",
    "your mother was a hamster",
    "put yourself at ease with it",
  ])("36 %s is none", (password) => {
    expect(loading({ tokenizer: { safe_password: password } }, PRODUCTION)).toMatchObject({ error: undefined });
  });

  test("36 several are told in one warning, and in production are a fault each", () => {
    const tokenizer = { safe_password: ["a", "b"], cookie: { secret: "c" } };
    expect(loading({ tokenizer }).warnings).toHaveLength(1);
    expect(paths(loading({ tokenizer }, PRODUCTION))).toEqual([
      "tokenizer.safe_password[0]",
      "tokenizer.safe_password[1]",
      "tokenizer.cookie.secret",
    ]);
  });

  test("36 sixteen characters pass in production", () => {
    expect(loading({ tokenizer: { safe_password: "x".repeat(16) } }, PRODUCTION)).toMatchObject({ warnings: [] });
  });
});

describe("a secret is needed", () => {
  test.each([
    ["with the local authenticator", {}, {}, /with authenticator\.type local it seals the credentials/],
    ["to sign the cookie, with none", { type: "none" }, {}, "it or cookie.secret must be there to sign the cookie"],
    ["to sign the cookie", { type: "ldap" }, {}, "it or cookie.secret must be there to sign the cookie"],
    [
      "with the local authenticator, whatever signs the cookie",
      { type: "local" },
      { cookie: { secret: GOOD_PASSWORD } },
      "it seals the credentials",
    ],
    [
      "to seal sessions",
      { type: "microsoft" },
      { encrypt: "session", cookie: { secret: GOOD_PASSWORD } },
      "with encrypt: session it seals the sessions",
    ],
  ])("%s", (_, authenticator, tokenizer, message) => {
    const result = loading({ authenticator, tokenizer } as SettingsInput);
    expectOneFault(result, "tokenizer.safe_password", message);
    expect(result.error?.message).toMatch(RANDOM);
  });

  test.each([
    ["cookie.secret alone, with another authenticator", "openldap", { cookie: { secret: GOOD_PASSWORD } }],
    ["safe_password alone, with another authenticator", "openldap", { safe_password: GOOD_PASSWORD }],
    ["cookie.secret alone, with none", "none", { cookie: { secret: GOOD_PASSWORD } }],
    ["safe_password alone, with none", "none", { safe_password: GOOD_PASSWORD }],
  ] as const)("and is enough: %s", (_, type, tokenizer) => {
    expect(loading({ authenticator: { type }, tokenizer }).error).toBeUndefined();
  });

  test("and is not asked for when the authenticator is what is wrong", () => {
    const result = loadingText("authenticator: { type: Ldap }\ntokenizer: { timeout: 5 }\n");
    expectOneFault(
      result,
      "authenticator.type",
      'found the text "Ldap"; allowed: local, openldap, ldap, microsoft or none',
    );
  });
});

describe("wrong values", () => {
  test.each([
    ["37", "timeout: 0", "tokenizer.timeout", "found 0; allowed: a number above 0, at most 5270400 (Minutes"],
    ["37", "timeout: -1", "tokenizer.timeout", "found -1; allowed: a number above 0"],
    ["37", "timeout: .nan", "tokenizer.timeout", "found NaN; allowed: a number above 0"],
    ["37", "timeout: .inf", "tokenizer.timeout", "found Infinity; allowed: a number above 0"],
    ["37", "timeout: 1e300", "tokenizer.timeout", "found 1e+300; allowed: a number above 0"],
    ["37", "timeout: 20m", "tokenizer.timeout", 'found the text "20m"; allowed: a number above 0'],
    ["37", 'timeout: "20"', "tokenizer.timeout", 'found the text "20": take the quotes away; allowed: a number'],
    ["37", "timeout:", "tokenizer.timeout", "found nothing (null): take the line away; allowed: a number"],
    ["37", "timeout: true", "tokenizer.timeout", "found true; allowed: a number"],
    [
      "37",
      "remember:",
      "tokenizer.remember",
      "found nothing (null): write {} for its defaults; allowed: keys and values",
    ],
    ["37", "remember: true", "tokenizer.remember", "found true or false, unquoted: write {} for its defaults; allowed"],
    ["37", "remember: false", "tokenizer.remember", "found true or false, unquoted: take the line away; allowed"],
    ["37", "cookie:", "tokenizer.cookie", "found nothing (null): write {} for its defaults; allowed: keys and values"],
    ["37", "options:", "tokenizer.options", "found nothing (null): take the line away; allowed: keys and values"],
    ["37", "absolute_timeout: 0", "tokenizer.absolute_timeout", "found 0; allowed: a number above 0"],
    ["37", "store_timeout: 0", "tokenizer.store_timeout", "found 0; allowed: a number above 0, at most 3600 (Seconds"],
    ["37", "touch_interval: -1", "tokenizer.touch_interval", "found -1; allowed: a number from 0"],
    ["37", "sessions_per_user: 0", "tokenizer.sessions_per_user", "found 0; allowed: a whole number from 1"],
    ["37", "sessions_per_user: 1.5", "tokenizer.sessions_per_user", "found 1.5; allowed: a whole number from 1"],
    ["37", "max_session_kb: 0", "tokenizer.max_session_kb", "found 0; allowed: a whole number from 1 to 65536"],
    ["37", "max_session_kb: 400 KB", "tokenizer.max_session_kb", 'found the text "400 KB"; allowed: a whole number'],
    ["37", "type: redis\n  database: -1", "tokenizer.database", "found -1; allowed: a whole number from 0"],
    ["38", "port: 99999", "tokenizer.port", "found 99999; allowed: a whole number from 1 to 65535"],
    ["38", "port: 0", "tokenizer.port", "found 0; allowed: a whole number from 1 to 65535"],
    ["38", "port: 6379.5", "tokenizer.port", "found 6379.5; allowed: a whole number from 1 to 65535"],
    ["38", 'port: "6379"', "tokenizer.port", 'found the text "6379": take the quotes away'],
    [
      "39",
      "type: Redis",
      "tokenizer.type",
      'found the text "Redis"; allowed: local, memory, redis, postgres, dynamodb or module',
    ],
    ["39", "type: 5", "tokenizer.type", "found 5; allowed: local, memory, redis, postgres, dynamodb or module"],
    ["39", "type:", "tokenizer.type", "found nothing (null)"],
    ["", "encrypt: all", "tokenizer.encrypt", 'found the text "all"; allowed: credentials or session'],
    ["", "path: 5", "tokenizer.path", "found 5: quote it; allowed: a text"],
    ["", 'path: ""', "tokenizer.path", 'found ""; allowed: a text'],
    ["", "cloud: no", "tokenizer.cloud", 'found the text "no"; allowed: true or false'],
    ["", 'cloud: "true"', "tokenizer.cloud", 'found the text "true": take the quotes away'],
    ["", "cookie: token", "tokenizer.cookie", "found a text; allowed: keys and values"],
    ["", "cookie: { same_site: Lax }", "tokenizer.cookie.same_site", "allowed: lax, strict or none"],
    ["", "cookie: { secure: yes }", "tokenizer.cookie.secure", 'found the text "yes"; allowed: true, false or auto'],
    ["", 'cookie: { name: "my cookie" }', "tokenizer.cookie.name", 'found the text "my cookie"; allowed: Name of'],
    ["", 'cookie: { name: "" }', "tokenizer.cookie.name", 'found ""; allowed: a text'],
    ["", "cookie: { path: app }", "tokenizer.cookie.path", "beginning with /"],
    ["", 'cookie: { path: "/;a" }', "tokenizer.cookie.path", "beginning with /"],
    ["", "cookie: { domain: https://a.b }", "tokenizer.cookie.domain", "allowed: The domain"],
    ["", "host: redis.example.com/0", "tokenizer.host", "without a port"],
    ["", "options: true", "tokenizer.options", "found true or false, unquoted; allowed: keys and values"],
    ["", "options: { nodes: [a] }", "tokenizer.options.nodes[0]", 'found the text "a"; allowed: host:port'],
    ["", "options: { nodes: a:1 }", "tokenizer.options.nodes", 'found the text "a:1"; allowed: a list'],
    ["", "endpoint: redis://me:hunter2@host", "tokenizer.endpoint", 'found the text "redis://…@host"'],
  ])("%s %s", (_, line, path, message) => {
    const result = loadingText(section(line));
    expect(paths(result)).toEqual([path]);
    expect(result.error?.faults[0]?.message).toContain(message);
    expect(result.error?.message).not.toMatch("hunter2");
  });

  test("37 a fraction of a minute is a timeout", () => {
    expect(loadingText(section("timeout: 0.05")).settings?.tokenizer.timeout).toBe(0.05);
  });

  test.each([
    [
      ["timeout: 1200000"],
      [
        "tokenizer.timeout is 1200000, which is 833 days; it counts in minutes, not in milliseconds: for 1200000 milliseconds write 20",
      ],
    ],
    [
      ["timeout: 525600"],
      ["tokenizer.timeout is 525600, which is 365 days; it counts in minutes, not in milliseconds"],
    ],
    [
      ["absolute_timeout: 3600000"],
      [
        "tokenizer.absolute_timeout is 3600000, which is 2500 days; it counts in minutes, not in milliseconds: for 3600000 milliseconds write 60",
      ],
    ],
    [
      ["remember: { timeout: 600000, absolute_timeout: 1200000 }"],
      [
        "tokenizer.remember.timeout is 600000, which is 417 days; it counts in minutes, not in milliseconds: for 600000 milliseconds write 10",
        "tokenizer.remember.absolute_timeout is 1200000, which is 833 days; it counts in minutes, not in milliseconds: for 1200000 milliseconds write 20",
      ],
    ],
    [
      ["store_timeout: 2000"],
      [
        "tokenizer.store_timeout is 2000, which is 33 minutes; it counts in seconds, not in milliseconds: for 2000 milliseconds write 2",
      ],
    ],
    [["timeout: 525599.9", "absolute_timeout: 525599", "remember: {}", "store_timeout: 999"], []],
  ])("a time as long as if it was meant in milliseconds is warned of, with what it is: %j", (lines, told) => {
    const { warnings, error } = loadingText(section(...lines));
    expect([error, warnings]).toEqual([undefined, told]);
  });

  test("a long time of a variable is warned of by the variable's name", () => {
    expect(loadingText(section(), { TOKENIZER_TIMEOUT: "1200000" }).warnings).toEqual([
      expect.stringMatching(/^TOKENIZER_TIMEOUT is 1200000, which is 833 days; /),
    ]);
  });

  test.each([
    [
      "timeout: 86400000",
      "found 86400000: it counts in minutes, not in milliseconds: for 86400000 milliseconds write 1440; allowed: a number above 0",
    ],
    [
      "store_timeout: 5000",
      "found 5000: it counts in seconds, not in milliseconds: for 5000 milliseconds write 5; allowed: a number above 0",
    ],
    ["sessions_per_user: 5000", "found 5000; allowed: a whole number from 1 to 1000"],
  ])("%s is refused, with what may have been meant", (line, message) => {
    expect(loadingText(section(line)).error?.faults[0]?.message).toContain(message);
  });

  test("an absolute end before the idle end is allowed: the session ends by it", () => {
    expect(loadingText(section("timeout: 20", "absolute_timeout: 5")).error).toBeUndefined();
  });

  test("every one of six faults is reported at once, in the order of the file", () => {
    const file = writeSettings(
      [
        "tokenizer:",
        "  port: 99999",
        "  type: Redis",
        '  timeout: "20"',
        "  safe_password: 0123",
        "  cookie:",
        "    same_site: Lax",
        "  tabel: sessions",
      ].join("\n"),
    );
    const result = loading(file);
    expect(paths(result)).toEqual([
      "tokenizer.port",
      "tokenizer.type",
      "tokenizer.timeout",
      "tokenizer.safe_password",
      "tokenizer.cookie.same_site",
      "tokenizer.tabel",
    ]);
    const lines = result.error?.message.split("\n");
    expect(lines?.[0]).toBe(`${file}: 6 faults in the settings`);
    expect(lines?.slice(1)).toEqual(result.error?.faults.map(({ path, message }) => `  ${path}: ${message}`));
  });
});

describe("40 tags, BOM, two documents", () => {
  test.each([
    ["an unknown tag", "tokenizer: !!js/function x\n", "line 1, column 12: unknown scalar tag"],
    ["a tag of the application", `app: !Ref x\n${section()}`, "line 1, column 6: unknown scalar tag"],
    ["two documents", `${section()}\n---\n${section()}`, "the file holds 2 YAML documents; keep one"],
    ["UTF-16", Buffer.from(`\uFEFF${section()}`, "utf16le"), "the file is not UTF-8 text"],
    ["a NUL", `${section()}\n\0`, "null byte is not allowed"],
    ["an open quote", "tokenizer: 'x\n", "line 2, column 1: deficient indentation"],
    [
      "a tab",
      "tokenizer:\n\ttype: local\n",
      "line 2, column 1: the line is set in with a tab, which YAML does not allow",
    ],
    [
      "a tab behind spaces",
      "tokenizer:\r\n  type: local\r\n  \ttimeout: 20\r\n",
      "line 3, column 3: the line is set in",
    ],
    ["an open bracket", "tokenizer: [x\n  ", "in it belongs in 'single quotes'"],
  ])("40 %s", (_, text, message) => {
    expectRefusedFile(writeSettings(text), message);
  });

  test("40 a BOM is read over", () => {
    expect(loadingText(`\uFEFF${section("timeout: 7")}`).settings?.tokenizer.timeout).toBe(7);
  });

  test("40 YAML's own tags work: !!str makes a text", () => {
    expect(loadingText(section("salt: !!str 0123")).settings?.tokenizer.salt).toBe("0123");
  });
});

const onPosix = process.platform === "win32" ? test.skip : test;

const NOBODY = 65_534;

function asAnother<T>(work: () => T, uid = (process.geteuid?.() ?? 0) + 1): T {
  const spy = jest.spyOn(process, "geteuid").mockReturnValue(uid);
  try {
    return work();
  } finally {
    spy.mockRestore();
  }
}

describe("41 a world-readable file", () => {
  onPosix.each([
    ["safe_password", section()],
    ["cookie.secret", `authenticator: { type: ldap }\ntokenizer: { cookie: { secret: ${GOOD_PASSWORD} } }`],
  ])("41 that holds %s is warned of, once", (key, text) => {
    const file = writeSettings(text, 0o644);
    const { warnings } = loading(file);
    expect(warnings).toEqual([
      `${file} holds tokenizer.${key} and can be read by every user of this machine: chmod 600 ${file}`,
    ]);
  });

  onPosix("41 that belongs to another user: chmod alone would lock this process out", () => {
    const file = writeSettings(section(), 0o644);
    const { warnings } = asAnother(() => loading(file));
    expect(warnings).toEqual([
      `${file} holds tokenizer.safe_password and can be read by every user of this machine, and belongs to another user than this process. Give it to the user that the application runs as: chown USER ${file} && chmod 600 ${file}; in a Dockerfile COPY --chown=node:node --chmod=600.`,
    ]);
  });

  onPosix("41 and for root, who can read everybody's, chmod is enough", () => {
    const file = writeSettings(section(), 0o644);
    expect(asAnother(() => loading(file), 0).warnings).toEqual([expect.stringMatching(/machine: chmod 600 /)]);
  });

  onPosix("41 that this process may not read: what to do with it", () => {
    const isRoot = process.geteuid?.() === 0;
    const file = writeSettings(section(), 0o000);
    chmodSync(dirname(file), 0o755);
    if (isRoot) process.seteuid?.(NOBODY);
    try {
      expectRefusedFile(file, /this process may not read the file \(.*\)\. Give it to the user that the application/);
    } finally {
      if (isRoot) process.seteuid?.(0);
    }
  });

  test("41 without a secret is not warned of", () => {
    const file = writeSettings("tokenizer: { timeout: 5 }\n", 0o644);
    expect(loading(file, { TOKENIZER_SAFE_PASSWORD: GOOD_PASSWORD })).toMatchObject({ error: undefined, warnings: [] });
  });

  test("41 that only the owner and the group can read is not warned of", () => {
    expect(loading(writeSettings(section(), 0o640)).warnings).toEqual([]);
  });
});

describe("keys that must stand together, or must not", () => {
  const redis = (options: object, rest: object = {}) => ({ type: "redis", options, ...rest });
  const keys = { aws_access_key: "id", aws_secret_key: "hunter2" };
  const dynamodb = (rest: object) => ({ type: "dynamodb", table: "t", ...rest });

  test.each([
    ["42 no secret key", dynamodb({ aws_access_key: "id" }), "aws_secret_key", "is missing beside aws_access_key"],
    ["42 no access key", dynamodb({ aws_secret_key: "x" }), "aws_access_key", "is missing beside aws_secret_key"],
    ["42 keys beside a profile", dynamodb({ ...keys, profile_name: "p" }), "profile_name", "stands beside keys"],
    ["42 a token without keys", dynamodb({ aws_session_token: "x" }), "aws_session_token", "without the keys"],
    ...['"sessions"', "sessions\r", "my table", "$" + "{TABLE}"].map((table): [string, object, string, string] => [
      `a table called ${JSON.stringify(table)}`,
      { type: "dynamodb", table },
      "table",
      `found the text ${JSON.stringify(table)}; allowed: dynamodb: the table's name (letters, digits and _.-) or ARN`,
    ]),
    ["no table", { type: "dynamodb" }, "table", "is missing; with type: dynamodb it names the table"],
    [
      "an endpoint that is no URL",
      dynamodb({ endpoint: "http://a:b:c" }),
      "endpoint",
      "is no URL; write it as in http",
    ],
    ...["a.b.c", '"Sessions"', "my table", "a..b", ".a", "a.", "x".repeat(56), `${"x".repeat(64)}.a`, "größe"].map(
      (table): [string, object, string, string] => [
        `a table of PostgreSQL called ${table}`,
        { type: "postgres", table },
        "table",
        "allowed: postgres: the table, or schema.table: letters, digits and _-$, at most 55, and 63 of the schema",
      ],
    ),
    [
      "a database of PostgreSQL by number",
      { type: "postgres", database: 5 },
      "database",
      "found 5: quote it; allowed:",
    ],
    [
      "a database of Redis by name",
      { type: "redis", database: "shop" },
      "database",
      'found the text "shop"; allowed: a whole number from 0 (redis: the number of the database)',
    ],
    ["a port of PostgreSQL", { type: "postgres", port: 0 }, "port", "found 0; allowed: a whole number from 1 to 65535"],
    [
      "two passwords of PostgreSQL",
      { type: "postgres", password: "x", password_file: "y" },
      "password_file",
      "stands beside password; keep one",
    ],
    [
      "PostgreSQL's certificates without TLS",
      { type: "postgres", options: { ca: "pem" } },
      "options.ssl",
      "must be true beside ca, cert, key and servername",
    ],
    [
      "a certificate for PostgreSQL without its key",
      { type: "postgres", options: { ssl: true, cert: "pem" } },
      "options.key",
      "is missing; give both",
    ],
    ...["sentinel", "cluster", "nodes"].map((key): [string, object, string, string] => [
      `options.${key} with PostgreSQL`,
      { type: "postgres", options: { [key]: "x" } },
      `options.${key}`,
      "is for type: redis; of PostgreSQL, name in tokenizer.host what always leads to the primary",
    ]),
    ["no module", { type: "module" }, "module", "is missing (The backend's module, with type: module)"],
    ["a port in the host", redis({}, { host: "a.b:6390" }), "host", 'found the text "a.b:6390"; give the port in'],
    ["a port alone in the host's place", redis({}, { host: ":6390" }), "host", 'found the text ":6390"; give the port'],
    ["a port behind an address", redis({}, { host: "[::1]:6390" }), "host", "give the port in tokenizer.port"],
    [
      "two passwords",
      redis({}, { password: "x", password_file: "y" }),
      "password_file",
      "stands beside password; keep one",
    ],
    ["sentinel without nodes", redis({ sentinel: "m" }), "options.nodes", "is missing; sentinel needs it"],
    ["cluster without nodes", redis({ cluster: true }), "options.nodes", "is missing; cluster needs it"],
    ["nodes alone", redis({ nodes: ["a:1"] }), "options.nodes", "needs sentinel or cluster: true beside it"],
    [
      "sentinel and cluster",
      redis({ sentinel: "m", cluster: true, nodes: ["a:1"] }),
      "options.cluster",
      "stands beside sentinel",
    ],
    [
      "a database of a cluster",
      redis({ cluster: true, nodes: ["a:1"] }, { database: 2 }),
      "database",
      "a Redis Cluster has database 0 only",
    ],
    [
      "certificates without TLS",
      redis({ ca: "pem" }),
      "options.ssl",
      "must be true beside ca, cert, key and servername",
    ],
    [
      "a certificate's name without TLS",
      redis({ servername: "a.b" }),
      "options.ssl",
      "must be true beside ca, cert, k",
    ],
    ["a certificate without its key", redis({ ssl: true, cert: "pem" }), "options.key", "is missing; give both"],
    ["a key without its certificate", redis({ ssl: true, key: "pem" }), "options.cert", "is missing; give both"],
    ...[{ secure: false }, { domain: "example.com" }, { partitioned: true, same_site: "none" }].map(
      (beside): [string, object, string, string] => [
        `device_bound beside ${Object.keys(beside)[0]}`,
        { cookie: { device_bound: true, ...beside } },
        "cookie.device_bound",
        "binds the cookie of one host, over TLS",
      ],
    ),
    [
      "same_site none, not secure",
      { cookie: { same_site: "none", secure: false } },
      "cookie.same_site",
      "none needs a secure cookie",
    ],
    [
      "__Secure-, not secure",
      { cookie: { name: "__Secure-t", secure: false } },
      "cookie.name",
      "begins with __Secure-",
    ],
    ["__Http-, not secure", { cookie: { name: "__Http-t", secure: false } }, "cookie.name", "begins with __Http-"],
    [
      "__Host-Http-, not secure",
      { cookie: { name: "__Host-Http-t", secure: false } },
      "cookie.name",
      "begins with __Host-Http-",
    ],
    ["__SECURE-, not secure", { cookie: { name: "__SECURE-t", secure: false } }, "cookie.name", "with __SECURE-"],
    ["__host- and a domain", { cookie: { name: "__host-t", domain: "a.b" } }, "cookie.name", "begins with __host-"],
    ["__Host-Http- and a domain", { cookie: { name: "__Host-Http-t", domain: "a.b" } }, "cookie.name", "__Host-Http-:"],
    ["__host-http- and a path", { cookie: { name: "__host-http-t", path: "/x" } }, "cookie.name", "__host-http-:"],
    ["__Host- and a domain", { cookie: { name: "__Host-t", domain: "a.b" } }, "cookie.name", "begins with __Host-"],
    ["__Host- and a path", { cookie: { name: "__Host-t", path: "/app" } }, "cookie.name", "begins with __Host-"],
  ])("%s", (_, tokenizer, key, message) => {
    const result = loading({ tokenizer: { safe_password: GOOD_PASSWORD, ...tokenizer } as SettingsInput["tokenizer"] });
    expect(paths(result)).toEqual([`tokenizer.${key}`]);
    expect(result.error?.code).toBe("SETTINGS_INVALID");
    expect(result.error?.message).toContain(message);
  });

  test.each([
    ["both AWS keys and a token", dynamodb({ ...keys, aws_session_token: "x" })],
    ["a host that is an IPv6 address", redis({}, { host: "2001:db8::1:6390" })],
    ...["sessions", "Sessions", "auth.sessions", "a-b.c$d_1", "x".repeat(55), `${"x".repeat(63)}.a`].map(
      (table): [string, object] => [`a table of PostgreSQL called ${table}`, { type: "postgres", table }],
    ),
    ["PostgreSQL in a socket's folder", { type: "postgres", host: "/var/run/postgresql", port: 5433 }],
    ["a database of PostgreSQL that looks like a number", { type: "postgres", database: "5" }],
    ["sentinel and nodes", redis({ sentinel: "m", nodes: ["a.example.com:26379", "[::1]:26379"] })],
    ["cluster and nodes", redis({ cluster: true, nodes: ["a:1"] })],
    ["a client's certificate", redis({ ssl: true, ca: "pem", cert: "pem", key: "pem", verify: true })],
    ["same_site none over TLS", { cookie: { same_site: "none" } }],
    ["__Host- with nothing else", { cookie: { name: "__Host-t" } }],
    ["__Host-Http- with nothing else", { cookie: { name: "__Host-Http-t" } }],
    ["__Http- with a domain and a path", { cookie: { name: "__Http-t", domain: "a.b", path: "/app" } }],
    ["__Secure- with a domain and a path", { cookie: { name: "__Secure-t", domain: "a.b", path: "/app" } }],
    ["a name that only looks like it", { cookie: { name: "__HostHttp-t", secure: false } }],
  ])("are right: %s", (_, tokenizer) => {
    const input = { tokenizer: { safe_password: GOOD_PASSWORD, ...tokenizer } as SettingsInput["tokenizer"] };
    expect(loading(input).error).toBeUndefined();
  });

  test("43 dynamodb with no region: only the profile could tell, so loading takes it and `ready` must refuse", () => {
    expect(loading({ tokenizer: { ...dynamodb({}), safe_password: GOOD_PASSWORD } as never }).error).toBeUndefined();
  });
});

describe("44 local in a cloud installation", () => {
  const input = { tokenizer: { safe_password: GOOD_PASSWORD } };

  test.each([
    ["AWS Lambda", { AWS_LAMBDA_FUNCTION_NAME: "f" }],
    ["AWS Lambda", { AWS_EXECUTION_ENV: "AWS_Lambda_nodejs22.x" }],
    ["Amazon ECS or Fargate", { ECS_CONTAINER_METADATA_URI: "http://x" }],
    ["Amazon ECS or Fargate", { ECS_CONTAINER_METADATA_URI_V4: "http://x" }],
    ["Amazon ECS or Fargate", { AWS_EXECUTION_ENV: "AWS_ECS_FARGATE" }],
    ["Google Cloud Run", { K_SERVICE: "s" }],
    ["Google App Engine", { GAE_SERVICE: "default" }],
    ["Azure Functions", { FUNCTIONS_WORKER_RUNTIME: "node" }],
    ["Heroku", { DYNO: "web.1" }],
  ])("44 %s, by %j", (platform, env) => {
    const result = loading(input, env);
    expectOneFault(result, "tokenizer.type", `(${platform}: ${Object.keys(env)[0]} is set)`);
    expect(result.error?.message).toContain("sessions would be lost");
    expect(result.error?.message).toContain("put cloud: false beside type");
  });

  test("44 cloud: true forces it", () => {
    expectOneFault(loadingText(section("cloud: true")), "tokenizer.type", "cloud: true says so");
  });

  test.each([
    ["cloud: false overrides it", { ...input.tokenizer, cloud: false }, { DYNO: "web.1" }],
    ["another type is not refused", { ...input.tokenizer, type: "redis" as const }, { DYNO: "web.1" }],
    ["an empty variable is not set", input.tokenizer, { DYNO: "", K_SERVICE: "" }],
    ["another execution environment", input.tokenizer, { AWS_EXECUTION_ENV: "CloudShell" }],
  ])("44 %s", (_, tokenizer, env) => {
    expect(loading({ tokenizer }, env).error).toBeUndefined();
  });
});

describe("type: memory", () => {
  const memory = (more: object = {}) => ({ tokenizer: { type: "memory", ...more } as const });

  test("needs nothing else, not even a safe_password", () => {
    expect(loading(memory()).error).toBeUndefined();
    expect(loading(memory(), { NODE_ENV: "test" }).error).toBeUndefined();
    expect(loading(memory({ encrypt: "session" })).error).toBeUndefined();
  });

  test.each([
    ["by itself", {}],
    ["with all that production asks for elsewhere", { safe_password: GOOD_PASSWORD, cloud: false }],
    ["in a cloud, where that is the reason, too", { cloud: true }],
  ])("is refused when NODE_ENV is production, %s", (_, more) => {
    const refused = loading(memory(more), { NODE_ENV: "production" });
    expectOneFault(
      refused,
      "tokenizer.type",
      "each process has sessions of its own, and each restart ends all of them",
    );
    expectOneFault(
      refused,
      "tokenizer.type",
      "refused when NODE_ENV is production: use type: local, redis, postgres or dynamodb",
    );
  });

  test("is refused in a cloud, as local is, with a reason of its own", () => {
    const refused = loading(memory(), { K_SERVICE: "s" });
    expectOneFault(refused, "tokenizer.type", "Memory there is each server's own, and ends with it");
    expect(loading(memory({ cloud: false }), { K_SERVICE: "s" }).error).toBeUndefined();
  });
});

describe("no secret is printed", () => {
  const CANARY = "canary-7391";
  const places: readonly (readonly [string, (value: string) => string])[] = [
    ["safe_password", (value) => `tokenizer: { safe_password: ${value}, x: 1 }`],
    ["a list of safe_password", (value) => `tokenizer: { safe_password: [${value}, 5], x: 1 }`],
    ["cookie.secret", (value) => section(`cookie: { secret: ${value}, x: 1 }`)],
    ["password", (value) => section(`password: ${value}`, "x: 1")],
    ["aws_access_key", (value) => section(`aws_access_key: ${value}`, "x: 1")],
    ["aws_secret_key", (value) => section(`aws_secret_key: ${value}`, "x: 1")],
    ["aws_session_token", (value) => section(`aws_session_token: ${value}`, "x: 1")],
    ["options.key", (value) => section(`options: { key: ${value}, x: 1 }`)],
  ];
  const shapes: readonly (readonly [string, string])[] = [
    ["a text", CANARY],
    ["a number", "7391"],
    ["a number read from other digits", "0o16337"],
    ["in a list", `[${CANARY}, 1]`],
    ["in a list of lists", `[[${CANARY}]]`],
    ["a value below a key", `{ a: ${CANARY} }`],
    ["a key", `{ ${CANARY}: a }`],
    ["a tag", `!${CANARY} x`],
    ["a verbatim tag", `!<${CANARY}> x`],
    ["a tag that cannot be", `!${CANARY}{ x`],
    ["an alias", `*${CANARY}`],
    ["an anchor", `&${CANARY}`],
    ["an open quote", `"${CANARY}`],
    ["an open bracket", `[${CANARY}`],
    ["more than one colon", `${CANARY}: x: y`],
    ["a tag's argument", `!!int ${CANARY}`],
  ];
  const rows = places.flatMap(([place, write]) =>
    shapes.map(([shape, value]) => [place, shape, write(value)] as const),
  );

  test.each(rows)("%s: %s", (_place, _shape, text) => {
    for (const env of [{}, PRODUCTION]) {
      const { error, warnings } = loadingText(text, env);
      expect(error).toBeDefined();
      expect(inspect(error, { depth: 10, showHidden: true })).not.toMatch("7391");
      expect(warnings.join()).not.toMatch("7391");
    }
  });
});

describe("what is set for another type", () => {
  test.each([
    ["none", section("type: redis", "host: h", "timeout: 5"), {}, undefined],
    [
      "one",
      section("type: redis", "path: x"),
      {},
      ["tokenizer.path is for type: local; with type: redis it changes nothing: take it away"],
    ],
    [
      "one that is there by default",
      section("port: 6379", "table: t"),
      {},
      [
        "tokenizer.port is for type: redis or postgres; with type: local it changes nothing: take it away",
        "tokenizer.table is for type: postgres or dynamodb; with type: local it changes nothing: take it away",
      ],
    ],
    [
      "Redis's alone, with PostgreSQL",
      section("type: postgres", "prefix: x"),
      {},
      ["tokenizer.prefix is for type: redis; with type: postgres it changes nothing: take it away"],
    ],
    [
      "one by a variable",
      section("type: dynamodb", "table: t"),
      { TOKENIZER_PATH: "/tmp/tokens" },
      ["TOKENIZER_PATH is for type: local; with type: dynamodb it changes nothing: take it away"],
    ],
    [
      "what is for two types",
      section("type: local", "options: { ssl: true }"),
      {},
      ["tokenizer.options is for type: redis, postgres or module; with type: local it changes nothing: take it away"],
    ],
  ])("is named for whoever asks, and no warning: %s", (_name, text, env, unused) => {
    const { settings, warnings } = loadingText(text, env);
    expect(settings?.unused).toEqual(unused);
    expect(warnings).toEqual([]);
  });
});

describe("which file", () => {
  test("TOKENIZER_SETTINGS names it when nothing is passed", () => {
    const file = writeSettings(section("timeout: 9"));
    expect(loading(undefined, { TOKENIZER_SETTINGS: file }).settings).toMatchObject({
      file,
      tokenizer: { timeout: 9 },
    });
  });

  test("a name that is passed comes before TOKENIZER_SETTINGS", () => {
    const file = writeSettings(section("timeout: 8"));
    expect(loading(file, { TOKENIZER_SETTINGS: "/nowhere.yml" }).settings?.tokenizer.timeout).toBe(8);
  });

  test("settings.yml of the working directory otherwise", () => {
    const before = process.cwd();
    process.chdir(dirname(writeSettings("")));
    try {
      const { error } = loading(undefined, { TOKENIZER_SETTINGS: "" });
      expect(error?.faults[0]?.path).toBe("settings.yml");
    } finally {
      process.chdir(before);
    }
  });
});

test("an authenticator misspelt, with a type of ours, is warned of", () => {
  const { warnings } = loadingText(`authentication: { type: ldap }\n${section()}`);
  expect(warnings).toEqual([
    "the section authentication is not read; did you mean authenticator? Its type is now local",
  ]);
  expect(loadingText(`authentication: { method: basic }\n${section()}`).warnings).toEqual([]);
});

test("the environment of the process is the default", () => {
  process.env.K_SERVICE = "s";
  try {
    const load = () => loadSettings({ tokenizer: { safe_password: GOOD_PASSWORD } }, { log: console });
    expect(load).toThrow(expect.objectContaining({ code: "SETTINGS_INVALID" }));
    expect(load).toThrow("K_SERVICE is set");
  } finally {
    delete process.env.K_SERVICE;
  }
});
