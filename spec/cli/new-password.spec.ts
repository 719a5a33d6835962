import { expect, test } from "@jest/globals";
import { commandLine, terminal } from "./command-line.js";

test("prints 32 random bytes, and nothing else", async () => {
  const { code, stdout, stderr } = await commandLine(["new-password"]);
  expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
  expect(stdout).toMatch(/^[\w-]{43}$/);
  expect(Buffer.from(stdout, "base64url")).toHaveLength(32);
});

test("at a terminal it tells beside it where the password belongs", async () => {
  const { stdout, stderr } = await commandLine(["new-password"], {}, { terminal: terminal("") });
  expect(stdout).toMatch(/^[\w-]{43}$/);
  expect(stderr).toMatch(/tokenizer\.safe_password.*TOKENIZER_SAFE_PASSWORD.*\n.*safe_password: \[new, old\]$/);
  expect(stderr).not.toContain(stdout);
});
