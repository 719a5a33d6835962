import { afterEach, describe, expect, jest, test } from "@jest/globals";
import type { StoredRecord } from "../../lib/backends/backend.js";
import { clientOf, makeTable, refusal, startDynamodb, switchTtlOn, WAY } from "../support/dynamodb-server.js";
import { lastingFolder } from "../support/lasting-folder.js";
import { everyBackend, onEveryBackend, type Place } from "../support/places.js";
import { startRedis, withRedis } from "../support/redis-server.js";
import { backendOf, commandLine, settingsFile } from "./command-line.js";

const OPERATIONS = ["open", "write", "read", "touch", "remove", "list"];

afterEach(() => {
  jest.restoreAllMocks();
});

function check(settings: Place, argv: string[] = [], env: NodeJS.ProcessEnv = {}) {
  // So wide that nothing is wrapped.
  return commandLine(["check", "--settings", settingsFile(settings), ...argv], env, { width: 10_000 });
}

/** How many records of anybody are there. */
async function recordsAt(place: Place): Promise<number> {
  const backend = backendOf(settingsFile(place));
  let count = 0;
  for await (const _ of backend.entries()) count++;
  await backend.close();
  return count;
}

onEveryBackend((places) => {
  test("what works is told, operation by operation, and nothing stays behind", async () => {
    const place = await places.next();
    const { code, stdout, stderr } = await check(place);
    expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
    const [settings = "", timings = "", result] = stdout.split("\n\n");
    expect(settings).toMatch(new RegExp(`^type {16}${place.type}$`, "m"));
    expect(settings).toMatch(/^safe_password {7}set$/m);
    const [heading, ...rows] = timings.split("\n");
    expect(heading).toBe("               times      median     slowest");
    // Of what is done once, there is no median.
    const done = (row: string) => row.replace(/ +20 +\d+\.\d\d ms +\d+\.\d\d ms$| +1 {12,}\d+\.\d\d ms$/, "");
    expect(rows.map(done)).toEqual(OPERATIONS);
    expect(rows.filter((row) => / 1 /.test(row)).map(done)).toEqual(["open", "list"]);
    expect(result).toBe("It works.");
    expect(await recordsAt(place)).toBe(0);
  });

  test("--json", async () => {
    const place = await places.next();
    const { code, stdout, stderr } = await check(place, ["--json"]);
    expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
    const milliseconds = expect.any(Number);
    expect(JSON.parse(stdout)).toEqual({
      ok: true,
      settings: expect.objectContaining({ type: place.type, timeout: 20, safe_password: "set" }),
      operations: OPERATIONS.map((operation) => ({
        operation,
        ...(["open", "list"].includes(operation) ? { times: 1 } : { times: 20, median: milliseconds }),
        slowest: milliseconds,
      })),
      warnings: [],
    });
  });

  test("twenty rounds are tried, and the median and the slowest told", async () => {
    const place = await places.next();
    const { read } = places.prototype;
    const times = Array.from({ length: 20 }, (_, round) => (round < 8 ? 0 : round < 19 ? 20 : 150));
    const spy = jest.spyOn(places.prototype, "read").mockImplementation(async function (this: unknown, key) {
      await new Promise((resolve) => setTimeout(resolve, times.shift() ?? 0));
      return read.call(this, key);
    });
    const { operations } = JSON.parse((await check(place, ["--json"])).stdout);
    expect(spy).toHaveBeenCalledTimes(20);
    const { median, slowest } = operations[OPERATIONS.indexOf("read")];
    expect(median).toBeGreaterThanOrEqual(19);
    expect(median).toBeLessThan(slowest);
    expect(slowest).toBeGreaterThanOrEqual(149);
  });

  test.each(["write", "read", "touch", "remove"] as const)("%s that answers wrongly is named", async (operation) => {
    const place = await places.next();
    const wrong = { write: false, read: undefined, touch: false, remove: false };
    jest.spyOn(places.prototype, operation).mockResolvedValue(wrong[operation] as never);
    const { code, stdout, stderr } = await check(place);
    expect(code).toBe(1);
    expect(stderr).toBe(`${operation}: the answer was wrong: the record was not as it had been left a moment before.`);
    expect(stdout).toMatch(new RegExp(`^${operation} +failed$`, "m"));
    expect(stdout).not.toContain("It works");
    jest.restoreAllMocks();
    // What was not removed ends by itself; in a folder without a database, all that was tried is gone.
    expect(await recordsAt(place)).toBe(operation === "remove" && place.type !== "local" ? 1 : 0);
  });

  test.each([
    ["value", (record: StoredRecord) => ({ ...record, value: record.value.slice(1) })],
    ["version", (record: StoredRecord) => ({ ...record, version: record.version.toUpperCase() })],
    ["expires, in seconds", (record: StoredRecord) => ({ ...record, expires: Math.ceil(record.expires / 1000) })],
  ])("read that answers another %s is named", async (_name, alter) => {
    const place = await places.next();
    const { read } = places.prototype;
    jest.spyOn(places.prototype, "read").mockImplementation(async function (this: unknown, key) {
      const found = await read.call(this, key);
      return found && alter(found);
    });
    const { code, stderr } = await check(place);
    expect({ code, stderr }).toEqual({
      code: 1,
      stderr: "read: the answer was wrong: the record was not as it had been left a moment before.",
    });
  });

  test("a removal that fails at first is done again", async () => {
    const place = await places.next();
    jest.spyOn(places.prototype, "remove").mockRejectedValueOnce(new Error("not now."));
    expect(await check(place)).toMatchObject({ code: 1, stderr: "remove: not now." });
    expect(await recordsAt(place)).toBe(0);
  });
});

describe("a missing permission is named, and the others are tried", () => {
  test.each([
    ["PutItem", "write"],
    ["UpdateItem", "touch"],
    ["DeleteItem", "remove"],
    ["Scan", "list"],
  ])("dynamodb:%s", async (action, operation) => {
    const dynamodb = await startDynamodb();
    const table = await makeTable(clientOf(dynamodb));
    dynamodb.fate = (call) => (call.action === action ? refusal("AccessDeniedException") : "pass");
    const { code, stdout, stderr } = await check({ type: "dynamodb", ...WAY, endpoint: dynamodb.endpoint, table });
    expect(code).toBe(1);
    expect(stderr).toBe(
      `${operation}: The permission dynamodb:${action} on the table ${table} is missing, or, if it has a KMS key, kms:Encrypt and kms:Decrypt on that. What is needed: npx express-tokenizer iam-policy`,
    );
    expect(stdout.match(/ failed$/gm)).toHaveLength(1);
    expect(new Set(dynamodb.actions)).toEqual(
      new Set(["CreateTable", "DescribeTable", "GetItem", "PutItem", "UpdateItem", "DeleteItem", "Scan"]),
    );
  });

  test("dynamodb:GetItem: nothing can be reached without it", async () => {
    const dynamodb = await startDynamodb();
    const table = await makeTable(clientOf(dynamodb));
    dynamodb.fate = ({ action }) => (action === "GetItem" ? refusal("AccessDeniedException") : "pass");
    const { code, stderr } = await check({ type: "dynamodb", ...WAY, endpoint: dynamodb.endpoint, table });
    expect({ code, stderr }).toEqual({
      code: 1,
      stderr: expect.stringMatching(/^open: The permission dynamodb:GetItem on the table /),
    });
  });
});

withRedis("a Redis that drops what has not expired", () => {
  test("is warned of", async () => {
    const { port } = await startRedis({ args: ["--maxmemory", "100mb", "--maxmemory-policy", "volatile-lru"] });
    const { code, stdout, stderr } = await check({ type: "redis", host: "127.0.0.1", port });
    expect(code).toBe(0);
    expect(stdout.split("\n").at(-1)).toBe("It works, with 1 warning.");
    expect(stderr).toMatch(
      /^\nTo look at:\n- Redis at 127\.0\.0\.1:\d+ has maxmemory-policy volatile-lru: when its memory is full/,
    );
  });
});

describe("a DynamoDB table that keeps what has expired", () => {
  const start = async () => {
    const dynamodb = await startDynamodb();
    const client = clientOf(dynamodb);
    const table = await makeTable(client);
    return {
      dynamodb,
      client,
      table,
      place: { type: "dynamodb", ...WAY, endpoint: dynamodb.endpoint, table } as const,
    };
  };
  const advice =
    "sessions that have expired stay in it. Switch it on: npx express-tokenizer create-table. What is there already, this drops, too: npx express-tokenizer prune";

  test("as its TTL is off: warned of", async () => {
    const { place, table } = await start();
    const { code, stdout, stderr } = await check(place);
    expect({ code, stderr }).toEqual({
      code: 0,
      stderr: `\nTo look at:\n- The TTL of the table ${table} is off: ${advice}`,
    });
    expect(stdout).toMatch(/\nIt works, with 1 warning\.$/);
  });

  test("as its TTL goes by another attribute: warned of", async () => {
    const { place, client, table } = await start();
    await switchTtlOn(client, table, "their_end");
    const { code, stderr } = await check(place);
    expect({ code, stderr }).toEqual({
      code: 0,
      stderr: `\nTo look at:\n- The TTL of the table ${table} goes by the attribute their_end, not by expires: ${advice}`,
    });
  });

  test("and does not say: warned of", async () => {
    const { dynamodb, place, table } = await start();
    dynamodb.fate = ({ action }) => (action === "DescribeTimeToLive" ? refusal("LimitExceededException") : "pass");
    expect(await check(place)).toMatchObject({
      code: 0,
      stderr: `\nTo look at:\n- Whether the TTL of the table ${table} is on could not be found out. DynamoDB failed at DescribeTimeToLive: LimitExceededException.`,
    });
  });

  test.each([
    ["may not ask", refusal("AccessDeniedException")],
    ["asks an emulator that does not know it", refusal("UnknownOperationException")],
  ])("nothing is said to somebody who %s", async (_name, answer) => {
    const { dynamodb, place } = await start();
    dynamodb.fate = ({ action }) => (action === "DescribeTimeToLive" ? answer : "pass");
    const { code, stdout, stderr } = await check(place);
    expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
    expect(stdout).toMatch(/\nIt works\.$/);
  });
});

withRedis("a right that the user of Redis has not", () => {
  test("is named", async () => {
    const server = await startRedis();
    const rights = "+get +getrange +set +setrange +pexpire +del +eval +evalsha +ping";
    await server.command("ACL", "SETUSER", "app", "on", ">a-password-of-redis", "~tokenizer:*", ...rights.split(" "));
    const settings = { type: "redis", host: "127.0.0.1", port: server.port, username: "app" } as const;
    const { code, stdout, stderr } = await check({ ...settings, password: "a-password-of-redis" });
    expect({ code, stderr }).toEqual({
      code: 1,
      stderr: expect.stringMatching(/^open: Redis at 127\.0\.0\.1:\d+ refused: NOPERM .*'scan' command\. Give /),
    });
    expect(stdout + stderr).not.toContain("a-password-of-redis");
  });
});

describe("what does not work at all", () => {
  test("a store that is not there: told, with the settings in force", async () => {
    const { code, stdout, stderr } = await check({ type: "redis", host: "127.0.0.1", port: 1 });
    expect({ code, stderr }).toEqual({
      code: 1,
      stderr: "open: Redis at 127.0.0.1:1 cannot be reached: nothing listens there.",
    });
    expect(stdout).toMatch(/^place {15}Redis at 127\.0\.0\.1:1, keys beginning with tokenizer:$/m);
    expect(stdout).toMatch(/^open +failed$/m);
  });

  test("the same as JSON", async () => {
    const { code, stdout, stderr } = await check({ type: "redis", host: "127.0.0.1", port: 1 }, ["--json"]);
    const error = "Redis at 127.0.0.1:1 cannot be reached: nothing listens there.";
    expect({ code, stderr }).toEqual({ code: 1, stderr: `open: ${error}` });
    expect(JSON.parse(stdout)).toMatchObject({ ok: false, operations: [{ operation: "open", error }] });
  });

  test("faults of the settings: all at once, and nothing is reached", async () => {
    const { code, stdout, stderr } = await check({ type: "redis", port: 70_000, timeout: "20" as never });
    expect({ code, stdout }).toEqual({ code: 1, stdout: "" });
    expect(stderr).toMatch(/2 faults in the settings\n {2}tokenizer\.port: .*\n {2}tokenizer\.timeout: /);
  });
});

/** Settings of a place that nothing is asked of: it is not there. */
async function toldOf(settings: Place, env: NodeJS.ProcessEnv = {}) {
  for (const { prototype } of everyBackend) jest.spyOn(prototype, "open").mockRejectedValue(new Error("not asked."));
  const { stdout, stderr } = await check(settings, [], env);
  const rows = stdout.split("\n\n")[0]?.split("\n") ?? [];
  const shown = Object.fromEntries(rows.map((row) => [row.slice(0, 18).trim(), row.slice(18).trim()]));
  const warnings = stderr.split("\n").filter((line) => line.startsWith("- "));
  return { shown, warnings, all: stdout + stderr };
}

describe("the settings in force", () => {
  test.each([
    ["local", { type: "local", path: "/srv/none/tokens" }, {}, "the folder /srv/none/tokens, without sessions so far"],
    ["redis", { type: "redis" }, {}, "Redis at localhost:6379, keys beginning with tokenizer:"],
    [
      "another database, by IPv6",
      { type: "redis", host: "::1", port: 1, database: 3, prefix: "a:" },
      {},
      "Redis at [::1]:1, database 3, keys beginning with a:",
    ],
    [
      "a Cluster",
      { type: "redis", options: { cluster: true, nodes: ["127.0.0.1:1", "127.0.0.1:2"] } },
      {},
      "the Redis Cluster of 127.0.0.1:1, 127.0.0.1:2, keys beginning with tokenizer:",
    ],
    [
      "Sentinels",
      { type: "redis", options: { sentinel: "mymaster", nodes: ["127.0.0.1:1"] } },
      {},
      "the master mymaster that Sentinels name, at 127.0.0.1:1, keys beginning with tokenizer:",
    ],
    [
      "dynamodb",
      { type: "dynamodb", table: "one", aws_region_name: "eu-west-1" },
      { AWS_REGION: "x" },
      "the DynamoDB table one in eu-west-1",
    ],
    [
      "the environment's region",
      { type: "dynamodb", table: "one" },
      { AWS_REGION: "", AWS_DEFAULT_REGION: "eu-west-2" },
      "the DynamoDB table one in eu-west-2",
    ],
    ["the profile's region", { type: "dynamodb", table: "one" }, {}, "the DynamoDB table one in the profile's region"],
    [
      "an endpoint, without its login",
      { type: "dynamodb", table: "one", aws_region_name: "x", endpoint: "http://me:secret@localhost:8000/?key=secret" },
      {},
      "the DynamoDB table one in x, by way of http://localhost:8000",
    ],
    [
      "the environment's endpoint",
      { type: "dynamodb", table: "one", aws_region_name: "x" },
      { AWS_ENDPOINT_URL: "http://me:secret@localhost:8000" },
      "the DynamoDB table one in x, by way of http://localhost:8000 (AWS_ENDPOINT_URL)",
    ],
    [
      "an endpoint that is no URL",
      { type: "dynamodb", table: "one", aws_region_name: "x" },
      { AWS_ENDPOINT_URL_DYNAMODB: "localhost:8000" },
      "the DynamoDB table one in x, by way of AWS_ENDPOINT_URL_DYNAMODB, which is no URL",
    ],
    [
      "the environment's endpoint, when it is not to be used",
      { type: "dynamodb", table: "one", aws_region_name: "x" },
      { AWS_ENDPOINT_URL: "http://localhost:8000", AWS_IGNORE_CONFIGURED_ENDPOINT_URLS: "true" },
      "the DynamoDB table one in x",
    ],
  ] as [string, Place, NodeJS.ProcessEnv, string][])("the place: %s", async (_name, settings, env, place) => {
    expect((await toldOf(settings, env)).shown.place).toBe(place);
  });

  test("limits and times, with their units", async () => {
    const settings = {
      absolute_timeout: 480,
      remember: { timeout: 1440 },
      sessions_per_user: 5,
      max_session_kb: 64,
      timeout: 1,
      touch_interval: 30,
      store_timeout: 1,
    };
    const { shown } = await toldOf({ type: "local", path: "/srv/tokens", encrypt: "session", ...settings });
    expect(shown).toMatchObject({
      timeout: "1 minute",
      absolute_timeout: "480 minutes",
      remember: "timeout: 1440 minutes, absolute_timeout: 129600 minutes",
      sessions_per_user: "5",
      max_session_kb: "64 KB",
      touch_interval: "30 seconds",
      store_timeout: "1 second",
      encrypt: "session",
      cookie: "token; secure: auto, same_site: lax, path: /",
    });
  });

  test("no secret, no part of one and no length", async () => {
    const secrets = {
      safe_password: ["the-first-safe-password", "the-second-safe-password"],
      cookie: { secret: "the-secret-of-the-cookie", domain: "example.com" },
    };
    const redis = await toldOf({
      ...secrets,
      type: "redis",
      host: "127.0.0.1",
      password: "the-password-of-redis",
      options: { ssl: true, ca: "the-ca", cert: "the-cert", key: "the-private-key" },
    });
    expect(redis.shown).toMatchObject({
      safe_password: "set",
      password: "set",
      "options.key": "set",
      "cookie.secret": "set",
      cookie: "token; secure: auto, same_site: lax, path: /, domain: example.com",
    });
    const dynamodb = await toldOf({
      ...secrets,
      type: "dynamodb",
      table: "one",
      ...WAY,
      aws_session_token: "the-token",
    });
    expect(dynamodb.shown.aws_access_key).toBe("set");
    expect(redis.all + dynamodb.all).not.toMatch(
      /the-(first|second|secret|password|private|token|ca|cert)|AKIDSPEC|a-secret-key/,
    );
  });
});

describe("what is weak is warned of", () => {
  const tls = { ssl: true };
  test.each([
    ["verify: false", { type: "redis", options: { ...tls, verify: false } }, ["tokenizer.options.verify is false"]],
    ["verify: false without TLS", { type: "redis", options: { verify: false } }, []],
    [
      "Redis elsewhere",
      { type: "redis", host: "redis.example.com" },
      [
        "tokenizer.options.ssl is not set: sessions travel to redis.example.com:6379 in plain text",
        "tokenizer.password is not set: whoever reaches redis.example.com:6379 can",
      ],
    ],
    [
      "Redis elsewhere, without a password",
      { type: "redis", host: "redis.example.com", options: tls },
      ["tokenizer.password is not set"],
    ],
    [
      "Redis elsewhere, without TLS",
      { type: "redis", host: "redis.example.com", password: "a password" },
      ["tokenizer.options.ssl is not set"],
    ],
    [
      "Redis elsewhere, with a client's certificate",
      { type: "redis", host: "redis.example.com", options: { ...tls, cert: "x", key: "y" } },
      [],
    ],
    [
      "one of a Cluster's servers elsewhere",
      {
        type: "redis",
        password: "a password",
        options: { cluster: true, nodes: ["127.0.0.1:1", "[fe80::1]:2"] },
      },
      ["tokenizer.options.ssl is not set: sessions travel to [fe80::1]:2"],
    ],
    [
      "a url to another machine",
      { type: "redis", url: "redis://redis.example.com" },
      [
        "tokenizer.options.ssl is not set: sessions travel to redis.example.com:6379 in plain text. Set it to true, or write rediss://",
        "tokenizer.password is not set",
      ],
    ],
    ["one by TLS, with a password", { type: "redis", url: "rediss://:x@redis.example.com" }, []],
    ["a password in a file", { type: "redis", host: "redis.example.com", password_file: "x", options: tls }, []],
    ["a socket", { type: "redis", url: "unix:///run/redis.sock" }, []],
    ["Redis on this machine", { type: "redis", host: "localhost" }, []],
    ["by its address", { type: "redis", host: "127.0.0.1" }, []],
    ["by IPv6", { type: "redis", host: "::1" }, []],
    [
      "a host that only looks like this machine",
      { type: "redis", host: "localhost.example.com", options: tls },
      ["tokenizer.password is not set"],
    ],
    [
      "a plain endpoint elsewhere",
      { type: "dynamodb", table: "one", endpoint: "http://me:secret@dynamodb.example.com:8000" },
      ["tokenizer.endpoint is plain HTTP: sessions travel to dynamodb.example.com:8000"],
    ],
    ["a plain endpoint here", { type: "dynamodb", table: "one", endpoint: "http://[::1]:8000" }, []],
    ["an endpoint by TLS", { type: "dynamodb", table: "one", endpoint: "https://dynamodb.example.com" }, []],
    ["cookie.secure: false", { type: "local", cookie: { secure: false } }, ["tokenizer.cookie.secure is false"]],
    ["a short password", { type: "local", safe_password: "short" }, ["tokenizer.safe_password is shorter than 16"]],
    [
      "settings of another type",
      { type: "local", host: "localhost", table: "t" },
      [
        "tokenizer.host is for type: redis or postgres; with type: local it changes nothing: take it away.",
        "tokenizer.table is for type: postgres or dynamodb; with type: local it changes nothing: take it away.",
      ],
    ],
    [
      "a temporary folder",
      { type: "local", path: "/var/tmp/tokens" },
      ["The folder of the sessions is below /var/tmp, a temporary"],
    ],
    ["nothing", { type: "local" }, []],
    [
      "a plain endpoint elsewhere, by the environment",
      { type: "dynamodb", table: "one" },
      ["AWS_ENDPOINT_URL is plain HTTP: sessions travel to dynamodb.example.com"],
      { AWS_ENDPOINT_URL: "http://dynamodb.example.com" },
    ],
  ] as [string, Place, string[], NodeJS.ProcessEnv?][])("%s", async (_name, settings, expected, env = {}) => {
    const { warnings } = await toldOf(settings, env);
    expect(warnings).toEqual(expected.map((start) => expect.stringContaining(`- ${start}`)));
  });

  test("and does not fail the check", async () => {
    const settings = { type: "local", path: `${lastingFolder()}/tokens`, cookie: { secure: false } } as const;
    const { code, stdout, stderr } = await check(settings);
    expect(code).toBe(0);
    expect(stdout.split("\n").at(-1)).toBe("It works, with 1 warning.");
    expect(stderr).toMatch(/^\nTo mend before users come:\n- tokenizer\.cookie\.secure is false: .*$/);
    const { warnings } = JSON.parse((await check(settings, ["--json"])).stdout);
    expect(warnings).toEqual([stderr.replace("\nTo mend before users come:\n- ", "")]);
  });
});
