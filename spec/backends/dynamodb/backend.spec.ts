import type { DynamoDB } from "@aws-sdk/client-dynamodb";
import { beforeAll, beforeEach, describe, expect, test } from "@jest/globals";
import { DynamodbBackend } from "../../../lib/backends/dynamodb/backend.js";
import { backendContract } from "../../../lib/testing/backend-contract.js";
import {
  clientOf,
  type DynamodbProxy,
  type Fate,
  failureOf,
  isAmazons,
  makeBackend,
  makeTable,
  record,
  refusal,
  startDynamodb,
  WAY,
} from "../../support/dynamodb-server.js";

const IN_SERVICE = ["DeleteItem", "GetItem", "PutItem", "Scan", "UpdateItem"];

let dynamodb: DynamodbProxy;
let client: DynamoDB;
let table: string;
let way: { table: string; endpoint: string } & typeof WAY;

beforeAll(async () => {
  dynamodb = await startDynamodb();
  client = clientOf(dynamodb);
});

beforeEach(async () => {
  dynamodb.forget();
  table = await makeTable(client);
  way = { ...WAY, endpoint: dynamodb.endpoint, table };
  dynamodb.forget();
});

describe("the contract", () => {
  test.each(backendContract.map(({ name, run }) => [name, run] as const))("%s", async (_name, run) => {
    await run(async ({ now }) => {
      const context = { now, timeout: 5000, warn: () => {} };
      const options = { ...way };
      return {
        backend: new DynamodbBackend(options, context),
        other: new DynamodbBackend(options, context),
        expiryGranularity: 1,
      };
    });
    // Whatever the case did, it did with these five.
    expect([...new Set([...dynamodb.actions, ...IN_SERVICE])].sort()).toEqual(IN_SERVICE);
    expect(dynamodb.calls.length).toBeGreaterThan(0);
  });
});

describe("an item", () => {
  test("has what DynamoDB's TTL needs, in seconds and not too early, and the exact time beside it", async () => {
    const { backend } = makeBackend(way);
    const soon = Math.floor(Date.now() / 1000) * 1000 + 90_000;
    await backend.write("session:a", { value: "text", version: "v1", expires: soon + 1 }, "absent");
    const itemOf = async () => (await client.getItem({ TableName: table, Key: { username: { S: "session:a" } } })).Item;
    expect(await itemOf()).toEqual({
      username: { S: "session:a" },
      value: { S: "text" },
      version: { S: "v1" },
      written_by: { S: "express-tokenizer" },
      expires_ms: { N: String(soon + 1) },
      expires: { N: String(soon / 1000 + 1) },
    });
    await backend.touch("session:a", soon + 5000, "v1");
    expect(await itemOf()).toMatchObject({
      expires_ms: { N: String(soon + 5000) },
      expires: { N: String(soon / 1000 + 5) },
      version: { S: "v1" },
    });
  });

  test("every read is consistent", async () => {
    const { backend } = makeBackend(way);
    await backend.read("session:a");
    for await (const _ of backend.entries());
    await backend.prune();
    expect(dynamodb.calls.map(({ action, body }) => [action, body.ConsistentRead])).toEqual([
      ["GetItem", true],
      ["Scan", true],
      ["Scan", true],
    ]);
  });

  test("that does not decode is absent, and told of once", async () => {
    const { backend, warnings } = makeBackend(way);
    for (const key of ["session:a", "session:b"]) {
      const damaged = { username: { S: key }, written_by: { S: "express-tokenizer" }, value: { N: "1" } };
      await client.putItem({ TableName: table, Item: damaged });
    }
    expect([await backend.read("session:a"), await backend.read("session:b")]).toEqual([undefined, undefined]);
    expect(warnings).toEqual([`An item of the table ${table} is a damaged record: passed over.`]);
    expect(await backend.write("session:a", record(), "any")).toBe(true);
  });
});

describe("the size of an item", () => {
  test("the largest value is kept, under the longest key that we make", async () => {
    const { backend } = makeBackend(way);
    const largest = record("x".repeat(backend.maxValueBytes));
    const key = `session:${"k".repeat(120)}`;
    const [first, second] = [
      { ...largest, version: "v".repeat(80), expires: 8.64e15 },
      { ...largest, version: "w".repeat(80), expires: 8.64e15 - 1 },
    ];
    expect(await backend.write(key, first, "absent")).toBe(true);
    expect(await backend.write(key, second, { version: first.version })).toBe(true);
    expect(await backend.touch(key, 8.64e15, second.version)).toBe(true);
    expect((await backend.read(key))?.value.length).toBe(408_576);
  });

  test.each([
    ["one byte more", "x".repeat(408_577), 408_577],
    ["fewer characters, of more bytes", "漢".repeat(140_000), 420_000],
  ])("%s is refused before anything is sent, and the old record stays", async (_name, value, bytes) => {
    const { backend } = makeBackend(way);
    const old = record("old");
    await backend.write("session:a", old, "absent");
    dynamodb.forget();
    const { code, message, status } = await failureOf(
      backend.write("session:a", record(value), { version: old.version }),
    );
    expect({ code, message, status }).toEqual({
      code: "SESSION_TOO_LARGE",
      message: `The session has ${bytes} bytes; an item of DynamoDB can hold 408576. Keep less in the session.`,
      status: 500,
    });
    expect(dynamodb.calls).toEqual([]);
    expect(await backend.read("session:a")).toEqual(old);
  });
});

describe("neighbours", () => {
  /** As Query Commander keeps its users' profiles, and one that looks like ours in all but the mark. */
  const NEIGHBOURS = [
    { username: { S: "ada" }, profile: { M: { theme: { S: "dark" } } } },
    {
      username: { S: "session:theirs" },
      value: { S: "their value" },
      version: { S: "their version" },
      expires_ms: { N: "1" },
      expires: { N: "1" },
    },
    {
      username: { S: "session:another-program" },
      value: { S: "their value" },
      version: { S: "their version" },
      expires_ms: { N: "8640000000000000" },
      expires: { N: "8640000000000" },
      written_by: { S: "another program" },
    },
  ];

  async function theirs(): Promise<unknown[]> {
    const { Items = [] } = await client.scan({ TableName: table });
    const keys = new Set(NEIGHBOURS.map(({ username }) => username.S));
    return Items.filter(({ username }) => keys.has(username?.S ?? ""));
  }

  beforeEach(async () => {
    for (const Item of NEIGHBOURS) await client.putItem({ TableName: table, Item });
    dynamodb.forget();
  });

  test("are not read, touched, removed, listed or pruned", async () => {
    const { backend, clock, warnings } = makeBackend(way);
    const mine = record();
    await backend.write("session:mine", mine, "absent");
    for (const { username } of NEIGHBOURS) {
      expect(await backend.read(username.S)).toBeUndefined();
      expect(await backend.touch(username.S, 8.64e15, mine.version)).toBe(false);
      expect(await backend.remove(username.S)).toBe(false);
    }
    const entries = [];
    for await (const entry of backend.entries()) entries.push(entry);
    expect(entries).toEqual([{ key: "session:mine", ...mine }]);
    clock.ahead = 100_000;
    expect(await backend.prune()).toBe(1);
    expect(await theirs()).toEqual(expect.arrayContaining(NEIGHBOURS));
    expect(warnings).toEqual([]);
  });

  test.each([
    ["any", "any"],
    ["absent", "absent"],
    ["their version", { version: "their version" }],
  ] as const)("a write onto one is refused: expecting %s", async (_name, expected) => {
    const { backend } = makeBackend(way);
    for (const { username } of NEIGHBOURS) {
      const { code, message } = await failureOf(backend.write(username.S, record(), expected));
      expect({ code, message }).toEqual({
        code: "STORE_UNUSABLE",
        message: `An item of the table ${table} stands where a session was to be written, and is somebody else's. It is left alone; give the sessions a table of their own in tokenizer.table.`,
      });
    }
    expect(await theirs()).toEqual(expect.arrayContaining(NEIGHBOURS));
  });
});

/** The engine does it, and the first answer does not arrive. */
function loseFirst(action: string, fate: "cut" | "lose"): void {
  let lost = 0;
  dynamodb.fate = (call) => (call.action === action && lost++ === 0 ? fate : "pass");
}

describe("a write whose answer was lost", () => {
  test.each(["cut", "lose"] as const)("58: is told from somebody else's: the answer is %s", async (fate) => {
    const { backend } = makeBackend(way, { timeout: 4000 });
    const [first, second] = [record("first"), record("second")];
    await backend.write("session:a", first, "absent");
    loseFirst("PutItem", fate);
    expect(await backend.write("session:a", second, { version: first.version })).toBe(true);
    expect(await backend.read("session:a")).toEqual(second);
    expect(dynamodb.actions.filter((action) => action === "PutItem")).toHaveLength(3);
  });

  test("somebody else's is a conflict, and asked for once", async () => {
    const { backend } = makeBackend(way);
    const [first, theirs] = [record("first"), record("theirs")];
    await backend.write("session:a", first, "absent");
    await backend.write("session:a", theirs, { version: first.version });
    dynamodb.forget();
    expect(await backend.write("session:a", record("mine"), { version: first.version })).toBe(false);
    // Amazon's answers with the item that stood in the way.
    expect(dynamodb.actions).toEqual(isAmazons ? ["PutItem"] : ["PutItem", "GetItem"]);
    expect(await backend.read("session:a")).toEqual(theirs);
  });

  test("the item in the answer is enough, and no answer was lost without a retry", async () => {
    const { backend } = makeBackend(way);
    const mine = record("mine");
    const item = { username: { S: "session:a" }, written_by: { S: "express-tokenizer" }, version: { S: mine.version } };
    const { body } = refusal("ConditionalCheckFailedException", "The conditional request failed");
    const refused = { status: 400, body: { ...(body as object), Item: item } };
    const fates: Fate[] = ["drop", refused, "drop", refused, refused];
    dynamodb.fate = () => fates.shift() ?? "pass";
    const expected = { version: "the one before" };
    expect(await backend.write("session:a", mine, expected)).toBe(true);
    expect(await backend.write("session:a", record(), expected)).toBe(false);
    expect(await backend.write("session:a", mine, expected)).toBe(false);
    const put = ["PutItem", "ALL_OLD"];
    expect(dynamodb.calls.map(({ action, body }) => [action, body.ReturnValuesOnConditionCheckFailure])).toEqual(
      Array(5).fill(put),
    );
  });
});

describe("a touch", () => {
  test.each(["cut", "lose"] as const)("is true when it meets its own first try: the answer is %s", async (fate) => {
    const { backend } = makeBackend(way, { timeout: 800 });
    const mine = record();
    await backend.write("session:a", mine, "absent");
    dynamodb.forget();
    loseFirst("UpdateItem", fate);
    expect(await backend.touch("session:a", mine.expires + 1000, mine.version)).toBe(true);
    expect(await backend.read("session:a")).toEqual({ ...mine, expires: mine.expires + 1000 });
    expect(dynamodb.actions.filter((action) => action === "UpdateItem")).toHaveLength(2);
  });

  test("is one call, and where nothing moves the item in the answer is enough", async () => {
    const { backend } = makeBackend(way);
    const mine = record();
    await backend.write("session:a", mine, "absent");
    dynamodb.forget();
    expect(await backend.touch("session:a", mine.expires + 1000, mine.version)).toBe(true);
    expect(dynamodb.actions).toEqual(["UpdateItem"]);
    dynamodb.forget();
    expect(await backend.touch("session:a", mine.expires, mine.version)).toBe(true);
    expect(await backend.touch("session:a", mine.expires + 5000, "another")).toBe(false);
    const each = isAmazons ? ["UpdateItem"] : ["UpdateItem", "GetItem"];
    expect(dynamodb.actions).toEqual([...each, ...each]);
    expect(await backend.read("session:a")).toEqual({ ...mine, expires: mine.expires + 1000 });
  });

  test("of a record that does not decode is false, as if it were absent", async () => {
    const { backend } = makeBackend(way);
    const damaged = { written_by: { S: "express-tokenizer" }, version: { S: "v" }, value: { S: "text" } };
    await client.putItem({ TableName: table, Item: { username: { S: "session:a" }, ...damaged } });
    expect(await backend.touch("session:a", Date.now() + 60_000, "v")).toBe(false);
  });
});

describe("scanning", () => {
  test("goes by pages of 256, and leaves when it is left", async () => {
    const { backend } = makeBackend(way, { timeout: 30_000 });
    const keys = Array.from({ length: 300 }, (_, index) => `session:${index}`);
    await Promise.all(keys.map((key) => backend.write(key, record(), "absent")));
    dynamodb.forget();
    for await (const _ of backend.entries()) break;
    expect(dynamodb.calls.map(({ action, body }) => [action, body.Limit])).toEqual([["Scan", 256]]);
  });

  test("prune drops an expired record only as it saw it: one that was touched meanwhile stays", async () => {
    const { backend, clock } = makeBackend(way);
    const late = makeBackend(way).backend;
    const [mine, other] = [record(), record()];
    await backend.write("session:a", mine, "absent");
    await backend.write("session:b", other, "absent");
    clock.ahead = 100_000;
    let touched: Promise<boolean> | undefined;
    dynamodb.fate = async ({ action }): Promise<Fate> => {
      // After the scan has answered, and before the first removal is done.
      if (action === "DeleteItem") {
        touched ??= late.touch("session:a", Date.now() + 1_000_000, mine.version);
        await touched;
      }
      return "pass";
    };
    expect(await backend.prune()).toBe(1);
    expect(await touched).toBe(true);
    expect((await backend.read("session:a"))?.version).toBe(mine.version);
  });
});
