import { once } from "node:events";
import type { Server } from "node:http";
import { type AddressInfo, createServer } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { afterAll, expect, test } from "@jest/globals";
import express, { type ErrorRequestHandler } from "express";
import type { SettingsInput } from "../../../lib/settings/settings.js";
import { type Tokenizer, tokenizer } from "../../../lib/tokenizer.js";
import { freePort } from "../../support/free-port.mjs";
import { failureOf, makeBackend, record } from "../../support/redis-backend.js";
import { isFull, type RedisServer, startRedis, until, withRedis } from "../../support/redis-server.js";
import { expectNoStrayErrors } from "../../support/stray.js";
import { TcpProxy } from "../../support/tcp-proxy.js";

const MEGABYTE = 1024 * 1024;

expectNoStrayErrors();

interface App {
  readonly sessions: Tokenizer;
  get(path: string, cookie?: string): Promise<Answer>;
}

interface Answer {
  readonly status: number;
  readonly text: string;
  readonly cookie: string | undefined;
  /** How long it took, in milliseconds. */
  readonly took: number;
}

const open = new Set<{ server: Server; sessions: Tokenizer }>();

afterAll(async () => {
  for (const { server, sessions } of open) {
    server.closeAllConnections();
    server.close();
    await sessions.close();
  }
});

/** A real application on Redis, listening before its `ready` settles. `/set/KEY/VALUE` changes the session, `/` reads it. */
async function startApp(settings: Partial<SettingsInput["tokenizer"]>): Promise<App> {
  const section = {
    type: "redis",
    host: "127.0.0.1",
    cookie: { secret: "a secret to sign with" },
    // More than a busy machine takes.
    store_timeout: 30,
    ...settings,
  } as const;
  const sessions = tokenizer({ authenticator: { type: "ldap" }, tokenizer: section }, { log: { warn() {} } });
  const app = express();
  app.use(sessions);
  app.get("/", (req, res) => {
    const { cookie: _, ...fields } = req.session;
    res.json(fields);
  });
  app.get("/set/:key/:value", (req, res) => {
    Object.assign(req.session, { [req.params.key]: req.params.value });
    res.end();
  });
  const answerError: ErrorRequestHandler = (error, _req, res, _next) => {
    res.status(error.status ?? 500).send(`${error.code}: ${error.message}`);
  };
  app.use(answerError);
  const server = app.listen(0, "127.0.0.1");
  await once(server, "listening");
  open.add({ server, sessions });
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  return {
    sessions,
    async get(path, cookie) {
      const start = performance.now();
      const answer = await fetch(url + path, { headers: cookie === undefined ? {} : { cookie } });
      const text = await answer.text();
      const took = performance.now() - start;
      return { status: answer.status, text, cookie: answer.headers.get("set-cookie")?.split(";")[0], took };
    },
  };
}

async function signIn(app: App, value = "1"): Promise<string> {
  const { status, cookie } = await app.get(`/set/user/${value}`);
  expect([status, cookie]).toEqual([200, expect.stringMatching(/^token=/)]);
  return cookie as string;
}

const statusOf = ({ status }: Answer) => status;

withRedis("an application whose Redis", () => {
  test("51: freezes: thirty requests at once get thirty 503 in time, and service is back soon after", async () => {
    const store_timeout = 0.6;
    const server = await startRedis();
    const [patient, app] = [
      await startApp({ port: server.port }),
      await startApp({ port: server.port, store_timeout }),
    ];
    const cookies = await Promise.all(Array.from({ length: 30 }, () => signIn(patient)));
    server.freeze();
    for (let round = 0; round < 2; round++) {
      const paths = cookies.map((cookie, n) => [n % 2 ? "/" : `/set/round/${round}`, cookie] as const);
      const answers = await Promise.all(paths.map(([path, cookie]) => app.get(path, cookie)));
      expect(answers.map(statusOf)).toEqual(Array(30).fill(503));
      expect(Math.max(...answers.map(({ took }) => took))).toBeLessThan(5000 * store_timeout);
      expect(answers.map(({ cookie }) => cookie)).toEqual(Array(30).fill(undefined));
      for (const { text } of answers) expect(text).toMatch(/^STORE_(TIMEOUT|UNAVAILABLE): /);
    }
    server.thaw();
    // Were the frozen connection kept until its next ping, it would take ten seconds.
    await until("service is back", async () => (await app.get("/", cookies[0])).status === 200, 5000);
    const answers = await Promise.all(cookies.map((cookie) => patient.get("/", cookie)));
    expect(answers.map(({ status, text }) => [status, JSON.parse(text).user])).toEqual(Array(30).fill([200, "1"]));
  });

  test("49: is not there at start: 503 at once, `ready` rejects and names it; service begins when it comes", async () => {
    const port = await freePort();
    const app = await startApp({ port, store_timeout: 0.5 });
    const early = app.get("/set/user/1");
    const message = `Redis at 127.0.0.1:${port} cannot be reached: nothing listens there.`;
    expect(await failureOf(app.sessions.ready)).toEqual({ code: "STORE_UNAVAILABLE", message });
    expect(await early).toMatchObject({ status: 503, text: `STORE_UNAVAILABLE: ${message}`, cookie: undefined });
    expect((await app.sessions.health()).error).toMatchObject({ code: "STORE_UNAVAILABLE", message });
    // Without a session, Redis is not asked.
    expect(await app.get("/")).toMatchObject({ status: 200 });
    await startRedis({ port });
    await until("service begins", async () => (await app.get("/set/user/1")).status === 200, 5000);
    expect(await app.sessions.health()).toMatchObject({ ok: true });
  });

  test("50: is killed and started again under load: 200 or 503, in time, and nothing acknowledged is missing", async () => {
    const server = await startRedis({ args: ["--appendonly", "yes", "--appendfsync", "always"] });
    const store_timeout = 0.5;
    const [patient, app] = [
      await startApp({ port: server.port }),
      await startApp({ port: server.port, store_timeout }),
    ];
    const visitors = await Promise.all(
      Array.from({ length: 10 }, async (_, n) => ({
        ...{ cookie: await signIn(patient, String(n)), user: String(n), kept: 0 },
      })),
    );
    const born: { cookie: string; user: string; kept: number }[] = [];
    const statuses = new Map<number, number>();
    const slowest = { took: 0 };
    let isOver = false;
    const note = ({ status, took }: Answer) => {
      statuses.set(status, (statuses.get(status) ?? 0) + 1);
      slowest.took = Math.max(slowest.took, took);
    };
    const load = visitors.map(async (visitor) => {
      for (let count = 1; !isOver; count++) {
        const answer = await app.get(`/set/count/${count}`, visitor.cookie);
        note(answer);
        if (answer.status === 200) visitor.kept = count;
        const user = `${visitor.user}-${count}`;
        const fresh = await app.get(`/set/user/${user}`);
        note(fresh);
        if (fresh.cookie !== undefined) born.push({ cookie: fresh.cookie, user, kept: 0 });
        if (fresh.status !== 200) await sleep(5);
      }
    });
    const answered = async (status: number, times: number) => {
      const before = statuses.get(status) ?? 0;
      await until(`${times} times ${status}`, () => (statuses.get(status) ?? 0) >= before + times);
    };
    for (let round = 0; round < (isFull ? 10 : 2); round++) {
      await answered(200, 100);
      await server.kill();
      await answered(503, 20);
      await server.start();
    }
    await answered(200, 100);
    isOver = true;
    await Promise.all(load);
    expect([...statuses.keys()].sort()).toEqual([200, 503]);
    expect(slowest.took).toBeLessThan(5000 * store_timeout);
    expect(born.length).toBeGreaterThan(20);
    const all = [...visitors, ...born];
    const found = await Promise.all(all.map(async ({ cookie }) => JSON.parse((await patient.get("/", cookie)).text)));
    expect(found.map(({ user }) => user)).toEqual(all.map(({ user }) => user));
    for (const [index, { kept }] of visitors.entries()) {
      expect(Number(found[index].count)).toBeGreaterThanOrEqual(kept);
    }
  });

  test("52: is slow, or its answers are lost: 503 in time, then service again", async () => {
    const server = await startRedis();
    const proxy = await TcpProxy.start(server.port);
    const store_timeout = 0.4;
    const [patient, app] = [await startApp({ port: proxy.port }), await startApp({ port: proxy.port, store_timeout })];
    const cookie = await signIn(patient);
    for (const trouble of [{ delay: 5000 }, { loses: true }]) {
      Object.assign(proxy, trouble);
      const answers = await Promise.all(Array.from({ length: 20 }, () => app.get("/set/a/b", cookie)));
      expect(answers.map(statusOf)).toEqual(Array(20).fill(503));
      expect(Math.max(...answers.map(({ took }) => took))).toBeLessThan(5000 * store_timeout);
      Object.assign(proxy, { delay: 0, loses: false });
      await until("service is back", async () => (await app.get("/", cookie)).status === 200, 5000);
    }
    // Slow, but in time.
    proxy.delay = 50;
    expect((await patient.get("/set/slow/1", cookie)).status).toBe(200);
    await proxy.stop();
    expect((await app.get("/", cookie)).status).toBe(503);
  });

  test("ends connections: nobody notices", async () => {
    const server = await startRedis();
    const app = await startApp({ port: server.port });
    const cookie = await signIn(app);
    for (let round = 0; round < 10; round++) {
      const requests = Array.from({ length: 10 }, (_, n) => app.get(n % 2 ? "/" : `/set/key${round}/${n}`, cookie));
      await server.command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes");
      expect((await Promise.all(requests)).map(statusOf)).toEqual(Array(10).fill(200));
    }
    const fields = JSON.parse((await app.get("/", cookie)).text);
    expect(Object.keys(fields).filter((key) => key.startsWith("key"))).toHaveLength(10);
  });

  test("54: refuses: 503 that names the cause, no cookie, what was stored is kept, and service after it", async () => {
    const server = await startRedis();
    const app = await startApp({ port: server.port });
    const cookie = await signIn(app);
    const [key = ""] = (await server.command("KEYS", "tokenizer:*")) as string[];
    const before = await server.command("GET", key);
    const refused = async (word: string, path = "/set/a/b") => {
      const answer = await app.get(path, cookie);
      expect([answer.status, answer.cookie]).toEqual([503, undefined]);
      expect(answer.text).toMatch(new RegExp(`^STORE_UNAVAILABLE: Redis at 127\\.0\\.0\\.1:\\d+ refused: ${word}\\b`));
    };

    await server.command("CONFIG", "SET", "maxmemory", "1");
    await refused("OOM");
    expect((await app.get("/", cookie)).status).toBe(200);
    await server.command("CONFIG", "SET", "maxmemory", "0");

    await server.command("CONFIG", "SET", "min-replicas-to-write", "1");
    await refused("NOREPLICAS");
    await server.command("CONFIG", "SET", "min-replicas-to-write", "0");

    await server.command("REPLICAOF", "127.0.0.1", "1");
    await refused("READONLY");
    await server.command("REPLICAOF", "NO", "ONE");

    // Who signed in already stays signed in, so the right is taken away.
    await server.command("ACL", "SETUSER", "default", "-get");
    await refused("NOPERM", "/");
    await server.command("ACL", "SETUSER", "default", "+get");

    expect(await server.command("GET", key)).toBe(before);
    expect((await app.get("/set/a/b", cookie)).status).toBe(200);

    await server.command("DEL", key);
    await server.command("RPUSH", key, "a list");
    await refused("WRONGTYPE", "/");
    await refused("WRONGTYPE");
    expect(await server.command("TYPE", key)).toBe("list");
  });

  test("54: wants a password of a sudden: 503 that says so", async () => {
    const server = await startRedis();
    const app = await startApp({ port: server.port });
    const cookie = await signIn(app);
    await server.command("CONFIG", "SET", "requirepass", "secret");
    // Whoever is connected stays signed in.
    expect((await app.get("/", cookie)).status).toBe(200);
    const admin = await startApp({ port: server.port, password: "secret" });
    await admin.sessions.ready;
    const app2 = await startApp({ port: server.port });
    const answer = await app2.get("/", cookie);
    expect(answer).toMatchObject({ status: 503, cookie: undefined });
    expect(answer.text).toMatch(
      /^STORE_UNAVAILABLE: Redis at 127\.0\.0\.1:\d+ refused: NOAUTH Authentication required\.$/,
    );
  });
});

test("what takes connections and ends them, as a load balancer with nothing behind it, is not stormed", async () => {
  let connections = 0;
  const balancer = createServer((socket) => {
    connections++;
    // Read, or it would not see the other side's end, and stay open.
    socket
      .on("error", () => {})
      .resume()
      .end();
  }).listen(0, "127.0.0.1");
  await once(balancer, "listening");
  const { backend } = makeBackend({ port: (balancer.address() as AddressInfo).port });
  const start = performance.now();
  while (connections < 4) {
    expect((await failureOf(backend.read("key"))).message).toMatch(
      /^The connection to Redis at .* was lost: Socket cl/,
    );
  }
  // A pause is 150 ms at least.
  expect(performance.now() - start).toBeGreaterThan(3 * 149);
  await backend.close();
  balancer.close();
});

withRedis("a server that takes no more clients", () => {
  test("is not stormed, says so at every call, and serves when it takes some again", async () => {
    const server = await startRedis();
    const proxy = await TcpProxy.start(server.port);
    // Its own commands come by a connection that is there before.
    const admin = makeBackend({ port: server.port }).backend;
    await admin.open();
    await server.command("CONFIG", "SET", "maxclients", "1");
    const { backend } = makeBackend({ port: proxy.port });
    const said = new Set<string>();
    const start = performance.now();
    const callers = Array.from({ length: 20 }, async () => {
      while (proxy.connections < 5) {
        said.add((await failureOf(backend.read("key"))).message.replace(/:\d+/, ""));
      }
    });
    await Promise.all(callers);
    // A pause is 150 ms at least.
    expect(performance.now() - start).toBeGreaterThan(4 * 149);
    expect([...said].sort()).toEqual([
      "Redis at 127.0.0.1 refused: ERR max number of clients reached.",
      "The connection to Redis at 127.0.0.1 was lost: ERR max number of clients reached.",
    ]);
    await admin.close();
    await until("it serves", () => backend.write("key", record("x"), "absent").catch(() => false));
    await proxy.stop();
  });
});

withRedis("a listing that is interrupted", () => {
  const KEYS = Array.from({ length: 1500 }, (_, n) => `key${n}`);

  test.each([
    ["by a restart", (server: RedisServer) => server.kill().then(() => server.start())],
    ["by a lost connection", (server: RedisServer) => server.command("CLIENT", "KILL", "TYPE", "normal")],
  ])("%s says so, rather than to leave out keys; the next one is whole", async (_name, interrupt) => {
    const server = await startRedis({ args: ["--appendonly", "yes", "--appendfsync", "always"] });
    const { backend } = makeBackend({ port: server.port });
    await Promise.all(KEYS.map((key) => backend.write(key, record(key), "absent")));
    const list = async (afterFirst: () => Promise<unknown>) => {
      let count = 0;
      for await (const _ of backend.entries()) if (++count === 1) await afterFirst();
      return count;
    };
    const interrupted = list(async () => {
      await interrupt(server);
      await until("service is back", () => backend.read("key0").then(Boolean, () => false));
    });
    expect(await failureOf(interrupted)).toEqual({
      code: "STORE_UNAVAILABLE",
      message:
        "The listing was interrupted: keys are on another Redis server now, or the connection was lost. Run it again.",
    });
    expect(await list(async () => {})).toBe(KEYS.length);
  });
});

withRedis("ten thousand refused calls", () => {
  const count = isFull ? 10_000 : 3000;

  test.each([
    ["nothing listens", async () => ({ port: await freePort(), end() {} })],
    [
      "nothing answers",
      async () => {
        const server = await startRedis();
        server.freeze();
        return { port: server.port, end: () => server.thaw() };
      },
    ],
    [
      "answers are lost",
      async () => {
        const proxy = await TcpProxy.start((await startRedis()).port);
        proxy.loses = true;
        return { port: proxy.port, end: () => proxy.stop() };
      },
    ],
  ])("leave nothing behind (%s)", async (_name, prepare) => {
    const { port, end } = await prepare();
    const { backend } = makeBackend({ port }, { timeout: 40 });
    const value = "x".repeat(10_000);
    const refuse = async (calls: number) => {
      for (let done = 0; done < calls; done += 250) {
        const answers = await Promise.allSettled(
          Array.from({ length: 250 }, (_, n) => (n % 2 ? backend.read("a") : backend.write("a", record(value), "any"))),
        );
        for (const answer of answers) expect(answer.status).toBe("rejected");
      }
    };
    await refuse(500);
    const before = heapUsed();
    await refuse(count);
    expect(heapUsed() - before).toBeLessThan(10 * MEGABYTE);
    await end();
  });
});

/** After a collection. */
function heapUsed(): number {
  setFlagsFromString("--expose-gc");
  runInNewContext("gc")();
  return process.memoryUsage().heapUsed;
}
