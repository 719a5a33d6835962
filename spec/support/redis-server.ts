/** Real Redis servers on free ports, in folders of their own; none outlives the specs of the file that started it. */
import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, describe } from "@jest/globals";
import { createClient } from "redis";
import { freePort } from "./free-port.mjs";

const SERVER = findProgram("REDIS_SERVER", "redis-server");
const OPENSSL = findProgram("OPENSSL", "openssl");
/** Has the system end a server when this process ends, however it does. */
const SETPRIV = findProgram("SETPRIV", "setpriv");

/** Specs that need the programs; left out where they are not installed, as `npm test` says then. */
export const withRedis = SERVER ? describe : describe.skip;
export const withTls = SERVER && OPENSSL ? describe : describe.skip;

/** With what takes no time on a machine that has nothing else to do. Milliseconds. */
const PATIENCE = 120_000;

/** How long a Cluster and Sentinels take a silent server for a living one. Milliseconds. */
const SILENCE = 30_000;

/** Larger counts. */
export const isFull = process.env.TEST_FULL === "1";

/** How `command` signs in. */
interface Login {
  readonly username?: string;
  readonly password?: string;
  readonly tls?: { readonly ca: string; readonly cert: string; readonly key: string };
}

export interface RedisServer {
  readonly port: number;
  /** `host:port`, as in `options.nodes`. */
  readonly address: string;
  readonly pid: number;
  /** The answer to one command, on a connection of its own. */
  command(...args: string[]): Promise<unknown>;
  /** The same by another user. */
  commandAs(login: Login, ...args: string[]): Promise<unknown>;
  /** As SIGSTOP does it: its system takes connections and bytes, and nothing answers. */
  freeze(): void;
  thaw(): void;
  /** SIGKILL, and waits until it is gone. */
  kill(): Promise<void>;
  /** Starts it again, on the same port and with the same files. */
  start(): Promise<void>;
}

export interface RedisServerOptions {
  /** As on the command line: `["--appendonly", "yes"]`. */
  readonly args?: readonly string[];
  /** Of a configuration file that Sentinels and clusters rewrite. */
  readonly config?: string;
  readonly sentinel?: boolean;
  /** How `command` signs in. */
  readonly login?: { readonly username?: string; readonly password?: string };
  /** TLS in place of plain text, with clients' certificates asked for. */
  readonly tls?: Certificates;
  readonly port?: number;
}

const running = new Set<ChildProcess>();
const folders = new Set<string>();
const killRunning = () => {
  for (const child of running) child.kill("SIGKILL");
};

// Also when the specs end by an error, or by a signal to their process.
process.once("exit", killRunning);
afterAll(async () => {
  const gone = [...running].map((child) => once(child, "exit"));
  killRunning();
  await Promise.all(gone);
  for (const folder of folders) rmSync(folder, { recursive: true, force: true });
});

function temporaryFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), "redis-spec-"));
  folders.add(folder);
  return folder;
}

export async function startRedis(options: RedisServerOptions = {}): Promise<RedisServer> {
  const { args = [], config, sentinel = false, tls } = options;
  const login = { ...options.login, ...(tls && { tls: { ca: tls.ca, ...tls.client } }) };
  const port = options.port ?? (await freePort());
  const folder = temporaryFolder();
  const file = join(folder, "redis.conf");
  if (config !== undefined) writeFileSync(file, config);
  const ports = tls ? ["--port", "0", "--tls-port", String(port), ...tlsArguments(tls)] : ["--port", String(port)];
  const common = ["--bind", "127.0.0.1", "--daemonize", "no", "--dir", folder];
  const all = [...(config === undefined ? [] : [file]), ...ports, ...common];
  all.push(...(sentinel ? ["--sentinel"] : ["--save", ""]));
  let child: ChildProcess;

  const server: RedisServer = {
    port,
    address: `127.0.0.1:${port}`,
    get pid() {
      return child.pid as number;
    },
    command: (...command) => runCommand(port, login, command),
    commandAs: (other, ...command) => runCommand(port, { ...login, ...other }, command),
    freeze: () => void child.kill("SIGSTOP"),
    thaw: () => void child.kill("SIGCONT"),
    async kill() {
      if (child.exitCode !== null || child.signalCode !== null) return;
      const exited = once(child, "exit");
      child.kill("SIGKILL");
      await exited;
    },
    async start() {
      const [file, ...rest] = [...(SETPRIV ? [SETPRIV, "--pdeathsig", "KILL"] : []), SERVER as string, ...all, ...args];
      child = spawn(file as string, rest, { stdio: ["ignore", "pipe", "inherit"] });
      running.add(child);
      const started = child;
      child.once("exit", () => running.delete(started));
      await untilReady(child, () => server.command("PING"));
    },
  };
  await server.start();
  return server;
}

const tlsArguments = ({ ca, server: { cert, key } }: Certificates) => [
  ...["--tls-ca-cert-file", ca, "--tls-cert-file", cert, "--tls-key-file", key],
];

async function untilReady(child: ChildProcess, ping: () => Promise<unknown>): Promise<void> {
  let log = "";
  child.stdout?.on("data", (chunk) => {
    log = (log + chunk).slice(-4000);
  });
  const end = performance.now() + PATIENCE;
  for (;;) {
    if (child.exitCode !== null || performance.now() > end) throw new Error(`redis-server did not start:\n${log}`);
    try {
      await ping();
      return;
    } catch (error) {
      // What asks for a password is up.
      if (/NOAUTH|WRONGPASS/.test((error as Error).message)) return;
    }
    await sleep(20);
  }
}

async function runCommand(port: number, login: Login, args: string[]): Promise<unknown> {
  const { username, password, tls } = login;
  const client = createClient({
    ...(username === undefined ? {} : { username }),
    ...(password === undefined ? {} : { password }),
    RESP: 2,
    disableClientInfo: true,
    socket: {
      ...{ host: "127.0.0.1", port, connectTimeout: PATIENCE, reconnectStrategy: false as const },
      ...(tls ? { tls: true as const, ...readAll(tls), rejectUnauthorized: false } : {}),
    },
  });
  client.on("error", () => {});
  try {
    await client.connect();
    return await client.sendCommand(args);
  } finally {
    client.destroy();
  }
}

function readAll({ ca, cert, key }: NonNullable<Login["tls"]>) {
  const [authority, certificate, secret] = [ca, cert, key].map((file) => readFileSync(file, "utf8"));
  return { ca: authority as string, cert: certificate as string, key: secret as string };
}

/** How often each command was called since the statistics were reset. */
export async function commandsOf(server: RedisServer): Promise<Record<string, number>> {
  const info = String(await server.command("INFO", "commandstats"));
  const counts = [...info.matchAll(/^cmdstat_([\w|]+):calls=(\d+)/gm)].map(([, name, calls]) => [name, Number(calls)]);
  return { eval: 0, evalsha: 0, get: 0, ...Object.fromEntries(counts) };
}

/** Calls again until the condition holds; throws with its name when it does not within the time. */
export async function until(
  name: string,
  condition: () => boolean | Promise<boolean>,
  milliseconds = PATIENCE,
): Promise<void> {
  const end = performance.now() + milliseconds;
  while (!(await condition())) {
    if (performance.now() > end) throw new Error(`${name}: not within ${milliseconds} ms`);
    await sleep(10);
  }
}

/** A Cluster of masters that share all slots, and of as many replicas: the first follows the first master. */
export async function startCluster(masters: number, replicas = 0): Promise<RedisServer[]> {
  const args = [
    ...["--cluster-enabled", "yes", "--cluster-config-file", "nodes.conf", "--cluster-node-timeout", "1000"],
    // What is left goes on while one is down.
    ...["--cluster-require-full-coverage", "no"],
    // A replica may take over however old what it has is.
    ...["--cluster-replica-validity-factor", "0", "--repl-diskless-sync-delay", "0"],
  ];
  const servers = await Promise.all(Array.from({ length: masters + replicas }, () => startRedis({ args })));
  const [first] = servers as [RedisServer];
  await Promise.all(
    servers.slice(0, masters).map((server, index) => {
      const [from, to] = [index, index + 1].map((part) => Math.floor((part * 16_384) / masters)) as [number, number];
      return server.command("CLUSTER", "ADDSLOTSRANGE", String(from), String(to - 1));
    }),
  );
  // Each has an epoch of its own from the start, or their votes for a replica are put off.
  await Promise.all(servers.map((server, n) => server.command("CLUSTER", "SET-CONFIG-EPOCH", String(n + 1))));
  await Promise.all(servers.slice(1).map(({ port }) => first.command("CLUSTER", "MEET", "127.0.0.1", String(port))));
  const info = async (server: RedisServer) => String(await server.command("CLUSTER", "INFO"));
  const knowsAll = async (server: RedisServer) => (await info(server)).includes(`known_nodes:${servers.length}`);
  for (const server of servers) await until("the servers know each other", () => knowsAll(server));
  for (const [index, replica] of servers.slice(masters).entries()) {
    const id = String(await (servers[index] as RedisServer).command("CLUSTER", "MYID"));
    await until("the replica knows its master", async () => {
      return String(await replica.command("CLUSTER", "REPLICATE", id).catch(String)) === "OK";
    });
    await untilReplicates(replica);
  }
  const replicasKnownTo = async (server: RedisServer) =>
    String(await server.command("CLUSTER", "NODES")).match(/[ ,]slave /g)?.length ?? 0;
  for (const server of servers) {
    // Whoever has not heard of a replica does not vote for it.
    await until("all know who is a replica", async () => (await replicasKnownTo(server)) === replicas);
    await until("the cluster is up", async () => (await info(server)).includes("cluster_state:ok"));
  }
  // From now on nobody takes one for dead that only has to wait for a busy machine.
  await setNodeTimeout(servers, SILENCE);
  return servers;
}

/** For how many milliseconds a server may be silent before the others take it for dead. */
export async function setNodeTimeout(servers: readonly RedisServer[], milliseconds: number): Promise<void> {
  const args = ["CONFIG", "SET", "cluster-node-timeout", String(milliseconds)];
  await Promise.all(servers.map((server) => server.command(...args)));
}

export interface SentinelSetup {
  readonly name: string;
  readonly master: RedisServer;
  readonly replica: RedisServer;
  readonly sentinels: readonly RedisServer[];
}

/** A master with a replica, and three Sentinels that fail over once `failOverSoon` was called. */
export async function startSentinels(): Promise<SentinelSetup> {
  const name = "mymaster";
  const args = ["--repl-diskless-sync-delay", "0"];
  const master = await startRedis({ args });
  const replica = await startRedis({ args: [...args, "--replicaof", "127.0.0.1", String(master.port)] });
  await untilReplicates(replica);
  const config = [
    `sentinel monitor ${name} 127.0.0.1 ${master.port} 2`,
    `sentinel down-after-milliseconds ${name} ${SILENCE}`,
    `sentinel failover-timeout ${name} 2000`,
  ].join("\n");
  const sentinels = await Promise.all([1, 2, 3].map(() => startRedis({ sentinel: true, config })));
  for (const sentinel of sentinels) {
    await until("the Sentinels know the replica and each other", async () => {
      const info = String(await sentinel.command("INFO", "sentinel"));
      return /slaves=1,sentinels=3/.test(info);
    });
  }
  return { name, master, replica, sentinels };
}

/** Has a master that is silent for half a second be replaced: before, on a busy machine, any could be. */
export async function failOverSoon({ name, sentinels }: Pick<SentinelSetup, "name" | "sentinels">): Promise<void> {
  await Promise.all(
    sentinels.map((sentinel) => sentinel.command("SENTINEL", "SET", name, "down-after-milliseconds", "500")),
  );
}

function untilReplicates(replica: RedisServer): Promise<void> {
  const isUp = async () => String(await replica.command("INFO", "replication")).includes("master_link_status:up");
  return until("the replica follows its master", isUp);
}

export interface Certificates {
  /** Files in PEM: the authority, one that signed nothing here, and what the authority signed. */
  readonly ca: string;
  readonly otherCa: string;
  /** For localhost and 127.0.0.1. */
  readonly server: { readonly cert: string; readonly key: string };
  /** For localhost, not for its address. */
  readonly namedServer: { readonly cert: string; readonly key: string };
  /** For another host. */
  readonly otherServer: { readonly cert: string; readonly key: string };
  readonly client: { readonly cert: string; readonly key: string };
}

/** Makes certificates with the program openssl, good for a day. */
export function makeCertificates(): Certificates {
  const folder = temporaryFolder();
  const at = (name: string) => join(folder, name);
  const authority = (name: string) => {
    openssl("req", "-x509", ...newKey(at(`${name}.key`)), "-out", at(`${name}.pem`), "-subj", `/CN=${name}`);
    return at(`${name}.pem`);
  };
  const signed = (name: string, extension: string) => {
    const [cert, key] = [at(`${name}.pem`), at(`${name}.key`)];
    openssl(
      ...["req", "-x509", ...newKey(key), "-out", cert, "-subj", `/CN=${name}`, "-addext", extension],
      ...["-CA", at("ca.pem"), "-CAkey", at("ca.key"), "-addext", "basicConstraints=critical,CA:FALSE"],
    );
    return { cert, key };
  };
  const [ca, otherCa] = [authority("ca"), authority("other-ca")] as const;
  return {
    ...{ ca, otherCa },
    server: signed("server", "subjectAltName=DNS:localhost,IP:127.0.0.1"),
    namedServer: signed("named-server", "subjectAltName=DNS:localhost"),
    otherServer: signed("other-server", "subjectAltName=DNS:redis.example.com"),
    client: signed("client", "extendedKeyUsage=clientAuth"),
  };
}

const newKey = (file: string) => [
  ...["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "1", "-keyout", file],
];

function openssl(...args: string[]): void {
  const { status, stderr } = spawnSync(OPENSSL as string, args, { encoding: "utf8" });
  if (status !== 0) throw new Error(`openssl ${args[0]}: ${stderr}`);
}

function findProgram(variable: string, name: string): string | undefined {
  return [process.env[variable], `/usr/bin/${name}`].find((file) => file !== undefined && existsSync(file));
}
