import { once } from "node:events";
import { rmSync, writeFileSync } from "node:fs";
import { type AddressInfo, createServer } from "node:net";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { inspect } from "node:util";
import { beforeAll, describe, expect, jest, test } from "@jest/globals";
import type { RedisInCode } from "../../../lib/backends/open.js";
import { tokenizer } from "../../../lib/tokenizer.js";
import { temporaryFolder } from "../../support/app.js";
import { failureOf, makeBackend, record } from "../../support/redis-backend.js";
import { type RedisServer, startRedis, until, withRedis } from "../../support/redis-server.js";

const PASSWORD = "never to be told 1";
const RENEWED = "never to be told 2";

withRedis("a password in a file", () => {
  let server: RedisServer;
  let file: string;

  beforeAll(async () => {
    server = await startRedis({ args: ["--requirepass", PASSWORD], login: { password: PASSWORD } });
    file = join(temporaryFolder(), "password");
  });

  test.each([
    ["as it stands", PASSWORD],
    ["without the end of its line", `${PASSWORD}\n`],
    ["without that of Windows", `${PASSWORD}\r\n`],
  ])("is taken %s", async (_name, text) => {
    writeFileSync(file, text);
    const { backend } = makeBackend({ port: server.port, password_file: file });
    await backend.open();
    expect(await backend.write("key", record("x"), "any")).toBe(true);
  });

  test("is that of the user who is named", async () => {
    await server.command("ACL", "SETUSER", "app", "on", ">of the app", "~*", "+@all");
    writeFileSync(file, "of the app\n");
    const { backend } = makeBackend({ port: server.port, username: "app", password_file: file });
    await backend.open();
    expect(await server.command("CLIENT", "LIST")).toContain("user=app");
  });

  test.each([
    ["is missing", undefined, /^tokenizer\.password_file cannot be read \(ENOENT\): \/.*\/password$/],
    ["is empty", "\n", /^tokenizer\.password_file is empty: \/.*\/password$/],
    [
      "holds another one",
      RENEWED,
      /^Redis at 127.* refused: WRONGPASS .*\. Check tokenizer\.username and tokenizer\.password, or where the password is/,
    ],
  ])("%s: start says so", async (_name, text, message) => {
    rmSync(file, { force: true });
    if (text !== undefined) writeFileSync(file, text);
    const { backend } = makeBackend({ port: server.port, password_file: file });
    const error = await backend.open().catch((reason) => reason);
    expect([error.code, error.message]).toEqual(["STORE_UNUSABLE", expect.stringMatching(message)]);
    expect(inspect(error, { depth: 9 })).not.toContain("never to be told");
    // It is read again for the next connection.
    writeFileSync(file, PASSWORD);
    await until("it is served", () => backend.write("key", record("x"), "any").catch(() => false));
  });
});

withRedis("a password that is renewed on a live server, under load", () => {
  const CALLERS = 10;

  /** Callers who read and write without an end; what failed is told. */
  function load(backend: ReturnType<typeof makeBackend>["backend"]) {
    const failures: string[] = [];
    const counts = { done: 0 };
    let isOver = false;
    const callers = Array.from({ length: CALLERS }, async (_, n) => {
      let known = record("0");
      await backend.write(`key${n}`, known, "any");
      while (!isOver) {
        const next = record(String(counts.done));
        try {
          if (!(await backend.write(`key${n}`, next, { version: known.version }))) failures.push("lost");
          known = next;
          if ((await backend.read(`key${n}`))?.version !== known.version) failures.push("another one was read");
          counts.done++;
        } catch (error) {
          failures.push((error as Error).message);
          known = (await backend.read(`key${n}`).catch(() => undefined)) ?? known;
          await sleep(5);
        }
      }
    });
    const finish = () => {
      isOver = true;
      return Promise.all(callers);
    };
    return { failures, counts, finish };
  }

  const more = (counts: { done: number }) => {
    const enough = counts.done + 20 * CALLERS;
    return until("work goes on", () => counts.done >= enough);
  };

  test.each<[string, (file: string) => { password_file: string } | RedisInCode]>([
    ["a file", (file) => ({ password_file: file })],
    ["code", () => ({ credentials: async () => ({ username: "app", password: current }) })],
  ])("from %s: nothing fails, and nothing is started anew", async (_name, way) => {
    const server = await startRedis();
    const file = join(temporaryFolder(), "password");
    const setUser = (...rules: string[]) => server.command("ACL", "SETUSER", "app", "on", "~*", "+@all", ...rules);
    const renew = (password: string) => {
      writeFileSync(file, password);
      current = password;
    };
    renew(PASSWORD);
    await setUser(`>${PASSWORD}`);
    const { backend } = makeBackend({ port: server.port, username: "app", ...way(file) });
    await backend.open();
    const { failures, counts, finish } = load(backend);
    await more(counts);
    // Both are good for a while, as every rotation without a gap has it.
    for (const [older, newer] of [
      [PASSWORD, RENEWED],
      [RENEWED, PASSWORD],
    ] as const) {
      await setUser(`>${newer}`);
      renew(newer);
      await setUser(`<${older}`);
      await more(counts);
      await server.command("CLIENT", "KILL", "USER", "app");
      await more(counts);
    }
    await finish();
    expect(failures).toEqual([]);
  });
  let current = "";

  test("on the server first: calls fail until the file has it, then service is back by itself", async () => {
    const server = await startRedis();
    const file = join(temporaryFolder(), "password");
    writeFileSync(file, PASSWORD);
    await server.command("ACL", "SETUSER", "app", "on", "~*", "+@all", `>${PASSWORD}`);
    const { backend } = makeBackend({ port: server.port, username: "app", password_file: file });
    await backend.open();
    await server.command("ACL", "SETUSER", "app", "resetpass", `>${RENEWED}`);
    await server.command("CLIENT", "KILL", "USER", "app");
    expect(await failureOf(backend.read("key"))).toEqual({
      code: "STORE_UNUSABLE",
      message: expect.stringMatching(/^Redis at 127.* refused: WRONGPASS /),
    });
    writeFileSync(file, RENEWED);
    await until("it is served", () => backend.write("key", record("x"), "any").catch(() => false));
  });
});

describe("a server that forgets who signed in", () => {
  test("NOAUTH on a connection that was signed in: a new one is made, with the password of now, and nothing fails", async () => {
    const signIns: string[] = [];
    let isForgotten = false;
    const server = createServer((socket) => {
      let isKnown = false;
      socket
        .on("error", () => {})
        .on("data", (chunk) => {
          for (const [, command, argument] of String(chunk).matchAll(/(AUTH|GET|EVALSHA)\r\n\$\d+\r\n([^\r]*)/g)) {
            if (command === "AUTH") {
              signIns.push(argument as string);
              isKnown = true;
              isForgotten = false;
              socket.write("+OK\r\n");
            } else if (isForgotten || !isKnown) socket.write("-NOAUTH Authentication required.\r\n");
            else socket.write(command === "GET" ? "$-1\r\n" : ":1\r\n");
          }
        });
    }).listen(0, "127.0.0.1");
    await once(server, "listening");
    const passwords = [PASSWORD, RENEWED];
    const credentials = () => ({ password: passwords.shift() ?? "" });
    const { backend } = makeBackend({ port: (server.address() as AddressInfo).port, credentials });
    expect(await backend.read("key")).toBeUndefined();
    // What was signed in a moment ago and is not known would not be known the next time.
    await sleep(1050);
    isForgotten = true;
    // A creation, too: nothing was done.
    expect(await backend.write("key", record("x"), "absent")).toBe(true);
    expect(signIns).toEqual([PASSWORD, RENEWED]);
    await backend.close();
    server.close();
  });
});

withRedis("credentials from code", () => {
  let server: RedisServer;

  beforeAll(async () => {
    server = await startRedis();
    for (const user of ["app", "other", "admin"]) {
      await server.command("ACL", "SETUSER", user, "on", `>${PASSWORD}`, "~*", "+@all");
    }
    await server.command("ACL", "SETUSER", "default", "off");
  });

  test.each<[string, RedisInCode["credentials"], string | undefined, string]>([
    ["a user name and a password", () => ({ username: "app", password: PASSWORD }), undefined, "app"],
    ["a promise of them", async () => ({ username: "app", password: PASSWORD }), undefined, "app"],
    ["a password, beside the settings' user name", () => ({ password: PASSWORD }), "other", "other"],
    ["another user name than the settings'", () => ({ username: "app", password: PASSWORD }), "other", "app"],
  ])("%s", async (_name, credentials, username, expected) => {
    const { backend } = makeBackend({ port: server.port, username, credentials });
    await backend.open();
    await until("nobody else is there", async () => {
      const list = await server.commandAs({ username: "admin", password: PASSWORD }, "CLIENT", "LIST");
      const users = [...String(list).matchAll(/ user=(\w+)/g)].map(([, user]) => user);
      return users.sort().join() === `admin,${expected}`;
    });
    await backend.close();
  });

  test("are asked for by each connection", async () => {
    const credentials = jest.fn(() => ({ username: "app", password: PASSWORD }));
    const { backend } = makeBackend({ port: server.port, credentials });
    await backend.open();
    await Promise.all([backend.read("a"), backend.read("b")]);
    expect(credentials).toHaveBeenCalledTimes(1);
  });

  test("are taken by tokenizer()", async () => {
    const section = { type: "redis", host: "127.0.0.1", port: server.port, safe_password: "x".repeat(20) } as const;
    const credentials = async () => ({ username: "app", password: PASSWORD });
    const sessions = tokenizer({ tokenizer: section }, { redis: { credentials } });
    await sessions.ready;
    expect((await sessions.health()).ok).toBe(true);
    await sessions.close();
  });

  test.each<[string, () => unknown, string, string]>([
    [
      "that throw",
      () => {
        throw new Error("AccessDenied: no role.");
      },
      "STORE_UNAVAILABLE",
      "redis.credentials, given to tokenizer(), failed: AccessDenied: no role.",
    ],
    [
      "that reject",
      () => Promise.reject(new Error("AccessDenied")),
      "STORE_UNAVAILABLE",
      "redis.credentials, given to tokenizer(), failed: AccessDenied.",
    ],
    ["that never come", () => new Promise(() => {}), "STORE_TIMEOUT", "The password for Redis was not there in time."],
    ...[undefined, PASSWORD, {}, { password: "" }, { password: 1 }, { username: "", password: PASSWORD }].map(
      (answer): [string, () => unknown, string, string] => [
        `that are ${inspect(answer)}`.replace(PASSWORD, "…"),
        () => answer,
        "SETTINGS_INVALID",
        "redis.credentials, given to tokenizer(), must answer { username, password }: texts that are not empty, the user " +
          "name perhaps missing.",
      ],
    ),
  ])("%s: start says so, in time", async (_name, credentials, code, message) => {
    const { backend } = makeBackend({ port: server.port, credentials: credentials as never }, { timeout: 300 });
    const error = await backend.open().catch((reason) => reason);
    expect({ code: error.code, message: error.message }).toEqual({ code, message });
    expect(inspect(error, { depth: 9 })).not.toContain("never to be told");
  });

  test.each([
    ["that are no function", { credentials: { password: PASSWORD } as never }, "must be a function that answers"],
    [
      "beside a password",
      { credentials: () => ({ password: PASSWORD }), password: "x" },
      "stands beside tokenizer.passwor",
    ],
    [
      "beside its file",
      { credentials: () => ({ password: PASSWORD }), password_file: "x" },
      "stands beside tokenizer.pa",
    ],
  ])("%s are refused at once", (_name, options, message) => {
    expect(() => makeBackend(options)).toThrow(
      expect.objectContaining({ code: "SETTINGS_INVALID", status: 500, message: expect.stringContaining(message) }),
    );
  });
});

withRedis("Sentinels that ask for a password", () => {
  test("get the one of now", async () => {
    const master = await startRedis({ args: ["--requirepass", PASSWORD], login: { password: PASSWORD } });
    const config = `sentinel monitor other 127.0.0.1 ${master.port} 1\nrequirepass "${PASSWORD}"\n`;
    const sentinel = await startRedis({ sentinel: true, config, login: { password: PASSWORD } });
    const file = join(temporaryFolder(), "password");
    writeFileSync(file, PASSWORD);
    const options = { sentinel: "other", nodes: [sentinel.address] };
    const { backend } = makeBackend({ password_file: file, options });
    await backend.open();
    for (const server of [master, sentinel]) {
      await server.command("ACL", "SETUSER", "default", `>${RENEWED}`, `<${PASSWORD}`);
      await server.commandAs({ password: RENEWED }, "CLIENT", "KILL", "TYPE", "normal");
    }
    writeFileSync(file, RENEWED);
    await until("it is served", () => backend.write("key", record("x"), "any").catch(() => false));
  });
});
