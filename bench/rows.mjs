// What is measured: how each row makes its sessions. Every import is its own, so that a row loads nothing of another one's.

const TABLE = "sessions";
const PEERS_TABLE = "connect-dynamodb";
/** Of PostgreSQL, what each row has for itself. */
export const DATABASES = { ours: "ours", peer: "connect_pg_simple" };
const SECRET = "a secret that signs the cookies of every row";
const COOKIE = { name: "token", options: { secret: SECRET, resave: false, saveUninitialized: false } };
const MINUTE = 60_000;

/** express-session as its documentation has it, over a store. */
export async function withStore(store) {
  const { default: session } = await import("express-session");
  return session({ ...COOKIE.options, name: COOKIE.name, store, cookie: { maxAge: 20 * MINUTE } });
}

/** What promises.mjs switches on where a row has it, and speed is not measured with. */
const STRICT = { absolute_timeout: 480, encrypt: "session" };

/** @param build another one than this checkout's */
async function ours(section, { build = "express-tokenizer", isStrict }) {
  const { tokenizer } = await import(build);
  const settings = { cloud: false, cookie: { name: COOKIE.name, secret: SECRET }, ...(isStrict && STRICT), ...section };
  const sessions = tokenizer({ tokenizer: { safe_password: "a safe password for the benchmark", ...settings } });
  await sessions.ready;
  return sessions;
}

/** The servers run as in production, where memory is refused. Express and express-session have looked by then. */
function outsideProduction(make) {
  delete process.env.NODE_ENV;
  return make();
}

const aws = () => ({ endpoint: process.env.DYNAMODB, region: "eu-west-1" });
const keys = { accessKeyId: "bench", secretAccessKey: "bench" };

export const rows = [
  { name: "Express alone", make: async () => (_req, _res, next) => next(), unchangedOnly: true },
  {
    name: "a null store",
    async make() {
      const { Store } = await import("express-session");
      return withStore(new (nullStore(Store))());
    },
  },
  {
    name: "MemoryStore",
    async make() {
      const { MemoryStore } = await import("express-session");
      return withStore(new MemoryStore());
    },
  },
  {
    name: "memorystore",
    package: "memorystore",
    async make() {
      const [{ default: session }, { default: memorystore }] = [
        await import("express-session"),
        await import("memorystore"),
      ];
      return withStore(new (memorystore(session))({ checkPeriod: 60 * MINUTE }));
    },
  },
  {
    name: "session-file-store",
    package: "session-file-store",
    async make({ folder, isStrict }) {
      const [{ default: session }, { default: fileStore }] = [
        await import("express-session"),
        await import("session-file-store"),
      ];
      return withStore(
        new (fileStore(session))({ path: folder, logFn() {}, ttl: 1200, ...(isStrict && { secret: SECRET }) }),
      );
    },
  },
  {
    name: "ours, local",
    base: "MemoryStore",
    also: ["session-file-store"],
    isOurs: true,
    make: (place) => ours({ type: "local", path: place.folder }, place),
  },
  {
    name: "ours, memory",
    base: "MemoryStore",
    isOurs: true,
    make: (place) => outsideProduction(() => ours({ type: "memory" }, place)),
  },
  { name: "MemoryStore, Node 20", node: "20", make: (place) => rows[2].make(place) },
  {
    name: "ours, local, Node 20",
    base: "MemoryStore, Node 20",
    node: "20",
    isOurs: true,
    make: (place) => ours({ type: "local", path: place.folder }, place),
  },
  {
    name: "connect-redis",
    package: "connect-redis",
    engine: "redis",
    commands: ["get", "set", "expire"],
    async make() {
      const [{ RedisStore }, { createClient }] = [await import("connect-redis"), await import("redis")];
      const client = await createClient({ url: `redis://127.0.0.1:${process.env.REDIS_PORT}` }).connect();
      return withStore(new RedisStore({ client, prefix: "connect-redis:" }));
    },
  },
  {
    name: "ours, redis",
    base: "connect-redis",
    engine: "redis",
    // What a script does itself is no round trip.
    commands: ["get", "evalsha", "eval"],
    isOurs: true,
    make: (place) => ours({ type: "redis", host: "127.0.0.1", port: Number(process.env.REDIS_PORT) }, place),
  },
  {
    name: "connect-pg-simple",
    package: "connect-pg-simple",
    engine: "postgres",
    database: DATABASES.peer,
    table: "session",
    async make() {
      const [{ default: session }, { default: pgSimple }, { default: pg }] = [
        await import("express-session"),
        await import("connect-pg-simple"),
        await import("pg"),
      ];
      const pool = new pg.Pool({ database: DATABASES.peer });
      return withStore(new (pgSimple(session))({ pool, createTableIfMissing: true }));
    },
  },
  {
    name: "ours, postgres",
    base: "connect-pg-simple",
    engine: "postgres",
    database: DATABASES.ours,
    table: "tokenizer_records",
    isOurs: true,
    make: (place) => ours({ type: "postgres", database: DATABASES.ours }, place),
  },
  {
    name: "connect-dynamodb",
    package: "connect-dynamodb",
    engine: "dynamodb",
    async make() {
      const { DynamoDBClient } = await import("@aws-sdk/client-dynamodb");
      const [{ default: session }, { default: dynamodb }] = [
        await import("express-session"),
        await import("connect-dynamodb"),
      ];
      const client = new DynamoDBClient({ ...aws(), credentials: keys });
      const store = new (dynamodb({ session }))({ client, table: PEERS_TABLE });
      await store.initialize?.();
      return withStore(store);
    },
  },
  {
    name: "ours, dynamodb",
    base: "connect-dynamodb",
    engine: "dynamodb",
    isOurs: true,
    make(place) {
      const section = { type: "dynamodb", table: TABLE, endpoint: aws().endpoint, aws_region_name: aws().region };
      return ours({ ...section, aws_access_key: keys.accessKeyId, aws_secret_key: keys.secretAccessKey }, place);
    },
  },
];

/** Ours and what they take the place of. */
export const isCompared = ({ name, isOurs, node }) =>
  node === undefined && (isOurs === true || rows.some(({ base }) => base === name));

/** Answers at once, from a Map: what anything that is built on express-session could reach at most. */
function nullStore(Store) {
  return class NullStore extends Store {
    #texts = new Map();

    get(id, callback) {
      const text = this.#texts.get(id);
      callback(null, text === undefined ? undefined : JSON.parse(text));
    }

    set(id, data, callback) {
      this.#texts.set(id, JSON.stringify(data));
      callback?.();
    }

    touch(_id, _data, callback) {
      callback?.();
    }

    destroy(id, callback) {
      this.#texts.delete(id);
      callback?.();
    }
  };
}

export async function dynamodbClient() {
  const { DynamoDB } = await import("@aws-sdk/client-dynamodb");
  return new DynamoDB({ ...aws(), credentials: keys });
}

/** The tables, as each store wants them. */
export async function makeTables() {
  const client = await dynamodbClient();
  const tables = { [TABLE]: "username", [PEERS_TABLE]: "id" };
  for (const [TableName, AttributeName] of Object.entries(tables)) {
    await client.createTable({
      TableName,
      BillingMode: "PAY_PER_REQUEST",
      KeySchema: [{ AttributeName, KeyType: "HASH" }],
      AttributeDefinitions: [{ AttributeName, AttributeType: "S" }],
    });
  }
}
