import type { DynamoDB } from "@aws-sdk/client-dynamodb";
import { beforeAll, beforeEach, describe, expect, test } from "@jest/globals";
import {
  clientOf,
  type DynamodbProxy,
  type Fate,
  makeBackend,
  makeTable,
  record,
  refusal,
  startDynamodb,
  switchTtlOn,
  WAY,
} from "../support/dynamodb-server.js";
import { commandLine, settingsFile } from "./command-line.js";

const KEY = "arn:aws:kms:us-east-1:123456789012:key/1234abcd-12ab-34cd-56ef-1234567890ab";

let dynamodb: DynamodbProxy;
let client: DynamoDB;

beforeAll(async () => {
  dynamodb = await startDynamodb();
  client = clientOf(dynamodb);
});

beforeEach(() => {
  dynamodb.forget();
});

let names = 0;
const newName = () => `made-by-command-${process.pid}-${Date.now()}-${++names}`;

function createTable(table: string, argv: string[] = [], settings: object = {}) {
  const file = settingsFile({ type: "dynamodb", ...WAY, endpoint: dynamodb.endpoint, table, ...settings });
  return commandLine(["create-table", "--settings", file, ...argv]);
}

async function ttlOf(table: string) {
  const { TimeToLiveDescription } = await client.describeTimeToLive({ TableName: table });
  return { status: TimeToLiveDescription?.TimeToLiveStatus, attribute: TimeToLiveDescription?.AttributeName };
}

describe("a table that is not there", () => {
  test("is made, on demand and with TTL, and a backend works on it", async () => {
    const table = newName();
    const { fate } = dynamodb;
    // Known first, and active a while later.
    const answers: Fate[] = ["pass", { status: 200, body: { Table: { TableStatus: "CREATING" } } }];
    dynamodb.fate = (call) => (call.action === "DescribeTable" && answers.shift()) || fate(call);
    const { code, stdout, stderr } = await createTable(table);
    expect({ code, stdout }).toEqual({
      code: 0,
      stdout: [
        `Making the table ${table} in eu-central-1.`,
        "TTL is switched on, by the attribute expires.",
        "Ready.",
      ].join("\n"),
    });
    expect(stderr).toBe("Waiting until it is active (now: CREATING) …");
    const { Table } = await client.describeTable({ TableName: table });
    expect(Table).toMatchObject({
      TableStatus: "ACTIVE",
      KeySchema: [{ AttributeName: "username", KeyType: "HASH" }],
      AttributeDefinitions: [{ AttributeName: "username", AttributeType: "S" }],
      BillingModeSummary: { BillingMode: "PAY_PER_REQUEST" },
    });
    expect(await ttlOf(table)).toEqual({ status: "ENABLED", attribute: "expires" });
    expect(dynamodb.calls.find(({ action }) => action === "CreateTable")?.body.SSESpecification).toBeUndefined();
    const { backend } = makeBackend({ ...WAY, endpoint: dynamodb.endpoint, table });
    await backend.open();
    expect(await backend.write("session:a", record(), "absent")).toBe(true);
  });

  test("is encrypted with a KMS key when that is asked for", async () => {
    dynamodb.fate = (call) =>
      call.action === "CreateTable" ? refusal("LimitExceededException", "enough seen") : "pass";
    const { code, stderr } = await createTable(newName(), ["--kms-key", KEY]);
    expect({ code, stderr }).toEqual({ code: 1, stderr: "DynamoDB failed at CreateTable: LimitExceededException." });
    expect(dynamodb.calls.find(({ action }) => action === "CreateTable")?.body.SSESpecification).toEqual({
      Enabled: true,
      SSEType: "KMS",
      KMSMasterKeyId: KEY,
    });
  });

  test("of an emulator that knows no TTL is ready all the same", async () => {
    dynamodb.fate = (call) => (call.action === "UpdateTimeToLive" ? refusal("UnknownOperationException") : "pass");
    const { code, stdout, stderr } = await createTable(newName());
    expect([code, stdout.split("\n").at(-1)]).toEqual([0, "Ready."]);
    expect(stderr).toContain("This server is an emulator without TTL: what has expired stays in the table.");
  });

  test("may be made by two at once", async () => {
    const table = newName();
    const both = await Promise.all([createTable(table), createTable(table)]);
    expect(both.map(({ code, stdout }) => [code, stdout.split("\n").at(-1)])).toEqual(Array(2).fill([0, "Ready."]));
    expect(await ttlOf(table)).toEqual({ status: "ENABLED", attribute: "expires" });
  });
});

describe("a table that is there", () => {
  test("and right: a second run changes nothing", async () => {
    const table = newName();
    await createTable(table);
    dynamodb.calls.length = 0;
    expect(await createTable(table)).toEqual({
      code: 0,
      stdout: `The table ${table} is there already, in eu-central-1.\nReady.`,
      stderr: "",
    });
    expect(dynamodb.actions).toEqual(["DescribeTable", "DescribeTimeToLive", "Scan"]);
  });

  test("without TTL: it is switched on", async () => {
    const table = await makeTable(client);
    expect(await createTable(table)).toEqual({
      code: 0,
      stdout: `The table ${table} is there already, in eu-central-1.\nTTL is switched on, by the attribute expires.\nReady.`,
      stderr: "",
    });
    expect(await ttlOf(table)).toEqual({ status: "ENABLED", attribute: "expires" });
  });

  test("with TTL by another attribute: told, and not ready", async () => {
    const table = await makeTable(client);
    await switchTtlOn(client, table, "their_end");
    expect(await createTable(table)).toEqual({
      code: 1,
      stdout: `The table ${table} is there already, in eu-central-1.`,
      stderr:
        "TTL goes by the attribute their_end, and a table can have only one: expired sessions would stay in it. Switch it to expires, or name another table in tokenizer.table.",
    });
    expect((await ttlOf(table)).attribute).toBe("their_end");
  });

  test.each([
    [
      "another name",
      {
        AttributeDefinitions: [{ AttributeName: "id", AttributeType: "S" }],
        KeySchema: [{ AttributeName: "id", KeyType: "HASH" }],
      },
      "partition key id (String)",
    ],
    [
      "another type",
      {
        AttributeDefinitions: [{ AttributeName: "username", AttributeType: "N" }],
        KeySchema: [{ AttributeName: "username", KeyType: "HASH" }],
      },
      "partition key username (Number)",
    ],
    [
      "a sort key beside it",
      {
        AttributeDefinitions: [
          { AttributeName: "username", AttributeType: "S" },
          { AttributeName: "at", AttributeType: "B" },
        ],
        KeySchema: [
          { AttributeName: "username", KeyType: "HASH" },
          { AttributeName: "at", KeyType: "RANGE" },
        ],
      },
      "partition key username (String) and the sort key at (Binary)",
    ],
  ] as const)("with a wrong key: %s", async (_name, keys, found) => {
    const { AttributeDefinitions, KeySchema } = keys;
    const table = await makeTable(client, {
      AttributeDefinitions: [...AttributeDefinitions],
      KeySchema: [...KeySchema],
    });
    expect(await createTable(table)).toEqual({
      code: 1,
      stdout: `The table ${table} is there already, in eu-central-1.`,
      stderr: `The table ${table} has the ${found}; sessions need the partition key username (String) and no other. A table's key cannot be changed: name another table in tokenizer.table.`,
    });
    expect(dynamodb.actions).not.toContain("UpdateTimeToLive");
  });

  test("with another KMS key than was asked for: left so, and told", async () => {
    const table = await makeTable(client);
    const { code, stdout, stderr } = await createTable(table, ["--kms-key", KEY]);
    expect({ code, stdout }).toEqual({ code: 1, stdout: expect.not.stringContaining("Ready") });
    expect(stderr).toBe(
      `The table is encrypted with a key that AWS owns, and was left so. To change it: aws dynamodb update-table --table-name ${table} --sse-specification Enabled=true,SSEType=KMS,KMSMasterKeyId=${KEY}`,
    );
  });

  test("with items of others: warned of, and they stay", async () => {
    const table = await makeTable(client);
    const { backend } = makeBackend({ ...WAY, endpoint: dynamodb.endpoint, table });
    await backend.write("session:a", record(), "absent");
    const profile = { username: { S: "ada" }, profile: { S: "dark" } };
    await client.putItem({ TableName: table, Item: profile });
    await client.putItem({ TableName: table, Item: { username: { S: "x" }, written_by: { S: "another program" } } });
    const { code, stderr } = await createTable(table);
    expect({ code, stderr }).toEqual({
      code: 0,
      stderr:
        "Warning: the table holds 2 items of others beside sessions. They are never read, changed or removed, but every look through the sessions pays for them. Better: a table of their own for the sessions.",
    });
    expect((await client.getItem({ TableName: table, Key: { username: { S: "ada" } } })).Item).toEqual(profile);
  });

  test("and large: the look for others ends after five pages", async () => {
    const table = await makeTable(client);
    const more = { Count: 1, LastEvaluatedKey: { username: { S: "ada" } } };
    dynamodb.fate = (call) => (call.action === "Scan" ? { status: 200, body: more } : "pass");
    const { stderr } = await createTable(table);
    expect(stderr).toMatch(/^Warning: the table holds at least 5 items of others beside sessions\./);
    expect(dynamodb.actions.filter((action) => action === "Scan")).toHaveLength(5);
  });

  test("and being deleted: told", async () => {
    const table = await makeTable(client);
    const { Table } = await client.describeTable({ TableName: table });
    const deleting = { status: 200, body: { Table: { TableStatus: "DELETING", KeySchema: Table?.KeySchema } } };
    dynamodb.fate = (call) => (call.action === "DescribeTable" ? deleting : "pass");
    const { code, stderr } = await createTable(table);
    expect({ code, stderr }).toEqual({
      code: 1,
      stderr: `The table ${table} cannot be used: its status is DELETING.`,
    });
  });
});

describe("what goes wrong", () => {
  test("TTL is refused, and still off", async () => {
    const table = await makeTable(client);
    dynamodb.fate = (call) => (call.action === "UpdateTimeToLive" ? refusal("ValidationException", "not now") : "pass");
    const { code, stderr } = await createTable(table);
    expect({ code, stderr }).toEqual({ code: 1, stderr: "DynamoDB refused UpdateTimeToLive: not now." });
  });

  test("a missing permission is named, with where to read what is needed", async () => {
    dynamodb.fate = ({ action }) =>
      action === "CreateTable"
        ? refusal("AccessDeniedException", "User: arn:aws:iam::1:user/ada is not authorized")
        : "pass";
    const table = newName();
    const { code, stderr } = await createTable(table);
    expect({ code, stderr }).toEqual({
      code: 1,
      stderr: `The permission dynamodb:CreateTable on the table ${table} is missing. What is needed: npx express-tokenizer create-table --help`,
    });
  });

  test("nothing listens there", async () => {
    const { code, stderr } = await createTable(newName(), [], { endpoint: "http://127.0.0.1:1" });
    expect({ code, stderr }).toEqual({
      code: 1,
      stderr: "DynamoDB at 127.0.0.1:1 cannot be reached: nothing listens there.",
    });
  });

  test("no secret is told", async () => {
    dynamodb.fate = () => refusal("InvalidSignatureException", `not as in ${WAY.aws_secret_key}`);
    const { code, stderr } = await createTable(newName());
    expect({ code, stderr }).toEqual({
      code: 1,
      stderr:
        "AWS did not accept the credentials (InvalidSignatureException). Check tokenizer.aws_access_key, aws_secret_key and aws_session_token.",
    });
  });
});
