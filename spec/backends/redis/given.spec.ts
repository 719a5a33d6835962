/** A client that the application made: connected and closed by it, under our deadlines. */
import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import { createClient, createClientPool, createCluster, createSentinel, RESP_TYPES } from "redis";
import type { Backend } from "../../../lib/backends/backend.js";
import type { RedisClient } from "../../../lib/backends/redis/given-client.js";
import { backendContract } from "../../../lib/testing/backend-contract.js";
import { tokenizer } from "../../../lib/tokenizer.js";
import { SAFE_PASSWORD, temporaryFolder } from "../../support/app.js";
import { freePort } from "../../support/free-port.mjs";
import { failureOf, makeBackend, record } from "../../support/redis-backend.js";
import {
  type RedisServer,
  type SentinelSetup,
  startCluster,
  startRedis,
  startSentinels,
  until,
  withRedis,
} from "../../support/redis-server.js";
import { expectNoStrayErrors } from "../../support/stray.js";
import { startTokenizer } from "../../support/tokenizers.js";

expectNoStrayErrors();

const opened: Destroyable[] = [];

interface Destroyable {
  readonly isOpen: boolean;
  destroy(): unknown;
}

afterAll(async () => {
  for (const client of opened) if (client.isOpen) await client.destroy();
});

/** Destroyed after the file's last spec. */
function kept<Client extends Destroyable>(client: Client): Client {
  opened.push(client);
  return client;
}

const at = ({ port }: { port: number }) => ({ socket: { host: "127.0.0.1", port } });

/** One whose owner listens for errors, as most do. */
function clientTo(server: { port: number }, options: Parameters<typeof createClient>[0] = {}) {
  const client = kept(createClient({ ...at(server), ...options }));
  client.on("error", () => {});
  return client;
}

const serves = (backend: Backend) =>
  Promise.resolve(backend.read("nothing")).then(
    () => true,
    () => false,
  );

let places = 0;

function keepsTheContract(connect: () => Promise<RedisClient>): void {
  describe("keeps the contract", () => {
    let client: RedisClient;

    beforeAll(async () => {
      client = await connect();
    });

    test.each(backendContract)("$name", ({ run }) =>
      run(async ({ now }) => {
        const place = { client, prefix: `given ${++places}:` };
        const make = () => makeBackend(place, { now }).backend;
        return { backend: make(), other: make(), expiryGranularity: 1 };
      }),
    );
  });
}

withRedis("one server", () => {
  let server: RedisServer;

  beforeAll(async () => {
    server = await startRedis();
  });

  describe("createClient", () => keepsTheContract(() => clientTo(server).connect()));

  describe("createClientPool", () =>
    keepsTheContract(async () => {
      const pool = kept(createClientPool(at(server), { maximum: 3, cleanupDelay: 10 }));
      await pool.connect();
      return pool;
    }));

  test.each([
    ["that answers in bytes", { commandOptions: { typeMapping: { [RESP_TYPES.BLOB_STRING]: Buffer } } }],
    ["of the older protocol", { RESP: 2 as const }],
    ["that puts something before its keys", { keyPrefix: "theirs:" }],
    ["in another database", { database: 3 }],
    ["without a queue", { disableOfflineQueue: true }],
    ["with a time for its commands", { commandOptions: { timeout: 1 } }],
  ])("a client %s", async (_, options) => {
    const client = await clientTo(server, options).connect();
    const { backend, warnings } = makeBackend({ client, prefix: "client:" });
    await backend.open();
    await backend.write("key", record("text"), "any");
    expect(await backend.read("key")).toMatchObject({ value: "text" });
    expect(await client.sendCommand(["EXISTS", "client:key"])).toBe(1);
    expect(await backend.remove("key")).toBe(true);
    expect(warnings).toEqual([]);
  });

  test("as docs/operation.md has it", async () => {
    const url = `redis://127.0.0.1:${server.port}`;
    const settings = { tokenizer: { type: "redis", safe_password: SAFE_PASSWORD, store_timeout: 60 } } as const;
    const client = createClient({ url });
    client.on("error", (error) => console.error(`Redis: ${error.message}`));
    await client.connect();
    const sessions = tokenizer(settings, { redis: { client } });
    await sessions.ready;
    expect(await sessions.health()).toMatchObject({ ok: true });
    await sessions.close();
    await client.close();
  });

  test("is left open, with nothing of ours on it", async () => {
    const client = await clientTo(server).connect();
    const listeners = () => client.eventNames().map((name) => [name, client.listenerCount(name)]);
    const before = listeners();
    const { backend } = makeBackend({ client });
    await backend.open();
    await backend.close();
    expect(listeners()).toEqual(before);
    expect(await client.ping()).toBe("PONG");
    expect(await failureOf(Promise.resolve(backend.read("key")))).toMatchObject({ code: "STORE_CLOSED" });
  });

  test("may be connected a moment later", async () => {
    const client = clientTo(server, { disableOfflineQueue: true });
    const opening = makeBackend({ client }).backend.open();
    await client.connect();
    await opening;
  });

  test("that nobody connects is told, in time", async () => {
    const { backend } = makeBackend({ client: clientTo(server) }, { timeout: 100 });
    expect(await failureOf(backend.open())).toEqual({
      code: "STORE_UNAVAILABLE",
      message: `Redis at 127.0.0.1:${server.port} cannot be reached: the client that was given as redis.client is not connected; await its connect().`,
    });
  });

  test("what waits for one, or for an answer, ends with the sessions", async () => {
    const waiting = makeBackend({ client: clientTo(server) }).backend;
    const opening = failureOf(waiting.open());
    const client = await clientTo(server).connect();
    const { backend } = makeBackend({ client });
    await backend.open();
    server.freeze();
    const reading = failureOf(Promise.resolve(backend.read("key")));
    await Promise.all([waiting.close(), backend.close()]);
    server.thaw();
    expect([await opening, await reading]).toEqual(
      Array(2).fill({ code: "STORE_CLOSED", message: "The session store was closed." }),
    );
  });

  test("that its owner closed is told", async () => {
    const client = await clientTo(server).connect();
    const { backend } = makeBackend({ client }, { timeout: 500 });
    await client.close();
    expect(await failureOf(backend.read("key"))).toMatchObject({
      message: expect.stringContaining("is not connected"),
    });
  });

  test("an application goes by it, whatever the settings say of the connection", async () => {
    const client = await clientTo(server).connect();
    const section = { type: "redis", host: "nowhere.invalid", password: "another", prefix: "app:" } as const;
    const sessions = startTokenizer(section, { redis: { client } });
    await sessions.ready;
    expect(await sessions.health()).toMatchObject({ ok: true });
    await sessions.close();
    expect(client.isOpen).toBe(true);
  });
});

describe("trouble", () => {
  withRedis("with the server", () => {
    let server: RedisServer;

    beforeAll(async () => {
      server = await startRedis();
    });

    test("a frozen server: each call ends in time, and service goes on when it is back", async () => {
      const client = await clientTo(server).connect();
      const { backend } = makeBackend({ client }, { timeout: 300 });
      server.freeze();
      const calls = [backend.read("a"), backend.write("a", record("x"), "absent"), backend.remove("b")];
      const told = await Promise.all(calls.map(failureOf));
      server.thaw();
      expect(told).toEqual(
        Array(3).fill({
          code: "STORE_TIMEOUT",
          message: `Redis at 127.0.0.1:${server.port} did not answer within 0.3 seconds.`,
        }),
      );
      await until("it serves again", () => serves(backend));
    });

    test("behind a thousand calls without an answer, no more are sent", async () => {
      const client = await clientTo(server).connect();
      const { backend } = makeBackend({ client }, { timeout: 300 });
      let sent = 0;
      const { sendCommand } = client;
      Object.assign(client, {
        sendCommand: (...args: Parameters<typeof sendCommand>) => {
          sent++;
          return sendCommand.apply(client, args);
        },
      });
      server.freeze();
      await until("no more are sent", async () => {
        const before = sent;
        await Promise.allSettled(Array.from({ length: 250 }, (_, n) => backend.read(`${n}`)));
        return sent === before;
      });
      const told = await failureOf(Promise.resolve(backend.read("one more")));
      server.thaw();
      expect(told).toMatchObject({ code: "STORE_TIMEOUT" });
      expect(sent).toBeGreaterThanOrEqual(1000);
      await until("it serves again", () => serves(backend));
    });

    test("a write that waited for a lost server is not carried out when that is back", async () => {
      // Nobody listens for its errors: that costs nobody the process.
      const client = await kept(createClient(at(server))).connect();
      const { backend } = makeBackend({ client }, { timeout: 300 });
      const patient = makeBackend({ client }).backend;
      await patient.open();
      await server.kill();
      expect(await failureOf(backend.write("late", record("x"), "any"))).toMatchObject({
        code: expect.stringMatching(/^STORE_(TIMEOUT|UNAVAILABLE)$/),
      });
      await server.start();
      await until("it serves again", () => serves(backend));
      expect(await patient.read("late")).toBeUndefined();
      await patient.write("late", record("y"), "absent");
      expect(await patient.read("late")).toMatchObject({ value: "y" });
    });

    test("a right that is missing is named", async () => {
      await server.command("ACL", "SETUSER", "poor", "on", ">secret", "~*", "+ping", "+get");
      const client = await clientTo(server, {
        username: "poor",
        password: "secret",
        disableClientInfo: true,
      }).connect();
      const { code, message } = await failureOf(makeBackend({ client }).backend.open());
      expect({ code, message }).toEqual({ code: "STORE_UNAVAILABLE", message: expect.stringContaining("NOPERM") });
      expect(message).not.toContain("secret");
    });
  });
});

withRedis("a Cluster of three masters", () => {
  let servers: RedisServer[];

  beforeAll(async () => {
    servers = await startCluster(3);
  });

  const connect = () => {
    const rootNodes = servers.map((server) => at(server));
    return kept(createCluster({ rootNodes })).connect();
  };

  describe("createCluster", () => keepsTheContract(connect));

  test("all records of all masters are listed", async () => {
    const { backend } = makeBackend({ client: await connect(), prefix: "spread:" });
    await backend.open();
    const keys = Array.from({ length: 100 }, (_, n) => `key${n}`);
    await Promise.all(keys.map((key) => backend.write(key, record(key), "absent")));
    for (const server of servers) expect(Number(await server.command("DBSIZE"))).toBeGreaterThan(10);
    const found = [];
    for await (const { key } of backend.entries()) found.push(key);
    expect(found.sort()).toEqual(keys.sort());
  });

  test.each([
    ["a slot that nobody keeps", (slots: readonly unknown[]) => slots.map((slot, n) => (n === 5 ? undefined : slot))],
    ["a server that joined since", (slots: readonly unknown[]) => slots.map(() => slots[0])],
  ])("a client that does not know of %s lists nothing rather than a part", async (_, change) => {
    const client = await connect();
    const value = change(client.slots);
    const { backend } = makeBackend({ client: Object.create(client, { slots: { value } }) as RedisClient });
    await backend.open();
    expect(await failureOf(backend.entries().next())).toEqual({
      code: "STORE_UNAVAILABLE",
      message: "The client that was given as redis.client does not know all servers of its Cluster yet. Try again.",
    });
  });

  test("a client of one of its servers is refused, saying what to make", async () => {
    const clients = await Promise.all(servers.map((server) => clientTo(server).connect()));
    const told = await Promise.all(
      clients.map((client) => failureOf(makeBackend({ client }).backend.read("key")).catch(() => undefined)),
    );
    const refused = told.filter((one) => one !== undefined);
    expect(refused).toHaveLength(2);
    for (const { code, message } of refused) {
      expect(code).toBe("STORE_UNUSABLE");
      expect(message).toContain("is one of a Cluster: make redis.client by createCluster()");
    }
  });
});

withRedis("Sentinels", () => {
  let setup: SentinelSetup;

  beforeAll(async () => {
    setup = await startSentinels();
  });

  describe("createSentinel", () =>
    keepsTheContract(() => {
      const sentinelRootNodes = setup.sentinels.map(({ port }) => ({ host: "127.0.0.1", port }));
      return kept(createSentinel({ name: setup.name, sentinelRootNodes })).connect();
    }));
});

describe("what is refused", () => {
  const client = kept(createClient());
  const WANTED = "one of the package redis, made by createClient(), createCluster() or createSentinel()";
  const asClient = (given: unknown) => given as RedisClient;

  test.each([
    [
      "a client of ioredis",
      asClient({ status: "ready", sendCommand() {}, call() {} }),
      `is a client of ioredis; give ${WANTED}`,
    ],
    ["the options of one", asClient({ socket: { host: "localhost" } }), `must be ${WANTED}`],
    [
      "one that is still connecting",
      asClient(Promise.resolve()),
      `is a promise, as connect() answers; await it, and give ${WANTED}`,
    ],
    ["nothing", asClient(null), `must be ${WANTED}`],
    ["nothing of the kind", asClient("redis://localhost"), `must be ${WANTED}`],
    [
      "an old one's legacy mode",
      asClient({ isOpen: true, sendCommand() {}, options: { legacyMode: true } }),
      "is in legacyMode; give one without",
    ],
  ])("%s", (_, given, reason) => {
    expect(() => startTokenizer({ type: "redis" }, { redis: { client: given } })).toThrow(
      expect.objectContaining({
        code: "SETTINGS_INVALID",
        message: `redis.client, given to tokenizer(), ${reason}.`,
        faults: [{ path: "redis.client", message: reason }],
      }),
    );
  });

  test.each<[string, object, string]>([
    ["the client itself", { redis: client }, "redis, given to tokenizer(), must be { redis: { client } }"],
    [
      "a promise of it",
      { redis: Promise.resolve(client) },
      "redis, given to tokenizer(), must be { redis: { client } }",
    ],
    ["its address", { redis: "redis://localhost" }, "redis, given to tokenizer(), must be { redis: { client } }"],
    ["another key", { redis: { clients: client } }, "redis, given to tokenizer(), must be { redis: { client } }"],
    ["one of DynamoDB itself", { dynamodb: { config: {}, send() {} } }, "must be { dynamodb: { client } }."],
    [
      "a client one step too high",
      { client },
      "client, given to tokenizer(), is no option; give { redis: { client } }",
    ],
    ["what is misspelt", { redsi: { client } }, "redsi, given to tokenizer(), is no option; did you mean redis?"],
  ])("%s, rather than passed over", (_, inCode, message) => {
    expect(() => startTokenizer({ type: "redis" }, inCode)).toThrow(message);
  });

  test("credentials beside it", () => {
    const credentials = () => ({ password: "x" });
    expect(() => startTokenizer({ type: "redis" }, { redis: { client, credentials } })).toThrow(
      "redis.credentials, given to tokenizer(), stands beside redis.client, which signs in by itself; keep one.",
    );
  });

  test("another type, also the one that counts where none is set", () => {
    const place = { path: `${temporaryFolder()}/tokens` };
    expect(() => startTokenizer(place, { redis: { client } })).toThrow(
      "redis.client, given to tokenizer(), is for type: redis, and tokenizer.type is local; set the type, or leave out the client.",
    );
  });

  test("but not the memory that tests put in its place, nor a second client", async () => {
    await startTokenizer({ type: "memory" }, { redis: { client } }).ready;
    const port = await freePort();
    const dynamodb = { config: {}, middlewareStack: {}, send() {} };
    expect(() =>
      startTokenizer({ type: "redis", port }, { redis: { client }, dynamodb: { client: dynamodb } }),
    ).not.toThrow();
  });
});
