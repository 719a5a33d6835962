/** Connections that are lost between a statement and its answer: right answers or failures by name, and nothing done twice. */
import { once } from "node:events";
import { type AddressInfo, createServer } from "node:net";
import { afterAll, beforeAll, expect, test } from "@jest/globals";
import type { PostgresBackend } from "../../../lib/backends/postgres/backend.js";
import {
  errorOf,
  failureOf,
  loginAt,
  makeBackend,
  record,
  startServing,
  untilServed,
} from "../../support/postgres-backend.js";
import { type PostgresServer, withPostgres } from "../../support/postgres-server.js";
import { LOGGED, type Watch, watch } from "../../support/postgres-watch.js";
import { until } from "../../support/redis-server.js";
import { expectNoStrayErrors } from "../../support/stray.js";
import { TcpProxy } from "../../support/tcp-proxy.js";

expectNoStrayErrors();

withPostgres("a connection that is lost", () => {
  let server: PostgresServer;
  let watched: Watch;
  let proxy: TcpProxy;
  let backend: PostgresBackend;

  beforeAll(async () => {
    let login: Awaited<ReturnType<typeof startServing>>["login"];
    ({ server, login } = await startServing({ settings: LOGGED }));
    watched = watch(server);
    proxy = await TcpProxy.start(server.port);
    ({ backend } = makeBackend({ ...login, port: proxy.port }));
  });

  afterAll(() => proxy?.stop());

  const old = record("old");
  const fresh = record("new");
  const lost =
    /^The connection to PostgreSQL at 127\.0\.0\.1:\d+ was lost: (Connection terminated unexpectedly|the connection was reset)\.$/;

  interface Row {
    readonly call: (key: string) => unknown;
    /** What it answers; missing: it fails by name. */
    readonly answer?: unknown;
    /** What is there after it. */
    readonly left: object | undefined;
    /** How often it was carried out. */
    readonly tries: number;
  }

  test.each<[string, Row]>([
    ["a read", { call: (key) => backend.read(key), answer: old, left: old, tries: 2 }],
    ["a write over a version", { call: (key) => backend.write(key, fresh, old), answer: true, left: fresh, tries: 2 }],
    [
      "a write over another version",
      { call: (key) => backend.write(key, fresh, { version: "another" }), answer: false, left: old, tries: 2 },
    ],
    ["a creation", { call: (key) => backend.write(`${key} new`, fresh, "absent"), left: fresh, tries: 1 }],
    ["a write over anything", { call: (key) => backend.write(key, fresh, "any"), left: fresh, tries: 1 }],
    [
      "a touch",
      {
        call: (key) => backend.touch(key, old.expires + 5, old.version),
        answer: true,
        left: { ...old, expires: old.expires + 5 },
        tries: 2,
      },
    ],
    // The contract has it so: a retry finds its own first try.
    ["a removal", { call: (key) => backend.remove(key), answer: false, left: undefined, tries: 2 }],
  ])("before the answer of %s", async (name, { call, answer, left, tries }) => {
    const key = name === "a creation" ? `${name} new` : name;
    if (name !== "a creation") await backend.write(key, old, "any");
    const before = watched.sent(key);
    // One connection, on which the statement is prepared.
    await until("it is idle", async () => (await watched.connections()) === 1);
    proxy.cuts = 1;
    const outcome = await Promise.resolve(call(name)).catch((error) => error);
    if (answer === undefined) {
      expect(outcome).toMatchObject({ code: "STORE_UNAVAILABLE", message: expect.stringMatching(lost) });
    } else expect(outcome).toEqual(answer);
    expect(watched.sent(key) - before).toBe(tries);
    expect(await backend.read(key)).toEqual(left);
  });

  test("before the answer of a page: each record is listed once, and before that of a step of pruning: all are dropped", async () => {
    const keys = Array.from({ length: 150 }, (_, n) => `page ${String(n).padStart(3, "0")}`);
    for (const key of keys) await backend.write(key, record("x"), "any");
    const found: string[] = [];
    for await (const { key } of backend.entries()) {
      if (key.startsWith("page")) found.push(key);
      if (found.length % 50 === 0) proxy.cuts = 1;
    }
    expect(found).toEqual(keys);
    for (const key of keys) await backend.write(key, record("x", Date.now() - 1), "any");
    proxy.cuts = 1;
    // Those of the step whose answer was lost are counted by nobody.
    expect(await backend.prune()).toBeLessThanOrEqual(keys.length);
    expect(await server.sql("SELECT FROM tokenizer_records WHERE key LIKE 'page %'")).toEqual([]);
  });

  test("each time: what is repeatable is tried three times, and fails by name", async () => {
    proxy.cuts = Number.POSITIVE_INFINITY;
    const { connections } = proxy;
    const error = await errorOf(backend.read("key"));
    expect(error).toMatchObject({
      code: "STORE_UNAVAILABLE",
      message: expect.stringMatching(/(was lost|cannot be reached): /),
    });
    expect(proxy.connections - connections).toBeLessThanOrEqual(3);
    proxy.cuts = 0;
    await untilServed(backend);
  });

  test.each(["reset", "silence"] as const)("while idle, by a NAT that forgets it (%s)", async (answer) => {
    await Promise.all(Array.from({ length: 10 }, (_, n) => backend.read(`${n}`)));
    proxy.forget(answer);
    if (answer === "reset") {
      expect(await backend.read("key")).toBeUndefined();
      return;
    }
    // By its deadline; then it is not used again.
    const impatient = makeBackend(loginAt(proxy), { timeout: 1000 }).backend;
    // On a busy machine, ten connections may take longer than that.
    await until("all are served", async () => {
      const reads = await Promise.allSettled(Array.from({ length: 10 }, (_, n) => impatient.read(`${n}`)));
      return reads.every(({ status }) => status === "fulfilled");
    });
    proxy.forget(answer);
    const calls = Array.from({ length: 10 }, () => failureOf(impatient.read("key")));
    expect(new Set((await Promise.all(calls)).map(({ code }) => code))).toEqual(new Set(["STORE_TIMEOUT"]));
    await untilServed(impatient);
  });
});

/** A message of the protocol. */
function message(type: string, body: Buffer): Buffer {
  const head = Buffer.alloc(5);
  head.write(type);
  head.writeInt32BE(body.length + 4, 1);
  return Buffer.concat([head, body]);
}

const SIGNED_IN = message("R", Buffer.alloc(4));
const READY = message("Z", Buffer.from("I"));
const ENDING = message(
  "E",
  Buffer.from("SFATAL\0VFATAL\0C57P01\0Mterminating connection due to administrator command\0\0"),
);

test.each([
  ["after the login", [Buffer.concat([SIGNED_IN, READY, ENDING])]],
  ["in the login", [Buffer.concat([SIGNED_IN, ENDING])]],
  ["after the statement", [Buffer.concat([SIGNED_IN, READY]), ENDING]],
])("a server that says so and ends it in one breath %s ends nothing else", async (_when, answers) => {
  const server = createServer((socket) => {
    let next = 0;
    socket
      .on("error", () => {})
      .on("data", () => {
        const answer = answers[next++];
        if (answer) socket.write(answer);
        if (next === answers.length) socket.end();
      });
  }).listen(0, "127.0.0.1");
  await once(server, "listening");
  const { backend } = makeBackend({ port: (server.address() as AddressInfo).port, username: "app" });
  const { code, message } = await failureOf(backend.read("key"));
  expect(code).toBe("STORE_UNAVAILABLE");
  expect(message).toMatch(
    /^PostgreSQL at \S+ refused: terminating connection due to administrator command\.$|^The connection to PostgreSQL at \S+ was lost: /,
  );
  await backend.close();
  server.close();
});
