/** Real PostgreSQL servers on free ports, in folders of their own; none outlives the specs of the file that started it. */
import type { ChildProcess } from "node:child_process";
import { once } from "node:events";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, describe } from "@jest/globals";
import pg from "pg";
import { freePort } from "./free-port.mjs";
import {
  ADMIN,
  type Configuration,
  configure,
  makeFolder,
  POSTGRES,
  read,
  remove,
  run,
  startServer,
  until,
  writeOwn,
} from "./postgres-program.mjs";
import { ProcessFamily } from "./process-family.js";
import type { Certificates } from "./redis-server.js";
import { shared } from "./shared.js";

/** Specs that need the programs; left out where they are not installed, as `npm test` says then. */
export const withPostgres = POSTGRES ? describe : describe.skip;
export const withPostgresTls =
  POSTGRES && existsSync(process.env.OPENSSL ?? "/usr/bin/openssl") ? describe : describe.skip;

/** Rows by the names of their columns. */
export type Rows = Record<string, unknown>[];

/** Who runs a statement, and where: by default the superuser, in the database `postgres`. */
export interface Session {
  /** One of the server's `users`. */
  readonly user?: string;
  readonly database?: string;
}

/** Ends a server: once its clients are gone, cutting them off, or without writing its tables out. */
export type Mode = "smart" | "fast" | "immediate";

const SIGNALS = { smart: "SIGTERM", fast: "SIGINT", immediate: "SIGQUIT" } as const;

export interface PostgresServer {
  readonly host: string;
  readonly port: number;
  /** In place of the host, for connections through its socket. */
  readonly socketFolder: string;
  /** A superuser. */
  readonly admin: { readonly username: string; readonly password: string };
  /** The server's first process, which takes connections. */
  readonly pid: number;
  /** The rows of one statement (or of the last of several without values), on a connection of its own through the socket. */
  sql(text: string, values?: readonly unknown[], session?: Session): Promise<Rows>;
  /** As SIGSTOP does it: its system takes connections and bytes, and nothing answers. */
  freeze(): void;
  thaw(): void;
  /** Waits until it is gone, a frozen one until it is thawed; "fast" by default. */
  stop(mode?: Mode): Promise<void>;
  /** SIGKILL to all its processes, and waits until they are gone. */
  kill(): Promise<void>;
  /** Starts it again, on the same port and with the same data. */
  start(): Promise<void>;
  restart(mode?: Mode): Promise<void>;
  /** Makes a primary of a standby. */
  promote(): Promise<void>;
  /** Waits until a standby has what was written before this call. */
  caughtUp(): Promise<void>;
  /** What it wrote to its log until now. */
  log(): string;
}

export interface PostgresServerOptions extends Configuration {
  /** Names and passwords of users that may sign in, and nothing more. A standby has its primary's: name them for `sql`. */
  readonly users?: Readonly<Record<string, string>>;
  /** Over TCP then TLS alone, unless `hba` says otherwise; the authority's file serves for clients' certificates. */
  readonly tls?: Pick<Certificates, "ca" | "server">;
  /** Follows another server, and has its users and data; read-only until `promote`. */
  readonly standbyOf?: PostgresServer;
}

interface Running {
  readonly child: ChildProcess;
  readonly family: ProcessFamily;
}

const running = new Set<Running>();
const folders = new Set<string>();

/** Has it leave no memory of the system behind, as SIGKILL would. */
const end = ({ child, family }: Running) => {
  family.continue();
  child.kill(SIGNALS.immediate);
};

// Also when the specs end by an error, or by a signal to their process.
const endRunning = () => {
  for (const each of running) end(each);
};
process.once("exit", endRunning);
afterAll(async () => {
  const gone = [...running].map(({ child }) => once(child, "exit"));
  endRunning();
  await Promise.all(gone);
  for (const folder of folders) remove(folder);
  process.off("exit", endRunning);
});

export async function startPostgres(options: PostgresServerOptions = {}): Promise<PostgresServer> {
  const { users = {}, standbyOf } = options;
  const [folder, port] = [makeFolder(), await freePort()];
  folders.add(folder);
  await fill(join(folder, "data"), standbyOf);
  configure(folder, port, configurationOf(join(folder, "data"), options));
  let current: Running | undefined;
  const needed = () => {
    if (!current) throw new Error("This PostgreSQL does not run.");
    return current;
  };
  const stop = async (mode: Mode = "fast") => {
    const { child } = needed();
    const exited = once(child, "exit");
    child.kill(SIGNALS[mode]);
    await exited;
  };

  const server: PostgresServer = {
    ...{ host: "127.0.0.1", port, socketFolder: folder, admin: ADMIN },
    get pid() {
      return needed().child.pid as number;
    },
    sql: (text, values = [], { user = ADMIN.username, database = "postgres" } = {}) =>
      query({ host: folder, port, user, password: users[user], database, ssl: false }, text, values),
    freeze: () => needed().family.stop(),
    thaw: () => needed().family.continue(),
    stop,
    async kill() {
      const { child, family } = needed();
      const exited = once(child, "exit");
      await family.kill();
      await exited;
    },
    async start() {
      const child = await startServer(folder);
      const started = { child, family: new ProcessFamily(child.pid as number) };
      current = started;
      running.add(started);
      child.once("exit", () => {
        running.delete(started);
        if (current === started) current = undefined;
      });
    },
    async restart(mode) {
      await stop(mode);
      await server.start();
    },
    promote: async () => void (await server.sql("SELECT pg_promote()")),
    async caughtUp() {
      const [position] = (await standbyOf?.sql("SELECT pg_current_wal_lsn() AS lsn")) ?? [];
      const question = "SELECT pg_last_wal_replay_lsn() >= $1 AS done";
      await until(
        "the standby",
        join(folder, "log"),
        async () => (await server.sql(question, [position?.lsn]))[0]?.done === true,
      );
    },
    log: () => read(join(folder, "log")),
  };
  await server.start();
  const made = standbyOf ? [] : Object.entries(users);
  for (const [name, password] of made) await server.sql(creation(name, password));
  return server;
}

/** Puts a server's data into a folder that is not there yet. */
async function fill(data: string, primary?: PostgresServer): Promise<void> {
  if (!primary) return run("cp", ["-R", (await shared("postgresTemplate")).data, data]);
  const source = `host=${primary.socketFolder} port=${primary.port} user=${ADMIN.username}`;
  // With what has it follow the other.
  await run("pg_basebackup", ["-D", data, "-d", source, "-R", "--checkpoint=fast", "--no-sync"]);
}

function configurationOf(data: string, { settings, hba, tls }: PostgresServerOptions): Configuration {
  if (!tls) return { ...(settings && { settings }), ...(hba && { hba }) };
  // It takes a key only from a file that nobody else can read.
  const copied = Object.entries({ ssl_ca_file: tls.ca, ssl_cert_file: tls.server.cert, ssl_key_file: tls.server.key });
  for (const [name, file] of copied) writeOwn(join(data, name), readFileSync(file, "utf8"));
  const files = Object.fromEntries(copied.map(([name]) => [name, name]));
  return {
    settings: { ssl: "on", ...files, ...settings },
    hba: hba ?? ["hostssl all all 127.0.0.1/32 scram-sha-256"],
  };
}

const creation = (name: string, password: string) =>
  `CREATE ROLE ${pg.escapeIdentifier(name)} LOGIN PASSWORD ${pg.escapeLiteral(password)}`;

/** The rows of one statement, on a connection of its own. */
export async function query(login: pg.ClientConfig, text: string, values: readonly unknown[] = []): Promise<Rows> {
  const client = new pg.Client(login);
  client.on("error", () => {});
  await client.connect();
  try {
    const answer: pg.QueryResult | pg.QueryResult[] = await client.query(
      text,
      values.length > 0 ? [...values] : undefined,
    );
    return (Array.isArray(answer) ? answer.at(-1) : answer)?.rows ?? [];
  } finally {
    await client.end().catch(() => {});
  }
}
