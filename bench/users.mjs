// npm run bench:users: what a user with a thousand sessions, the most, costs on the local backend: the time of each call,
// and how long it holds the loop beyond what the machine does by itself. The fewest of several rounds, as noise only adds.
import { setTimeout as sleep } from "node:timers/promises";
import { place, table, told } from "./figures.mjs";
import { makeBuilt } from "./ready.mjs";
import { makeFolder } from "./stand.mjs";

makeBuilt();
const { makeTokenizer } = await import("../dist/tokenizer.js");
const { loadSettings } = await import("../dist/settings/load.js");
const { default: session } = await import("express-session");
const { userKey } = await import("../dist/session-id.js");
const { LocalBackend } = await import("../dist/backends/local/backend.js");

const SESSIONS = 1000;
const ROUNDS = 5;

const rows = new Map();
for (let round = 0; round < ROUNDS; round++) await measure();

console.log(`\n${place([process.version])} ${SESSIONS} sessions of one user, the least of ${ROUNDS} rounds.\n`);
const cells = [...rows].map(([name, { took, held }]) => [name, told(Math.min(...took), 1), told(Math.min(...held), 1)]);
console.log(table(["local", "ms", "loop held, ms"], cells).join("\n"));

async function measure() {
  const path = makeFolder();
  const section = {
    type: "local",
    path,
    cloud: false,
    safe_password: "a password for the benchmark",
    sessions_per_user: SESSIONS,
  };
  const warn = (message) => console.error(message);
  const settings = loadSettings({ tokenizer: section }, { log: { warn: () => {} } });
  const { sessions, engine } = makeTokenizer(settings, { now: Date.now, warn });
  await sessions.ready;
  const signIn = async (id) => {
    const req = { sessionID: id, sessionStore: sessions.store };
    Object.assign(sessions.store.createSession(req, { cookie: new session.Cookie() }), { username: "ada" });
    await engine.commit(req.session);
  };
  for (let n = 0; n < SESSIONS; n++) await signIn(`session ${n}`);
  await timed("list", () => sessions.users.list("ada"));
  await timed("sign-in at the limit", () => signIn("one more"));
  await recordSize(path);
  await timed("revoke", () => sessions.users.revoke("ada"));
  await sessions.close();
}

async function timed(name, work) {
  await sleep(50);
  let [held, last, isOver] = [0, performance.now(), false];
  const look = () => {
    const now = performance.now();
    held = Math.max(held, now - last);
    last = now;
    if (!isOver) setImmediate(look);
  };
  setImmediate(look);
  const start = performance.now();
  await work();
  const took = performance.now() - start;
  await new Promise(setImmediate);
  isOver = true;
  const row = rows.get(name) ?? { took: [], held: [] };
  rows.set(name, { took: [...row.took, took], held: [...row.held, held] });
}

async function recordSize(path) {
  const backend = new LocalBackend({ path }, { now: Date.now, timeout: 5000, warn: console.error });
  const record = await backend.read(userKey("ada"));
  await backend.close();
  if (record) console.log(`the user's record: ${told(Buffer.byteLength(record.value))} bytes`);
}
