import { describe, expect, test } from "@jest/globals";
import type { SettingsInput } from "../../lib/settings/settings.js";
import { GOOD_PASSWORD, type Loading, loading, loadingText, section } from "./loading.js";

const told = ({ error }: Loading) => error?.faults.map(({ path, message }) => `${path}: ${message}`);
const given = (source: object) => loading(source as SettingsInput);

describe("settings without a section tokenizer around them: they are named, with where they belong", () => {
  test.each([
    [
      `type: local\nsafe_password: ${GOOD_PASSWORD}\n`,
      "is missing; type, safe_password stand beside it: indent them below a line tokenizer:",
    ],
    ["timeout: 20\n", "is missing; timeout stands beside it: indent it below a line tokenizer:"],
    [
      `tokenizer:\ntype: redis\nhost: localhost\n`,
      "is empty; type, host stand beside it: indent them below a line tokenizer:",
    ],
    [
      "tokenizer.type: redis\ntokenizer.store_timeout: 2\n",
      "is missing; type, store_timeout stand beside it: indent them below a line tokenizer:",
    ],
    [
      "TOKENIZER_TYPE: redis\nsafePassword: x\n",
      "is missing; type, safe_password stand beside it: indent them below a line tokenizer:",
    ],
    [
      "cookie: { secure: true }\noptions: { mine: 1 }\n",
      "is missing; cookie stands beside it: indent it below a line tokenizer:",
    ],
    [
      `production:\n  ${section("timeout: 5").replaceAll("\n", "\n  ")}`,
      "is missing; it stands in the section production: move it out of there, to the top",
    ],
    ["tokenizer:{type: local}\n", "is missing; put a space after the colon of tokenizer:"],
    ["app: { port: 3000 }\ndatabase: { url: x }\n", "is missing; give it a safe_password"],
  ])("%j", (text, message) => {
    expect(told(loadingText(text))).toEqual([`tokenizer: this section ${message}`]);
  });

  test.each([
    [{ type: "memory" }, "is missing; type stands beside it: write tokenizer({ tokenizer: { type: … } })"],
    [
      { safePassword: GOOD_PASSWORD, timeout: 5 },
      "is missing; safe_password, timeout stand beside it: write tokenizer({ tokenizer: { safe_password: … } })",
    ],
    [{ redis: { client: {} } }, "is missing; redis belongs in the second argument: tokenizer(undefined, { redis: … })"],
    [
      { postgres: { pool: {} } },
      "is missing; postgres belongs in the second argument: tokenizer(undefined, { postgres: … })",
    ],
    [{ config: { tokenizer: {} } }, "is missing; it stands in the section config: move it out of there, to the top"],
  ])("an object: %j", (source, message) => {
    expect(told(given(source))).toEqual([`tokenizer: this section ${message}`]);
  });
});

describe("express-session's options say what takes their place", () => {
  test("as its documentation has them", () => {
    expect(
      told(
        given({
          secret: "keyboard cat",
          name: "sid",
          store: {},
          resave: false,
          saveUninitialized: true,
          cookie: { maxAge: 60_000, httpOnly: true, secure: true },
        }),
      ),
    ).toEqual([
      "tokenizer: this section is missing; cookie stands beside it: write tokenizer({ tokenizer: { cookie: … } })",
      "secret: is an option of express-session; use tokenizer.safe_password, or tokenizer.cookie.secret",
      "name: is an option of express-session; use tokenizer.cookie.name",
      "store: is an option of express-session; use tokenizer.type",
      "resave: is an option of express-session; it is not needed: only changes are saved",
      "saveUninitialized: is an option of express-session; it is not needed: a session begins when you put something into it",
      "cookie.maxAge: is an option of express-session; use tokenizer.timeout, in minutes",
      "cookie.httpOnly: is an option of express-session; it is not needed: the cookie always has HttpOnly",
    ]);
  });

  test("without one of ours beside them, and with nothing of their values", () => {
    const result = given({ secret: "keyboard cat", resave: false });
    expect(told(result)?.[0]).toBe(
      "tokenizer: this section is missing; write tokenizer({ tokenizer: { … } }), or tokenizer() with a file settings.yml",
    );
    expect(result.error?.message).not.toContain("keyboard");
  });

  test.each([
    ["resave: false", "tokenizer.resave: there is no such setting; it is not needed: only changes are saved"],
    [
      "cookie: { maxAge: 60000 }",
      "tokenizer.cookie.maxAge: there is no such setting; use tokenizer.timeout, in minutes",
    ],
    [
      "cookie: { httpOnly: true }",
      "tokenizer.cookie.httpOnly: there is no such setting; it is not needed: the cookie always has HttpOnly",
    ],
    ["secret: x", "tokenizer.secret: there is no such setting; it belongs in the section tokenizer.cookie"],
    [
      "authenticator: {}",
      "tokenizer.authenticator: there is no such setting; it belongs beside the section tokenizer, not below it",
    ],
    [
      "tokenizer: {}",
      "tokenizer.tokenizer: there is no such setting; the section stands in itself: keep one of the two lines",
    ],
  ])("in the section: %s", (line, fault) => {
    expect(told(loadingText(section(line)))).toEqual([fault]);
  });

  test("an application's own keys of such names are no concern of ours", () => {
    expect(told(loadingText("name: my-app\nstore: berlin\n"))).toEqual([
      "tokenizer: this section is missing; give it a safe_password",
    ]);
  });
});

describe("settings beside a section that is there", () => {
  const warning = (keys: string) =>
    `${keys} beside the section tokenizer, where nothing is read: indent what is meant for it`;

  test.each([
    [`${section()}\ntimeout: 5\nhost: localhost\n`, "timeout, host stand"],
    [`${section()}\ncookie:\n  secure: true\n`, "cookie stands"],
    [`${section()}\nremember: {}\n`, "remember stands"],
  ])("are warned of: %j", (text, keys) => {
    const { settings, warnings } = loadingText(text);
    expect(settings?.tokenizer.timeout).toBe(20);
    expect(warnings).toEqual([warning(keys)]);
  });

  test("are warned of where variables fill an empty section", () => {
    const { warnings } = loadingText("tokenizer:\ntype: redis\n", { TOKENIZER_SAFE_PASSWORD: GOOD_PASSWORD });
    expect(warnings).toEqual([warning("type stands")]);
  });

  test("are a fault beside another one, which they may explain", () => {
    const result = loadingText(`tokenizer:\n  type: local\nsafe_password: ${GOOD_PASSWORD}\n`);
    expect(told(result)).toEqual([
      `tokenizer: ${warning("safe_password stands")}`,
      expect.stringMatching(/^tokenizer\.safe_password: is missing;/),
    ]);
    expect(result.error?.message).not.toContain(GOOD_PASSWORD);
  });

  test("in an object", () => {
    const { warnings } = given({ tokenizer: { type: "memory" }, timeout: 5 });
    expect(warnings).toEqual([
      "timeout stands beside the section tokenizer, where nothing is read: put into it what is meant for it",
    ]);
  });

  test("may be the application's, if other programs have such ones", () => {
    const theirs = "port: 3000\nhost: 0.0.0.0\ndatabase: { url: x }\ncookie: { banner: true }\ntype: shop\n";
    expect(loadingText(`${theirs}${section()}`)).toMatchObject({ error: undefined, warnings: [] });
  });
});
