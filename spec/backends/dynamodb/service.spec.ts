import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { beforeAll, beforeEach, describe, expect, test } from "@jest/globals";
import express, { type ErrorRequestHandler } from "express";
import request from "supertest";
import { tokenizer } from "../../../lib/tokenizer.js";
import { type App, SAFE_PASSWORD, startApp, type Visitor } from "../../support/app.js";
import {
  clientOf,
  type DynamodbProxy,
  type Fate,
  failureOf,
  freshTable,
  makeBackend,
  record,
  refusal,
  startDynamodb,
  WAY,
} from "../../support/dynamodb-server.js";
import { until } from "../../support/redis-server.js";

const STORE_TIMEOUT = 0.5;

let dynamodb: DynamodbProxy;
let table: string;

beforeAll(async () => {
  dynamodb = await startDynamodb();
});

beforeEach(async () => {
  table = await freshTable(dynamodb);
});

const settings = () => ({ type: "dynamodb", ...WAY, endpoint: dynamodb.endpoint, table }) as const;

const startOnTable = ({ storeTimeout = 30 } = {}): Promise<App> =>
  startApp({ settings: { ...settings(), store_timeout: storeTimeout } });

const valuesOf = async (visitor: Visitor) => (await visitor.get("/session")).body.values;

describe("what a request costs", () => {
  test("100 requests of an unchanged session: 100 reads of it, and one write when its touch is due", async () => {
    const app = await startOnTable();
    const visitor = app.visitor();
    await visitor.signIn();
    dynamodb.forget();
    const ask = async () => expect((await visitor.get("/session")).body.values.username).toBe("ada");
    for (let count = 0; count < 50; count++) await ask();
    expect(dynamodb.actions).toEqual(Array(50).fill("GetItem"));
    app.clock.forward(61_000);
    await ask();
    // The touch goes on beside the answer.
    while (dynamodb.underWay > 0 || !dynamodb.actions.includes("UpdateItem")) await new Promise(setImmediate);
    for (let count = 0; count < 49; count++) await ask();
    const ofSession = dynamodb.calls.filter(({ body }) => JSON.stringify(body.Key ?? body.Item).includes('"session:'));
    const writes = dynamodb.actions.filter((action) => action !== "GetItem");
    expect([ofSession.length - 1, writes]).toEqual([100, ["UpdateItem"]]);
  });

  test("all that a session does is done with four actions, and the look at all of them with Scan", async () => {
    const app = await startOnTable();
    const visitor = app.visitor();
    await visitor.signIn();
    await visitor.post("/set", { a: 1 });
    app.clock.forward(61_000);
    await visitor.get("/session");
    await visitor.post("/regenerate");
    await visitor.signIn();
    await visitor.post("/sign-out");
    const inService = new Set(dynamodb.actions);
    expect([...inService].sort()).toEqual(["DeleteItem", "GetItem", "PutItem", "UpdateItem"]);
    dynamodb.forget();
    await visitor.signIn();
    const { store } = app.sessions;
    await Promise.all([store.all(), store.length(), app.sessions.health()]);
    app.clock.forward(3_600_000);
    expect(await store.prune()).toBeGreaterThan(0);
    await store.clear();
    expect([...new Set(dynamodb.actions)].sort()).toEqual(["DeleteItem", "GetItem", "PutItem", "Scan"]);
  });
});

describe("a neighbour's items", () => {
  test("survive the clearing and pruning of all sessions", async () => {
    const client = clientOf(dynamodb);
    const profile = { username: { S: "ada" }, profile: { S: "dark" }, expires: { N: "1" } };
    await client.putItem({ TableName: table, Item: profile });
    const app = await startOnTable();
    await app.visitor().signIn();
    const { store } = app.sessions;
    expect([await store.length(), (await store.all()).length]).toEqual([1, 1]);
    await store.clear();
    app.clock.forward(3_600_000);
    await store.prune();
    expect((await client.scan({ TableName: table })).Items).toEqual([profile]);
  });
});

describe("a DynamoDB in trouble", () => {
  const TROUBLE: [string, () => Fate | Promise<Fate>][] = [
    ["51: it hangs", () => "hang"],
    ["50: it loses every answer", () => "lose"],
    ["50: it resets every connection", () => "cut"],
    ["50: it drops every request", () => "drop"],
    ["52: it is 5 s slow", () => new Promise((resolve) => setTimeout(() => resolve("pass"), 5000).unref())],
    ["56: it throttles", () => refusal("ThrottlingException")],
    ["56: it is over its capacity", () => refusal("ProvisionedThroughputExceededException")],
    ["it answers 500", () => refusal("InternalServerError", "internal", 500)],
    ["it answers 503", () => refusal("ServiceUnavailable", "unavailable", 503)],
    ["somebody else answers", () => ({ status: 502, body: "<html>" })],
    ["57: the permission is taken away", () => refusal("AccessDeniedException")],
    ["57: the table is deleted", () => refusal("ResourceNotFoundException")],
  ];

  test.each(TROUBLE)("%s: 503, and service by itself afterwards", async (_name, fate) => {
    const [app, patient] = [await startOnTable({ storeTimeout: STORE_TIMEOUT }), await startOnTable()];
    const [visitor, stranger] = [patient.visitor(), app.visitor()];
    await visitor.signIn();
    const { cookie } = visitor;
    dynamodb.fate = fate;
    const answers = await Promise.all([
      ...Array.from({ length: 10 }, () => app.visitor(cookie).get("/session")),
      ...Array.from({ length: 10 }, (_, index) => app.visitor(cookie).post("/set", { [`lost${index}`]: 1 })),
      stranger.signIn("bob"),
      app.visitor(cookie).post("/sign-out"),
      app.visitor().get("/"),
    ]);
    // Who has no session needs no store.
    expect(answers.map(({ status }) => status)).toEqual([...Array(22).fill(503), 200]);
    expect(stranger.cookie).toBeUndefined();
    const text = JSON.stringify(answers.map(({ body }) => body)) + app.log.join();
    for (const secret of [WAY.aws_secret_key, "a secret of", "<html>"]) expect(text).not.toContain(secret);
    dynamodb.forget();
    await until("service is back", async () => (await app.visitor(cookie).get("/session")).status === 200);
    expect(await valuesOf(visitor)).toMatchObject({ username: "ada" });
    expect((await visitor.post("/set", { after: 1 })).status).toBe(204);
    expect(await valuesOf(visitor)).toMatchObject({ username: "ada", after: 1 });
  });

  test.each([
    [
      "ThrottlingException",
      400,
      "STORE_UNAVAILABLE",
      "DynamoDB throttled PutItem on the table TABLE: more is asked of it than its capacity or the account allows.",
      3,
    ],
    [
      "RequestLimitExceeded",
      400,
      "STORE_UNAVAILABLE",
      "DynamoDB throttled PutItem on the table TABLE: more is asked of it than its capacity or the account allows.",
      3,
    ],
    ["InternalServerError", 500, "STORE_UNAVAILABLE", "DynamoDB failed at PutItem: InternalServerError.", 3],
    [
      "ItemCollectionSizeLimitExceededException",
      400,
      "STORE_UNAVAILABLE",
      "DynamoDB failed at PutItem: ItemCollectionSizeLimitExceededException.",
      1,
    ],
    [
      "ValidationException",
      400,
      "STORE_UNUSABLE",
      "DynamoDB refused PutItem: as told. The table TABLE must have a String partition key named username, and no sort key.",
      1,
    ],
  ])("56: %s: few tries, and what it was", async (name, status, code, message, tries) => {
    const { backend } = makeBackend({ ...WAY, endpoint: dynamodb.endpoint, table });
    dynamodb.fate = () => refusal(name, "as told", status);
    const failure = await failureOf(backend.write("session:a", record(), "absent"));
    expect([failure.code, failure.message.replace(table, "TABLE")]).toEqual([code, message]);
    expect(dynamodb.actions).toEqual(Array(tries).fill("PutItem"));
  });

  test.each([
    ["drop", "STORE_UNAVAILABLE", "cannot be reached: the connection was reset."],
    ["cut", "STORE_UNAVAILABLE", "cannot be reached: the connection was reset."],
    ["hang", "STORE_TIMEOUT", "did not answer within 0.3 seconds (the last try: TimeoutError)."],
  ] as [Fate, string, string][])("every try %s: told as what it was", async (fate, code, message) => {
    const { backend } = makeBackend({ ...WAY, endpoint: dynamodb.endpoint, table }, { timeout: 300 });
    dynamodb.fate = () => fate;
    const failure = await failureOf(backend.read("session:a"));
    expect([failure.code, failure.message]).toEqual([
      code,
      `DynamoDB at ${new URL(dynamodb.endpoint).host} ${message}`,
    ]);
  });

  test("an answer that is none of DynamoDB's is not quoted, nor kept as the cause", async () => {
    const { backend } = makeBackend({ ...WAY, endpoint: dynamodb.endpoint, table });
    dynamodb.fate = () => ({ status: 200, body: "what a session contains" });
    const { code, message, error } = await failureOf(backend.read("session:a"));
    expect([code, message]).toEqual([
      "STORE_UNAVAILABLE",
      "DynamoDB failed at GetItem: its answer could not be understood.",
    ]);
    expect(error.cause).toBeUndefined();
  });

  test("throttled once: the second try does it", async () => {
    const { backend } = makeBackend({ ...WAY, endpoint: dynamodb.endpoint, table });
    const fates = [refusal("ThrottlingException")];
    dynamodb.fate = () => fates.shift() ?? "pass";
    const mine = record();
    expect(await backend.write("session:a", mine, "absent")).toBe(true);
    expect(await backend.read("session:a")).toEqual(mine);
    expect(dynamodb.actions).toEqual(["PutItem", "PutItem", "GetItem"]);
  });

  test.each(["read", "write", "touch", "remove", "prune", "entries"] as const)(
    "%s ends in time, whatever the store does",
    async (call) => {
      const { backend } = makeBackend({ ...WAY, endpoint: dynamodb.endpoint, table }, { timeout: 1500 });
      // The package is loaded by then: that takes its time, too.
      await backend.read("session:a");
      const calls = {
        read: () => backend.read("session:a"),
        write: () => backend.write("session:a", record(), "any"),
        touch: () => backend.touch("session:a", 1, "version"),
        remove: () => backend.remove("session:a"),
        prune: () => backend.prune(),
        entries: () => backend.entries().next(),
      };
      dynamodb.fate = () => "hang";
      const { code, message } = await failureOf(calls[call]());
      // A write that expects any has one try, which lasts as long.
      const lastTry = call === "write" ? "" : " (the last try: TimeoutError)";
      expect([code, message]).toEqual([
        "STORE_TIMEOUT",
        `DynamoDB at ${new URL(dynamodb.endpoint).host} did not answer within 1.5 seconds${lastTry}.`,
      ]);
    },
  );

  test("a hanging first try leaves time for a second one", async () => {
    const { backend } = makeBackend({ ...WAY, endpoint: dynamodb.endpoint, table }, { timeout: 2000 });
    const fates: Fate[] = ["hang"];
    dynamodb.fate = () => fates.shift() ?? "pass";
    expect(await backend.read("session:a")).toBeUndefined();
    expect(dynamodb.actions).toEqual(["GetItem", "GetItem"]);
  });

  test("49: down at start: `ready` rejects, requests get 503, and service comes when it does", async () => {
    await dynamodb.stop();
    const section = settings();
    const sessions = tokenizer(
      { tokenizer: { ...section, store_timeout: 10, safe_password: SAFE_PASSWORD } },
      { log: { warn: () => {} } },
    );
    const app = express().use(sessions);
    app.post("/", (req, res) => {
      req.session.username = "ada";
      res.send("saved");
    });
    const refuse: ErrorRequestHandler = (error, _req, res, _next) => {
      res.status(error.status ?? 500).json({ code: error.code });
    };
    app.use(refuse);
    try {
      expect(await failureOf(sessions.ready)).toMatchObject({
        code: "STORE_UNAVAILABLE",
        message: `DynamoDB at ${new URL(dynamodb.endpoint).host} cannot be reached: nothing listens there.`,
      });
      const early = await request(app).post("/");
      expect([early.status, early.body]).toEqual([503, { code: "STORE_UNAVAILABLE" }]);
      expect(await sessions.health()).toMatchObject({ ok: false, error: { code: "STORE_UNAVAILABLE" } });
      await dynamodb.listen();
      expect((await request(app).post("/")).text).toBe("saved");
      expect(await sessions.health()).toMatchObject({ ok: true });
      expect(await sessions.store.length()).toBe(1);
    } finally {
      await sessions.close();
    }
  });
});

test("52: refused requests leave nothing behind in memory", async () => {
  const requests = process.env.TEST_FULL === "1" ? 10_000 : 1000;
  setFlagsFromString("--expose-gc");
  const collect = runInNewContext("gc") as () => void;
  const { backend } = makeBackend({ ...WAY, endpoint: "http://127.0.0.1:1", table }, { timeout: 200 });
  const refuse = async (count: number) => {
    for (let done = 0; done < count; done += 100) {
      const batch = Array.from({ length: 100 }, () => backend.write("session:a", record("x".repeat(10_000)), "any"));
      const outcomes = await Promise.allSettled(batch);
      expect(outcomes.map(({ status }) => status)).toEqual(Array(100).fill("rejected"));
    }
    collect();
    return process.memoryUsage().heapUsed;
  };
  const before = await refuse(200);
  expect((await refuse(requests)) - before).toBeLessThan(10 * 1024 * 1024);
});
