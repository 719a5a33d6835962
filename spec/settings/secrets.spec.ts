import { execFileSync } from "node:child_process";
import { chmodSync } from "node:fs";
import { dirname } from "node:path";
import { inspect } from "node:util";
import { describe, expect, test } from "@jest/globals";
import type { SettingsInput } from "../../lib/settings/settings.js";
import { GOOD_PASSWORD, loading, loadingText, paths, section, writeSettings } from "./loading.js";

/** A file with a secret, as Docker and Kubernetes make it. */
const fileWith = (text: string | Buffer) => writeSettings(text, 0o444);

const OTHER_PASSWORD = "another-good-password-of-specs";
const BARE = "tokenizer: { timeout: 20 }";

describe("a secret from a file", () => {
  test.each([
    ["TOKENIZER_SAFE_PASSWORD_FILE", { safe_password: GOOD_PASSWORD }],
    ["TOKENIZER_COOKIE_SECRET_FILE", { cookie: { secret: GOOD_PASSWORD } }],
    ["TOKENIZER_OPTIONS_KEY_FILE", { options: { key: GOOD_PASSWORD } }],
    ["TOKENIZER_AWS_SESSION_TOKEN_FILE", { aws_session_token: GOOD_PASSWORD }],
  ])("%s", (variable, tokenizer) => {
    const keys = { TOKENIZER_AWS_ACCESS_KEY: "id", TOKENIZER_AWS_SECRET_KEY_FILE: fileWith("secret key") };
    const { settings, error, warnings } = loadingText(section("options: { ssl: true, cert: pem }"), {
      ...keys,
      TOKENIZER_SAFE_PASSWORD: "",
      [variable]: fileWith(`${GOOD_PASSWORD}\n`),
    });
    expect([error, warnings]).toEqual([undefined, []]);
    expect(settings).toMatchObject({ tokenizer: { ...tokenizer, aws_secret_key: "secret key" } });
  });

  test("comes before the settings file", () => {
    const { settings } = loadingText(section(), { TOKENIZER_SAFE_PASSWORD_FILE: fileWith(OTHER_PASSWORD) });
    expect(settings?.tokenizer.safe_password).toBe(OTHER_PASSWORD);
  });

  test.each([
    ["a newline", "\n", GOOD_PASSWORD],
    ["a newline of Windows", "\r\n", GOOD_PASSWORD],
    ["nothing", "", GOOD_PASSWORD],
    ["two newlines", "\n\n", `${GOOD_PASSWORD}\n`],
    ["a space and a newline", " \n", `${GOOD_PASSWORD} `],
  ])("may end with %s", (_name, end, password) => {
    const { settings, warnings } = loadingText(BARE, { TOKENIZER_SAFE_PASSWORD_FILE: fileWith(GOOD_PASSWORD + end) });
    expect(settings?.tokenizer.safe_password).toBe(password);
    // More than the one newline may be meant.
    expect(warnings).toHaveLength(password === GOOD_PASSWORD ? 0 : 1);
  });

  test("may be a pipe", () => {
    const script = `
      import { loadSettings } from "./dist/settings/load.js";
      const env = { TOKENIZER_SAFE_PASSWORD_FILE: "/dev/stdin" };
      const { tokenizer } = loadSettings(process.argv[1], { log: console, env });
      console.log(tokenizer.safe_password);`;
    const pipe = 'printf "%s\\n" "$PASSWORD" | "$NODE" --input-type=module --eval "$SCRIPT" "$FILE"';
    const env = { ...process.env, PASSWORD: GOOD_PASSWORD, NODE: process.execPath, SCRIPT: script };
    const told = execFileSync("sh", ["-c", pipe], { env: { ...env, FILE: writeSettings(BARE) }, encoding: "utf8" });
    expect(told).toBe(`${GOOD_PASSWORD}\n`);
  });

  test.each([
    [
      "is not there",
      "/no/such/hunter2",
      "there is no such file (what stands here must be a file's name, not the secret)",
    ],
    ...[`"${fileWith(GOOD_PASSWORD)}"`, `${fileWith(GOOD_PASSWORD)}\r`].map((file): [string, string, string] => [
      `is ${JSON.stringify(file.replace(/\/.*\//, "…"))}`,
      file,
      "there is no such file (what stands here is in quotes, or has white space around it, and that counts)",
    ]),
    ["is a folder", dirname(fileWith("x")), "this is a folder"],
    ["is empty", fileWith("\n"), "it is empty"],
    ["has no end", "/dev/zero", "it has more than a megabyte"],
    ["is UTF-16", fileWith(Buffer.from("hunter2", "utf16le")), "it is not UTF-8 text"],
    ["is not text", fileWith(Buffer.from([0xff, 0xfe, 0x41])), "it is not UTF-8 text"],
  ])("is refused when it %s, and not named: that may be the secret", (_name, file, reason) => {
    const result = loadingText(BARE, { TOKENIZER_SAFE_PASSWORD_FILE: file });
    expect(result.error?.faults).toEqual([
      { path: "TOKENIZER_SAFE_PASSWORD_FILE", message: `the file that it names cannot be used: ${reason}` },
    ]);
    expect(result.error?.message).not.toContain("hunter2");
  });

  (process.platform === "win32" ? test.skip : test)("is refused when this process may not read it", () => {
    const isRoot = process.geteuid?.() === 0;
    const file = writeSettings(GOOD_PASSWORD, 0o000);
    const settings = writeSettings(BARE, 0o644);
    chmodSync(dirname(file), 0o755);
    if (isRoot) process.seteuid?.(65_534);
    try {
      expect(loading(settings, { TOKENIZER_SAFE_PASSWORD_FILE: file }).error?.faults[0]?.message).toBe(
        "the file that it names cannot be used: this process may not read it; give it to the user that the application runs as",
      );
    } finally {
      if (isRoot) process.seteuid?.(0);
    }
  });

  test("is refused beside the variable that holds the secret itself", () => {
    const env = { TOKENIZER_SAFE_PASSWORD: GOOD_PASSWORD, TOKENIZER_SAFE_PASSWORD_FILE: fileWith(OTHER_PASSWORD) };
    const result = loadingText(BARE, env);
    expect(result.error?.faults).toEqual([
      { path: "TOKENIZER_SAFE_PASSWORD_FILE", message: "stands beside TOKENIZER_SAFE_PASSWORD; keep one of them" },
    ]);
  });

  test("that is weak is refused in production, under the variable's name", () => {
    const env = { TOKENIZER_SAFE_PASSWORD_FILE: fileWith("hunter2\n"), NODE_ENV: "production" };
    const result = loadingText(BARE, env);
    expect(paths(result)).toEqual(["TOKENIZER_SAFE_PASSWORD_FILE"]);
    expect(result.error?.message).toContain("is shorter than 16 characters");
    expect(inspect(result.error, { depth: 10, showHidden: true })).not.toContain("hunter2");
  });

  test("is for secrets alone", () => {
    const { warnings } = loadingText(section(), { TOKENIZER_TABLE_FILE: fileWith("t") });
    expect(warnings).toEqual([expect.stringMatching(/^TOKENIZER_TABLE_FILE is not a setting and changes nothing/)]);
  });
});

describe("a list of secrets in a variable", () => {
  const LIST = JSON.stringify([GOOD_PASSWORD, OTHER_PASSWORD]);

  test.each([
    ["TOKENIZER_SAFE_PASSWORD", LIST, { safe_password: [GOOD_PASSWORD, OTHER_PASSWORD] }],
    ["TOKENIZER_SAFE_PASSWORD", `\n${LIST}\n`, { safe_password: [GOOD_PASSWORD, OTHER_PASSWORD] }],
    ["TOKENIZER_SAFE_PASSWORD", JSON.stringify([GOOD_PASSWORD]), { safe_password: [GOOD_PASSWORD] }],
    ["TOKENIZER_COOKIE_SECRET", LIST, { cookie: { secret: [GOOD_PASSWORD, OTHER_PASSWORD] } }],
    ["TOKENIZER_SAFE_PASSWORD_FILE", fileWith(`${LIST}\n`), { safe_password: [GOOD_PASSWORD, OTHER_PASSWORD] }],
    // One text, however it looks.
    ["TOKENIZER_SAFE_PASSWORD", `[${GOOD_PASSWORD}`, { safe_password: `[${GOOD_PASSWORD}` }],
    ["TOKENIZER_SAFE_PASSWORD", `{"a":"${GOOD_PASSWORD}"}`, { safe_password: `{"a":"${GOOD_PASSWORD}"}` }],
    ["TOKENIZER_PASSWORD", LIST, { password: LIST }],
  ])("%s=%s", (variable, text, tokenizer) => {
    const { settings, error, warnings } = loadingText(section(), { [variable]: text });
    expect([error, warnings]).toEqual([undefined, []]);
    expect(settings).toMatchObject({ tokenizer });
  });

  test("of a YAML file's text is none", () => {
    const { settings } = loadingText(`tokenizer: { safe_password: '${LIST}' }`);
    expect(settings?.tokenizer.safe_password).toBe(LIST);
  });

  test.each([
    [
      "[hunter2, hunter3]",
      "TOKENIZER_SAFE_PASSWORD",
      'looks like a list, but is not JSON: write it as in ["the new one"',
    ],
    ["['hunter2']", "TOKENIZER_SAFE_PASSWORD", "looks like a list, but is not JSON"],
    ["[]", "TOKENIZER_SAFE_PASSWORD", "found an empty list"],
    ['["hunter2", 5]', "TOKENIZER_SAFE_PASSWORD[1]", "found a number"],
    ['["hunter2", ""]', "TOKENIZER_SAFE_PASSWORD[1]", "found an empty text"],
    ['[["hunter2"]]', "TOKENIZER_SAFE_PASSWORD[0]", "found a list"],
  ])("%s is refused", (text, path, message) => {
    const result = loadingText(BARE, { TOKENIZER_SAFE_PASSWORD: text });
    expect(paths(result)).toEqual([path]);
    expect(result.error?.message).toContain(message);
    expect(inspect(result.error, { depth: 10, showHidden: true })).not.toContain("hunter");
  });

  test("names the weak one by its place", () => {
    const text = JSON.stringify([GOOD_PASSWORD, "hunter2"]);
    expect(loadingText(BARE, { TOKENIZER_SAFE_PASSWORD: text }).warnings).toEqual([
      expect.stringMatching(/^TOKENIZER_SAFE_PASSWORD\[1\] is shorter than 16 characters/),
    ]);
  });
});

describe("a list in quotes is refused: docker's --env-file keeps them", () => {
  const LIST = JSON.stringify([GOOD_PASSWORD, OTHER_PASSWORD]);

  test.each([`'${LIST}'`, `"${LIST}"`, ` '${LIST}'\r`])("%s", (text) => {
    const result = loadingText(BARE, { TOKENIZER_SAFE_PASSWORD: text });
    const message = "looks like a list in quotes, which count here: take away the quotes around it";
    expect(result.error?.faults).toEqual([{ path: "TOKENIZER_SAFE_PASSWORD", message }]);
  });
});

describe("quotes around a secret are warned of, and kept", () => {
  test.each([`"${GOOD_PASSWORD}"`, `'${GOOD_PASSWORD}'`])("%s", (password) => {
    const warning =
      "stands in quotes, which count: docker's --env-file keeps them. Take them away, if they are not meant";
    for (const env of [{ TOKENIZER_SAFE_PASSWORD: password }, { TOKENIZER_SAFE_PASSWORD_FILE: fileWith(password) }]) {
      const { settings, warnings } = loadingText(BARE, env);
      expect(settings?.tokenizer.safe_password).toBe(password);
      expect(warnings).toEqual([`${Object.keys(env)[0]} ${warning}`]);
    }
  });

  test("and around any text that a variable sets", () => {
    const quoted = { TOKENIZER_PREFIX: '"tokenizer:"', TOKENIZER_USERNAME: "'ada'", TOKENIZER_PASSWORD: '"hunter2"' };
    const { warnings } = loadingText(section("type: redis"), { ...quoted, TOKENIZER_PROFILE_NAME: "ada\r" });
    expect(warnings).toEqual([
      "TOKENIZER_PROFILE_NAME begins or ends with white space, which counts. Take it away, if it is not meant",
      expect.stringMatching(/^TOKENIZER_PASSWORD, TOKENIZER_USERNAME, TOKENIZER_PREFIX stand in quotes, which count/),
    ]);
  });

  test("of several in one warning", () => {
    const tokenizer = { safe_password: [`'${GOOD_PASSWORD}'`, `"${OTHER_PASSWORD}"`] };
    expect(loading({ tokenizer }).warnings).toEqual([
      expect.stringMatching(
        /^tokenizer\.safe_password\[0\], tokenizer\.safe_password\[1\] stand in quotes, which count/,
      ),
    ]);
  });

  test.each(['"', `"${GOOD_PASSWORD}`, `"${GOOD_PASSWORD}'`, `a"${GOOD_PASSWORD}"`])("but not %s", (password) => {
    const { warnings } = loading({ tokenizer: { safe_password: [GOOD_PASSWORD + GOOD_PASSWORD, password] } });
    expect(warnings.join()).not.toContain("quotes");
  });
});

describe("white space around a secret is warned of, and kept", () => {
  test.each([
    ["a space before", ` ${GOOD_PASSWORD}`],
    ["a newline behind", `${GOOD_PASSWORD}\n`],
    ["a byte order mark", `\uFEFF${GOOD_PASSWORD}`],
    ["a space that does not break", `${GOOD_PASSWORD}\u00A0`],
  ])("%s", (_name, password) => {
    const warning = "begins or ends with white space, which counts. Take it away, if it is not meant";
    const [byObject, byVariable] = [
      loading({ tokenizer: { safe_password: password } }),
      loadingText(BARE, { TOKENIZER_SAFE_PASSWORD: password }),
    ];
    expect(byObject.settings?.tokenizer.safe_password).toBe(password);
    expect(byVariable.settings?.tokenizer.safe_password).toBe(password);
    expect(byObject.warnings).toEqual([`tokenizer.safe_password ${warning}`]);
    expect(byVariable.warnings).toEqual([`TOKENIZER_SAFE_PASSWORD ${warning}`]);
  });

  test("of several in one warning, with the place in a list", () => {
    const tokenizer = { safe_password: [GOOD_PASSWORD, `${GOOD_PASSWORD} `], password: "\thunter2" };
    expect(loading({ tokenizer }).warnings).toEqual([
      "tokenizer.safe_password[1], tokenizer.password begin or end with white space, which counts. Take it away, if it is not meant",
    ]);
  });

  test("but not of a key in PEM, nor of white space within", () => {
    const key = "-----BEGIN PRIVATE KEY-----\nabc\n-----END PRIVATE KEY-----\n";
    const tokenizer = { safe_password: "correct horse battery", options: { ssl: true, cert: "pem", key } };
    expect(loading({ tokenizer })).toMatchObject({ error: undefined, warnings: [] });
  });
});

describe("the … of the documentation is refused as a secret, in production and elsewhere", () => {
  const foreign = "is the … of the documentation; put a secret of your own in its place";
  const message = `${foreign}; make one with: npx express-tokenizer new-password`;
  const rows: [string, SettingsInput["tokenizer"]][] = [
    ["safe_password", { safe_password: "…" }],
    ["safe_password", { safe_password: "..." }],
    ["safe_password", { safe_password: " …\n" }],
    ["safe_password[1]", { safe_password: [GOOD_PASSWORD, "…"] }],
    ["cookie.secret", { safe_password: GOOD_PASSWORD, cookie: { secret: "…" } }],
    ["password", { safe_password: GOOD_PASSWORD, type: "redis", password: "…" }],
    ["password", { safe_password: GOOD_PASSWORD, type: "postgres", password: "…" }],
    ["password", { safe_password: GOOD_PASSWORD, type: "postgres", url: "postgres://ada:…@h" }],
    [
      "aws_secret_key",
      { safe_password: GOOD_PASSWORD, type: "dynamodb", table: "t", aws_access_key: "id", aws_secret_key: "…" },
    ],
  ];

  test.each(rows)("%s: %j", (key, tokenizer) => {
    for (const env of [{}, { NODE_ENV: "production" }]) {
      const result = loading({ tokenizer }, env);
      const isOwn = /^(safe_password|cookie)/.test(key);
      expect(result.error?.faults).toEqual([{ path: `tokenizer.${key}`, message: isOwn ? message : foreign }]);
    }
  });

  test("also by a variable, and by a file", () => {
    for (const env of [{ TOKENIZER_SAFE_PASSWORD: "…" }, { TOKENIZER_SAFE_PASSWORD_FILE: fileWith("…\n") }]) {
      expect(loadingText(BARE, env).error?.faults).toEqual([{ path: Object.keys(env)[0], message }]);
    }
  });

  test("but not within a secret", () => {
    expect(loading({ tokenizer: { safe_password: "so it goes on … and on" } }).error).toBeUndefined();
  });
});

describe("a variable that nobody filled in is refused as a secret: it may be public, and is everybody's", () => {
  const foreign =
    "is a variable or a placeholder that nobody filled in; nothing is filled in here: put the secret itself in its place, or into its variable of the environment";
  const message = `${foreign}; make one with: npx express-tokenizer new-password`;

  test.each([
    "$" + "{TOKENIZER_SAFE_PASSWORD}",
    "$" + "{SAFE_PASSWORD:-correct-horse-battery}",
    " $" + "{SAFE_PASSWORD}\n",
    '"$' + '{SAFE_PASSWORD}"',
    "$TOKENIZER_SAFE_PASSWORD",
    "$(TOKENIZER_SAFE_PASSWORD)",
    "%TOKENIZER_SAFE_PASSWORD%",
    "{{ .Values.tokenizer.safePassword }}",
    "#{TokenizerSafePassword}",
    "<put your own password here>",
    "<%= ENV['SAFE_PASSWORD'] %>",
  ])("%s", (text) => {
    for (const env of [{}, { NODE_ENV: "production" }]) {
      const one = loading({ tokenizer: { safe_password: text } }, env);
      expect(one.error?.faults).toEqual([{ path: "tokenizer.safe_password", message }]);
      const other = loadingText(BARE, { ...env, TOKENIZER_SAFE_PASSWORD: text });
      expect(other.error?.faults).toEqual([{ path: "TOKENIZER_SAFE_PASSWORD", message }]);
    }
  });

  test("also as Redis's password, and in its url", () => {
    const password = "$" + "{REDIS_PASSWORD}";
    for (const beside of [{ password }, { url: `redis://:${password}@localhost` }]) {
      const { error } = loading({ tokenizer: { type: "redis", safe_password: GOOD_PASSWORD, ...beside } });
      expect(error?.faults).toEqual([{ path: "tokenizer.password", message: foreign }]);
    }
  });

  test("also as PostgreSQL's password, and in its url, where a sample is common", () => {
    for (const password of ["$" + "{PGPASSWORD}", "[YOUR-PASSWORD]", "<password>"]) {
      for (const beside of [{ password }, { url: `postgres://ada:${password}@localhost` }]) {
        const { error } = loading({ tokenizer: { type: "postgres", safe_password: GOOD_PASSWORD, ...beside } });
        expect(error?.faults).toEqual([{ path: "tokenizer.password", message: foreign }]);
      }
    }
  });

  test.each([
    "[my own long PASSWORD] 12",
    "$ecretPassword1234",
    "a$" + "{b}correct-horse",
    "$" + "{b}correct-horse-battery",
    "<<correct-horse-battery",
    "100%_SURE_IT_IS_GOOD%",
  ])("but not %s", (password) => {
    expect(loading({ tokenizer: { safe_password: password } })).toMatchObject({ error: undefined, warnings: [] });
  });
});
