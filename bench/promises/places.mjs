// A store, looked at and hindered from outside: has it been written to? What stands in it? From now on it refuses writes.
import { readdirSync, readFileSync, rmSync, statSync } from "node:fs";
import { createServer } from "node:http";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { asAdmin } from "../postgres.mjs";

/**
 * Each place has
 * - `mark()`: another text after each write
 * - `text()`: all that is stored, ids and contents
 * - `refuse()`: lets every write fail from now on, and reads go on where the engine can do that
 */

/** Objects of this process, which cannot fail by themselves: here, and only here, the store's own method is replaced. */
export function memory(storeOf) {
  const contents = () => JSON.stringify(storeOf().sessions ?? storeOf().store.dump());
  return {
    mark: contents,
    text: contents,
    refuse() {
      storeOf().set = (_id, _session, callback) => callback(new Error("refused"));
    },
  };
}

/** A file for each session. Refuses for want of the folder. */
export function folder(path) {
  const each = (tell) => readdirSync(path).sort().map(tell).join("\n");
  return {
    mark: () => each((name) => `${name} ${statSync(join(path, name), { bigint: true }).ctimeNs}`),
    text: () => each((name) => `${name} ${readFileSync(join(path, name), "latin1")}`),
    refuse: () => rmSync(path, { recursive: true }),
  };
}

/** By Redis's own count of changes; refuses for want of replicas. */
export async function redis(port) {
  const { createClient } = await import("redis");
  const client = await createClient({ url: `redis://127.0.0.1:${port}` }).connect();
  const readers = {
    string: (key) => client.get(key),
    hash: (key) => client.hGetAll(key),
    set: (key) => client.sMembers(key),
    zset: (key) => client.zRange(key, 0, -1),
  };
  return {
    mark: async () => /rdb_changes_since_last_save:(\d+)/.exec(await client.info("persistence"))[1],
    async text() {
      const keys = await client.keys("*");
      const values = keys.map(async (key) => [key, await readers[await client.type(key)](key)]);
      return JSON.stringify(await Promise.all(values));
    },
    refuse: () => client.configSet("min-replicas-to-write", "1"),
  };
}

/** A second connection to the file: SQLite tells it of others' commits. Refuses by keeping the lock that writers need. */
export async function sqlite(file) {
  const { DatabaseSync } = await import("node:sqlite");
  const database = new DatabaseSync(file);
  const all = (statement) => database.prepare(statement).all();
  return {
    mark: () => JSON.stringify(all("PRAGMA data_version")),
    text() {
      const tables = all("SELECT name FROM sqlite_schema WHERE type = 'table'");
      return tables.map(({ name }) => asText(all(`SELECT * FROM "${name}"`))).join("\n");
    },
    refuse: () => database.exec("BEGIN IMMEDIATE"),
  };
}

/** Between the application and DynamoDB: counts what is no read, and refuses it as a policy would. */
export async function dynamodb(target, client) {
  const isRead = (action) => /^(Get|BatchGet|Query|Scan|Describe|List)/.test(action);
  let writes = 0;
  let isRefusing = false;
  const server = createServer(async (req, res) => {
    const action = req.headers["x-amz-target"].split(".")[1];
    if (!isRead(action)) writes++;
    const { host: _host, connection: _connection, "content-length": _length, ...headers } = req.headers;
    const body = await text(req);
    const type = { "content-type": "application/x-amz-json-1.0" };
    if (isRefusing && !isRead(action)) {
      const __type = "com.amazonaws.dynamodb.v20120810#AccessDeniedException";
      return res.writeHead(400, type).end(JSON.stringify({ __type, message: "refused" }));
    }
    const answer = await fetch(target, { method: "POST", headers, body });
    res.writeHead(answer.status, type).end(await answer.text());
  });
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  return {
    url: `http://127.0.0.1:${server.address().port}`,
    mark: () => String(writes),
    async text() {
      const { TableNames } = await client.listTables({});
      return asText(await Promise.all(TableNames.map((TableName) => client.scan({ TableName }))));
    },
    refuse() {
      isRefusing = true;
    },
  };
}

/** By the versions of its rows, of which each write makes one. Refuses as if somebody had taken the rights away. */
export function postgres({ database, table }) {
  const rows = (columns) => asAdmin(database, [`SELECT ${columns} FROM ${table}`]);
  return {
    mark: async () => JSON.stringify(await rows("ctid, xmin")),
    text: async () => asText(await rows("*")),
    refuse: () => asAdmin(database, [`REVOKE INSERT, UPDATE, DELETE ON ${table} FROM bench`]),
  };
}

/** Bytes as characters, so that what stands in them is found. */
function asText(value) {
  return JSON.stringify(value, (_key, one) => (one instanceof Uint8Array ? Buffer.from(one).toString("latin1") : one));
}
