/** PgBouncer before a PostgreSQL of the specs, on a free port; none outlives the specs of the file that started it. */
import type { ChildProcess } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { afterAll, describe } from "@jest/globals";
import { findProgram } from "../../scripts/needs.mjs";
import { freePort } from "./free-port.mjs";
import { ADMIN, makeFolder, POSTGRES, read, remove, start, until, writeOwn } from "./postgres-program.mjs";
import { type PostgresServer, query, type Rows } from "./postgres-server.js";

const PGBOUNCER = findProgram("PGBOUNCER");

/** Specs that need the programs; left out where they are not installed, as `npm test` says then. */
export const withPgbouncer = POSTGRES && PGBOUNCER ? describe : describe.skip;

export interface PgbouncerOptions {
  /** One of the file's own, or what `shared("postgres")` answers. All its users can sign in here, too. */
  readonly server: Pick<PostgresServer, "port" | "socketFolder">;
  /** For how long a client keeps a connection to the server; "transaction" by default. */
  readonly poolMode?: "session" | "transaction" | "statement";
  /** Connections to the server, for each user and database; 20 by default. */
  readonly poolSize?: number;
  /** As in the [pgbouncer] part of pgbouncer.ini, in place of the others or beside them. */
  readonly settings?: Readonly<Record<string, string | number>>;
}

export interface Pgbouncer {
  readonly host: string;
  readonly port: number;
  /** The rows of one command for its console: `SHOW POOLS`, `PAUSE`, `SET pool_mode = session`. */
  admin(command: string): Promise<Rows>;
  /** Cuts its clients off, and waits until it is gone. */
  stop(): Promise<void>;
  /** Starts it again, on the same port. */
  start(): Promise<void>;
  /** What it wrote to its log until now. */
  log(): string;
}

const running = new Set<ChildProcess>();
const folders = new Set<string>();
const endRunning = () => {
  for (const child of running) child.kill("SIGTERM");
};

// Also when the specs end by an error, or by a signal to their process.
process.once("exit", endRunning);
afterAll(async () => {
  const gone = [...running].map((child) => once(child, "exit"));
  endRunning();
  await Promise.all(gone);
  for (const folder of folders) remove(folder);
  process.off("exit", endRunning);
});

export async function startPgbouncer(options: PgbouncerOptions): Promise<Pgbouncer> {
  const [folder, port] = [makeFolder(), await freePort()];
  folders.add(folder);
  const at = (name: string) => join(folder, name);
  const log = at("log");
  writeOwn(at("pgbouncer.ini"), textOf(options, port, folder));
  writeOwn(at("users"), `"${ADMIN.username}" "${ADMIN.password}"\n`);
  const login = { host: "127.0.0.1", port, user: ADMIN.username, password: ADMIN.password, ssl: false };
  let child: ChildProcess;

  const pgbouncer: Pgbouncer = {
    ...{ host: "127.0.0.1", port },
    admin: (command) => query({ ...login, database: "pgbouncer" }, command),
    async stop() {
      const exited = once(child, "exit");
      child.kill("SIGTERM");
      await exited;
    },
    async start() {
      child = start(PGBOUNCER as string, [at("pgbouncer.ini")], log, "TERM");
      const started = child;
      running.add(started);
      child.once("exit", () => running.delete(started));
      await until("PgBouncer's start", log, async () => {
        if (started.exitCode !== null) throw new Error("It ended.");
        return pgbouncer.admin("SHOW VERSION").then(
          () => true,
          () => false,
        );
      });
    },
    log: () => read(log),
  };
  await pgbouncer.start();
  return pgbouncer;
}

function textOf({ server, ...options }: PgbouncerOptions, port: number, folder: string): string {
  const all = {
    listen_addr: "127.0.0.1",
    listen_port: port,
    unix_socket_dir: folder,
    auth_type: "scram-sha-256",
    auth_file: join(folder, "users"),
    // Asks the server for each user's secret.
    auth_user: ADMIN.username,
    admin_users: ADMIN.username,
    pool_mode: options.poolMode ?? "transaction",
    default_pool_size: options.poolSize ?? 20,
    max_client_conn: 500,
    ...options.settings,
  };
  const lines = Object.entries(all).map(([name, value]) => `${name} = ${value}`);
  return `[databases]\n* = host=${server.socketFolder} port=${server.port}\n[pgbouncer]\n${lines.join("\n")}\n`;
}
