import { inspect } from "node:util";
import { describe, expect, test } from "@jest/globals";
import type { SettingsInput } from "../../lib/settings/settings.js";
import { GOOD_PASSWORD, loading, loadingText, paths, section, writeSettings } from "./loading.js";

/** Not to be told, whatever is wrong. */
const PASSWORD = "canary-7391";

type Tokenizer = SettingsInput["tokenizer"];

const redis = (rest: Tokenizer) => loading({ tokenizer: { type: "redis", safe_password: GOOD_PASSWORD, ...rest } });

describe("a url is what it says", () => {
  test.each<[string, Tokenizer]>([
    ["redis://localhost", { host: "localhost", port: 6379, database: 0 }],
    ["redis://localhost:6390", { host: "localhost", port: 6390 }],
    ["redis://localhost/", { host: "localhost", port: 6379, database: 0 }],
    ["redis://10.0.0.1:6390/3", { host: "10.0.0.1", port: 6390, database: 3 }],
    ["redis://[2001:db8::1]:6390/3", { host: "2001:db8::1", port: 6390, database: 3 }],
    ["REDIS://Redis.Example.com", { host: "Redis.Example.com" }],
    [" redis://localhost:6390 ", { host: "localhost", port: 6390 }],
    ["rediss://h:6380/0", { host: "h", port: 6380, database: 0, options: { ssl: true } }],
    ["valkey://h", { host: "h", port: 6379 }],
    ["valkeys://h", { host: "h", port: 6379, options: { ssl: true } }],
    ["redis://ada:secret@h", { host: "h", username: "ada", password: "secret" }],
    ["redis://:secret@h", { host: "h", password: "secret" }],
    ["redis://ada@h", { host: "h", username: "ada" }],
    ["redis://ada%3A:%2F%40%25%20@h", { username: "ada:", password: "/@% " }],
    // As they are generated, and pasted as they are.
    ["rediss://:a/b+c=@h.redis.cache.windows.net:6380", { password: "a/b+c=", port: 6380, options: { ssl: true } }],
    ["redis://ada:p@ss#w?rd:x[y]@h:1", { username: "ada", password: "p@ss#w?rd:x[y]", host: "h", port: 1 }],
    ["redis://:pässwörd@h", { password: "pässwörd" }],
    ["unix:///run/redis/redis.sock", { host: "/run/redis/redis.sock", database: 0 }],
    ["unix:///run/redis.sock?db=3", { host: "/run/redis.sock", database: 3 }],
    ["unix://ada:secret@/run/a%20b.sock", { host: "/run/a b.sock", username: "ada", password: "secret" }],
  ])("%s", (url, expected) => {
    const { settings, error } = redis({ url });
    expect(error).toBeUndefined();
    expect(settings?.tokenizer).toMatchObject(expected);
    expect(settings?.tokenizer).not.toHaveProperty("url");
    for (const key of ["username", "password"] as const) {
      expect(settings?.tokenizer[key]).toBe(expected[key]);
    }
    expect(settings?.tokenizer.options).toEqual(expected.options);
  });

  test.each<[string, Tokenizer, Tokenizer]>([
    ["a user and a password", { username: "ada", password: "x" }, { username: "ada", password: "x" }],
    ["a database", { database: 3 }, { database: 3 }],
    ["a password's file", { username: "ada", password_file: "/run/x" }, { username: "ada", password_file: "/run/x" }],
    [
      "how TLS is done",
      { options: { ca: "pem", verify: false } },
      { options: { ssl: true, ca: "pem", verify: false } },
    ],
    ["ssl: true, which it says", { options: { ssl: true } }, { options: { ssl: true } }],
  ])("%s may stand beside it, where it does not say", (_name, beside, expected) => {
    const { settings, error } = redis({ url: "rediss://h:6380", ...beside });
    expect(error).toBeUndefined();
    expect(settings?.tokenizer).toMatchObject({ host: "h", port: 6380, ...expected });
  });
});

describe("a url that cannot be used is refused, and nothing of it is shown", () => {
  const form = "must be redis://user:password@host:port/database, and nothing more";
  const scheme = "must begin with redis://, rediss:// (by TLS) or unix://";

  test.each([
    [`h:${PASSWORD}@h`, scheme],
    [`https://${PASSWORD}@h`, scheme],
    [`redis+sentinel://:${PASSWORD}@h`, scheme],
    [`unixs:///${PASSWORD}`, scheme],
    [`$REDIS_URL_${PASSWORD}`, `${scheme}; variables are not filled in here: set TOKENIZER_URL`],
    [`redis://ada:${PASSWORD}@`, form],
    [`redis://ada:${PASSWORD}@:6379`, form],
    [`redis://ada:${PASSWORD}@h:port`, form],
    [`redis://ada:${PASSWORD}@h/cache`, form],
    [`redis://ada:${PASSWORD}@h/1/2`, form],
    [`redis://h?password=${PASSWORD}`, form],
    [`redis://ada:${PASSWORD}@h:6379?family=0`, form],
    [`redis://ada:${PASSWORD}@h#${PASSWORD}`, form],
    [`redis://ada:${PASSWORD}@h h`, form],
    [`redis://ada:${PASSWORD}@h:65536`, "names a port that is not from 1 to 65535"],
    [`redis://ada:${PASSWORD}%zz@h`, "holds a % that begins no code: write it as %25"],
    [`redis://ada:${PASSWORD}%@h`, "holds a % that begins no code: write it as %25"],
    [`unix://${PASSWORD}`, "must be unix:///path, and nothing more"],
    [`unix:///run/redis.sock?password=${PASSWORD}`, "must be unix:///path, and nothing more"],
  ])("%s", (url, message) => {
    const text = `${section("type: redis")}\n  url: ${JSON.stringify(url)}\n`;
    for (const result of [
      redis({ url }),
      loadingText(text),
      loadingText(section("type: redis"), { TOKENIZER_URL: url }),
      // What depends on it is not told besides.
      redis({ url, options: { ca: "pem" } }),
    ]) {
      expect(result.error?.faults.map(({ message: told }) => told)).toEqual([message]);
      expect(result.error?.code).toBe("SETTINGS_INVALID");
      expect(inspect(result.error, { depth: 9, showHidden: true })).not.toContain("7391");
    }
    expect(paths(loadingText(section("type: redis"), { TOKENIZER_URL: url }))).toEqual(["TOKENIZER_URL"]);
  });

  test.each([
    ["a number", 5, "found a number: quote it"],
    ["nothing", null, "found nothing (null): quote it"],
  ])("%s", (_name, url, message) => {
    expect(redis({ url: url as never }).error?.message).toContain(message);
  });
});

describe("what contradicts a url is refused", () => {
  const url = `rediss://ada:${PASSWORD}@h:6380/3`;
  const twice = "stands beside url, which says it; keep one";
  const several = "stands beside url, which names one server; put all servers into options.nodes, and leave out url";

  test.each<[string, Tokenizer, string]>([
    ["host", { host: "localhost" }, twice],
    ["port", { port: 6379 }, twice],
    ["username", { username: "ada" }, twice],
    ["password", { password: "x" }, twice],
    ["password_file", { password_file: "x" }, twice],
    ["database", { database: 0 }, twice],
    [
      "options.ssl",
      { options: { ssl: false } },
      "contradicts url: there, rediss:// is TLS and redis:// is not; leave this",
    ],
    ["options.nodes", { options: { nodes: ["a:1"] } }, several],
    ["options.cluster", { options: { cluster: true } }, several],
    ["options.sentinel", { options: { sentinel: "m" } }, several],
  ])("%s", (key, beside, message) => {
    const result = redis({ url, ...beside });
    expect(paths(result)).toEqual([`tokenizer.${key}`]);
    expect(result.error?.faults[0]?.message).toContain(message);
    expect(inspect(result.error, { depth: 9 })).not.toContain("7391");
  });

  test("a url without type: redis", () => {
    const result = loading({ tokenizer: { safe_password: GOOD_PASSWORD, url } });
    expect(paths(result)).toEqual(["tokenizer.type"]);
    expect(result.error?.faults[0]?.message).toBe("is missing; this url needs type: redis");
  });

  test("with another type it is not read, as the other keys are not", () => {
    const { settings, error } = loading({
      tokenizer: { type: "local", cloud: false, safe_password: GOOD_PASSWORD, url },
    });
    expect(error).toBeUndefined();
    expect(settings?.tokenizer).not.toHaveProperty("host");
  });
});

describe("TOKENIZER_URL wins over what the file says of the same", () => {
  const file = section(
    ...["type: redis", "host: a", "port: 1", "username: bob", "password: x", "database: 2"],
    "options: { ssl: true, ca: pem }",
  );

  test("all of it", () => {
    const { settings, error } = loadingText(file, { TOKENIZER_URL: "rediss://ada:secret@h:6380/3" });
    expect(error).toBeUndefined();
    const expected = { host: "h", port: 6380, username: "ada", password: "secret", database: 3 };
    expect(settings?.tokenizer).toMatchObject({ ...expected, options: { ssl: true, ca: "pem" } });
  });

  test("but not over what it leaves out", () => {
    const { settings, error } = loadingText(file, { TOKENIZER_URL: "rediss://h" });
    expect(error).toBeUndefined();
    expect(settings?.tokenizer).toMatchObject({ host: "h", port: 6379, username: "bob", password: "x", database: 2 });
  });

  test("nor over other variables, which contradict it", () => {
    const result = loadingText(file, { TOKENIZER_URL: "rediss://h", TOKENIZER_HOST: "b" });
    expect(paths(result)).toEqual(["TOKENIZER_HOST"]);
  });
});

describe("a URL or a login where a server's name belongs", () => {
  const url = "found a URL: write it as tokenizer.url, in place of host, port, username and password";
  const login = "found a login before the host: write it as tokenizer.username and tokenizer.password";
  const node = "found more than host:port: write tokenizer.username, tokenizer.password and, for rediss://, ";

  test.each([
    [`redis://ada:${PASSWORD}@h:6379/0`, url],
    [`rediss://:${PASSWORD}/a@b@h`, url],
    [`ada:${PASSWORD}@h`, login],
    [`:${PASSWORD}@h`, login],
    [`${PASSWORD}/a@h:6379`, login],
    ["[::1]", "found an address in brackets: leave them out here, as in ::1"],
    ["[::1]:6379", "found an address in brackets: leave them out here, as in ::1, and give the port in tokenizer.port"],
    [`/run/${PASSWORD}.sock`, "found a path: of a Unix socket, write tokenizer.url: unix:///path"],
  ])("host: %s", (host, message) => {
    for (const result of [
      redis({ host }),
      loading({ tokenizer: { safe_password: GOOD_PASSWORD, host } }),
      loadingText(section("type: redis"), { TOKENIZER_HOST: host }),
    ]) {
      expect(result.error?.faults.map(({ message: told }) => told)).toEqual([message]);
      expect(inspect(result.error, { depth: 9 })).not.toContain("7391");
    }
  });

  test.each([`redis://ada:${PASSWORD}@h:6379`, `ada:${PASSWORD}@h:6379`])("nodes: [%s]", (text) => {
    const result = redis({ options: { cluster: true, nodes: ["a:1", text] } });
    expect(paths(result)).toEqual(["tokenizer.options.nodes[1]"]);
    expect(result.error?.faults[0]?.message).toContain(node);
    expect(inspect(result.error, { depth: 9 })).not.toContain("7391");
  });

  test.each([
    ["endpoint", `ftp://ada:${PASSWORD}@h`],
    ["endpoint", `http//ada:${PASSWORD}/a@h`],
    ["endpoint", `ada:${PASSWORD}@h`],
    ["endpoint", `ftp://h/?token=${PASSWORD}`],
  ] as const)("%s: %s: what a fault shows leaves it out", (key, text) => {
    const result = loading({ tokenizer: { safe_password: GOOD_PASSWORD, [key]: text } as Tokenizer });
    expect(paths(result)).toEqual([`tokenizer.${key}`]);
    expect(inspect(result.error, { depth: 9 })).not.toContain("7391");
  });
});

describe("a file that every user can read, with a url", () => {
  test.each([
    ["that holds a password, is warned of", `redis://ada:${PASSWORD}@h`, 1],
    ["that holds none, is not", "redis://h", 0],
  ])("%s", (_name, url, count) => {
    const text = `authenticator: { type: ldap }\ntokenizer: { type: redis, url: "${url}" }\n`;
    const { warnings, error } = loading(writeSettings(text, 0o644), { TOKENIZER_COOKIE_SECRET: GOOD_PASSWORD });
    expect(error).toBeUndefined();
    expect(warnings).toHaveLength(count);
  });
});
