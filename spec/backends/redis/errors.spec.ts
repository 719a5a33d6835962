import { expect, test } from "@jest/globals";
import { explain, Refusal } from "../../../lib/backends/redis/errors.js";

const SHA = "2fa1fd27d7d9a4dbb6f3ec4e2a8b8a3e1c3d3e5f";
const IN_SCRIPT_6 = `ERR Error running script (call to f_${SHA}): @user_script:27: @user_script: 27: `;

test.each([
  ["OOM", "6", `${IN_SCRIPT_6}-OOM command not allowed when used memory > 'maxmemory'. `],
  ["READONLY", "6", `${IN_SCRIPT_6}-READONLY You can't write against a read only replica. `],
  [
    "MISCONF",
    "6",
    `${IN_SCRIPT_6}-MISCONF Redis is configured to save RDB snapshots, but it is currently not able to. `,
  ],
  ["WRONGTYPE", "6", `${IN_SCRIPT_6}WRONGTYPE Operation against a key holding the wrong kind of value `],
  ["NOPERM", "6, from our own trial", "@user_script: 30: -NOPERM The user executing the script can't access the keys"],
  ["OOM", "7", `OOM command not allowed when used memory > 'maxmemory'. script: ${SHA}, on @user_script:27.`],
  ["READONLY", "7", `READONLY You can't write against a read only replica. script: ${SHA}, on @user_script:27.`],
  [
    "NOPERM",
    "7.2",
    `ERR ACL failure in script: User app has no permissions to run the 'set' command script: ${SHA}, on @user_script:27.`,
  ],
  ["NOSCRIPT", "any", "NOSCRIPT No matching script. Please use EVAL."],
])("%s is known by its word in the text of Redis %s", (word, _release, answer) => {
  const refusal = new Refusal("redis:6379", answer);
  expect(refusal.word).toBe(word);
  expect(explain(refusal).message).toMatch(new RegExp(`^Redis at redis:6379 refused: ${word} [^@]+\\.$`));
  expect(explain(refusal).message).not.toMatch(/script:/);
});

test("protected mode is told in a sentence, with the way out", () => {
  const page =
    "DENIED Redis is running in protected mode because protected mode is enabled and no password is set for the " +
    "default user. In this mode connections are only accepted from the loopback interface. If you want to connect " +
    "from external computers to Redis you may adopt one of the following solutions: 1) Just disable protected mode.";
  const error = explain(new Refusal("redis:6379", page), { atStart: true });
  expect([error.code, error.message]).toEqual([
    "STORE_UNUSABLE",
    "Redis at redis:6379 refused: DENIED Redis is running in protected mode because protected mode is enabled and no " +
      "password is set for the default user. Set a password at the server, and tokenizer.password.",
  ]);
});

test.each([
  ["SCAN", "unsupported command", "refused SCAN: unsupported command."],
  ["SCAN", "ERR operation not permitted", "refused SCAN: ERR operation not permitted."],
  ["SCAN", "ERR unknown command 'scan', with args beginning with: '0' ", "refused: ERR unknown command 'scan'."],
  ["EVALSHA", "OOM command not allowed when used memory > 'maxmemory'.", "refused: OOM command not allowed when"],
  ["GET", "ERR max number of clients reached", "refused: ERR max number of clients reached."],
])("of %s: %s: the command is named where the answer leaves it out", (command, answer, told) => {
  expect(explain(new Refusal("redis:6379", answer, { command })).message).toContain(`Redis at redis:6379 ${told}`);
});
