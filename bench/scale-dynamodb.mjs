// What requests cost on DynamoDB, ours and connect-dynamodb: `node scale-dynamodb.mjs REQUESTS` with DYNAMODB, Amazon's emulator.
import { setTimeout as sleep } from "node:timers/promises";
import express from "express";
import { tokenizer } from "express-tokenizer";
import { startProxy } from "./capacity-proxy.mjs";

const requests = Number(process.argv[2]);
const SESSIONS = 5;
const SECOND = 1000;
const MINUTE = 60 * SECOND;
const SECRET = "a secret that signs the cookies of every row";
const TABLES = { ours: "sessions", theirs: "connect-dynamodb" };
const REGION = "eu-west-1";
const KEYS = { accessKeyId: "bench", secretAccessKey: "bench" };

/** Bytes of text in the session, and how often each session's browser asks: seconds. */
const cases = [300, 3000].flatMap((bytes) => [1, 5, 30].map((every) => ({ bytes, every })));

const proxy = await startProxy(process.env.DYNAMODB);
/** Ours is told the time, so that minutes of a session pass in a moment. */
let now = Date.now();

async function ours() {
  const section = { type: "dynamodb", table: TABLES.ours, endpoint: proxy.url, aws_region_name: REGION };
  const keys = { aws_access_key: KEYS.accessKeyId, aws_secret_key: KEYS.secretAccessKey };
  const sessions = tokenizer(
    { authenticator: { type: "ldap" }, tokenizer: { ...section, ...keys, timeout: 20, cookie: { secret: SECRET } } },
    { clock: () => now },
  );
  await sessions.ready;
  return {
    sessions,
    signIn: (req, fields) => {
      Object.assign(req.session, fields);
      return req.signIn({ username: req.query.user }, { keep: Object.keys(fields) });
    },
  };
}

async function theirs() {
  const { DynamoDBClient } = await import("@aws-sdk/client-dynamodb");
  const [{ default: session }, { default: dynamodb }] = [
    await import("express-session"),
    await import("connect-dynamodb"),
  ];
  const client = new DynamoDBClient({ endpoint: proxy.url, region: REGION, credentials: KEYS });
  const store = new (dynamodb({ session }))({ client, table: TABLES.theirs, initialized: true });
  const cookie = { maxAge: 20 * MINUTE };
  return {
    sessions: session({ store, secret: SECRET, name: "token", resave: false, saveUninitialized: false, cookie }),
    signIn: (req, fields) =>
      new Promise((resolve, reject) => {
        req.session.regenerate((error) => {
          Object.assign(req.session, fields, { username: req.query.user });
          return error ? reject(error) : resolve();
        });
      }),
  };
}

const results = [];
for (const [name, make] of Object.entries({ "connect-dynamodb": theirs, ours })) {
  const url = await serve(await make());
  for (const { bytes, every } of cases) {
    proxy.take();
    const cookies = [];
    for (let n = 0; n < SESSIONS; n++) {
      // Of each case their own, or a user's record would hold the sessions of all.
      const user = `${bytes}-${every}-${n}`;
      cookies.push((await ask(`${url}/sign-in?user=${user}&bytes=${bytes}`)).cookie);
    }
    const signIn = await taken(SESSIONS);
    for (const path of ["unchanged", "changed"]) {
      // What came before is still to be seen in the first requests.
      for (let n = -SESSIONS; n < requests; n++) {
        if (n === 0) await taken(1);
        // Each session asks in its turn, and all of them once in that time.
        now += (every * SECOND) / SESSIONS;
        const { text } = await ask(`${url}/${path}`, cookies.at(n % SESSIONS));
        if (text !== "hello") throw new Error(text);
      }
      results.push({ name, bytes, every, path, ...(await taken(requests / 1000)), signIn });
    }
    process.stderr.write(`dynamodb: ${name}, ${bytes} bytes, every ${every} s\n`);
  }
}
process.send(results);
process.disconnect();
process.exit();

/** A touch goes on beside the answer. */
async function taken(per) {
  await sleep(100);
  return Object.fromEntries(Object.entries(proxy.take()).map(([action, count]) => [action, count / per]));
}

/** An application of server.mjs's kind, over these sessions. */
function serve({ sessions, signIn }) {
  const app = express();
  app.disable("etag").use(sessions);
  app.get("/sign-in", async (req, res) => {
    await signIn(req, { visits: 0, cart: ["bread", "butter"], text: "x".repeat(Number(req.query.bytes)) });
    res.send("signed in");
  });
  app.get("/unchanged", (req, res) => res.send(req.session.username ? "hello" : "no session"));
  app.get("/changed", (req, res) => {
    req.session.visits++;
    res.send(req.session.username ? "hello" : "no session");
  });
  return new Promise((resolve) => {
    const server = app.listen(0, "127.0.0.1", () => resolve(`http://127.0.0.1:${server.address().port}`));
  });
}

async function ask(url, cookie) {
  const answer = await fetch(url, { headers: cookie ? { cookie } : {} });
  return { text: await answer.text(), cookie: answer.headers.get("set-cookie")?.split(";")[0] };
}
