// npm run bench:promises: two promises, kept or broken, on the stores of rows.mjs; prints a table. Counts, no times, so a busy
// machine does not matter.
import { once } from "node:events";
import { versioned } from "./figures.mjs";
import { makePeersReady } from "./ready.mjs";
import { rows as all } from "./rows.mjs";
import { makeFolder, startEngines } from "./stand.mjs";

const PARALLEL = 50;
const LOGOUTS = 20;

makePeersReady();
// Loaded now that the packages are there.
const { default: express } = await import("express");

process.env.AWS_SDK_JS_NODE_VERSION_SUPPORT_WARNING_DISABLED = "true";
const stores = all.filter(({ node, unchangedOnly, name }) => !node && !unchangedOnly && name !== "a null store");
const engines = await startEngines(stores);
const rows = stores.filter(({ engine }) => !engine || engines[engine]);
console.log(`\n|  | kept of ${PARALLEL} parallel keys | back after ${LOGOUTS} logouts |\n| --- | --- | --- |`);
for (const row of rows) {
  const server = await start(row);
  const kept = await keptKeys(server);
  const back = await sessionsBack(server);
  console.log(`| ${row.package ? versioned(row.package) : row.name} | ${kept} | ${back} |`);
}
process.exit();

/** Requests of one session, each with a key of its own; none is answered before all of them have loaded it. */
async function keptKeys({ url, gates }) {
  const cookie = await newSession(url);
  gates.opened = new Promise((resolve) => {
    let waiting = 0;
    gates.put = () => {
      if (++waiting === PARALLEL) resolve();
    };
  });
  const keys = Array.from({ length: PARALLEL }, (_, index) => `key${index}`);
  await Promise.all(keys.map((key) => ask(`${url}/put?key=${key}`, cookie)));
  const stored = JSON.parse((await ask(`${url}/session`, cookie)).text);
  return keys.filter((key) => key in stored).length;
}

/** Each time a request is under way, its session is logged out, and then the request is answered. */
async function sessionsBack({ url, gates }) {
  let back = 0;
  for (let round = 0; round < LOGOUTS; round++) {
    const cookie = await newSession(url);
    const underWay = new Promise((resolve) => {
      gates.put = resolve;
    });
    let answerIt;
    gates.opened = new Promise((resolve) => {
      answerIt = resolve;
    });
    const slow = ask(`${url}/put?key=late`, cookie);
    await underWay;
    await ask(`${url}/logout`, cookie);
    answerIt();
    await slow;
    if (JSON.parse((await ask(`${url}/session`, cookie)).text).user === "ada") back++;
  }
  return back;
}

async function newSession(url) {
  const [cookie] = (await ask(`${url}/new`)).cookies;
  return cookie.split(";")[0];
}

async function ask(url, cookie) {
  const answer = await fetch(url, { headers: cookie ? { cookie } : {} });
  // To the end: express-session sends the headers first, saves then, and keeps back the last byte until it has.
  const text = await answer.text();
  // A store that refuses must not look as if it had kept a promise.
  if (answer.status !== 200) throw new Error(`${url}: ${answer.status} ${text}`);
  return { text, cookies: answer.headers.getSetCookie() };
}

async function start(row) {
  const gates = {};
  const app = express();
  app.use(await row.make({ folder: makeFolder() }));
  app.get("/new", (req, res) => {
    req.session.user = "ada";
    res.send("new");
  });
  app.get("/put", async (req, res) => {
    gates.put();
    await gates.opened;
    req.session[req.query.key] = true;
    res.send("put");
  });
  app.get("/session", (req, res) => res.json(req.session));
  app.get("/logout", (req, res, next) => req.session.destroy((error) => (error ? next(error) : res.send("bye"))));
  const server = app.listen(0, "127.0.0.1");
  await once(server, "listening");
  return { url: `http://127.0.0.1:${server.address().port}`, gates };
}
