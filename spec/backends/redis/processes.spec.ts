import { spawnSync } from "node:child_process";
import { expect, test } from "@jest/globals";
import { startApp } from "../../support/app-process.js";
import { commandsOf, startRedis, until, withRedis } from "../../support/redis-server.js";

/** Processes start slowly where many do at once. */
const PATIENT = { store_timeout: 60 };

withRedis("a process on Redis", () => {
  test("100 requests of an unchanged session cost 100 reads, and, where its end is moved, one more and a write", async () => {
    const server = await startRedis();
    const settings = { type: "redis", host: "127.0.0.1", port: server.port, ...PATIENT } as const;
    const app = await startApp(settings);
    const { cookie } = await app.get("/in");
    const keys = (await server.command("KEYS", "tokenizer:*")) as string[];
    const session = keys.find((key) => !key.includes("user:")) as string;
    // As if it had been signed in ten minutes ago: the first of the requests is to move its end.
    const left = String(Date.now() + 600_000).padStart(24);
    await server.command("SETRANGE", session, "4", left);
    await server.command("CONFIG", "RESETSTAT");
    expect((await app.get("/session", cookie)).status).toBe(200);
    // It may be moved alongside the request.
    await until("it is moved", async () => (await commandsOf(server)).setrange === 1);
    const answers = await Promise.all(Array.from({ length: 99 }, () => app.get("/session", cookie)));
    expect(answers.map(({ status }) => status)).toEqual(Array(99).fill(200));
    const { get, setrange: moved, set = 0, del = 0 } = await commandsOf(server);
    expect({ get, moved, set, del }).toEqual({ get: 101, moved: 1, set: 0, del: 0 });
  });

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
    return spawnSync(process.execPath, args, { encoding: "utf8", timeout: 60_000 });
  };

  test("ends by itself when its sessions are closed, reached or not", async () => {
    const server = await startRedis();
    expect(end(server.port)).toMatchObject({ status: 0, stdout: "ready\n", stderr: "" });
    await server.kill();
    expect(end(server.port)).toMatchObject({ status: 0, stdout: "STORE_UNAVAILABLE\n", stderr: "" });
  });
});
