// Servers that the spec files share, since each takes a while to start: started when the first spec asks for one
// (shared.ts), ended with the run (global-teardown.mjs). What a spec freezes, kills or configures it starts for itself.
import { spawn } from "node:child_process";
import { once } from "node:events";
import { createServer } from "node:http";
import { connect } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import { makeDynalite } from "./dynalite.mjs";
import { freePort } from "./free-port.mjs";
import { startPostgres, startPostgresTemplate } from "./shared-postgres.mjs";

/** One for each place of a spec: enough that none has to be used twice. */
const REDIS_DATABASES = 10_000;

const endings = [];
const STARTERS = {
  redis: startRedis,
  dynamodb: startDynamodb,
  chromium: startChromium,
  postgres: () => startPostgres(endings),
  postgresTemplate: () => startPostgresTemplate(endings),
};
/** What each started with, by name: a function that answers what a spec has to know. */
const started = new Map();

export default async function setup() {
  const server = createServer(async (req, res) => {
    // One that is kept may be closed at the moment in which it is used again.
    res.setHeader("connection", "close");
    try {
      const name = req.url.slice(1);
      if (!started.has(name)) started.set(name, STARTERS[name]());
      const describe = await started.get(name);
      res.end(JSON.stringify(await describe()));
    } catch (error) {
      res.writeHead(500).end(error.stack);
    }
  });
  process.env.SHARED_SERVERS = `http://127.0.0.1:${await listen(server)}`;
}

export async function teardown() {
  for (const end of endings.reverse()) await end();
}

async function listen(server) {
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  endings.push(() => {
    server.closeAllConnections();
    server.close();
  });
  return server.address().port;
}

async function startRedis() {
  const port = await freePort();
  const args = ["--port", port, "--bind", "127.0.0.1", "--save", "", "--databases", REDIS_DATABASES];
  const child = spawn(process.env.REDIS_SERVER ?? "/usr/bin/redis-server", args, {
    stdio: ["ignore", "pipe", "inherit"],
  });
  const kill = () => child.kill("SIGKILL");
  process.once("exit", kill);
  endings.push(kill);
  while (!(await accepts(port))) {
    if (child.exitCode !== null) throw new Error(`redis-server did not start: ${child.stdout.read()}`);
    await sleep(20);
  }
  child.stdout.resume();
  let databases = 0;
  return () => ({ port, database: databases++ });
}

async function accepts(port) {
  const socket = connect(port, "127.0.0.1");
  const isConnected = await once(socket, "connect").then(
    () => true,
    () => false,
  );
  socket.destroy();
  return isConnected;
}

async function startDynamodb() {
  const endpoint = `http://127.0.0.1:${await listen(makeDynalite())}`;
  return () => ({ endpoint });
}

async function startChromium() {
  const { chromium } = await import("playwright-core");
  const server = await chromium.launchServer({
    executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
    args: [
      "--no-sandbox", // root, as in most containers, has none
      "--disable-gpu",
      "--disable-quic",
      "--no-first-run",
      "--disable-background-networking",
      "--disable-component-update",
      "--disable-sync",
    ],
  });
  endings.push(() => server.close());
  return () => ({ wsEndpoint: server.wsEndpoint() });
}
