import { type AddressInfo, createServer, type Socket } from "node:net";
import { beforeAll, beforeEach, describe, expect, test } from "@jest/globals";
import type { Backend, Expected, StoredRecord } from "../../../lib/backends/backend.js";
import {
  atTheEnd,
  type DynamodbProxy,
  type Fate,
  failureOf,
  freshTable,
  makeBackend,
  record,
  refusal,
  startDynamodb,
  type TestBackend,
  WAY,
} from "../../support/dynamodb-server.js";
import { Gate } from "../../support/gate.js";
import { TcpProxy } from "../../support/tcp-proxy.js";

let dynamodb: DynamodbProxy;
let table: string;

beforeAll(async () => {
  dynamodb = await startDynamodb();
});

beforeEach(async () => {
  table = await freshTable(dynamodb);
});

const KEPT = 5;

/** A server that is no DynamoDB, by TLS. */
async function startServer(connected: (socket: Socket) => void): Promise<string> {
  const open = new Set<Socket>();
  const server = createServer((socket) => {
    open.add(socket);
    connected(socket.on("error", () => {}));
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  atTheEnd(() => {
    for (const socket of open) socket.destroy();
    return new Promise((resolve) => server.close(resolve));
  });
  return `https://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

/** A backend that keeps five connections, which all go by way of a NAT. One record is there. */
async function startBehindNat(timeout = 10_000): Promise<TestBackend & { nat: TcpProxy; kept: StoredRecord }> {
  const nat = await TcpProxy.start(Number(new URL(dynamodb.endpoint).port));
  atTheEnd(() => nat.stop());
  const started = makeBackend({ ...WAY, endpoint: `http://127.0.0.1:${nat.port}`, table }, { timeout });
  const kept = record();
  await started.backend.write("session:kept", kept, "absent");
  const gate = new Gate();
  dynamodb.fate = () => gate.pass().then(() => "pass");
  const reads = Array.from({ length: KEPT }, () => started.backend.read("session:kept"));
  await gate.arrived(KEPT);
  gate.open();
  await Promise.all(reads);
  expect(nat.connections).toBe(KEPT);
  dynamodb.forget();
  return { ...started, nat, kept };
}

const REPEATABLE: [string, (backend: Backend, kept: StoredRecord) => unknown, unknown][] = [
  ["read", async (backend) => (await backend.read("session:kept"))?.value, "value"],
  ["write of a version", (backend, { version }) => backend.write("session:kept", record(), { version }), true],
  ["touch", (backend, { expires, version }) => backend.touch("session:kept", expires + 1, version), true],
  ["removal", (backend) => backend.remove("session:kept"), true],
];

describe("connections that a NAT forgot, or that died while the process was frozen", () => {
  test.each(REPEATABLE)("answered by a reset: a %s goes through, over a new one", async (_name, call, answer) => {
    const { backend, nat, kept } = await startBehindNat();
    nat.forget("reset");
    expect(await call(backend, kept)).toBe(answer);
    expect([nat.sentInVain, nat.connections]).toEqual([1, KEPT + 1]);
  });

  test("answered by a reset: that is no attempt, so DynamoDB may throttle twice as ever", async () => {
    const { backend, nat } = await startBehindNat();
    nat.forget("reset");
    const fates: Fate[] = [refusal("ThrottlingException"), refusal("ThrottlingException")];
    dynamodb.fate = () => fates.shift() ?? "pass";
    expect((await backend.read("session:kept"))?.value).toBe("value");
  });

  test("answered by a reset, and as many requests at once as there were connections: all go through", async () => {
    const { backend, nat } = await startBehindNat();
    nat.forget("reset");
    const records = await Promise.all(Array.from({ length: KEPT }, () => backend.read("session:kept")));
    expect(records.map((found) => found?.value)).toEqual(Array(KEPT).fill("value"));
  });

  test.each(REPEATABLE)(
    "answered by nothing: a %s waits once, and for a part of its time",
    async (_name, call, answer) => {
      const { backend, nat, kept } = await startBehindNat(4000);
      nat.forget("silence");
      expect(await call(backend, kept)).toBe(answer);
      expect([nat.sentInVain, nat.connections]).toEqual([1, KEPT + 1]);
    },
  );

  test("answered by nothing: that is waited for shorter than for an answer over a new one", async () => {
    const { backend, nat } = await startBehindNat(4000);
    nat.forget("silence");
    const hanging = makeBackend({ ...WAY, endpoint: dynamodb.endpoint, table }, { timeout: 3000 }).backend;
    const triesOf = (key: string) => dynamodb.calls.filter(({ body }) => JSON.stringify(body.Key).includes(key)).length;
    dynamodb.fate = ({ body }) => (JSON.stringify(body.Key).includes("session:hanging") ? "hang" : "pass");
    const failing = failureOf(hanging.read("session:hanging"));
    expect((await backend.read("session:kept"))?.value).toBe("value");
    expect([triesOf("session:kept"), triesOf("session:hanging")]).toEqual([1, 1]);
    expect((await failing).code).toBe("STORE_TIMEOUT");
    expect(triesOf("session:hanging")).toBe(2);
  });

  test.each(["reset", "silence"] as const)("after half a minute (%s) none is used any more", async (answer) => {
    const { backend, nat, clock } = await startBehindNat();
    nat.forget(answer);
    clock.ahead = 31_000;
    const mine = record();
    expect(await backend.write("session:new", mine, "absent")).toBe(true);
    expect(await backend.read("session:new")).toEqual(mine);
    expect([nat.sentInVain, nat.connections]).toEqual([0, KEPT + 1]);
  });

  test("until then they are", async () => {
    const { backend, nat, clock } = await startBehindNat();
    clock.ahead = 29_000;
    await backend.read("session:kept");
    expect(nat.connections).toBe(KEPT);
  });

  test("what dies sooner fails a creation, once: the next finds a new connection", async () => {
    const { backend, nat } = await startBehindNat();
    nat.forget("reset");
    const { code } = await failureOf(backend.write("session:new", record(), "absent"));
    expect([code, nat.sentInVain]).toEqual(["STORE_UNAVAILABLE", 1]);
    expect(await backend.write("session:new", record(), "absent")).toBe(true);
  });
});

describe("a write that makes a record, or expects any", () => {
  test.each(["absent", "any"] as const)(
    "whose first try stalls (%s) has no second, which it could undo",
    async (expected) => {
      const { backend } = makeBackend({ ...WAY, endpoint: dynamodb.endpoint, table }, { timeout: 400 });
      const gate = new Gate();
      dynamodb.fate = () => gate.pass().then(() => "pass");
      const mine = record();
      const { code } = await failureOf(backend.write("session:a", mine, expected));
      expect([code, dynamodb.actions]).toEqual(["STORE_TIMEOUT", ["PutItem"]]);
      // Nobody was told that it is there, and nobody removes it: it arrives.
      gate.open();
      let found = await backend.read("session:a");
      while (found?.version !== mine.version) found = await backend.read("session:a");
      expect(found).toEqual(mine);
    },
  );

  test("has all the time there is for its answer, as there is no second try", async () => {
    const { backend } = makeBackend({ ...WAY, endpoint: dynamodb.endpoint, table }, { timeout: 4000 });
    const gate = new Gate();
    let reads = 0;
    dynamodb.fate = async ({ action }) => {
      if (action === "GetItem") {
        // The second is there when the first was waited for, as long as other requests are.
        if (++reads === 2) gate.open();
        return reads === 1 ? "hang" : "pass";
      }
      await gate.pass();
      return "pass";
    };
    const writing = backend.write("session:a", record(), "absent");
    await gate.arrived();
    expect(await backend.read("session:b")).toBeUndefined();
    expect(await writing).toBe(true);
  });

  const ONE = 1;
  const ALL = 3;
  test.each([
    ["the connection is reset", "drop", ONE],
    ["the answer is lost", "cut", ONE],
    ["a gateway gave up waiting (504)", { status: 504, body: { message: "timed out" } }, ONE],
    ["a gateway could not understand (502)", { status: 502, body: "<html>" }, ONE],
    ["DynamoDB throttles", refusal("ThrottlingException"), ALL],
    ["DynamoDB fails (500)", refusal("InternalServerError", "internal", 500), ALL],
    ["DynamoDB is not there (503)", refusal("ServiceUnavailable", "unavailable", 503), ALL],
  ] as [string, Fate, number][])(
    "%s: tried as often as the try before is known to be over",
    async (_name, fate, tries) => {
      dynamodb.fate = () => fate;
      const triesOf = async (expected: Expected) => {
        const { backend } = makeBackend({ ...WAY, endpoint: dynamodb.endpoint, table }, { timeout: 15_000 });
        const key = `session:${typeof expected === "string" ? expected : "version"}`;
        expect((await failureOf(backend.write(key, record(), expected))).code).toBe("STORE_UNAVAILABLE");
        return dynamodb.calls.filter(({ body }) => JSON.stringify(body).includes(key)).length;
      };
      // With a version the second try is harmless.
      const counts = await Promise.all([triesOf("absent"), triesOf("any"), triesOf({ version: "another" })]);
      expect(counts).toEqual([tries, tries, ALL]);
    },
  );

  test("refused with 500, and written all the same: the next try meets it, and answers true", async () => {
    const { backend } = makeBackend({ ...WAY, endpoint: dynamodb.endpoint, table });
    const mine = record();
    const second = makeBackend({ ...WAY, endpoint: dynamodb.endpoint, table }).backend;
    let hasFailed = false;
    dynamodb.fate = async () => {
      if (hasFailed) return "pass";
      hasFailed = true;
      await second.write("session:a", mine, "absent");
      return refusal("InternalServerError", "internal", 500);
    };
    expect(await backend.write("session:a", mine, "absent")).toBe(true);
  });

  test("is tried again where no connection was made: not even by TLS", async () => {
    let connections = 0;
    const endpoint = await startServer((socket) => {
      connections++;
      socket.destroy();
    });
    const { backend } = makeBackend({ ...WAY, endpoint, table });
    const { code } = await failureOf(backend.write("session:a", record(), "absent"));
    expect([code, connections]).toEqual(["STORE_UNAVAILABLE", 3]);
  });

  test("is tried again where the connection takes too long", async () => {
    let connections = 0;
    const endpoint = await startServer(() => void connections++);
    const { backend } = makeBackend({ ...WAY, endpoint, table }, { timeout: 400 });
    const { code } = await failureOf(backend.write("session:a", record(), "absent"));
    expect(code).toBe("STORE_TIMEOUT");
    expect(connections).toBeGreaterThan(1);
  });
});
