import { describe, expect, test } from "@jest/globals";
import { GOOD_PASSWORD, loading, loadingText, paths, section } from "./loading.js";

describe("a variable wins over the file", () => {
  test.each([
    ["TOKENIZER_TYPE", "redis", { type: "redis" }],
    ["TOKENIZER_TIMEOUT", "0.5", { timeout: 0.5 }],
    ["TOKENIZER_TIMEOUT", " 5 ", { timeout: 5 }],
    ["TOKENIZER_PATH", "/var/tokens", { path: "/var/tokens" }],
    ["TOKENIZER_TABLE", "0123", { table: "0123" }],
    ["TOKENIZER_HOST", "redis", { host: "redis" }],
    ["TOKENIZER_PORT", "6380", { port: 6380 }],
    ["TOKENIZER_DATABASE", "1e1", { database: 10 }],
    ["TOKENIZER_CLOUD", "false", { cloud: false }],
    ["TOKENIZER_SAFE_PASSWORD", "0123456789 abcdef", { safe_password: "0123456789 abcdef" }],
    ["TOKENIZER_COOKIE_PATH", "/app", { cookie: { path: "/app", name: "sid" } }],
    ["TOKENIZER_COOKIE_SECURE", "true", { cookie: { secure: true } }],
    ["TOKENIZER_COOKIE_SECURE", "auto", { cookie: { secure: "auto" } }],
    ["TOKENIZER_COOKIE_SECRET", GOOD_PASSWORD, { cookie: { secret: GOOD_PASSWORD } }],
    ["TOKENIZER_REMEMBER_TIMEOUT", "1440", { remember: { timeout: 1440, absolute_timeout: 129_600 } }],
    ["TOKENIZER_REMEMBER_ABSOLUTE_TIMEOUT", "2880", { remember: { timeout: 43_200, absolute_timeout: 2880 } }],
    ["TOKENIZER_SSL", "true", { options: { ssl: true } }],
    ["TOKENIZER_OPTIONS_SSL", "true", { options: { ssl: true } }],
    ["TOKENIZER_OPTIONS_VERIFY", "false", { options: { verify: false } }],
  ])("%s=%s", (variable, text, tokenizer) => {
    const { settings, error, warnings } = loadingText(section("timeout: 20", "cookie: { name: sid }"), {
      [variable]: text,
    });
    expect(error).toBeUndefined();
    expect(warnings).toEqual([]);
    expect(settings).toMatchObject({ tokenizer });
  });

  test("and mends what is wrong in it", () => {
    expect(loadingText(section("port: 99999"), { TOKENIZER_PORT: "6380" }).settings?.tokenizer.port).toBe(6380);
  });

  test("and stands in for an empty section", () => {
    const { settings } = loadingText("tokenizer:\n", { TOKENIZER_SAFE_PASSWORD: GOOD_PASSWORD });
    expect(settings?.tokenizer.safe_password).toBe(GOOD_PASSWORD);
  });

  test("unless it is empty", () => {
    expect(loadingText(section("timeout: 9"), { TOKENIZER_TIMEOUT: "" }).settings?.tokenizer.timeout).toBe(9);
  });

  test("but not over an object", () => {
    const { settings, warnings } = loading(
      { tokenizer: { safe_password: GOOD_PASSWORD } },
      { TOKENIZER_TIMEOUT: "9", TOKENIZER_TABEL: "x" },
    );
    expect(settings?.tokenizer.timeout).toBe(20);
    expect(warnings).toEqual([]);
  });
});

describe("TOKENIZER_DATABASE is read by the type in force", () => {
  test.each([
    ["redis, of the file", ["type: redis"], {}, 5],
    ["redis, of the environment", ["type: postgres"], { TOKENIZER_TYPE: " redis" }, 5],
    ["postgres, of the file", ["type: postgres"], {}, "5"],
    ["postgres, of the environment", ["type: redis"], { TOKENIZER_TYPE: "postgres" }, "5"],
  ])("%s", (_, lines, env, database) => {
    const { settings, error } = loadingText(section(...lines), { ...env, TOKENIZER_DATABASE: "5" });
    expect(error).toBeUndefined();
    expect(settings?.tokenizer.database).toBe(database);
  });

  test.each([
    ["redis", { TOKENIZER_DATABASE: "my_app" }, 'found "my_app"; allowed: a whole number from 0 (redis: the number of'],
    [
      "postgres",
      { TOKENIZER_DATABASE: "my\0app" },
      'found "my\\u0000app"; allowed: postgres: the name of the database',
    ],
  ])("what does not fit is a fault: %s", (type, env, message) => {
    const result = loadingText(section(`type: ${type}`), env);
    expect(paths(result)).toEqual(["TOKENIZER_DATABASE"]);
    expect(result.error?.message).toContain(message);
  });
});

describe("a text that does not fit is a fault of the variable", () => {
  test.each([
    ["TOKENIZER_TIMEOUT", "20m", 'found "20m"; allowed: a number above 0, at most 5270400 (Minutes'],
    ["TOKENIZER_TIMEOUT", "0", "found 0; allowed: a number above 0"],
    ["TOKENIZER_TIMEOUT", "0x14", 'found "0x14"; allowed: a number above 0'],
    ["TOKENIZER_TIMEOUT", "Infinity", 'found "Infinity"; allowed: a number above 0'],
    ["TOKENIZER_TIMEOUT", " ", 'found " "; allowed: a number above 0'],
    ["TOKENIZER_PORT", "99999", "found 99999; allowed: a whole number from 1 to 65535"],
    ["TOKENIZER_TYPE", "Redis", 'found "Redis"; allowed: local, memory, redis, postgres, dynamodb or module'],
    ["TOKENIZER_CLOUD", "1", 'found "1"; allowed: true or false'],
    ["TOKENIZER_SSL", "yes", 'found "yes"; allowed: true or false'],
    ["TOKENIZER_COOKIE_SECURE", "yes", 'found "yes"; allowed: true, false or auto'],
  ])("%s=%s", (variable, text, message) => {
    const result = loadingText(section(), { [variable]: text });
    expect(paths(result)).toEqual([variable]);
    expect(result.error?.code).toBe("SETTINGS_INVALID");
    expect(result.error?.message).toContain(message);
  });

  test("in a rule, too, and its secret is not shown", () => {
    const result = loadingText("tokenizer:\n", { TOKENIZER_SAFE_PASSWORD: "hunter2", NODE_ENV: "production" });
    expect(paths(result)).toEqual(["TOKENIZER_SAFE_PASSWORD"]);
    expect(result.error?.message).toContain("is shorter than 16 characters");
    expect(result.error?.message).not.toContain("hunter2");
  });

  test("and a section that is no section is left for the check", () => {
    expect(paths(loadingText(section("cookie: 5"), { TOKENIZER_COOKIE_PATH: "/" }))).toEqual(["tokenizer.cookie"]);
  });
});

describe("what Kubernetes sets for a service is ignored, with one warning", () => {
  const OF_TOKENIZER = {
    TOKENIZER_SERVICE_HOST: "10.96.7.12",
    TOKENIZER_SERVICE_PORT: "6379",
    TOKENIZER_SERVICE_PORT_REDIS: "6379",
    TOKENIZER_PORT: "tcp://10.96.7.12:6379",
    TOKENIZER_PORT_6379_TCP: "tcp://10.96.7.12:6379",
    TOKENIZER_PORT_6379_TCP_PROTO: "tcp",
    TOKENIZER_PORT_6379_TCP_PORT: "6379",
    TOKENIZER_PORT_6379_TCP_ADDR: "10.96.7.12",
  };
  const rename = (name: string) =>
    Object.entries(OF_TOKENIZER).map(([key, text]) => [key.replace("TOKENIZER", name), text]);

  test("called tokenizer", () => {
    const { settings, error, warnings } = loadingText(section("type: redis", "port: 6380"), OF_TOKENIZER);
    expect(error).toBeUndefined();
    expect(settings?.tokenizer.port).toBe(6380);
    expect(warnings).toEqual([
      "TOKENIZER_SERVICE_HOST and 7 more come from a Kubernetes service whose name begins with tokenizer: ignored. To keep such variables out of the pod, put enableServiceLinks: false into its spec.",
    ]);
  });

  test.each(["TOKENIZER_REDIS", "TOKENIZER_COOKIE", "TOKENIZER_2"])("called %s", (name) => {
    const { settings, warnings } = loadingText(section(), Object.fromEntries(rename(name)));
    expect(settings?.tokenizer).toEqual(loadingText(section()).settings?.tokenizer);
    expect(warnings).toEqual([expect.stringMatching(/ and 7 more come from a Kubernetes service /)]);
  });

  test("by UDP", () => {
    const { error, warnings } = loadingText(section(), { TOKENIZER_PORT: "udp://10.96.7.12:53" });
    expect(error).toBeUndefined();
    expect(warnings).toEqual([expect.stringMatching(/^TOKENIZER_PORT comes from a Kubernetes service /)]);
  });

  test("but a port of the pod's own stands, and what is misspelt is named beside", () => {
    const env = { ...OF_TOKENIZER, TOKENIZER_PORT: "6381", TOKENIZER_PROT: "1" };
    const { settings, warnings } = loadingText(section(), env);
    expect(settings?.tokenizer.port).toBe(6381);
    expect(warnings).toEqual([
      "TOKENIZER_PROT is not a setting and changes nothing; did you mean TOKENIZER_PORT?",
      expect.stringMatching(/^TOKENIZER_SERVICE_HOST and 6 more come from a Kubernetes service /),
    ]);
  });

  test("and a port that is neither is a fault", () => {
    expect(paths(loadingText(section(), { TOKENIZER_PORT: "http://10.96.7.12" }))).toEqual(["TOKENIZER_PORT"]);
  });
});

describe("an unknown variable is warned of", () => {
  test.each([
    ["TOKENIZER_TIEMOUT", "TOKENIZER_TIEMOUT is not a setting and changes nothing; did you mean TOKENIZER_TIMEOUT?"],
    ["TOKENIZER_SETTING", "did you mean TOKENIZER_SETTINGS?"],
    ["TOKENIZER_COOKIE", /TOKENIZER_COOKIE is not a setting/],
    ["TOKENIZER_OPTIONS_NODES", /TOKENIZER_OPTIONS_NODES is not a setting/],
  ])("%s", (variable, message) => {
    const { settings, warnings } = loadingText(section(), { [variable]: "hunter2" });
    expect(settings).toBeDefined();
    expect(warnings).toHaveLength(1);
    expect(warnings[0]).toMatch(message);
    expect(warnings[0]).not.toMatch("hunter2");
  });

  test("but not what names the file, nor what is empty, nor another's", () => {
    const env = { TOKENIZER_SETTINGS: "elsewhere.yml", TOKENIZER_FOO: "", TOKENIZERS_BAR: "x" };
    expect(loadingText(section(), env).warnings).toEqual([]);
  });
});
