import { describe, expect, test } from "@jest/globals";
import { commandLine, settingsFile } from "./command-line.js";

const KEY = "arn:aws:kms:us-east-1:123456789012:key/1234abcd-12ab-34cd-56ef-1234567890ab";

const SESSIONS = {
  Sid: "Sessions",
  Effect: "Allow",
  Action: ["dynamodb:GetItem", "dynamodb:PutItem", "dynamodb:UpdateItem", "dynamodb:DeleteItem", "dynamodb:Scan"],
};

async function statementsOf(argv: string[], env: NodeJS.ProcessEnv = {}) {
  const { code, stdout, stderr } = await commandLine(["iam-policy", ...argv], env);
  expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
  const { Version, Statement } = JSON.parse(stdout);
  expect(Version).toBe("2012-10-17");
  return Statement;
}

describe("the policy", () => {
  test("allows the five actions on the one table, and nothing else", async () => {
    const argv = ["--table", "session_tokens", "--region", "us-east-1", "--account", "123456789012"];
    expect(await statementsOf(argv)).toEqual([
      { ...SESSIONS, Resource: "arn:aws:dynamodb:us-east-1:123456789012:table/session_tokens" },
    ]);
  });

  test("with a KMS key: what DynamoDB does with it, and only by way of DynamoDB", async () => {
    expect(await statementsOf(["--table", "session_tokens", "--kms-key", KEY])).toEqual([
      { ...SESSIONS, Resource: "arn:aws:dynamodb:*:*:table/session_tokens" },
      {
        Sid: "KeyOfTheSessions",
        Effect: "Allow",
        Action: ["kms:Encrypt", "kms:Decrypt", "kms:ReEncrypt*", "kms:GenerateDataKey*", "kms:DescribeKey"],
        Resource: KEY,
        Condition: { StringLike: { "kms:ViaService": "dynamodb.*.amazonaws.com" } },
      },
    ]);
  });

  test.each([
    ["the settings'", { aws_region_name: "eu-west-1" }, [], {}, "arn:aws:dynamodb:eu-west-1:*:table/one"],
    [
      "the option over the settings'",
      { aws_region_name: "eu-west-1" },
      ["--region", "us-east-1"],
      {},
      "arn:aws:dynamodb:us-east-1:*:table/one",
    ],
    [
      "the environment's",
      {},
      [],
      { AWS_REGION: "ap-south-1", AWS_DEFAULT_REGION: "x" },
      "arn:aws:dynamodb:ap-south-1:*:table/one",
    ],
    ["its other variable's", {}, [], { AWS_DEFAULT_REGION: "ap-south-1" }, "arn:aws:dynamodb:ap-south-1:*:table/one"],
    ["one of China", { aws_region_name: "cn-north-1" }, [], {}, "arn:aws-cn:dynamodb:cn-north-1:*:table/one"],
    [
      "one of the government",
      { aws_region_name: "us-gov-west-1" },
      [],
      {},
      "arn:aws-us-gov:dynamodb:us-gov-west-1:*:table/one",
    ],
    [
      "another table, of the settings' region",
      { aws_region_name: "eu-west-1" },
      ["--table", "two"],
      {},
      "arn:aws:dynamodb:eu-west-1:*:table/two",
    ],
    [
      "an ARN in place of the table's name",
      { table: "arn:aws:dynamodb:eu-west-1:123456789012:table/x" },
      [],
      {},
      "arn:aws:dynamodb:eu-west-1:123456789012:table/x",
    ],
  ] as [string, object, string[], NodeJS.ProcessEnv, string][])(
    "the region: %s",
    async (_name, settings, argv, env, arn) => {
      const file = settingsFile({ type: "dynamodb", table: "one", ...settings });
      const [{ Resource }] = await statementsOf(["--settings", file, ...argv], env);
      expect(Resource).toBe(arn);
    },
  );
});

test.each([
  ["--account", "1234", "--account takes the account's id, twelve digits."],
  ["--region", "us_east", "--region takes a region's name, as in us-east-1."],
  ["--table", "a b", "--table takes a table's name: 3 to 255 of A-Z a-z 0-9 _ . -"],
  [
    "--kms-key",
    "alias/sessions",
    "--kms-key takes the key's ARN, arn:aws:kms:REGION:ACCOUNT:key/ID: a policy cannot name a key by its alias.",
  ],
])("%s %s is refused", async (option, value, message) => {
  const table = option === "--table" ? [] : ["--table", "session_tokens"];
  const { code, stdout, stderr } = await commandLine(["iam-policy", ...table, option, value]);
  expect({ code, stdout, stderr }).toEqual({
    code: 2,
    stdout: "",
    stderr: `${message}\nHelp: npx express-tokenizer iam-policy --help`,
  });
});
