import { once } from "node:events";
import { type AddressInfo, createServer } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import { inspect } from "node:util";
import { beforeAll, describe, expect, test } from "@jest/globals";
import { slotOf } from "../../../lib/backends/redis/cluster.js";
import { failureOf, makeBackend, onServer, record } from "../../support/redis-backend.js";
import { commandsOf, type RedisServer, startRedis, until, withRedis } from "../../support/redis-server.js";
import { TcpProxy } from "../../support/tcp-proxy.js";

const KEYS_OF_A_PAGE = Array.from({ length: 200 }, (_, n) => `key${n}`);

let server: RedisServer;

withRedis("records in Redis", () => {
  beforeAll(async () => {
    server = await startRedis();
  });

  test("a load is one command, a write, a touch and a removal one script each", async () => {
    const { backend } = onServer(server);
    await backend.open();
    const [known, stored] = [record("a"), record("a")];
    await backend.write("known", known, "any");
    await backend.touch("known", known.expires + 1, known.version);
    await backend.remove("known");
    await server.command("CONFIG", "RESETSTAT");
    await backend.write("key", stored, "absent");
    await backend.read("key");
    await backend.touch("key", stored.expires + 1, stored.version);
    await backend.remove("key");
    expect(await commandsOf(server)).toMatchObject({ get: 1, evalsha: 3, eval: 0 });
  });

  test("scripts that the server forgot are sent again", async () => {
    const { backend } = onServer(server);
    const [first, second] = [record("a"), record("b")];
    expect(await backend.write("forgot", first, "absent")).toBe(true);
    await server.command("SCRIPT", "FLUSH");
    expect(await backend.write("forgot", second, { version: first.version })).toBe(true);
    await server.command("SCRIPT", "FLUSH");
    expect(await backend.touch("forgot", second.expires + 1, second.version)).toBe(true);
    await server.command("SCRIPT", "FLUSH");
    expect(await backend.remove("forgot")).toBe(true);
  });

  test("Redis drops what has expired by itself; a touch moves that later, and a rewrite either way", async () => {
    const { backend } = onServer(server);
    const left = async () => Number(await server.command("PTTL", "tokenizer:ttl"));
    const first = record("a", Date.now() + 60_000);
    await backend.write("ttl", first, "absent");
    expect(await left()).toBeGreaterThan(55_000);
    expect(await left()).toBeLessThanOrEqual(60_000);
    await backend.touch("ttl", Date.now() + 600_000, first.version);
    expect(await left()).toBeGreaterThan(595_000);
    for (const [end, version] of [
      [Date.now() + 100, first.version],
      [Date.now() - 1, first.version],
      [Date.now() + 6_000_000, "another"],
    ] as const) {
      expect(await backend.touch("ttl", end, version)).toBe(version === first.version);
      expect(await left()).toBeGreaterThan(595_000);
      expect(await left()).toBeLessThanOrEqual(600_000);
    }
    await backend.write("ttl", record("b", Date.now() + 100), { version: first.version });
    expect(await left()).toBeLessThanOrEqual(100);
    await until("the key is gone", async () => (await left()) === -2);
  });

  test("the clock that counts is the one given: what it says is over is absent, with Redis holding it still", async () => {
    const { backend, clock } = onServer(server);
    const first = record("a", Date.now() + 60_000);
    await backend.write("clock", first, "absent");
    clock.ahead = 60_000;
    expect(await server.command("EXISTS", "tokenizer:clock")).toBe(1);
    expect(await backend.read("clock")).toBeUndefined();
    expect(await backend.touch("clock", Date.now() + 120_000, first.version)).toBe(false);
    expect(await backend.write("clock", record("b", Date.now() + 120_000), { version: first.version })).toBe(false);
    expect(await backend.remove("clock")).toBe(false);
    expect(await server.command("EXISTS", "tokenizer:clock")).toBe(0);
  });

  test("a record whose end has passed is not there afterwards", async () => {
    const { backend } = onServer(server);
    const first = record("a");
    await backend.write("past", first, "absent");
    expect(await backend.write("past", record("b", Date.now() - 1), { version: first.version })).toBe(true);
    expect(await server.command("EXISTS", "tokenizer:past")).toBe(0);
    expect(await backend.write("past", record("b", Date.now() - 1), "absent")).toBe(true);
    expect(await server.command("EXISTS", "tokenizer:past")).toBe(0);
  });

  test.each([
    ["the far end of time", 8.64e15],
    ["a fraction of a millisecond", 4_102_444_800_000.25],
  ])("an expiry at %s is kept exactly", async (_, expires) => {
    const { backend } = onServer(server);
    const stored = { ...record("a"), expires };
    expect(await backend.write("end", stored, "any")).toBe(true);
    expect(await backend.read("end")).toEqual(stored);
    const sooner = record("b", expires - 1);
    expect(await backend.write("end", sooner, "any")).toBe(true);
    expect(await backend.touch("end", expires, sooner.version)).toBe(true);
    expect(await backend.read("end")).toEqual({ ...sooner, expires });
    await backend.remove("end");
  });

  test("more keys than fit on a page are all listed, once, and those under other prefixes are not", async () => {
    const { backend, warnings } = onServer(server, { prefix: "page*[?]\\:" });
    const others = onServer(server, { prefix: "pageX?:" }).backend;
    const keys = Array.from({ length: 1000 }, (_, n) => `key${n}`);
    await Promise.all(keys.map((key) => backend.write(key, record(key), "absent")));
    await others.write("other", record("other"), "absent");
    const found: string[] = [];
    for await (const { key, value } of backend.entries()) {
      expect(value).toBe(key);
      found.push(key);
    }
    expect(found.sort()).toEqual(keys.sort());
    expect(warnings).toEqual([]);
    expect(await backend.prune()).toBe(0);
  });

  test("a key that Redis names twice is listed once", async () => {
    const value = `tk1 ${String(Date.now() + 60_000).padStart(24)} v\nx`;
    const pages = [
      "*2\r\n$1\r\n7\r\n*3\r\n$1\r\na\r\n$1\r\nb\r\n$1\r\na\r\n",
      "*2\r\n$1\r\n0\r\n*2\r\n$1\r\nb\r\n$1\r\nc\r\n",
    ];
    const scanned = createServer((socket) =>
      socket.on("data", (chunk) => {
        for (const [command] of String(chunk).matchAll(/SCAN|GET/g)) {
          socket.write(command === "SCAN" ? (pages.shift() ?? "") : `$${value.length}\r\n${value}\r\n`);
        }
      }),
    ).listen(0, "127.0.0.1");
    await once(scanned, "listening");
    const { backend } = makeBackend({ port: (scanned.address() as AddressInfo).port, prefix: "" });
    const keys: string[] = [];
    for await (const { key } of backend.entries()) keys.push(key);
    expect(keys).toEqual(["a", "b", "c"]);
    await backend.close();
    scanned.close();
  });

  describe("keys of others under the prefix", () => {
    const REPORT = "Redis holds a key that begins with theirs: and is not a record of ours: passed over.";
    const theirs: [string, string[], RegExp][] = [
      ["a list", ["RPUSH", "theirs:key", "x"], /^Redis at 127\.0\.0\.1:\d+ refused: WRONGTYPE Operation against a key/],
      ["a hash", ["HSET", "theirs:key", "a", "b"], /^Redis at 127\.0\.0\.1:\d+ refused: WRONGTYPE Operation against a/],
      [
        "a text",
        ["SET", "theirs:key", "hello"],
        /^A key that begins with theirs: is somebody else's, and is left alone/,
      ],
      [
        "an empty text",
        ["SET", "theirs:key", ""],
        /^A key that begins with theirs: is somebody else's, and is left al/,
      ],
      ["a later format", ["SET", "theirs:key", "tk2 x\ny"], /^A key that begins with theirs: is somebody else's, and/],
    ];

    test.each(theirs)("%s is never harmed, and passed over in a listing", async (_name, command, refusal) => {
      await server.command("DEL", "theirs:key");
      await server.command(...command);
      const before = await server.command("DUMP", "theirs:key");
      const { backend, warnings } = onServer(server, { prefix: "theirs:" });
      await backend.write("ours", record("a"), "any");
      const isText = (await server.command("TYPE", "theirs:key")) === "string";
      const calls: [() => Promise<unknown>, absent: unknown][] = [
        [() => backend.read("key"), undefined],
        [() => backend.touch("key", Date.now() + 1000, "v"), false],
        [() => backend.touch("key", Date.now() - 1000, "v"), false],
        [() => backend.remove("key"), false],
      ];
      for (const [call, absent] of calls) {
        if (isText) expect(await call()).toBe(absent);
        else
          expect(await failureOf(call())).toEqual({
            code: "STORE_UNAVAILABLE",
            message: expect.stringMatching(refusal),
          });
      }
      const keys: string[] = [];
      for await (const { key } of backend.entries()) keys.push(key);
      expect(keys).toEqual(["ours"]);
      for (const expected of ["absent", "any"] as const) {
        const written = failureOf(backend.write("key", record("a"), expected));
        expect(await written).toEqual({ code: "STORE_UNAVAILABLE", message: expect.stringMatching(refusal) });
        await backend.write("key", record("a", Date.now() - 1), expected).catch(() => {});
      }
      await backend.write("key", record("a"), { version: "v" }).catch(() => {});
      expect(await server.command("DUMP", "theirs:key")).toEqual(before);
      expect(await server.command("PTTL", "theirs:key")).toBe(-1);
      expect(warnings).toEqual([REPORT]);
    });
  });

  test.each([
    ["no head", "tk1 hello"],
    ["an expiry that is no number", `tk1 ${"soon".padStart(24)} version\nvalue`],
    ["a version that does not decode", `tk1 ${"9999999999999".padStart(24)} %ff\nvalue`],
    ["no end of the head", `tk1 ${"9999999999999".padStart(24)} version`],
  ])("a damaged record of ours (%s) is absent and reported once", async (_name, text) => {
    const { backend, warnings } = onServer(server, { prefix: "damaged:" });
    await server.command("SET", "damaged:key", text);
    expect(await backend.read("key")).toBeUndefined();
    expect(await backend.read("key")).toBeUndefined();
    expect(warnings).toEqual(["Redis holds a key that begins with damaged: and is not a record of ours: passed over."]);
  });

  test("58: an answer that was lost: the write, tried again, meets itself and is one write", async () => {
    const proxy = await TcpProxy.start(server.port);
    const { backend } = makeBackend({ port: proxy.port });
    await backend.open();
    const known = record("known");
    await backend.write("lost", known, "any");
    const mine = record("mine");
    proxy.cuts = 1;
    const connections = proxy.connections;
    expect(await backend.write("lost", mine, { version: known.version })).toBe(true);
    expect(proxy.connections).toBe(connections + 1);
    expect(await backend.read("lost")).toEqual(mine);
    await proxy.stop();
  });

  test.each(["absent", "any"] as const)(
    "58: an answer that was lost: a write that expects %s is not tried again, whatever is there by then",
    async (expected) => {
      const proxy = await TcpProxy.start(server.port);
      const [mine, other] = [makeBackend({ port: proxy.port }).backend, onServer(server).backend];
      await mine.open();
      const key = `lost-${expected}`;
      for (const later of [undefined, record("another's")]) {
        await other.remove(key);
        proxy.loses = true;
        const writing = failureOf(mine.write(key, record("mine"), expected));
        await until("it is there", async () => (await other.read(key)) !== undefined);
        await other.remove(key);
        if (later) await other.write(key, later, "absent");
        proxy.loses = false;
        proxy.cut();
        expect((await writing).code).toBe("STORE_UNAVAILABLE");
        expect(await other.read(key)).toEqual(later);
      }
      await proxy.stop();
    },
  );

  test("a creation that was refused, with nothing done, is tried again at once", async () => {
    const proxy = await TcpProxy.start(server.port);
    const { backend } = makeBackend({ port: proxy.port });
    await backend.open();
    await sleep(1050);
    const replica = await startRedis({ args: ["--replicaof", "127.0.0.1", "1"] });
    // Whoever was master is a replica now, and the address leads to another one.
    await server.command("REPLICAOF", "127.0.0.1", String(replica.port));
    await replica.command("REPLICAOF", "NO", "ONE");
    proxy.target = replica.port;
    try {
      expect(await backend.write("created", record("x"), "absent")).toBe(true);
      expect(await replica.command("EXISTS", "tokenizer:created")).toBe(1);
    } finally {
      await server.command("REPLICAOF", "NO", "ONE");
    }
    await proxy.stop();
  });

  test("a server that was master, follows nobody and serves nothing stale: reads go where its address leads by then", async () => {
    const [old, successor] = (await Promise.all([
      startRedis({ args: ["--replica-serve-stale-data", "no"] }),
      startRedis(),
    ])) as [RedisServer, RedisServer];
    const proxy = await TcpProxy.start(old.port);
    const { backend } = makeBackend({ port: proxy.port });
    await backend.open();
    const kept = record("kept");
    await onServer(successor).backend.write("key", kept, "absent");
    await old.command("REPLICAOF", "127.0.0.1", "1");
    // A connection that was only just made is kept: the same server would be found again.
    expect((await failureOf(backend.read("key"))).message).toMatch(/refused: MASTERDOWN Link with MASTER is down/);
    proxy.target = successor.port;
    await sleep(1050);
    expect(await backend.read("key")).toEqual(kept);
    await proxy.stop();
  });

  test("while all is listed, no more than a few records are asked for at once", async () => {
    const proxy = await TcpProxy.start(server.port);
    const { backend } = makeBackend({ port: proxy.port, prefix: "lump:" });
    await Promise.all(KEYS_OF_A_PAGE.map((key) => backend.write(key, record(key), "any")));
    let most = 0;
    proxy.onRequest = (chunk) => {
      most = Math.max(most, String(chunk).split("GET\r\n").length - 1);
    };
    let count = 0;
    for await (const _ of backend.entries()) count++;
    expect(count).toBe(KEYS_OF_A_PAGE.length);
    expect(most).toBeGreaterThan(1);
    expect(most).toBeLessThanOrEqual(32);
    await proxy.stop();
  });

  test("an answer that comes late is nobody else's", async () => {
    const proxy = await TcpProxy.start(server.port);
    const timeout = 500;
    const { backend } = makeBackend({ port: proxy.port }, { timeout });
    await backend.write("late", record("late"), "any");
    await backend.write("next", record("next"), "any");
    proxy.delay = 1.2 * timeout;
    const late = failureOf(backend.read("late"));
    const message = `Redis at 127.0.0.1:${proxy.port} did not answer within 0.5 seconds.`;
    expect(await late).toEqual({ code: "STORE_TIMEOUT", message });
    proxy.delay = 0;
    const found = await Promise.all(["next", "late", "next"].map((key) => backend.read(key)));
    expect(found.map((stored) => stored?.value)).toEqual(["next", "late", "next"]);
    await sleep(0.4 * timeout);
    expect(await backend.read("next")).toMatchObject({ value: "next" });
    await proxy.stop();
  });

  test("an answer that is there counts, though our own loop was held up past the deadline", async () => {
    const timeout = 500;
    const { backend } = makeBackend({ port: server.port }, { timeout });
    await backend.write("held", record("held"), "any");
    const reading = backend.read("held");
    // It is sent by then: the client gathers what one turn of the loop asks for, and writes it in the next.
    for (let turn = 0; turn < 2; turn++) await new Promise(setImmediate);
    for (const end = performance.now() + 1.5 * timeout; performance.now() < end; );
    expect(await reading).toMatchObject({ value: "held" });
  });

  test("a server that turned out to be a replica is looked up anew, but not at every call", async () => {
    const proxy = await TcpProxy.start(server.port);
    const { backend } = makeBackend({ port: proxy.port });
    await backend.open();
    await sleep(1050);
    await server.command("REPLICAOF", "127.0.0.1", "1");
    try {
      const refusal = {
        code: "STORE_UNAVAILABLE",
        message: `Redis at 127.0.0.1:${proxy.port} refused: READONLY You can't write against a read only replica.`,
      };
      for (let n = 0; n < 5; n++) expect(await failureOf(backend.write("key", record("x"), "any"))).toEqual(refusal);
      expect(proxy.connections).toBe(2);
    } finally {
      await server.command("REPLICAOF", "NO", "ONE");
    }
    expect(await backend.write("key", record("x"), "any")).toBe(true);
    await proxy.stop();
  });

  test("no error holds what was sent: a server that does not know a command repeats its arguments", async () => {
    const other = await startRedis({ args: ["--rename-command", "EVALSHA", "", "--rename-command", "GET", ""] });
    const { backend } = onServer(other);
    const [reading, writing] = [backend.read("a-key"), backend.write("a-key", record("a value"), "any")];
    for (const [call, command] of [
      [reading, "GET"],
      [writing, "EVALSHA"],
    ] as const) {
      const error = await call.catch((reason) => reason);
      expect([error.code, error.message]).toEqual([
        "STORE_UNAVAILABLE",
        `Redis at ${other.address} refused: ERR unknown command '${command}'.`,
      ]);
      expect(inspect(error, { depth: 9 })).not.toMatch(/a-key|a value|version-/);
    }
  });

  test("what was closed takes no more calls, and a second close does nothing", async () => {
    const { backend } = onServer(server);
    const before = await clientsOf(server);
    await backend.open();
    expect(await clientsOf(server)).toBe(before + 1);
    const reading = failureOf(backend.read("key"));
    await backend.close();
    await backend.close();
    const refusal = { code: "STORE_CLOSED", message: "The session store was closed." };
    expect(await reading).toEqual(refusal);
    const calls = [
      backend.open(),
      backend.read("key"),
      backend.write("key", record("a"), "any"),
      backend.touch("key", 1, "v"),
      backend.remove("key"),
      backend.entries()[Symbol.asyncIterator]().next(),
    ];
    for (const call of calls) expect(await failureOf(call)).toEqual(refusal);
    await until("its connection is gone", async () => (await clientsOf(server)) === before);
  });

  test("what is closed while it connects leaves no connection", async () => {
    const before = await clientsOf(server);
    const proxy = await TcpProxy.start(server.port);
    proxy.delay = 100;
    const { backend } = makeBackend({ port: proxy.port, database: 1 });
    const opening = failureOf(backend.open());
    await until("it connects", () => proxy.connections === 1);
    await backend.close();
    expect(await opening).toEqual({ code: "STORE_CLOSED", message: "The session store was closed." });
    await until("its connection is gone", async () => (await clientsOf(server)) === before);
    await proxy.stop();
  });

  test("keys go to the slots that Redis says", async () => {
    const keys = ["", "key", "é😀", "{user}:a", "a{user}b{other}", "{}x", "{x", "tokenizer:session"];
    const cluster = await startRedis({ args: ["--cluster-enabled", "yes"] });
    const slots = await Promise.all(keys.map((key) => cluster.command("CLUSTER", "KEYSLOT", key)));
    expect(keys.map(slotOf)).toEqual(slots);
  });
});

async function clientsOf(server: RedisServer): Promise<number> {
  return String(await server.command("CLIENT", "LIST"))
    .trim()
    .split("\n").length;
}
