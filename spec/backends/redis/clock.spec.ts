import { expect, test } from "@jest/globals";
import { makeBackend, onServer } from "../../support/redis-backend.js";
import { startCluster, startRedis, withRedis } from "../../support/redis-server.js";

const MINUTE = 60_000;
const warningOf = (address: string, difference: string) =>
  `The clock of this machine is about ${difference} that of Redis at ${address}: sessions end by the clock of the machine that serves them. Let NTP keep all clocks right.`;

withRedis("a clock of ours that differs from Redis's", () => {
  test.each([
    [61 * MINUTE, "61 minutes ahead of"],
    [-5 * MINUTE, "5 minutes behind"],
  ])("by %d ms is warned of, once", async (ahead, difference) => {
    const server = await startRedis();
    const { backend, warnings, clock } = onServer(server);
    clock.ahead = ahead;
    await backend.open();
    await backend.read("key");
    expect(warnings).toEqual([warningOf(server.address, difference)]);
  });

  test.each([50_000, -50_000])("by %d ms is not", async (ahead) => {
    const { backend, warnings, clock } = onServer(await startRedis());
    clock.ahead = ahead;
    await backend.open();
    expect(warnings).toEqual([]);
  });

  test("is warned of for each server of a Cluster", async () => {
    const servers = await startCluster(3);
    const nodes = servers.slice(0, 1).map(({ address }) => address);
    const { backend, warnings, clock } = makeBackend({ options: { cluster: true, nodes } });
    clock.ahead = 2 * MINUTE;
    await backend.open();
    const expected = servers.map(({ address }) => warningOf(address, "2 minutes ahead of"));
    expect([...warnings].sort()).toEqual(expected.sort());
  });

  test("is nothing to say where Redis does not tell the time", async () => {
    const { backend, warnings, clock } = onServer(await startRedis({ args: ["--rename-command", "TIME", ""] }));
    clock.ahead = 61 * MINUTE;
    await backend.open();
    expect(await backend.read("key")).toBeUndefined();
    expect(warnings).toEqual([]);
  });

  test("is nothing to say where the user may not ask", async () => {
    const server = await startRedis();
    const rights = "+get +getrange +set +setrange +pexpire +del +scan +eval +evalsha +ping";
    await server.command("ACL", "SETUSER", "app", "on", ">password", "~tokenizer:*", ...rights.split(" "));
    const { backend, warnings, clock } = onServer(server, { username: "app", password: "password" });
    clock.ahead = 61 * MINUTE;
    await backend.open();
    expect(warnings).toEqual([]);
  });
});
