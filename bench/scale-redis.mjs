// What a session takes of Redis's memory, ours and connect-redis's: `node scale-redis.mjs SESSIONS` with REDIS_PORT.
import { randomBytes } from "node:crypto";
import expressSession from "express-session";
import { tokenizer } from "express-tokenizer";
import { createClient } from "redis";

const { Cookie } = expressSession;
const count = Number(process.argv[2]);
const port = Number(process.env.REDIS_PORT);
const MINUTE = 60_000;
/** Saves that are under way at the same time. */
const AT_ONCE = 100;

const client = await createClient({ url: `redis://127.0.0.1:${port}` }).connect();

/** What server.mjs keeps in a session, and who is signed in. */
const session = (username, maxAge) => ({
  ...{ visits: 0, name: "ada", cart: ["bread", "butter"], text: "x".repeat(300), username },
  cookie: new Cookie({ httpOnly: true, path: "/", maxAge }),
});

async function ours() {
  const sessions = tokenizer({
    authenticator: { type: "ldap" },
    tokenizer: { type: "redis", host: "127.0.0.1", port, timeout: 20, cookie: { secret: "a secret of the benchmark" } },
  });
  await sessions.ready;
  return { store: sessions.store, close: () => sessions.close() };
}

async function theirs() {
  const { RedisStore } = await import("connect-redis");
  return { store: new RedisStore({ client }), maxAge: 20 * MINUTE, close() {} };
}

const rows = [
  { name: "connect-redis", make: theirs },
  { name: "ours", make: ours },
  { name: "connect-redis, signed in", make: theirs, signedIn: true },
  { name: "ours, signed in", make: ours, signedIn: true },
];

const results = [];
for (const { name, make, signedIn } of rows) {
  await client.flushAll();
  const { store, maxAge, close } = await make();
  const before = await used();
  for (let n = 0; n < count; n += AT_ONCE) {
    const saves = Array.from({ length: Math.min(AT_ONCE, count - n) }, (_, place) =>
      save(store, session(signedIn ? `user ${n + place}` : undefined, maxAge)),
    );
    await Promise.all(saves);
  }
  const [after, keys] = [await used(), await client.dbSize()];
  await close();
  results.push({ name, bytes: (after - before) / count, keys: keys / count });
  process.stderr.write(`redis: ${name}\n`);
}
client.destroy();
process.send(results);
process.disconnect();

function save(store, data) {
  return new Promise((resolve, reject) => {
    store.set(randomBytes(24).toString("base64url"), data, (error) => (error ? reject(error) : resolve()));
  });
}

async function used() {
  const info = await client.info("memory");
  return Number(/used_memory:(\d+)/.exec(info)[1]);
}
