/** `create-table` with `type: dynamodb`: makes the table of the settings, or finds that it is right. */
import { setTimeout as sleep } from "node:timers/promises";
import type { TableDescription } from "@aws-sdk/client-dynamodb";
import { WRITER } from "../backends/dynamodb/backend.js";
import { type Ask, DynamodbConnection, type Item } from "../backends/dynamodb/client.js";
import { isMissingTable, isUnknownAction } from "../backends/dynamodb/errors.js";
import type { DynamodbOptions } from "../backends/dynamodb/sdk.js";
import { TokenizerError } from "../errors.js";
import type { Io } from "./command.js";
import { readTtl, TTL_ATTRIBUTE } from "./ttl.js";

/** One request's time, and the table's until it is active. Milliseconds. */
const REQUEST_TIMEOUT = 20_000;
const ACTIVE_TIMEOUT = 300_000;
const POLL_INTERVAL = 500;
/** How often the wait is told of. */
const TOLD_EVERY = 10;
/** Items looked at for neighbours, and pages of them. */
const LOOK = { Limit: 1000, pages: 5 };

/** Answers the exit code. @param kmsKey the ARN of a key to encrypt with; default: one that AWS owns */
export async function createDynamodbTable(
  options: DynamodbOptions,
  kmsKey: string | undefined,
  io: Io,
): Promise<number> {
  const connection = new DynamodbConnection(options, REQUEST_TIMEOUT);
  try {
    return await new TableMaker(connection, options.table, io).make(kmsKey);
  } finally {
    connection.close();
  }
}

class TableMaker {
  readonly #connection: DynamodbConnection;
  readonly #table: string;
  readonly #io: Io;

  constructor(connection: DynamodbConnection, table: string, io: Io) {
    this.#connection = connection;
    this.#table = table;
    this.#io = io;
  }

  async make(kmsKey: string | undefined): Promise<number> {
    const found = await this.#describe();
    if (!found) await this.#create(kmsKey);
    else this.#io.print(`The table ${this.#table} is there already, in ${this.#connection.place.region}.`);
    const table = await this.#untilActive(found);
    this.#refuseWrongKey(table);
    const isFine = [await this.#switchTtlOn(), found === undefined || this.#hasKmsKey(table, kmsKey)].every(Boolean);
    if (found) await this.#warnOfNeighbours();
    if (isFine) this.#io.print("Ready.");
    return isFine ? 0 : 1;
  }

  async #describe(): Promise<TableDescription | undefined> {
    try {
      const { Table } = await this.#ask("DescribeTable", (client, options) =>
        client.describeTable({ TableName: this.#table }, options),
      );
      return Table;
    } catch (error) {
      if (isMissingTable(error)) return undefined;
      throw error;
    }
  }

  async #create(kmsKey: string | undefined): Promise<void> {
    await this.#ask("CreateTable", (client, options) => {
      const encryption = { SSESpecification: { Enabled: true, SSEType: "KMS" as const, KMSMasterKeyId: kmsKey } };
      const input = {
        TableName: this.#table,
        AttributeDefinitions: [{ AttributeName: "username", AttributeType: "S" as const }],
        KeySchema: [{ AttributeName: "username", KeyType: "HASH" as const }],
        BillingMode: "PAY_PER_REQUEST" as const,
        ...(kmsKey === undefined ? {} : encryption),
      };
      return client.createTable(input, options).catch((error: Error) => {
        // A try before this one, or somebody else, has begun: then it is to be waited for.
        if (error.name !== "ResourceInUseException") throw error;
      });
    });
    this.#io.print(`Making the table ${this.#table} in ${this.#connection.place.region}.`);
  }

  async #untilActive(found: TableDescription | undefined): Promise<TableDescription> {
    let table = found;
    for (let polls = 0; polls < ACTIVE_TIMEOUT / POLL_INTERVAL; polls++) {
      // A table just asked for may not be known everywhere yet.
      const status = table?.TableStatus ?? "CREATING";
      if (table && (status === "ACTIVE" || (found && status === "UPDATING"))) return table;
      if (status !== "CREATING" && status !== "UPDATING") {
        throw unusable(`The table ${this.#table} cannot be used: its status is ${status}.`);
      }
      if (polls % TOLD_EVERY === 0) this.#io.tell(`Waiting until it is active (now: ${status}) …`);
      await sleep(POLL_INTERVAL);
      table = await this.#describe();
    }
    throw new TokenizerError(
      "STORE_TIMEOUT",
      `The table ${this.#table} is still not active after ${ACTIVE_TIMEOUT / 60_000} minutes. Run the command again to go on waiting.`,
    );
  }

  #refuseWrongKey({ KeySchema = [], AttributeDefinitions = [] }: TableDescription): void {
    const keys = KeySchema.map(({ AttributeName: name, KeyType: kind }) => {
      const type = AttributeDefinitions.find(({ AttributeName }) => AttributeName === name)?.AttributeType;
      return `${kind === "HASH" ? "partition" : "sort"} key ${name} (${TYPES[type ?? ""] ?? type})`;
    });
    if (keys.join() === RIGHT_KEY) return;
    throw unusable(
      `The table ${this.#table} has the ${keys.join(" and the ")}; sessions need the ${RIGHT_KEY} and no other. A table's key cannot be changed: name another table in tokenizer.table.`,
    );
  }

  /** Answers whether what expires will be dropped. */
  async #switchTtlOn(): Promise<boolean> {
    const { status, attribute } = await readTtl(this.#connection, this.#table);
    if (status === "DISABLED") {
      if (await this.#updateTtl()) this.#io.print(`TTL is switched on, by the attribute ${TTL_ATTRIBUTE}.`);
      else this.#io.tell("This server is an emulator without TTL: what has expired stays in the table.");
      return true;
    }
    if (status === "DISABLING") {
      this.#io.tell("TTL is being switched off, which takes up to an hour. Run the command again after that.");
      return false;
    }
    if (attribute === TTL_ATTRIBUTE) return true;
    this.#io.tell(
      `TTL goes by the attribute ${attribute}, and a table can have only one: expired sessions would stay in it. Switch it to ${TTL_ATTRIBUTE}, or name another table in tokenizer.table.`,
    );
    return false;
  }

  /** Answers whether the server knows TTL at all: AWS does. */
  async #updateTtl(): Promise<boolean> {
    const TimeToLiveSpecification = { Enabled: true, AttributeName: TTL_ATTRIBUTE };
    try {
      await this.#ask("UpdateTimeToLive", (client, options) =>
        client.updateTimeToLive({ TableName: this.#table, TimeToLiveSpecification }, options),
      );
    } catch (error) {
      if (isUnknownAction(error)) return false;
      // A try before this one, or somebody else, may have switched it on: that is refused, too.
      if ((await readTtl(this.#connection, this.#table)).attribute !== TTL_ATTRIBUTE) throw error;
    }
    return true;
  }

  /** An existing table keeps the key it has. */
  #hasKmsKey({ SSEDescription }: TableDescription, kmsKey: string | undefined): boolean {
    const arn = SSEDescription?.KMSMasterKeyArn;
    if (kmsKey === undefined || arn === kmsKey || arn?.endsWith(`/${kmsKey}`)) return true;
    this.#io.tell(
      `The table is encrypted with ${arn ?? "a key that AWS owns"}, and was left so. To change it: aws dynamodb update-table --table-name ${this.#table} --sse-specification Enabled=true,SSEType=KMS,KMSMasterKeyId=${kmsKey}`,
    );
    return false;
  }

  async #warnOfNeighbours(): Promise<void> {
    let count = 0;
    let ExclusiveStartKey: Item | undefined;
    for (let page = 0; page < LOOK.pages && (page === 0 || ExclusiveStartKey); page++) {
      const scan = {
        TableName: this.#table,
        FilterExpression: "attribute_not_exists(written_by) OR written_by <> :us",
        ExpressionAttributeValues: { ":us": { S: WRITER } },
        Select: "COUNT" as const,
        Limit: LOOK.Limit,
        ExclusiveStartKey,
      };
      const answer = await this.#ask("Scan", (client, options) => client.scan(scan, options));
      count += answer.Count ?? 0;
      ExclusiveStartKey = answer.LastEvaluatedKey;
    }
    if (count === 0) return;
    const number = `${ExclusiveStartKey ? "at least " : ""}${count} ${count === 1 ? "item" : "items"}`;
    this.#io.tell(
      `Warning: the table holds ${number} of others beside sessions. They are never read, changed or removed, but every look through the sessions pays for them. Better: a table of their own for the sessions.`,
    );
  }

  #ask: Ask = (action, request) => this.#connection.run((ask) => ask(action, request));
}

const TYPES: Readonly<Record<string, string>> = { S: "String", N: "Number", B: "Binary" };
const RIGHT_KEY = "partition key username (String)";

function unusable(message: string): TokenizerError {
  return new TokenizerError("STORE_UNUSABLE", message);
}
