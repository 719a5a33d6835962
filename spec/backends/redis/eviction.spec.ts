import { describe, expect, test } from "@jest/globals";
import { makeBackend, onServer } from "../../support/redis-backend.js";
import { type RedisServer, startCluster, startRedis, withRedis } from "../../support/redis-server.js";

const SETTING = "Set maxmemory-policy noeviction there.";
const DROPS = "it drops sessions, and the lists of users' sessions, before they end";

withRedis("a Redis that drops what has not expired", () => {
  const full = (server: RedisServer, policy: string) =>
    `Redis at ${server.address} has maxmemory-policy ${policy}: when its memory is full ${DROPS}. ${SETTING}`;

  test.each(["volatile-lru", "allkeys-lru", "volatile-ttl", "allkeys-random"])(
    "%s is warned of, once",
    async (policy) => {
      const server = await startRedis({ args: ["--maxmemory", "100mb", "--maxmemory-policy", policy] });
      const { backend, warnings } = onServer(server);
      await backend.open();
      await backend.read("key");
      expect(warnings).toEqual([full(server, policy)]);
    },
  );

  test("is warned of more mildly where it has no limit yet", async () => {
    const server = await startRedis({ args: ["--maxmemory-policy", "allkeys-lru"] });
    const { backend, warnings } = onServer(server);
    await backend.open();
    expect(warnings).toEqual([
      `Redis at ${server.address} has maxmemory-policy allkeys-lru: as soon as it has a maxmemory, too, ${DROPS}. ${SETTING}`,
    ]);
  });

  test("is one of three in a Cluster: that one is named", async () => {
    const servers = await startCluster(3);
    const [, second] = servers as [RedisServer, RedisServer];
    await second.command("CONFIG", "SET", "maxmemory", "100mb");
    await second.command("CONFIG", "SET", "maxmemory-policy", "volatile-lru");
    const nodes = servers.slice(0, 1).map(({ address }) => address);
    const { backend, warnings } = makeBackend({ options: { cluster: true, nodes } });
    await backend.open();
    expect(warnings).toEqual([full(second, "volatile-lru")]);
  });
});

withRedis("no warning", () => {
  test.each([
    ["with noeviction", []],
    ["with noeviction and a limit", ["--maxmemory", "100mb"]],
    [
      "where INFO is not known",
      ["--maxmemory", "100mb", "--maxmemory-policy", "allkeys-lru", "--rename-command", "INFO", ""],
    ],
  ])("%s", async (_name, args) => {
    const { backend, warnings } = onServer(await startRedis({ args }));
    await backend.open();
    expect(await backend.read("key")).toBeUndefined();
    expect(warnings).toEqual([]);
  });

  describe("where the user may not ask", () => {
    test.each([
      [[], 0],
      [["+info"], 1],
    ] as const)("%s: %d", async (more, count) => {
      const server = await startRedis({ args: ["--maxmemory", "100mb", "--maxmemory-policy", "allkeys-lru"] });
      const rights = "+get +getrange +set +setrange +pexpire +del +scan +eval +evalsha +ping".split(" ");
      const login = { username: "app", password: "a password" };
      await server.command("ACL", "SETUSER", "app", "on", `>${login.password}`, "~tokenizer:*", ...rights, ...more);
      const { backend, warnings } = onServer(server, login);
      await backend.open();
      expect(warnings).toHaveLength(count);
    });
  });
});
