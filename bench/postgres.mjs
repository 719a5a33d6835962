// A PostgreSQL as Debian starts one, a database for each row that uses it, and how many statements it was asked.
import { existsSync } from "node:fs";
import { dirname, join } from "node:path";
import { freePort } from "../scripts/dynamodb-local.mjs";
import {
  ADMIN,
  configure,
  makeFolder,
  makeTemplate,
  POSTGRES,
  remove,
  run,
  startServer,
} from "../spec/support/postgres-program.mjs";
import { DATABASES } from "./rows.mjs";

/** The rows' user, which owns their databases and is no superuser. */
const LOGIN = { username: "bench", password: "a-password-of-the-benchmark" };
/** The server's own defaults, where specs have others: what is acknowledged is on the disk. */
const SETTINGS = {
  ...{ fsync: "on", full_page_writes: "on", shared_buffers: "128MB", min_wal_size: "80MB", max_wal_size: "1GB" },
  ...{ dynamic_shared_memory_type: "posix", shared_preload_libraries: "pg_stat_statements" },
};

/** Sets PG… for the rows, and answers the version; nothing when it is not there. */
export async function startPostgres() {
  if (!POSTGRES) {
    console.error("There is no PostgreSQL: it is left out.");
    return undefined;
  }
  const [data, folder, port] = [await makeTemplate(), makeFolder(), await freePort()];
  await run("cp", ["-R", data, join(folder, "data")]);
  remove(dirname(data));
  configure(folder, port, { settings: SETTINGS });
  const child = await startServer(folder);
  process.once("exit", () => end(child, folder));
  const env = { PGHOST: "127.0.0.1", PGPORT: String(port), PGUSER: LOGIN.username, PGPASSWORD: LOGIN.password };
  Object.assign(process.env, env, { POSTGRES_SOCKET: folder });
  const [{ server_version: version }] = await asAdmin("postgres", [
    `CREATE ROLE ${LOGIN.username} LOGIN PASSWORD '${LOGIN.password}'`,
    ...Object.values(DATABASES).map((name) => `CREATE DATABASE ${name} OWNER ${LOGIN.username}`),
    "CREATE EXTENSION pg_stat_statements",
    "SHOW server_version",
  ]);
  // Loaded now that it is built.
  const { createStatements, tableOf } = await import("../dist/backends/postgres/table.js");
  const table = createStatements(tableOf("tokenizer_records"));
  await asAdmin(DATABASES.ours, [`SET ROLE ${LOGIN.username}`, ...table]);
  return { child, version: version.split(" ")[0] };
}

/** Without a turn of the event loop, which there is none of any more. */
function end(child, folder) {
  child.kill("SIGQUIT");
  const isThere = () => existsSync(join(folder, "data/postmaster.pid"));
  for (let tries = 0; tries < 500 && isThere(); tries++)
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 10);
  remove(folder);
}

/** Statements that this database was asked since the start, each one a round trip. */
export async function statementsOf(database) {
  const question = `SELECT coalesce(sum(calls), 0)::integer AS calls FROM pg_stat_statements
    JOIN pg_database ON pg_database.oid = dbid WHERE datname = '${database}'`;
  const [{ calls }] = await asAdmin("postgres", [question]);
  return calls;
}

/** The rows of the last one, asked as a superuser. */
export async function asAdmin(database, statements) {
  const { default: pg } = await import("pg");
  const { POSTGRES_SOCKET: host, PGPORT: port } = process.env;
  const client = new pg.Client({ host, port: Number(port), user: ADMIN.username, password: ADMIN.password, database });
  await client.connect();
  try {
    let rows = [];
    for (const statement of statements) ({ rows } = await client.query(statement));
    return rows;
  } finally {
    await client.end();
  }
}
