import { once } from "node:events";
import { readFileSync } from "node:fs";
import { type AddressInfo, createServer, type Server } from "node:net";
import { createServer as createTlsServer } from "node:tls";
import { inspect } from "node:util";
import { afterAll, beforeAll, expect, jest, test } from "@jest/globals";
import type { RedisBackendOptions } from "../../../lib/backends/redis/backend.js";
import { freePort } from "../../support/free-port.mjs";
import { failureOf, makeBackend, onServer, record } from "../../support/redis-backend.js";
import {
  type Certificates,
  makeCertificates,
  type RedisServer,
  startRedis,
  until,
  withRedis,
  withTls,
} from "../../support/redis-server.js";
import { TcpProxy } from "../../support/tcp-proxy.js";

/** Where nothing answers. Milliseconds. */
const TIMEOUT = 500;
const PASSWORD = "never to be told 1";
/** All that a user needs. */
const RIGHTS = ["get", "getrange", "set", "setrange", "pexpire", "del", "scan", "eval", "evalsha"];

type Refusal = [
  ...[name: string, options: () => Partial<RedisBackendOptions>, code: string, message: RegExp],
  /** Milliseconds. Default: more than a busy machine takes to answer. */
  timeout?: number,
];

/** Each must fail by the deadline, with nothing told that is secret. */
function refuses(rows: Refusal[]): void {
  test.each(rows)("%s", async (_name, options, code, message, timeout = 30_000) => {
    const { backend } = makeBackend(options(), { timeout });
    const start = performance.now();
    const error = await backend.open().then(
      () => new Error("it should have failed"),
      (reason) => reason,
    );
    expect([error.code, error.message]).toEqual([expect.stringMatching(`^${code}$`), expect.stringMatching(message)]);
    expect(inspect(error, { depth: 9 })).not.toContain(PASSWORD);
    // Later calls fail in time, too.
    const [read] = await Promise.allSettled([backend.read("key")]);
    if (read.status === "rejected") expect(read.reason.status).toBe(503);
    expect(performance.now() - start).toBeLessThan(5 * timeout);
  });
}

withRedis("what is in the way at start is told", () => {
  let server: RedisServer;
  let closed: RedisServer;
  let cluster: RedisServer;
  let silent: Server;
  let stranger: Server;

  beforeAll(async () => {
    [server, closed, cluster] = await Promise.all([
      startRedis(),
      startRedis({ args: ["--requirepass", "another one"], login: { password: "another one" } }),
      startRedis({ args: ["--cluster-enabled", "yes"] }),
    ]);
    const user = (name: string, ...rights: string[]) =>
      closed.command("ACL", "SETUSER", name, "on", `>${PASSWORD}`, "~tokenizer:*", ...rights);
    for (const missing of RIGHTS) {
      await user(`without-${missing}`, ...RIGHTS.filter((right) => right !== missing).map((right) => `+${right}`));
    }
    await user("elsewhere", "+@all");
    // Read, or they would not see the other side's end, and stay open.
    silent = createServer((socket) => socket.on("error", () => {}).resume()).listen(0, "127.0.0.1");
    stranger = createServer((socket) =>
      socket
        .on("error", () => {})
        .resume()
        .end("HTTP/1.1 400 Bad Request\r\n\r\n"),
    );
    stranger.listen(0, "127.0.0.1");
    await Promise.all([once(silent, "listening"), once(stranger, "listening")]);
  });

  afterAll(() => {
    silent?.close();
    stranger?.close();
  });

  const portOf = (other: Server) => (other.address() as AddressInfo).port;
  const as = (username: string) => () => ({ port: closed.port, username, password: PASSWORD });
  const missing = RIGHTS.map((right): Refusal => {
    const [start, end] = [
      "^Redis at 127\\.0\\.0\\.1:\\d+ refused: NOPERM ",
      "Give the user of tokenizer\\.username that right",
    ];
    return [
      `no right to ${right}`,
      as(`without-${right}`),
      "STORE_UNUSABLE",
      new RegExp(`${start}.*${right}.*${end}`, "i"),
    ];
  });

  refuses([
    [
      "nothing listens",
      () => ({ host: "localhost", port: 1 }),
      "STORE_UNAVAILABLE",
      /^Redis at localhost:1 cannot be reached: nothing listens there\.$/,
    ],
    [
      "no such host",
      () => ({ host: "redis.invalid" }),
      "STORE_UNAVAILABLE",
      /^Redis at redis\.invalid:6379 cannot be reached: (there is no such host|the host's name could not be looked up)\.$/,
    ],
    [
      "something that never answers",
      () => ({ port: portOf(silent) }),
      "STORE_TIMEOUT",
      /^Redis at 127\.0\.0\.1:\d+ did not answer within 0\.5 seconds\.$/,
      TIMEOUT,
    ],
    [
      "something that never answers, while signing in",
      () => ({ port: portOf(silent), password: PASSWORD }),
      "STORE_UNAVAILABLE",
      /^Redis at 127\.0\.0\.1:\d+ cannot be reached: no connection within 0\.\d+ seconds\.$/,
      TIMEOUT,
    ],
    [
      "something that is not Redis",
      () => ({ port: portOf(stranger) }),
      "STORE_UNAVAILABLE",
      /^(The connection to )?Redis at 127\.0\.0\.1:\d+ (was lost|cannot be reached): what answered does not speak the protocol of Redis\. Check tokenizer\.host and tokenizer\.port, or tokenizer\.url\.$/,
    ],
    [
      "no password",
      () => ({ port: closed.port }),
      "STORE_UNUSABLE",
      /^Redis at 127\.0\.0\.1:\d+ refused: NOAUTH Authentication required\. Set tokenizer\.password, and tokenizer\.user/,
    ],
    [
      "a wrong password",
      () => ({ port: closed.port, password: PASSWORD }),
      "STORE_UNUSABLE",
      /^Redis at .* refused: WRONGPASS invalid username-password pair or user is disabled\. Check tokenizer\.username and t/,
    ],
    [
      "a wrong user",
      as("nobody"),
      "STORE_UNUSABLE",
      /refused: WRONGPASS .* Check tokenizer\.username and tokenizer\.pas/,
    ],
    [
      "a password where none is wanted",
      () => ({ port: server.port, password: PASSWORD }),
      "STORE_UNUSABLE",
      /^Redis at .* refused: ERR AUTH <password> called without .*\. Check tokenizer\.username and tokenizer\.password, or where the password is from\.$/,
    ],
    ...missing,
    [
      "keys elsewhere",
      () => ({ ...as("elsewhere")(), prefix: "other:" }),
      "STORE_UNUSABLE",
      /^Redis at .* refused: NOPERM .*no permissions to access .*key.*\. Give the user of tokenizer\.username th/i,
    ],
    [
      "no such database",
      () => ({ port: server.port, database: 99 }),
      "STORE_UNUSABLE",
      /^Redis at 127\.0\.0\.1:\d+ refused: ERR DB index is out of range\. Check tokenizer\.database\.$/,
    ],
    [
      "one that is no Cluster",
      () => ({ options: { cluster: true, nodes: [server.address] } }),
      "STORE_UNUSABLE",
      /^Redis at .* refused: ERR This instance has cluster support disabled\. Leave out tokenizer\.options\.cluster\.$/,
    ],
    [
      "one that is no Sentinel",
      () => ({ options: { sentinel: "mymaster", nodes: [server.address] } }),
      "STORE_UNUSABLE",
      /^Redis at .* refused: ERR unknown command 'SENTINEL'\. Check tokenizer\.options\.sentinel and tokenizer\.options\.nodes/,
    ],
    [
      "a Cluster without its slots",
      () => ({ port: cluster.port }),
      "STORE_UNAVAILABLE",
      /^Redis at 127\.0\.0\.1:\d+ refused: CLUSTERDOWN Hash slot not served\.$/,
    ],
    [
      "none of the nodes",
      () => ({ options: { cluster: true, nodes: ["127.0.0.1:1", "127.0.0.1:2"] } }),
      "STORE_UNAVAILABLE",
      /^Redis at 127\.0\.0\.1:1 cannot be reached: nothing listens there\.$/,
    ],
    [
      "none of the Sentinels",
      () => ({ options: { sentinel: "mymaster", nodes: ["127.0.0.1:1", "127.0.0.1:2"] } }),
      "STORE_UNAVAILABLE",
      /^Redis at 127\.0\.0\.1:1 cannot be reached: nothing listens there\.$/,
    ],
  ]);

  test.each(["EVAL", "EVALSHA", "SCAN", "GET", "GETRANGE", "SET", "SETRANGE", "PEXPIRE", "DEL"])(
    "a server that does not know %s is told, and the command named",
    async (command) => {
      const other = await startRedis({ args: ["--rename-command", command, ""] });
      const { code, message } = await failureOf(onServer(other).backend.open());
      expect(code).toBe("STORE_UNUSABLE");
      expect(message).toMatch(
        new RegExp(
          `^Redis at .* refused: .*\\b${command}\\b.*\\. It is needed: have the server, or what stands before`,
        ),
      );
      await other.kill();
    },
  );

  test("what stands before Redis and refuses SCAN in words of its own: the command is named", async () => {
    const proxy = createServer((socket) => {
      socket
        .on("error", () => {})
        .on("data", (chunk) => {
          for (const [command] of String(chunk).matchAll(/EVALSHA|EVAL|SCAN/g)) {
            socket.write(command === "SCAN" ? "-ERR unsupported command\r\n" : ":1\r\n");
          }
        });
    }).listen(0, "127.0.0.1");
    await once(proxy, "listening");
    const port = (proxy.address() as AddressInfo).port;
    const { backend } = makeBackend({ port });
    expect(await failureOf(backend.open())).toEqual({
      code: "STORE_UNUSABLE",
      message:
        `Redis at 127.0.0.1:${port} refused SCAN: ERR unsupported command. ` +
        "It is needed: have the server, or what stands before it, allow it.",
    });
    const list = backend.entries()[Symbol.asyncIterator]();
    expect(await failureOf(list.next())).toEqual({
      code: "STORE_UNAVAILABLE",
      message: `Redis at 127.0.0.1:${port} refused SCAN: ERR unsupported command.`,
    });
    await backend.close();
    proxy.close();
  });

  test("what stands before Redis and ends the connection at SCAN, as twemproxy does: the command is named", async () => {
    const proxy = createServer((socket) => {
      socket
        .on("error", () => {})
        .on("data", (chunk) => {
          if (String(chunk).includes("SCAN")) socket.end();
          else socket.write(":1\r\n");
        });
    }).listen(0, "127.0.0.1");
    await once(proxy, "listening");
    const port = (proxy.address() as AddressInfo).port;
    const { backend } = makeBackend({ port });
    expect(await failureOf(backend.open())).toEqual({
      code: "STORE_UNAVAILABLE",
      message:
        `The connection to Redis at 127.0.0.1:${port} was lost: Socket closed unexpectedly. ` +
        "It had answered before: if a proxy stands before Redis, have it allow SCAN.",
    });
    await backend.close();
    proxy.close();
  });

  test("and no trial is left behind, whether it succeeds or not", async () => {
    await onServer(server).backend.open();
    expect(await server.command("DBSIZE")).toBe(0);
    // Those of users who may not delete are left to Redis.
    await until("the trials are gone", async () => (await closed.command("DBSIZE")) === 0);
    await failureOf(makeBackend(as("without-pexpire")()).backend.open());
    expect(await closed.command("DBSIZE")).toBe(0);
  });

  test("the package is missing", async () => {
    jest.doMock("redis", () => {
      throw Object.assign(new Error("Cannot find module 'redis'"), { code: "MODULE_NOT_FOUND" });
    });
    jest.resetModules();
    try {
      const { RedisBackend } = await import("../../../lib/backends/redis/backend.js");
      const options = { host: "localhost", port: 1, database: 0, prefix: "tokenizer:" };
      const backend = new RedisBackend(options, { now: Date.now, timeout: TIMEOUT, warn() {} });
      const refusal = {
        code: "PACKAGE_MISSING",
        message: "tokenizer.type: redis needs the package redis, version 6. Install it: npm install redis",
      };
      expect(await failureOf(backend.open())).toEqual(refusal);
      expect(await failureOf(backend.read("key"))).toEqual(refusal);
    } finally {
      jest.dontMock("redis");
      jest.resetModules();
    }
  });

  test("the package is older", async () => {
    // All that we look at: what 6.0.0 brought is not in it.
    jest.doMock("redis", () => ({ createClient() {}, ErrorReply: class extends Error {} }));
    jest.resetModules();
    try {
      const { RedisBackend } = await import("../../../lib/backends/redis/backend.js");
      const options = { host: "127.0.0.1", port: server.port, database: 0, prefix: "tokenizer:" };
      const backend = new RedisBackend(options, { now: Date.now, timeout: TIMEOUT, warn() {} });
      expect(await failureOf(backend.open())).toEqual({
        code: "PACKAGE_MISSING",
        message:
          "tokenizer.type: redis needs the package redis, version 6. " +
          "Found is an older one. Install the newer: npm install redis@6",
      });
      await backend.close();
    } finally {
      jest.dontMock("redis");
      jest.resetModules();
    }
  });

  test("a server that comes later serves, without another open", async () => {
    const port = await freePort();
    const { backend } = makeBackend({ port }, { timeout: TIMEOUT });
    expect((await failureOf(backend.open())).message).toBe(
      `Redis at 127.0.0.1:${port} cannot be reached: nothing listens there.`,
    );
    await startRedis({ port });
    await until("service begins", () => backend.write("key", record("x"), "any").catch(() => false));
  });
});

withTls("TLS at start", () => {
  let server: RedisServer;
  let elsewhere: RedisServer;
  let plain: RedisServer;
  let certificates: Certificates;

  beforeAll(async () => {
    certificates = makeCertificates();
    const other = { ...certificates, server: certificates.otherServer };
    [server, elsewhere, plain] = await Promise.all([
      startRedis({ tls: certificates }),
      startRedis({ tls: other }),
      startRedis(),
    ]);
  });

  const tls = (options: RedisBackendOptions["options"] = {}, host = "localhost") => ({
    ...{ host, port: server.port },
    options: { ssl: true, ca: certificates.ca, ...certificates.client, ...options },
  });

  test.each<[string, () => Partial<RedisBackendOptions>]>([
    ["a file's path", () => tls()],
    ["the text itself", () => tls({ ca: readFileSync(certificates.ca, "utf8") })],
    ["an address that the certificate names", () => tls({}, "127.0.0.1")],
    [
      "one of several, with words between them",
      () =>
        tls({
          ca: `# ours\r\n${readFileSync(certificates.ca, "utf8").replaceAll("\n", "\r\n")}\r\n# theirs\r\n${readFileSync(certificates.otherCa, "utf8")}`,
        }),
    ],
    ["any authority, with verify: false", () => tls({ verify: false, ca: certificates.otherCa })],
    ["any host, with verify: false", () => ({ ...tls({ verify: false }), port: elsewhere.port })],
  ])("connects: %s", async (_name, options) => {
    const { backend } = makeBackend(options());
    await backend.open();
    expect(await backend.write("key", record("x"), "any")).toBe(true);
  });

  test.each([
    ["localhost", "localhost"],
    ["127.0.0.1", false],
  ])("a server behind a proxy learns the name that it is called by, not an address: %s", async (host, told) => {
    const { cert, key } = certificates.server;
    const names: unknown[] = [];
    const proxy = createTlsServer({ cert: readFileSync(cert), key: readFileSync(key) }, (socket) => {
      names.push(socket.servername);
      socket.on("error", () => {}).on("data", () => socket.write("$-1\r\n"));
    }).listen(0, "127.0.0.1");
    await once(proxy, "listening");
    const { backend } = makeBackend({ ...tls({}, host), port: (proxy.address() as AddressInfo).port });
    expect(await backend.read("key")).toBeUndefined();
    expect(names).toEqual([told]);
    await backend.close();
    proxy.close();
  });

  test.each(["wrong authority", "wrong host"])("53: a %s: nothing is sent in plain text", async (fault) => {
    const proxy = await TcpProxy.start(fault === "wrong host" ? elsewhere.port : server.port);
    const sent: Buffer[] = [];
    proxy.onRequest = (chunk) => sent.push(chunk);
    const way = fault === "wrong host" ? tls() : tls({ ca: certificates.otherCa });
    const { backend } = makeBackend({ ...way, port: proxy.port, password: PASSWORD });
    expect(await failureOf(backend.open())).toMatchObject({ code: "STORE_UNUSABLE" });
    await backend.read("key").catch(() => {});
    await proxy.stop();
    // TLS records: a handshake's (22), an alert's (21), or one that only says how the rest is sealed (20, 23).
    expect(sent.length).toBeGreaterThan(0);
    expect(sent.filter(([type = 0]) => type < 20 || type > 23)).toEqual([]);
    expect(Buffer.concat(sent).toString("latin1")).not.toMatch(/never to be told|HELLO|AUTH|GET/);
  });

  const untrusted =
    /^Redis at localhost:\d+ cannot be used: its certificate is not trusted \(self.signed certificate in certificate chain\)\. Name the authority that signed it in tokenizer\.options\.ca\. Where there is none to be had, tokenizer\.options\.verify: false is left: then whoever stands between can read and change sessions\.$/;

  refuses([
    ["53: a wrong authority", () => tls({ ca: certificates.otherCa }), "STORE_UNUSABLE", untrusted],
    ["53: the system's authorities", () => ({ ...tls(), options: { ssl: true } }), "STORE_UNUSABLE", untrusted],
    [
      "53: a host that the certificate does not name",
      () => ({ ...tls(), port: elsewhere.port }),
      "STORE_UNUSABLE",
      /^Redis at localhost:\d+ cannot be used: its certificate is not for that host \(.*localhost.*\)\. Call the host what its/,
    ],
    ...(
      [
        ["with its lines joined, as a variable often has them", (pem) => pem.replaceAll("\n", "\\n")],
        ["with its lines lost", (pem) => pem.replaceAll("\n", "")],
        ["with a line missing", (pem) => pem.split("\n").toSpliced(3, 1).join("\n")],
        ["of which the second is not whole", (pem) => `${pem}${pem.split("\n").toSpliced(3, 1).join("\n")}`],
        ["that is a key", () => readFileSync(certificates.client.key, "utf8")],
      ] as const satisfies readonly (readonly [string, (pem: string) => string])[]
    ).map(
      ([name, alter]): Refusal => [
        `an authority ${name}: verifying is not what is wrong`,
        () => tls({ ca: alter(readFileSync(certificates.ca, "utf8")) }),
        "STORE_UNUSABLE",
        /^tokenizer\.options\.ca holds no certificate that can be read, or one that cannot: each needs its lines as they were, not joined by \\n\.$/,
      ],
    ),
    [
      "an authority that is no file",
      () => tls({ ca: "/nowhere/ca.pem" }),
      "STORE_UNUSABLE",
      /^tokenizer\.options\.ca is neither PEM nor a file that can be read \(ENOENT\)\.$/,
    ],
    [
      "a file without PEM",
      () => tls({ cert: import.meta.filename.replace("redis-open.spec.ts", "../support/redis-server.ts") }),
      "STORE_UNUSABLE",
      /^tokenizer\.options\.cert names a file that holds no PEM\.$/,
    ],
    [
      "no certificate of ours",
      () => ({ ...tls(), options: { ssl: true, ca: certificates.ca } }),
      // TLS 1.3: the server refuses after our side is done, and what comes first is its alert or the end of the connection.
      "STORE_(UNAVAILABLE|UNUSABLE)",
      /^(The connection to )?Redis at localhost:\d+ (was lost: .* set|cannot be used: .* Check) tokenizer\.options\.cert/,
    ],
    [
      "a key that is not the certificate's",
      () => tls({ cert: certificates.server.cert }),
      "STORE_UNUSABLE",
      /^Redis at localhost:\d+ cannot be used: TLS failed \(ERR_OSSL_X509_KEY_VALUES_MISMATCH\)\. Check tokenizer\.options/,
    ],
    [
      "plain text where TLS is spoken",
      () => ({ host: "localhost", port: server.port }),
      "STORE_UNAVAILABLE",
      /^The connection to Redis at localhost:\d+ was lost: .*\. If it expects TLS, set tokenizer\.options\.ssl: true, or rediss:\/\/ in tokenizer\.url\.$/,
    ],
    [
      "TLS where plain text is spoken",
      () => ({ ...tls(), port: plain.port }),
      "STORE_UNAVAILABLE",
      /^Redis at localhost:\d+ cannot be reached: no connection within 0\.\d+ seconds\. If it does not speak TLS there, leave/,
      TIMEOUT,
    ],
  ]);
});
