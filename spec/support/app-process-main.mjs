// An application in a process of its own, on the built package: `node app-process-main.mjs SETTINGS`, the section
// `tokenizer` as JSON. Prints its port.
import { once } from "node:events";
import express from "express";
import { tokenizer } from "express-tokenizer";

const settings = JSON.parse(process.argv[2]);
const sessions = tokenizer({
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

const app = express();
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
app.use(sessions);
app.get("/in", async (req, res) => {
  await req.signIn({ username: "ann", password: "a secret of ann's" });
  res.end();
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
