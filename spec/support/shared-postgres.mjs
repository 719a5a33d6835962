// The PostgreSQL that all spec files share, and the data that their own servers begin with (global-setup.mjs).
import { once } from "node:events";
import { dirname, join } from "node:path";
import pg from "pg";
import { freePort } from "./free-port.mjs";
import { ADMIN, configure, makeFolder, makeTemplate, remove, run, startServer } from "./postgres-program.mjs";

const DATABASE = "specs";
const PASSWORD = "a-password-of-the-specs";

let template;
/** Data as initdb makes it, for the run; made when it is asked for first. */
function templateOf(endings) {
  template ??= makeTemplate().then((data) => {
    endings.push(() => remove(dirname(data)));
    return data;
  });
  return template;
}

export async function startPostgresTemplate(endings) {
  const data = await templateOf(endings);
  return () => ({ data });
}

/** Each answer is a table that nobody else was given, with a user that has the rights in service, and no others. */
export async function startPostgres(endings) {
  const data = await templateOf(endings);
  const [folder, port] = [makeFolder(), await freePort()];
  endings.push(() => remove(folder));
  await run("cp", ["-R", data, join(folder, "data")]);
  // A pool for each place of three workers' specs.
  configure(folder, port, { settings: { max_connections: 500 } });
  const child = await startServer(folder);
  const exited = once(child, "exit");
  const stop = () => child.kill("SIGQUIT");
  process.once("exit", stop);
  endings.push(async () => {
    stop();
    await exited;
  });

  const pool = await openDatabase(folder, port);
  endings.push(() => pool.end());
  let tables = 0;
  return async () => {
    const [table, username] = [`specs.records_${++tables}`, `service_${tables}`];
    await pool.query(statements(table, username));
    return {
      ...{ host: "127.0.0.1", port, username, password: PASSWORD, database: DATABASE, table },
      ...{ admin: ADMIN, socketFolder: folder },
    };
  };
}

async function openDatabase(host, port) {
  const login = { host, port, user: ADMIN.username, ssl: false };
  const client = new pg.Client({ ...login, database: "postgres" });
  await client.connect();
  await client.query(`CREATE DATABASE ${DATABASE}`);
  await client.end();
  const pool = new pg.Pool({ ...login, database: DATABASE, max: 3 });
  await pool.query("CREATE SCHEMA specs");
  return pool;
}

const statements = (table, username) => `
  CREATE TABLE ${table} (key text COLLATE "C" PRIMARY KEY, version text NOT NULL, expires bigint NOT NULL, value text NOT NULL);
  CREATE INDEX ${table.replace(/.*\./, "")}_expires ON ${table} (expires);
  CREATE ROLE ${username} LOGIN PASSWORD '${PASSWORD}';
  GRANT USAGE ON SCHEMA specs TO ${username};
  GRANT SELECT, INSERT, UPDATE, DELETE ON ${table} TO ${username};
`;
