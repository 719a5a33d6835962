// An application in a process of its own, on the built package: `node app-process-main.mjs SETTINGS AUTHENTICATOR`, the
// section `tokenizer` as JSON, and `authenticator.type`. Prints its port.
import { once } from "node:events";
import express from "express";
import { tokenizer } from "express-tokenizer";
import { DynamodbBackend } from "../../dist/backends/dynamodb/backend.js";
import { LocalBackend } from "../../dist/backends/local/backend.js";
import { PostgresBackend } from "../../dist/backends/postgres/backend.js";
import { RedisBackend } from "../../dist/backends/redis/backend.js";

const settings = JSON.parse(process.argv[2]);
const sessions = tokenizer({
  authenticator: { type: process.argv[3] },
  tokenizer: { cloud: false, safe_password: "a safe password, for these specs", ...settings },
});
await sessions.ready;

/** How many requests wait, and what lets them go on. */
let waiting = [];
const allWaiting = (count) => new Promise((resolve) => (waiting.target = { count, resolve })).then(() => {});
const wait = () =>
  new Promise((resolve) => {
    waiting.push(resolve);
    if (waiting.length === waiting.target?.count) waiting.target.resolve();
  });

/** The process kills itself where it would begin its backend's call of this number. */
function dieAtCall(number) {
  const types = { local: LocalBackend, redis: RedisBackend, postgres: PostgresBackend, dynamodb: DynamodbBackend };
  const { prototype } = types[settings.type];
  let calls = 0;
  for (const name of ["read", "write", "touch", "remove"]) {
    const { [name]: method } = prototype;
    prototype[name] = function (...args) {
      if (++calls === number) process.kill(process.pid, "SIGKILL");
      return Reflect.apply(method, this, args);
    };
  }
}

const app = express();
app.get("/die-at/:call", (req, res) => {
  dieAtCall(Number(req.params.call));
  res.end();
});
app.get("/go", (_req, res) => {
  const released = waiting;
  waiting = [];
  for (const resolve of released) resolve();
  res.send(String(released.length));
});
app.get("/waiting/:count", async (req, res) => {
  if (waiting.length < Number(req.params.count)) await allWaiting(Number(req.params.count));
  res.end();
});
/** What the process holds, with --expose-gc after a collection; and what it does when something happens to it. */
app.get("/process", (_req, res) => {
  globalThis.gc?.();
  res.json({ heap: process.memoryUsage().heapUsed, handlers: process.eventNames() });
});
/** Lets go of everything: the process must end by itself then. */
app.get("/end", (_req, res) => {
  res.end();
  server.close(() => sessions.close());
});
app.use(sessions);
app.get("/in", async (req, res) => {
  const { username = "ann" } = req.query;
  await req.signIn({ username, password: `a secret of ${username}'s` });
  res.end();
});
app.get("/put/:key", (req, res) => {
  req.session[req.params.key] = true;
  res.end();
});
app.get("/revoke", async (req, res) => {
  res.json(await sessions.users.revoke(req.query.username));
});
app.get("/set/:key", async (req, res) => {
  await wait();
  req.session[req.params.key] = true;
  res.end();
});
app.get("/out", async (req, res) => {
  await req.signOut();
  res.end();
});
app.get("/session", (req, res) => {
  const { cookie, ...fields } = req.session;
  res.json({ fields, ended: req.sessionEnded, password: req.credentials?.password });
});

const server = app.listen(0, "127.0.0.1");
await once(server, "listening");
console.log(server.address().port);
