import { describe, expect, test } from "@jest/globals";
import { GOOD_PASSWORD, loadingText, section } from "./loading.js";

/** Of the whole file: what follows its name. */
const whole = (text: string) => loadingText(text).error?.faults.map(({ message }) => message);
const told = (text: string) => loadingText(text).error?.faults.map(({ path, message }) => `${path}: ${message}`);

describe("a key without its space, or its colon, is named by its own line", () => {
  test.each([
    ["before another key", "tokenizer:\n  type: local\n  timeout:20\n  host: x\n", 3],
    ["at the end", "tokenizer:\n  type: local\n  timeout:20\n", 3],
    ["as the first", "tokenizer:\n  timeout:20\n  type: local\n", 2],
    ["several: the first of them", "tokenizer:\n  timeout:20\n  type:local\n  host: x\n", 2],
    ["before comments and empty lines", "tokenizer:\r\n  type: local\r\n  timeout:20\r\n\r\n  # x\r\n  host: x\r\n", 3],
    ["in another section", "app:\n  name: x\n  port:3000\n  host: y\n", 3],
    ["a secret", "tokenizer:\n  safe_password:hunter2\n  type: local\n", 2],
  ])("a space, %s", (_, text, line) => {
    expect(whole(text)).toEqual([`line ${line}: put a space after the colon.`]);
  });

  test.each([
    ["tokenizer:\n  type: local\n  timeout = 20\n  host: x\n", "line 3: put a colon and a space in place of the =."],
    ["tokenizer:\n  timeout=20\n  host: x\n", "line 2: put a colon and a space in place of the =."],
    ["tokenizer:\n  type: local\n  timeout 20\n  host: x\n", "line 3: put a colon after the key."],
    ["tokenizer\n  type: local\n", "line 1: put a colon after the key."],
  ])("%j", (text, message) => {
    expect(whole(text)).toEqual([message]);
  });

  test.each([
    ["tokenizer:\n  timeout:20\n", "tokenizer: found a text: put a space after each colon; allowed: keys and"],
    ["tokenizer:\n  type:local\n  timeout:20\n", "tokenizer: found a text: put a space after each colon; allowed"],
    [section("cookie:{secure: true}"), "tokenizer.cookie: put a space after the colon"],
    [section("cookie: { secure:true }"), "tokenizer.cookie.secure: put a space after the colon"],
    ["tokenizer:\n  - type: local\n", "tokenizer: found a list: take the - in front of its keys away; allowed"],
    [section("timeout: 20,"), 'tokenizer.timeout: found the text "20,": take the , away; allowed: a number'],
    [section("type: redis;"), 'tokenizer.type: found the text "redis;": take the ; away; allowed: local'],
    [section("cloud: true,"), 'tokenizer.cloud: found the text "true,": take the , away; allowed: true or false'],
  ])("that YAML can read: %j", (text, fault) => {
    expect(told(text)).toEqual([expect.stringContaining(fault)]);
  });

  test("the key of a flow that holds its own secret is not shown", () => {
    const { error } = loadingText("tokenizer: { safe_password:hunter2 }");
    expect(error?.faults[0]).toEqual({ path: "tokenizer.safe_password", message: "put a space after the colon" });
    expect(error?.message).not.toContain("hunter2");
  });
});

describe("other faults keep their own place and words", () => {
  test.each([
    ["a text that must be quoted", "tokenizer:\n  safe_password: a: b\n  type: local\n", "line 2, column 19: "],
    ["below a deeper line", "tokenizer:\n  cookie:\n    name: x\n  salt: a: b\n", "line 4, column 10: "],
    ["a text that begins with @", "tokenizer:\n  timeout: 5\n  safe_password: @abc\n", "line 3, column 18: "],
    ["an address on a line of its own", "tokenizer:\n  salt: a\n    http://x\n  url: a: b\n", "line 4, column 9: "],
  ])("%s", (_, text, where) => {
    expect(whole(text)?.[0]).toMatch(new RegExp(`^${where}.*belongs in 'single quotes'\\.$`));
  });
});

describe("a line that is indented otherwise than its neighbours", () => {
  test.each([
    ["deeper", `tokenizer:\n  safe_password: ${GOOD_PASSWORD}\n   timeout: 20\n`, "3 spaces, and the one above by 2"],
    ["less", `tokenizer:\n  safe_password: ${GOOD_PASSWORD}\n timeout: 20\n`, "1 space, and the one above by 2"],
  ])("%s", (_, text, found) => {
    expect(whole(text)).toEqual([`line 3: the line is indented by ${found}; indent the lines of one section alike.`]);
  });
});
