/** A client that the application made: its region, its credentials, its middleware, under our deadlines. */
import { DynamoDB, DynamoDBClient } from "@aws-sdk/client-dynamodb";
import { beforeAll, beforeEach, describe, expect, test } from "@jest/globals";
import type { DynamodbClient } from "../../../lib/backends/dynamodb/given-client.js";
import { tokenizer } from "../../../lib/tokenizer.js";
import { SAFE_PASSWORD } from "../../support/app.js";
import { contractInShort } from "../../support/contract.js";
import {
  atTheEnd,
  type DynamodbProxy,
  failureOf,
  freshTable,
  makeBackend,
  record,
  refusal,
  startDynamodb,
  WAY,
} from "../../support/dynamodb-server.js";
import { until } from "../../support/redis-server.js";
import { startTokenizer } from "../../support/tokenizers.js";

let dynamodb: DynamodbProxy;
let table: string;

beforeAll(async () => {
  dynamodb = await startDynamodb();
});

beforeEach(async () => {
  table = await freshTable(dynamodb);
});

type Config = ConstructorParameters<typeof DynamoDBClient>[0];

/** As an application makes it. */
function theirs(config: Config = {}, Client: typeof DynamoDBClient = DynamoDBClient): DynamoDBClient {
  const credentials = { accessKeyId: WAY.aws_access_key, secretAccessKey: WAY.aws_secret_key };
  const client = new Client({ region: WAY.aws_region_name, endpoint: dynamodb.endpoint, credentials, ...config });
  atTheEnd(() => client.destroy());
  return client;
}

const over = (client: DynamodbClient, timeout?: number) =>
  makeBackend({ table, client }, ...(timeout === undefined ? [] : [{ timeout }]));

describe("keeps the contract", () => {
  let client: DynamoDBClient;

  beforeAll(() => {
    client = theirs();
  });

  test.each(contractInShort)("$name", ({ run }) =>
    run(({ now }) => {
      const clock = {
        get ahead() {
          return now() - Date.now();
        },
      };
      const make = () => makeBackend({ table, client }, { clock }).backend;
      return { backend: make(), other: make(), expiryGranularity: 1 };
    }),
  );
});

describe("a client", () => {
  test("is asked with its own middleware, which traces, and is left as it was", async () => {
    const client = theirs();
    const traced: string[] = [];
    client.middlewareStack.add(
      (next, { commandName }) =>
        (args) => {
          traced.push(String(commandName));
          return next(args);
        },
      { step: "initialize", name: "theirs" },
    );
    const before = client.middlewareStack.identify();
    const { backend } = over(client);
    await backend.open();
    await backend.write("session:a", record(), "absent");
    await backend.close();
    expect(traced).toEqual(["GetItemCommand", "PutItemCommand"]);
    expect(client.middlewareStack.identify()).toEqual(before);
    expect(await failureOf(Promise.resolve(backend.read("session:a")))).toMatchObject({ code: "STORE_CLOSED" });
  });

  test("as docs/operation.md has it", async () => {
    const { endpoint } = dynamodb;
    const region = WAY.aws_region_name;
    const credentials = { accessKeyId: WAY.aws_access_key, secretAccessKey: WAY.aws_secret_key };
    const settings = {
      tokenizer: { type: "dynamodb", table, safe_password: SAFE_PASSWORD, store_timeout: 60 },
    } as const;
    const client = new DynamoDBClient({ region, endpoint, credentials });
    const sessions = tokenizer(settings, { dynamodb: { client } });
    await sessions.ready;
    expect(await sessions.health()).toMatchObject({ ok: true });
    await sessions.close();
    client.destroy();
  });

  test("stays open for its owner", async () => {
    const client = theirs();
    let ends = 0;
    client.destroy = () => {
      ends++;
    };
    const { backend } = over(client);
    await backend.open();
    await backend.close();
    expect(ends).toBe(0);
  });

  test("may be one with a method for each action", async () => {
    const { backend } = over(theirs({}, DynamoDB));
    const written = record();
    await backend.write("session:a", written, "absent");
    expect(await backend.read("session:a")).toEqual(written);
  });

  test("names the region and the address that it has, not those of the settings", async () => {
    const client = theirs({ region: "ap-south-1" });
    dynamodb.fate = () => refusal("ResourceNotFoundException");
    const { backend } = makeBackend({ table, client, aws_region_name: "us-east-1", endpoint: "http://127.0.0.1:1" });
    const host = new URL(dynamodb.endpoint).host;
    expect(await failureOf(backend.open())).toMatchObject({
      code: "STORE_UNUSABLE",
      message: expect.stringContaining(`DynamoDB at ${host} has no table ${table}`),
    });
    expect(dynamodb.calls[0]?.headers.authorization).toContain("/ap-south-1/");
  });

  test("an application goes by it, whatever the settings say of the connection", async () => {
    const client = theirs();
    const section = { type: "dynamodb", table, aws_region_name: "us-east-1", profile_name: "nobody" } as const;
    const sessions = startTokenizer(section, { dynamodb: { client } });
    await sessions.ready;
    expect(await sessions.health()).toMatchObject({ ok: true });
  });
});

describe("deadlines and retries are ours", () => {
  test("a service that does not answer: each call ends in time, and what it had under way is ended", async () => {
    const client = theirs({ maxAttempts: 10 });
    const { backend } = over(client, 300);
    const patient = over(client).backend;
    await patient.open();
    dynamodb.fate = () => "hang";
    for (const call of [backend.read("session:a"), backend.write("session:a", record(), "absent")]) {
      expect(await failureOf(Promise.resolve(call))).toMatchObject({ code: "STORE_TIMEOUT", status: 503 });
    }
    await until("nothing is under way", async () => dynamodb.underWay === 0);
    dynamodb.fate = () => "pass";
    expect(await patient.read("session:a")).toBeUndefined();
  });

  test("a creation whose answer was lost is not sent again, whatever the client would do", async () => {
    const { backend } = over(theirs({ maxAttempts: 5 }));
    await backend.open();
    dynamodb.forget();
    dynamodb.fate = ({ action }) => (action === "PutItem" ? "cut" : "pass");
    expect(await failureOf(Promise.resolve(backend.write("session:a", record(), "absent")))).toMatchObject({
      code: "STORE_UNAVAILABLE",
    });
    expect(dynamodb.actions).toEqual(["PutItem"]);
  });

  test("a write of a version meets its own first try, and says that it was made", async () => {
    const { backend } = over(theirs());
    const first = record();
    await backend.write("session:a", first, "absent");
    let cuts = 0;
    dynamodb.fate = ({ action }) => (action === "PutItem" && cuts++ === 0 ? "cut" : "pass");
    const next = record("next");
    expect(await backend.write("session:a", next, { version: first.version })).toBe(true);
    expect(await backend.read("session:a")).toEqual(next);
  });

  test("throttling is waited out, by us alone", async () => {
    const { backend } = over(theirs({ maxAttempts: 1 }));
    await backend.open();
    let refused = 0;
    dynamodb.fate = () => (refused++ < 2 ? refusal("ThrottlingException") : "pass");
    expect(await backend.read("session:a")).toBeUndefined();
    expect(refused).toBe(3);
  });
});

describe("what is refused", () => {
  const asClient = (given: unknown) => given as DynamodbClient;
  const WANTED = "a DynamoDBClient of @aws-sdk/client-dynamodb";

  test.each([
    [
      "a client of the old SDK",
      asClient({ makeRequest() {}, config: {} }),
      `is a client of version 2 of the AWS SDK; give ${WANTED}`,
    ],
    [
      "the old document client",
      asClient({ service: { makeRequest() {} } }),
      `is a client of version 2 of the AWS SDK; give ${WANTED}`,
    ],
    ["options of one", asClient({ region: "us-east-1" }), `must be ${WANTED}`],
    ["a promise of one", asClient(Promise.resolve()), `is a promise; await it, and give ${WANTED}`],
    ["nothing", asClient(null), `must be ${WANTED}`],
    ["its class", asClient(DynamoDBClient), `must be ${WANTED}`],
  ])("%s", (_, client, reason) => {
    expect(() => startTokenizer({ type: "dynamodb", table: "sessions" }, { dynamodb: { client } })).toThrow(
      expect.objectContaining({
        code: "SETTINGS_INVALID",
        message: `dynamodb.client, given to tokenizer(), ${reason}.`,
        faults: [{ path: "dynamodb.client", message: reason }],
      }),
    );
  });

  test("another type", () => {
    expect(() => startTokenizer({ type: "redis" }, { dynamodb: { client: theirs() } })).toThrow(
      "dynamodb.client, given to tokenizer(), is for type: dynamodb, and tokenizer.type is redis; set the type, or leave out the client.",
    );
  });
});
