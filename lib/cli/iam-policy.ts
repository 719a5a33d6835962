/** `iam-policy`: the least that the application needs to be allowed. */
import { type Command, dynamodbSettings, settingsOption, UsageError, type Values } from "./command.js";

/** All that is ever called in service. */
const TABLE_ACTIONS = ["GetItem", "PutItem", "UpdateItem", "DeleteItem", "Scan"].map((action) => `dynamodb:${action}`);
/**
 * What DynamoDB does with a key of one's own on behalf of who uses the table. It opens the table's key anew every five
 * minutes, so without them a table works for a while and then no more. Making the grant is the business of `create-table`.
 */
const KEY_ACTIONS = ["kms:Encrypt", "kms:Decrypt", "kms:ReEncrypt*", "kms:GenerateDataKey*", "kms:DescribeKey"];

const KMS_KEY_ARN = /^arn:aws[\w-]*:kms:[\w-]+:\d{12}:key\/[\w-]+$/;

export const iamPolicy: Command = {
  name: "iam-policy",
  summary: "print the least IAM policy that the application needs",
  description: `Prints an IAM policy as JSON, for the role or user that the application runs as: the five actions that it calls, on this
one table. With a KMS key, also what DynamoDB does with the key for the application. It asks AWS nothing.

To make the table you need other rights: see create-table --help.`,
  options: {
    ...settingsOption,
    table: { value: "NAME", description: "the table; default: the settings'" },
    region: {
      value: "REGION",
      description: "its region; default: the settings', AWS_REGION, AWS_DEFAULT_REGION, else any",
    },
    account: { value: "ID", description: "the account, twelve digits; default: any" },
    "kms-key": { value: "ARN", description: "the table's KMS key, if it has one of your own" },
  },
  examples: [
    ["iam-policy > policy.json", "for the table of settings.yml"],
    ["iam-policy --table session_tokens --region us-east-1", "without a settings file"],
  ],
  async run(values, io) {
    refuseWrongValues(values);
    const settings = values.table === undefined || values.settings ? dynamodbSettings(values, io) : undefined;
    const { AWS_REGION, AWS_DEFAULT_REGION } = io.env;
    const region = values.region ?? settings?.aws_region_name ?? (AWS_REGION || AWS_DEFAULT_REGION || "*");
    const table = String(values.table ?? settings?.table);
    const policy = policyOf({
      arn: tableArn(table, String(region), String(values.account ?? "*")),
      kmsKey: typeof values["kms-key"] === "string" ? values["kms-key"] : undefined,
    });
    io.print(JSON.stringify(policy, null, 2));
    return 0;
  },
};

function policyOf({ arn, kmsKey }: { arn: string; kmsKey: string | undefined }) {
  const table = { Sid: "Sessions", Effect: "Allow", Action: TABLE_ACTIONS, Resource: arn };
  const key = {
    Sid: "KeyOfTheSessions",
    Effect: "Allow",
    Action: KEY_ACTIONS,
    Resource: kmsKey,
    // Any region: DynamoDB itself may call from another one.
    Condition: { StringLike: { "kms:ViaService": "dynamodb.*.amazonaws.com" } },
  };
  return { Version: "2012-10-17", Statement: kmsKey === undefined ? [table] : [table, key] };
}

/** A table's name, or, as DynamoDB takes it as well, its ARN. */
function tableArn(table: string, region: string, account: string): string {
  if (table.startsWith("arn:")) return table;
  return `arn:${partitionOf(region)}:dynamodb:${region}:${account}:table/${table}`;
}

function partitionOf(region: string): string {
  if (region.startsWith("cn-")) return "aws-cn";
  return region.startsWith("us-gov-") ? "aws-us-gov" : "aws";
}

function refuseWrongValues({ table, region, account, "kms-key": kmsKey }: Values): void {
  refuse(account, /^(\d{12}|\*)$/, "--account takes the account's id, twelve digits.");
  refuse(region, /^([a-z]+(-[a-z]+)+-\d+|\*)$/, "--region takes a region's name, as in us-east-1.");
  refuse(
    table,
    /^(arn:aws[\w-]*:dynamodb:.+|[\w.-]{3,255})$/,
    "--table takes a table's name: 3 to 255 of A-Z a-z 0-9 _ . -",
  );
  refuse(
    kmsKey,
    KMS_KEY_ARN,
    "--kms-key takes the key's ARN, arn:aws:kms:REGION:ACCOUNT:key/ID: a policy cannot name a key by its alias.",
  );
}

function refuse(value: string | true | undefined, pattern: RegExp, message: string): void {
  if (typeof value === "string" && !pattern.test(value)) throw new UsageError(message);
}
