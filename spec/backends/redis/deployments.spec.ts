import { setTimeout as sleep } from "node:timers/promises";
import { beforeAll, describe, expect, test } from "@jest/globals";
import type { RedisBackendOptions } from "../../../lib/backends/redis/backend.js";
import { slotOf } from "../../../lib/backends/redis/cluster.js";
import { backendContract, contractInShort } from "../../support/contract.js";
import { failureOf, makeBackend, record } from "../../support/redis-backend.js";
import {
  type Certificates,
  failOverSoon,
  makeCertificates,
  type RedisServer,
  type SentinelSetup,
  setNodeTimeout,
  startCluster,
  startRedis,
  startSentinels,
  until,
  withRedis,
  withTls,
} from "../../support/redis-server.js";
import { TcpProxy } from "../../support/tcp-proxy.js";

/** The rights that the head of redis.ts names. */
const RIGHTS = "+get +getrange +set +setrange +pexpire +del +scan +eval +evalsha +ping".split(" ");
const KEYS = Array.from({ length: 100 }, (_, n) => `key${n}`);

let places = 0;

/** Cases of the shared contract, all of them by default, each under a prefix of its own. */
function keepsTheContract(options: () => Partial<RedisBackendOptions>, cases = backendContract): void {
  describe("keeps the contract", () => {
    test.each(cases)("$name", ({ run }) =>
      run(async ({ now }) => {
        const place = { ...options(), prefix: `tokenizer:${++places}:` };
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

  keepsTheContract(() => ({ port: server.port }));

  test("another database is another place", async () => {
    const [one, other] = [0, 1].map((database) => makeBackend({ port: server.port, database }).backend);
    await one?.write("key", record("in database 0"), "absent");
    expect(await other?.read("key")).toBeUndefined();
    expect(await one?.read("key")).toMatchObject({ value: "in database 0" });
  });
});

withRedis("a user with no more rights than are documented", () => {
  let server: RedisServer;
  const login = { username: "app", password: "a password: with + signs" };

  beforeAll(async () => {
    server = await startRedis();
    await server.command("ACL", "SETUSER", "app", "on", `>${login.password}`, "~tokenizer:*", ...RIGHTS);
    await server.command("ACL", "SETUSER", "default", "off");
  });

  keepsTheContract(() => ({ port: server.port, ...login }));
});

withTls("TLS", () => {
  let server: RedisServer;
  let certificates: Certificates;

  beforeAll(async () => {
    certificates = makeCertificates();
    server = await startRedis({ tls: certificates });
  });

  keepsTheContract(
    () => ({
      host: "localhost",
      port: server.port,
      options: { ssl: true, ca: certificates.ca, ...certificates.client },
    }),
    contractInShort,
  );
});

withRedis("a Cluster of three masters", () => {
  let servers: RedisServer[];
  const nodes = () => servers.map(({ address }) => address);

  beforeAll(async () => {
    servers = await startCluster(3);
  });

  keepsTheContract(() => ({ options: { cluster: true, nodes: nodes().slice(0, 1) } }));

  test("keys are on all masters, and all are listed", async () => {
    const { backend } = makeBackend({ prefix: "spread:", options: { cluster: true, nodes: nodes() } });
    await Promise.all(KEYS.map((key) => backend.write(key, record(key), "absent")));
    for (const server of servers) expect(Number(await server.command("DBSIZE"))).toBeGreaterThan(10);
    const found = [];
    for await (const { key } of backend.entries()) found.push(key);
    expect(found.sort()).toEqual([...KEYS].sort());
  });

  test("a slot that moves from a server not yet listed to one that was: the listing says so", async () => {
    const { backend } = makeBackend({ prefix: "{listed}:", options: { cluster: true, nodes: nodes() } });
    await backend.write("key", record("x"), "absent");
    const { from, slot } = await keeperOf("{listed}:");
    const other = makeBackend({ prefix: "{", options: { cluster: true, nodes: nodes() } }).backend;
    // So that each server has a page of its own.
    for (const key of ["a", "b", "c", "d", "e", "f"]) await other.write(`${key}}:x`, record("x"), "any");
    const moving = (async () => {
      let hasMoved = false;
      for await (const _ of other.entries()) {
        if (!hasMoved) await moveSlot(slot, from, servers.find((server) => server !== from) as RedisServer);
        hasMoved = true;
      }
    })();
    expect(await failureOf(moving)).toEqual({
      code: "STORE_UNAVAILABLE",
      message: expect.stringMatching(/^The listing was interrupted: keys are on another Redis server now/),
    });
    const found = [];
    for await (const { key } of backend.entries()) found.push(key);
    expect(found).toEqual(["key"]);
  });

  /** Which of them has the keys of this prefix, all of which are in one slot. */
  async function keeperOf(prefix: string): Promise<{ slot: string; from: RedisServer }> {
    const slot = String(await servers[0]?.command("CLUSTER", "KEYSLOT", prefix));
    for (const from of servers) {
      if (Number(await from.command("CLUSTER", "COUNTKEYSINSLOT", slot)) > 0) return { slot, from };
    }
    throw new Error(`there is no key in slot ${slot}`);
  }

  async function moveSlot(slot: string, from: RedisServer, to: RedisServer): Promise<void> {
    const [fromId, toId] = await Promise.all([from, to].map((server) => server.command("CLUSTER", "MYID")));
    await to.command("CLUSTER", "SETSLOT", slot, "IMPORTING", String(fromId));
    await from.command("CLUSTER", "SETSLOT", slot, "MIGRATING", String(toId));
    const keys = (await from.command("CLUSTER", "GETKEYSINSLOT", slot, "100")) as string[];
    await from.command("MIGRATE", "127.0.0.1", String(to.port), "", "0", "1000", "KEYS", ...keys);
    for (const server of [to, from, ...servers]) await server.command("CLUSTER", "SETSLOT", slot, "NODE", String(toId));
  }

  test("a slot that moves: reads and writes follow it, while it moves and after", async () => {
    const prefix = "{moving}:";
    const { backend } = makeBackend({ prefix, options: { cluster: true, nodes: nodes() } });
    const first = record("before");
    await backend.write("key", first, "absent");
    const { slot, from } = await keeperOf(prefix);
    const to = servers.find((server) => server !== from) as RedisServer;
    const [fromId, toId] = await Promise.all([from, to].map((server) => server.command("CLUSTER", "MYID")));
    await to.command("CLUSTER", "SETSLOT", slot, "IMPORTING", String(fromId));
    await from.command("CLUSTER", "SETSLOT", slot, "MIGRATING", String(toId));
    // What is not there is asked of the new server already (ASK), what is there stays.
    expect(await backend.write("new", record("meanwhile"), "absent")).toBe(true);
    expect(await backend.read("new")).toMatchObject({ value: "meanwhile" });
    expect(await backend.read("key")).toEqual(first);
    expect(await from.command("EXISTS", `${prefix}new`).catch(String)).toMatch(/^Error: ASK /);
    await from.command("MIGRATE", "127.0.0.1", String(to.port), `${prefix}key`, "0", "1000");
    expect(await backend.read("key")).toEqual(first);
    for (const server of [to, from, ...servers]) await server.command("CLUSTER", "SETSLOT", slot, "NODE", String(toId));
    expect(await backend.write("key", record("after"), { version: first.version })).toBe(true);
    expect(await backend.read("key")).toMatchObject({ value: "after" });
    expect(await backend.remove("new")).toBe(true);
    // From then on the new server is asked first.
    await until("the map is new", async () => {
      const before = await movedOf(from);
      await backend.read("key");
      return (await movedOf(from)) === before;
    });
  });

  test("one master that does not answer: its keys fail by the deadline, the others' are served all along", async () => {
    const timeout = 800;
    const place = { prefix: "frozen:", options: { cluster: true, nodes: nodes() } };
    const [patient, { backend }] = [makeBackend(place).backend, makeBackend(place, { timeout })];
    await Promise.all([patient.open(), backend.open()]);
    await Promise.all(KEYS.map((key) => patient.write(key, record(key), "any")));
    const frozen = servers[1] as RedisServer;
    frozen.freeze();
    try {
      for (let round = 0; round < 2; round++) {
        const start = performance.now();
        const answers = await Promise.all(
          KEYS.map((key) =>
            backend.read(key).then(
              (found) => found?.value === key,
              (error) => error.code,
            ),
          ),
        );
        expect(performance.now() - start).toBeLessThan(5 * timeout);
        const served = answers.filter((answer) => answer === true);
        const failed = answers.filter((answer) => answer === "STORE_TIMEOUT" || answer === "STORE_UNAVAILABLE");
        expect(served.length).toBeGreaterThan(50);
        expect(failed.length).toBeGreaterThan(10);
        expect(served.length + failed.length).toBe(KEYS.length);
      }
    } finally {
      frozen.thaw();
    }
    await until("all are served", async () => {
      const answers = await Promise.allSettled(KEYS.map((key) => backend.read(key)));
      return answers.every((answer) => answer.status === "fulfilled" && answer.value !== undefined);
    });
  });

  test("one of its servers, taken for the only one: start says what it is", async () => {
    const [first, last] = [servers[0], servers[2]] as [RedisServer, RedisServer];
    const prefix = KEYS.map((key) => `{${key}}:`).find((tagged) => slotOf(tagged) > 12_000) as string;
    await makeBackend({ port: last.port, prefix }).backend.open();
    expect(await failureOf(makeBackend({ port: first.port, prefix }).backend.open())).toEqual({
      code: "STORE_UNUSABLE",
      message: expect.stringMatching(
        /^Redis at .* refused: MOVED \d+ 127\.0\.0\.1:\d+\. It is one of a Cluster: set tokenizer\.options\.cluster: true, and/,
      ),
    });
  });

  test("a server that knows nothing of the Cluster any more is not believed", async () => {
    const empty = await startRedis({ args: ["--cluster-enabled", "yes"] });
    for (let round = 0; round < 20; round++) {
      const { backend } = makeBackend({ options: { cluster: true, nodes: [empty.address, ...nodes()] } });
      expect(await Promise.all(KEYS.slice(0, 5).map((key) => backend.read(`none-${key}`)))).toEqual(
        Array(5).fill(undefined),
      );
      await backend.close();
    }
  });

  test("a user with no more rights than are documented is served while a slot moves", async () => {
    const [username, password] = ["app", "a password"];
    const setUser = (...rights: string[]) =>
      Promise.all(
        servers.map((one) => one.command("ACL", "SETUSER", username, "on", `>${password}`, "~{acl}:*", ...rights)),
      );
    const place = { prefix: "{acl}:", username, password, options: { cluster: true, nodes: nodes() } };
    await setUser(...RIGHTS, "+cluster|slots");
    expect(await failureOf(makeBackend(place).backend.open())).toEqual({
      code: "STORE_UNUSABLE",
      message: expect.stringMatching(
        /refused: NOPERM .*'asking' command\. Give the user of tokenizer\.username that right/,
      ),
    });
    await setUser("+asking");
    const { backend } = makeBackend(place);
    await backend.open();
    await backend.write("key", record("x"), "absent");
    const { from, slot } = await keeperOf("{acl}:");
    const to = servers.find((server) => server !== from) as RedisServer;
    const [fromId, toId] = await Promise.all([from, to].map((server) => server.command("CLUSTER", "MYID")));
    await to.command("CLUSTER", "SETSLOT", slot, "IMPORTING", String(fromId));
    await from.command("CLUSTER", "SETSLOT", slot, "MIGRATING", String(toId));
    expect(await backend.write("new", record("y"), "absent")).toBe(true);
    expect(await backend.read("none")).toBeUndefined();
    expect(await backend.remove("new")).toBe(true);
    await setUser("-asking");
    expect((await failureOf(backend.read("none"))).message).toMatch(/refused: NOPERM .*'asking' command\.$/);
    for (const server of [from, to]) await server.command("CLUSTER", "SETSLOT", slot, "STABLE");
  });

  test("a Cluster without its slots is told", async () => {
    const alone = await startRedis({ args: ["--cluster-enabled", "yes"] });
    const { backend } = makeBackend({ options: { cluster: true, nodes: [alone.address] } });
    expect(await failureOf(backend.read("key"))).toEqual({
      code: "STORE_UNAVAILABLE",
      message: expect.stringMatching(
        /^Redis at 127\.0\.0\.1:\d+ refused: CLUSTERDOWN It knows of no server that keeps a slot\.$/,
      ),
    });
  });
});

withRedis("a Cluster's servers that stop to answer one after the other", () => {
  test("a call that waits for a map that another one asked for is in time", async () => {
    const timeout = 500;
    const servers = await Promise.all([1, 2].map(() => startRedis({ args: ["--cluster-enabled", "yes"] })));
    const [first, second] = servers as [RedisServer, RedisServer];
    const proxies = await Promise.all(servers.map(({ port }) => TcpProxy.start(port)));
    const [toFirst, toSecond] = proxies as [TcpProxy, TcpProxy];
    await first.command("CLUSTER", "ADDSLOTSRANGE", "0", "8191");
    await second.command("CLUSTER", "ADDSLOTSRANGE", "8192", "16383");
    for (const [n, server] of servers.entries()) {
      await server.command("CLUSTER", "SET-CONFIG-EPOCH", String(n + 1));
      await server.command("CONFIG", "SET", "cluster-announce-port", String(proxies[n]?.port));
    }
    await first.command("CLUSTER", "MEET", "127.0.0.1", String(second.port), String(second.port + 10_000));
    const nodes = proxies.map(({ port }) => `127.0.0.1:${port}`);
    const options = { cluster: true, nodes };
    const { backend } = makeBackend({ options }, { timeout });
    const [onFirst, onSecond] = [0, 1].map((half) => KEYS.find((key) => slotOf(`tokenizer:${key}`) >> 13 === half)) as [
      string,
      string,
    ];
    await until("each names the proxies", async () => {
      const told = await Promise.all(servers.map((server) => server.command("CLUSTER", "SLOTS")));
      return proxies.every(({ port }) => told.every((slots) => JSON.stringify(slots).includes(String(port))));
    });
    await until("both serve", async () => {
      const answers = await Promise.allSettled([backend.read(onFirst), backend.read(onSecond)]);
      return answers.every(({ status }) => status === "fulfilled");
    });
    for (const proxy of proxies) proxy.loses = true;
    const ended: string[] = [];
    const failing = async (key: string) => {
      const { code } = await failureOf(backend.read(key));
      expect(["STORE_TIMEOUT", "STORE_UNAVAILABLE"]).toContain(code);
      ended.push(key);
    };
    const early = failing(onFirst);
    await sleep(0.7 * timeout);
    const late = failing(onSecond);
    // And a third of it more. Timers come in their order, however busy the machine; a look for an answer follows them.
    const inTime = sleep(1.3 * timeout)
      .then(() => new Promise(setImmediate))
      .then(() => ended.push("past its deadline"));
    await sleep(10);
    // The late one asks for the map, the early one waits for it, too.
    toSecond.cut();
    await sleep(0.15 * timeout);
    toFirst.cut();
    await Promise.all([early, late, inTime]);
    expect(ended).toEqual([onFirst, onSecond, "past its deadline"]);
    await Promise.all(proxies.map((proxy) => proxy.stop()));
  });
});

withRedis("a Cluster whose master is killed", () => {
  test("55: is served again when its replica has taken over, with what it had", async () => {
    const servers = await startCluster(3, 1);
    const [replica, second, , master] = servers as [RedisServer, RedisServer, RedisServer, RedisServer];
    const timeout = 1000;
    const { backend } = makeBackend({ options: { cluster: true, nodes: [second.address] } }, { timeout });
    const readAll = () => Promise.allSettled(KEYS.map((key) => backend.read(key)));
    const isAll = (answers: Awaited<ReturnType<typeof readAll>>) =>
      answers.every((answer, n) => answer.status === "fulfilled" && answer.value?.value === KEYS[n]);
    await Promise.all(KEYS.map((key) => backend.write(key, record(key), "any")));
    await untilReplicated(replica);

    // First they change places: who was master lives on, and is let go.
    await master.command("CLUSTER", "FAILOVER");
    await until("they have changed places", async () => (await roleOf(master)) === "master");
    await until("all are served", async () => isAll(await readAll()));
    const ours = / cmd=(get|eval|evalsha|cluster)/;
    await until("the old one is let go", async () => {
      await readAll();
      return !ours.test(String(await replica.command("CLIENT", "LIST", "TYPE", "normal")));
    });
    await until("it follows", async () => (await roleOf(replica)) === "slave");
    await untilReplicated(master);

    // From now on silence for a second is death.
    await setNodeTimeout(servers, 1000);
    await master.kill();
    const codes = new Set<string>();
    await until("all are served", async () => {
      const start = performance.now();
      const answers = await readAll();
      expect(performance.now() - start).toBeLessThan(5 * timeout);
      for (const answer of answers) if (answer.status === "rejected") codes.add(answer.reason.code);
      return isAll(answers);
    });
    expect([...codes].filter((code) => code !== "STORE_UNAVAILABLE" && code !== "STORE_TIMEOUT")).toEqual([]);
    expect(codes.size).toBeGreaterThan(0);
    expect(await roleOf(replica)).toBe("master");
    expect(await backend.write("new", record("x"), "absent")).toBe(true);
  });
});

withRedis("Sentinels", () => {
  let setup: SentinelSetup;
  const options = () => ({
    options: { sentinel: setup.name, nodes: setup.sentinels.map(({ address }) => address) },
  });

  beforeAll(async () => {
    setup = await startSentinels();
  });

  keepsTheContract(options);

  test("55: a master that is replaced while it works: writes soon go to the new one", async () => {
    const { backend } = makeBackend(options(), { timeout: 1000 });
    await backend.write("key", record("x"), "any");
    await until("the failover begins", async () => {
      const answer = await setup.sentinels[1]?.command("SENTINEL", "FAILOVER", setup.name).catch(() => "");
      return answer === "OK";
    });
    // It ends all connections then, those of this spec, too.
    await until("it is replaced", () =>
      roleOf(setup.replica).then(
        (role) => role === "master",
        () => false,
      ),
    );
    const there = async (key: string) => (await setup.replica.command("EXISTS", `tokenizer:${key}`)) === 1;
    let writes = 0;
    await until(
      "a write is there",
      async () => {
        const key = `write-${writes++}`;
        return (await backend.write(key, record("y"), "any").catch(() => false)) && (await there(key));
      },
      // It looks every second.
      5000,
    );
    // Left to itself, a Sentinel takes ten seconds for it.
    await setup.master.command("REPLICAOF", "127.0.0.1", String(setup.replica.port));
    await until("it follows the new one", async () => roleOf(setup.master).then((role) => role === "slave"));
  });

  test("55: a master that is killed: calls fail in time, then its replica serves what it had", async () => {
    const timeout = 1000;
    const { backend } = makeBackend(options(), { timeout });
    const kept = record("kept");
    await backend.write("kept", kept, "absent");
    await untilReplicated(setup.replica);
    await failOverSoon(setup);
    await setup.replica.kill();
    // One of them may be gone, too.
    await setup.sentinels[0]?.kill();
    let failures = 0;
    await until("service is back", async () => {
      const start = performance.now();
      const written = await backend.write("new", record("x"), "any").catch((error) => error);
      expect(performance.now() - start).toBeLessThan(5 * timeout);
      if (written === true) return true;
      failures++;
      expect(["STORE_UNAVAILABLE", "STORE_TIMEOUT"]).toContain(written.code);
      return false;
    });
    expect(failures).toBeGreaterThan(0);
    expect(await backend.read("kept")).toEqual(kept);
    expect(await roleOf(setup.master)).toBe("master");
  });

  test("of which one still names the master from before: the others are believed, however slow", async () => {
    const [before, now] = (await Promise.all([startRedis(), startRedis()])) as [RedisServer, RedisServer];
    const monitor = ({ port }: RedisServer) => `sentinel monitor other 127.0.0.1 ${port} 2\n`;
    const sentinels = await Promise.all(
      [before, now, now].map((master) => startRedis({ sentinel: true, config: monitor(master) })),
    );
    const proxies = await Promise.all(sentinels.slice(1).map(({ port }) => TcpProxy.start(port)));
    for (const proxy of proxies) proxy.delay = 20;
    const nodes = [sentinels[0]?.address as string, ...proxies.map(({ port }) => `127.0.0.1:${port}`)];
    const { backend } = makeBackend({ options: { sentinel: "other", nodes } });
    await backend.write("key", record("x"), "absent");
    expect([await before.command("DBSIZE"), await now.command("DBSIZE")]).toEqual([0, 1]);
    await Promise.all(proxies.map((proxy) => proxy.stop()));
  });

  test("that ask for a password get it", async () => {
    const password = "for Redis and its Sentinels";
    const master = await startRedis({ args: ["--requirepass", password], login: { password } });
    const config = `sentinel monitor other 127.0.0.1 ${master.port} 1\nrequirepass "${password}"\n`;
    const sentinel = await startRedis({ sentinel: true, config, login: { password } });
    const withPassword = { password, database: 1, options: { sentinel: "other", nodes: [sentinel.address] } };
    const { backend } = makeBackend(withPassword);
    await backend.open();
    expect(await backend.write("key", record("x"), "absent")).toBe(true);
  });

  test("whose master cannot be reached where they say: start says whose word it is", async () => {
    const gone = await startRedis();
    const config = `sentinel monitor other 127.0.0.1 ${gone.port} 1\n`;
    const sentinel = await startRedis({ sentinel: true, config });
    await gone.kill();
    const { backend } = makeBackend({ options: { sentinel: "other", nodes: [sentinel.address] } });
    expect(await failureOf(backend.open())).toEqual({
      code: "STORE_UNAVAILABLE",
      message:
        `Redis at 127.0.0.1:${gone.port} (the address that the Sentinel at ${sentinel.address} gave) cannot be reached: ` +
        "nothing listens there. If it is reached at another one, have it announce that: cluster-announce-ip, or " +
        "replica-announce-ip with Sentinels.",
    });
  });

  test("that know no such master: start says so", async () => {
    const nodes = options().options.nodes.slice(1, 2);
    const { backend } = makeBackend({ options: { sentinel: "nobody", nodes } });
    expect(await failureOf(backend.open())).toEqual({
      code: "STORE_UNUSABLE",
      message:
        `Redis at ${nodes[0]} refused: NOMASTER It knows no master named nobody. ` +
        "Check tokenizer.options.sentinel and tokenizer.options.nodes.",
    });
  });
});

/** How often it said that a slot is elsewhere. */
async function movedOf(server: RedisServer): Promise<number> {
  const [, count = 0] = /errorstat_MOVED:count=(\d+)/.exec(String(await server.command("INFO", "errorstats"))) ?? [];
  return Number(count);
}

async function roleOf(server: RedisServer): Promise<unknown> {
  return ((await server.command("ROLE")) as unknown[])[0];
}

/** What was acknowledged until now is on its replica, too. */
async function untilReplicated(master: RedisServer): Promise<void> {
  await until("the replica has everything", async () => {
    const info = String(await master.command("INFO", "replication"));
    const [, theirs] = /slave0:.*offset=(\d+)/.exec(info) ?? [];
    const [, mine] = /master_repl_offset:(\d+)/.exec(info) ?? [];
    return theirs === mine;
  });
}
