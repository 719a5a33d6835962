import { setTimeout as sleep } from "node:timers/promises";
import { beforeAll, expect, test } from "@jest/globals";
import type { RedisOptions } from "../../../lib/settings/settings.js";
import { freePort } from "../../support/free-port.mjs";
import { failureOf, makeBackend, record } from "../../support/redis-backend.js";
import {
  type Certificates,
  makeCertificates,
  type RedisServer,
  type RedisServerOptions,
  startRedis,
  until,
  withRedis,
  withTls,
} from "../../support/redis-server.js";
import { TcpProxy } from "../../support/tcp-proxy.js";

const KEYS = Array.from({ length: 100 }, (_, n) => `key${n}`);

withRedis("an address of the settings that belongs to another Cluster by now", () => {
  let ours: RedisServer;
  let theirs: RedisServer;

  beforeAll(async () => {
    [ours, theirs] = await Promise.all([startAlone(), startAlone()]);
  });

  test("is not asked while our own servers answer, however slow: no record goes there", async () => {
    const [member, seed] = await Promise.all([TcpProxy.start(ours.port), TcpProxy.start(ours.port)]);
    await ours.command("CONFIG", "SET", "cluster-announce-ip", "127.0.0.1");
    await ours.command("CONFIG", "SET", "cluster-announce-port", String(member.port));
    await until("it announces that", async () => (await slotsOf(ours)).includes(String(member.port)));
    const { backend } = makeBackend({ options: { cluster: true, nodes: [`127.0.0.1:${seed.port}`] } });
    await Promise.all(KEYS.map((key) => backend.write(key, record(key), "any")));
    member.delay = 20;
    seed.target = theirs.port;
    seed.cut();
    for (let round = 0; round < 5; round++) {
      // A lost connection makes the map doubtful, and it is asked for again, though not more often than that.
      await sleep(210);
      member.cut();
      await until("it is served", () => backend.write("key", record("x"), "any").catch(() => false));
      const found = await Promise.all(KEYS.map((key) => backend.read(key)));
      expect(found.map((stored) => stored?.value)).toEqual(KEYS);
    }
    expect(await theirs.command("DBSIZE")).toBe(0);
    await backend.close();
    await Promise.all([member.stop(), seed.stop()]);
  });

  test("is told at start, where nothing says yet which of them is ours", async () => {
    const nodes = [ours.address, theirs.address];
    for (let round = 0; round < 5; round++) {
      const { backend } = makeBackend({ options: { cluster: true, nodes } });
      const { code, message } = await failureOf(backend.open());
      expect(code).toBe("STORE_UNUSABLE");
      expect(message).toMatch(
        /^tokenizer\.options\.nodes names servers of two Redis Clusters: 127.* and 127.*\. Take out/,
      );
      for (const node of nodes) expect(message).toContain(node);
      await backend.close();
    }
  });

  test("is used when none of our own servers is there any more: a Cluster may be made anew", async () => {
    const alone = await startAlone();
    const seed = await TcpProxy.start(alone.port);
    const { backend } = makeBackend({ options: { cluster: true, nodes: [`127.0.0.1:${seed.port}`] } });
    await backend.write("key", record("before"), "any");
    seed.target = theirs.port;
    await alone.kill();
    await until("it is served", () => backend.write("key", record("after"), "any").catch(() => false));
    expect(await theirs.command("EXISTS", "tokenizer:key")).toBe(1);
    await backend.close();
    await seed.stop();
  });
});

withRedis("an address that only the Cluster names", () => {
  test("is told with whose word it is, and what to do where it is another one", async () => {
    const [announced, server] = [await freePort(), await startAlone()];
    await server.command("CONFIG", "SET", "cluster-announce-ip", "127.0.0.1");
    await server.command("CONFIG", "SET", "cluster-announce-port", String(announced));
    await until("it announces that", async () => (await slotsOf(server)).includes(String(announced)));
    const { backend } = makeBackend({ options: { cluster: true, nodes: [server.address] } });
    expect(await failureOf(backend.open())).toEqual({
      code: "STORE_UNAVAILABLE",
      message:
        `Redis at 127.0.0.1:${announced} (the address that the Cluster's server at ${server.address} gave) cannot be ` +
        "reached: nothing listens there. If it is reached at another one, have it announce that: cluster-announce-ip, " +
        "or replica-announce-ip with Sentinels.",
    });
  });
});

withTls("a Cluster by TLS that announces addresses, while its certificate has a name", () => {
  let server: RedisServer;
  let certificates: Certificates;

  beforeAll(async () => {
    const all = makeCertificates();
    certificates = { ...all, server: all.namedServer };
    server = await startAlone({ tls: certificates, args: ["--tls-cluster", "yes"] });
    await server.command("CONFIG", "SET", "cluster-announce-ip", "127.0.0.1");
    await until("it announces that", async () => (await slotsOf(server)).includes("127.0.0.1"));
  });

  const backendOf = (host: string, options: RedisOptions = {}) => {
    const { ca, client } = certificates;
    const nodes = [`${host}:${server.port}`];
    return makeBackend({ options: { ssl: true, ca, ...client, cluster: true, nodes, ...options } }).backend;
  };

  test.each<[string, string, RedisOptions]>([
    ["the name in nodes is good for them", "localhost", {}],
    ["servername is, where nodes has addresses, too", "127.0.0.1", { servername: "localhost" }],
    ["any is, with verify: false", "127.0.0.1", { verify: false }],
  ])("%s", async (_name, host, options) => {
    const backend = backendOf(host, options);
    await backend.open();
    expect(await backend.write("key", record("x"), "any")).toBe(true);
    expect(await server.command("EXISTS", "tokenizer:key")).toBe(1);
  });

  test.each<[string, string, RedisOptions]>([
    ["without one", "127.0.0.1", {}],
    ["with another one", "127.0.0.1", { servername: "redis.example.com" }],
  ])("%s it is refused, and says what to set", async (_name, host, options) => {
    expect(await failureOf(backendOf(host, options).open())).toEqual({
      code: "STORE_UNUSABLE",
      message: expect.stringMatching(
        /^Redis at 127\.0\.0\.1:\d+ cannot be used: its certificate is not for that host \(.*\)\. Call the host what its certificate does, or set tokenizer\.options\.servername to a name in it\.$/,
      ),
    });
  });

  test("a server of the settings needs its own name, not that of another one there", async () => {
    const nodes = [`127.0.0.1:${server.port}`, "localhost:1"];
    expect((await failureOf(backendOf("", { nodes }).open())).message).toMatch(/its certificate is not for that host/);
  });
});

/** A Cluster of one server, which keeps all slots. */
async function startAlone({ args = [], ...options }: RedisServerOptions = {}): Promise<RedisServer> {
  const server = await startRedis({ ...options, args: [...args, "--cluster-enabled", "yes"] });
  await server.command("CLUSTER", "ADDSLOTSRANGE", "0", "16383");
  await until("it serves", async () => String(await server.command("CLUSTER", "INFO")).includes("cluster_state:ok"));
  return server;
}

async function slotsOf(server: RedisServer): Promise<string> {
  return JSON.stringify(await server.command("CLUSTER", "SLOTS"));
}
