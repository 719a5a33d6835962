/** What a request leaves behind in memory until the next collection of all: what makes the slowest requests slow. */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { createConnection } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, describe, expect, test } from "@jest/globals";
import { startRedis, withRedis } from "./support/redis-server.js";

const SCRIPT = fileURLToPath(new URL("./support/survivors-main.mjs", import.meta.url));
const CONNECTIONS = 20;
/** Until V8 has compiled what they run, and has learnt what lives long. */
const WARM_UP = 30_000;
const REQUESTS = 10_000;

/** Before 24 Node's own requests outlive their answers, with any middleware, so that ours cannot be told: 30 kB of each. */
const [major = 0] = process.versions.node.split(".").map(Number);
const isTold = major >= 24;
if (!isTold) console.info(`Node ${major}: its own requests outlive their answers, so these are left out.`);

const folder = mkdtempSync(join(tmpdir(), "express-tokenizer-survivors-"));
const children = new Set<ChildProcess>();

afterAll(() => {
  for (const child of children) child.kill("SIGKILL");
  rmSync(folder, { recursive: true, force: true });
});

async function start(settings: object): Promise<number> {
  const child = spawn(process.execPath, ["--disable-warning=ExperimentalWarning", SCRIPT, JSON.stringify(settings)], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  children.add(child);
  const [line] = (await once(child.stdout, "data")) as [Buffer];
  return Number(line);
}

const ask = async (port: number, path: string) => {
  const answer = await fetch(`http://127.0.0.1:${port}${path}`);
  return { text: await answer.text(), cookie: answer.headers.get("set-cookie")?.split(";")[0] ?? "" };
};

/** Each connection asks again as soon as it is answered, as browsers behind a proxy do; all get a session of their own. */
async function drive(port: number, path: string, cookies: readonly string[], requests: number): Promise<void> {
  let left = requests;
  const connect = (cookie: string) =>
    new Promise<void>((resolve, reject) => {
      const socket = createConnection(port, "127.0.0.1");
      const request = `GET ${path} HTTP/1.1\r\nHost: localhost\r\nCookie: ${cookie}\r\n\r\n`;
      const next = () => {
        if (left-- > 0) socket.write(request);
        else socket.end(resolve);
      };
      socket.setEncoding("latin1").on("error", reject).on("connect", next);
      socket.on("data", (answer) => {
        if (/^HTTP\/1\.1 200 .*\r\n\r\nada$/s.test(String(answer))) next();
        else reject(new Error(`${path} was answered by ${answer}`));
      });
    });
  await Promise.all(cookies.map(connect));
}

async function survivorsOf(port: number, path: string): Promise<number> {
  const made = await Promise.all(Array.from({ length: CONNECTIONS }, () => ask(port, "/new")));
  const cookies = made.map(({ cookie }) => cookie);
  await drive(port, path, cookies, WARM_UP);
  await ask(port, "/count");
  await drive(port, path, cookies, REQUESTS);
  return Number((await ask(port, "/counted")).text) / REQUESTS;
}

// Measured: 30 to 2,800 bytes, and 2,800 to 5,400 with Redis; 13,000 to 21,000 where one literal or WeakMap keeps requests.
(isTold ? describe : describe.skip)("local: a request leaves next to nothing", () => {
  test.each(["/unchanged", "/changed"])("%s", async (path) => {
    const port = await start({ type: "local", path: join(folder, path) });
    const survivors = await survivorsOf(port, path);
    expect(survivors).toBeLessThan(5000);
  });
});

// Twenty are under way at each scavenge; connect-redis leaves as much.
(isTold ? withRedis : describe.skip)("redis: a request leaves what is under way", () => {
  test.each(["/unchanged", "/changed"])("%s", async (path) => {
    const server = await startRedis();
    const port = await start({ type: "redis", host: "127.0.0.1", port: server.port });
    const survivors = await survivorsOf(port, path);
    expect(survivors).toBeLessThan(9000);
  });
});
