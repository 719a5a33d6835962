/** `create-table`: makes the table of the settings, or finds that it is right. A file for each kind of database. */
import { withPostgresDefaults } from "../settings/postgres-defaults.js";
import { type Command, notForType, readSettings, settingsOption, UsageError, withTable } from "./command.js";
import { createDynamodbTable } from "./create-dynamodb-table.js";
import { createPostgresTable, printPostgresTable } from "./create-postgres-table.js";
import { TTL_ATTRIBUTE } from "./ttl.js";

export const createTable: Command = {
  name: "create-table",
  summary: "make the table of the settings, in PostgreSQL or DynamoDB",
  description: `Makes the table that the settings name, if it is not there; of one that is there it checks what sessions need of it.

PostgreSQL: the table and its index, with the settings' login, which then owns it. An index that is missing is made.

DynamoDB: the table, on demand, with TTL on ${TTL_ATTRIBUTE}. It takes dynamodb:CreateTable, DescribeTable, UpdateTimeToLive,
DescribeTimeToLive and Scan; with a KMS key kms:CreateGrant and kms:DescribeKey, and those that iam-policy prints.`,
  options: {
    ...settingsOption,
    print: { description: "PostgreSQL: print the SQL, and do nothing" },
    "kms-key": { value: "ARN", description: "DynamoDB: encrypt with this KMS key; default: AWS's own" },
  },
  examples: [
    ["create-table", "the table of settings.yml"],
    ["create-table --print", "its SQL, for a migration"],
  ],
  async run(values, io) {
    const { tokenizer: section } = readSettings(values, io);
    const kmsKey = typeof values["kms-key"] === "string" ? values["kms-key"] : undefined;
    switch (section.type) {
      case "postgres":
        if (kmsKey !== undefined) throw new UsageError("--kms-key is for type: dynamodb.");
        return values.print
          ? printPostgresTable(withPostgresDefaults(section), io)
          : createPostgresTable(withPostgresDefaults(section), io);
      case "dynamodb":
        if (values.print) throw new UsageError("--print is for type: postgres.");
        return createDynamodbTable(withTable(section), kmsKey, io);
      default:
        throw notForType(section.type, "postgres or dynamodb");
    }
  },
};
