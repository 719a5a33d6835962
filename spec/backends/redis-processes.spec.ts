import { spawnSync } from "node:child_process";
import { setTimeout as sleep } from "node:timers/promises";
import { beforeAll, describe, expect, test } from "@jest/globals";
import { type AppProcess, startApp } from "../support/app-process.js";
import {
  commandsOf,
  isFull,
  type RedisServer,
  startCluster,
  startRedis,
  until,
  withRedis,
} from "../support/redis-server.js";

/** Processes start slowly where many do at once. */
const PATIENT = { store_timeout: 15 };

let one: AppProcess;
let other: AppProcess;

async function signIn(): Promise<string> {
  const { status, cookie } = await one.get("/in");
  expect([status, cookie]).toEqual([200, expect.stringMatching(/^token=/)]);
  return cookie as string;
}

function loseNothing(): void {
  test("50 parallel requests of one session, each setting its own key: 50 kept", async () => {
    for (let round = 0; round < (isFull ? 20 : 2); round++) {
      const cookie = await signIn();
      const requests = Array.from({ length: 50 }, (_, n) => (n % 2 ? one : other).get(`/set/key${n}`, cookie));
      await Promise.all([one.get("/waiting/25"), other.get("/waiting/25")]);
      await Promise.all([one.get("/go"), other.get("/go")]);
      const answers = await Promise.all(requests);
      expect(answers.map(({ status }) => status)).toEqual(Array(50).fill(200));
      const { fields, password } = JSON.parse((await one.get("/session", cookie)).text);
      expect(Object.keys(fields).filter((key) => key.startsWith("key"))).toHaveLength(50);
      expect(password).toBe("a secret of ann's");
    }
  });

  test("20 logouts during slow requests: no session comes back, and the slow requests answer 200", async () => {
    const cookies = await Promise.all(Array.from({ length: 20 }, signIn));
    const slow = cookies.map((cookie) => one.get("/set/late", cookie));
    await one.get("/waiting/20");
    const logouts = await Promise.all(cookies.map((cookie) => other.get("/out", cookie)));
    await one.get("/go");
    const answers = await Promise.all(slow);
    expect(logouts.map(({ status }) => status)).toEqual(Array(20).fill(200));
    expect(answers.map(({ status, cookie }) => [status, cookie])).toEqual(Array(20).fill([200, undefined]));
    const after = await Promise.all(cookies.map((cookie) => other.get("/session", cookie)));
    expect(after.map(({ text }) => JSON.parse(text))).toEqual(Array(20).fill({ fields: {}, ended: true }));
  });
}

withRedis("two processes on one Redis", () => {
  let server: RedisServer;

  beforeAll(async () => {
    server = await startRedis();
    const settings = { type: "redis", host: "127.0.0.1", port: server.port, touch_interval: 1, ...PATIENT } as const;
    [one, other] = await Promise.all([startApp(settings), startApp(settings)]);
  });

  loseNothing();

  test("100 requests of an unchanged session cost 100 reads, and at most one write", async () => {
    const cookie = await signIn();
    // Its expiry is due to be moved, by the first of them.
    await sleep(1050);
    await server.command("CONFIG", "RESETSTAT");
    expect((await one.get("/session", cookie)).status).toBe(200);
    // It is moved alongside the request.
    await until("it is moved", async () => (await commandsOf(server)).setrange === 1);
    const answers = await Promise.all(Array.from({ length: 99 }, () => one.get("/session", cookie)));
    expect(answers.map(({ status }) => status)).toEqual(Array(99).fill(200));
    const { get, setrange: moved, set = 0, del = 0 } = await commandsOf(server);
    expect({ get, moved, set, del }).toEqual({ get: 100, moved: 1, set: 0, del: 0 });
  });
});

withRedis("a process", () => {
  const script = `
    import { tokenizer } from "express-tokenizer";
    const settings = JSON.parse(process.argv[1]);
    const sessions = tokenizer({ authenticator: { type: "ldap" }, tokenizer: settings });
    console.log(await sessions.ready.then(() => "ready", (error) => error.code));
    await sessions.close();
  `;
  const end = (port: number) => {
    const settings = { type: "redis", host: "127.0.0.1", port, cookie: { secret: "a secret to sign with" } };
    const args = ["--input-type=module", "--eval", script, JSON.stringify({ ...settings, ...PATIENT })];
    return spawnSync(process.execPath, args, { encoding: "utf8", timeout: 15_000 });
  };

  test("ends by itself when its sessions are closed, reached or not", async () => {
    const server = await startRedis();
    expect(end(server.port)).toMatchObject({ status: 0, stdout: "ready\n", stderr: "" });
    await server.kill();
    expect(end(server.port)).toMatchObject({ status: 0, stdout: "STORE_UNAVAILABLE\n", stderr: "" });
  });
});

withRedis("two processes on one Cluster", () => {
  beforeAll(async () => {
    const servers = await startCluster(3);
    const nodes = servers.map(({ address }) => address);
    const settings = { type: "redis", options: { cluster: true, nodes }, ...PATIENT } as const;
    [one, other] = await Promise.all([startApp(settings), startApp(settings)]);
  });

  describe("lose nothing, either", loseNothing);
});
