// npm run bench:device: what cookie.device_bound costs a request whose session does not change, in CPU time of the server. Servers
// of all rows take turns, since noise comes and goes. `-- --against ../other` has another checkout's build
// in place of this one without the setting.
import { fork } from "node:child_process";
import { generateKeyPairSync, sign } from "node:crypto";
import { once } from "node:events";
import { Agent, createServer, request } from "node:http";
import { resolve } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { parseArgs } from "node:util";
import { median, place, table, told } from "./figures.mjs";
import { makeBuilt } from "./ready.mjs";

const ROOT = fileURLToPath(new URL("..", import.meta.url));
const GENERATIONS = 7;
const ROUNDS = 6;
const REQUESTS = 4000;
const CONNECTIONS = 8;
const PASSED_GRACE = 60_000;

/** What each row may cost beside the first, in percent. */
const ROWS = [
  { name: "off", isOn: false, isBound: false },
  { name: "on, a session that is not bound", isOn: true, isBound: false, most: 2 },
  { name: "on, a bound session", isOn: true, isBound: true, most: 5 },
];

if (process.send) await serve(JSON.parse(process.argv[2]));
else await compare();

async function compare() {
  makeBuilt();
  const { against } = parseArgs({ options: { against: { type: "string" } } }).values;
  const rows = ROWS.map((row) => ({ ...row, build: row.isOn ? ROOT : resolve(against ?? ROOT), leasts: [] }));
  for (let generation = 0; generation < GENERATIONS; generation++) {
    const servers = await Promise.all(rows.map(start));
    for (let round = 0; round < ROUNDS; round++) for (const server of servers) server.times.push(await timed(server));
    for (const [at, { child, times }] of servers.entries()) {
      child.kill();
      rows[at].leasts.push(Math.min(...times));
    }
  }
  const [first] = rows;
  const shareOf = ({ leasts }) => median(leasts.map((least, at) => 100 * (least / first.leasts[at] - 1)));
  const how = `${GENERATIONS} times new servers, the least of ${ROUNDS} rounds of ${told(REQUESTS)} requests; the median`;
  console.log(`\n${place([process.version])} In memory. ${how}.\n`);
  const cells = rows.map((row) => [row.name, told(median(row.leasts), 1), `${told(shareOf(row), 1)} %`]);
  console.log(table(["cookie.device_bound", "µs of CPU", "more"], cells).join("\n"));
  if (rows.some((row) => shareOf(row) > row.most)) process.exitCode = 1;
}

async function start(row) {
  const child = fork(fileURLToPath(import.meta.url), [JSON.stringify(row)]);
  const [at] = await once(child, "message");
  await drive(at);
  return { child, at, times: [] };
}

/** Microseconds of the server's CPU for a request. */
async function timed({ child, at }) {
  const used = async () => {
    child.send("cpu");
    return (await once(child, "message"))[0];
  };
  const before = await used();
  await drive(at);
  return ((await used()) - before) / REQUESTS;
}

async function drive({ port, cookie }) {
  const agent = new Agent({ keepAlive: true, maxSockets: CONNECTIONS });
  let left = REQUESTS;
  const one = async () => {
    while (left-- > 0) {
      const { statusCode } = await ask({ port, agent, headers: { cookie } });
      if (statusCode !== 200) throw new Error(`The server answered ${statusCode}.`);
    }
  };
  await Promise.all(Array.from({ length: CONNECTIONS }, one));
  agent.destroy();
}

async function ask(options) {
  const asked = request({ host: "127.0.0.1", ...options }).end();
  const [res] = await once(asked, "response");
  res.resume();
  await once(res, "end");
  return res;
}

async function serve({ build, isOn, isBound }) {
  const load = (path) => import(pathToFileURL(resolve(build, path)).href);
  const { default: express } = await load("node_modules/express/index.js");
  const { tokenizer } = await load("dist/index.mjs");
  let ahead = 0;
  const cookie = isOn ? { device_bound: true } : {};
  const section = { type: "memory", cloud: false, safe_password: "a password for the benchmark", timeout: 600, cookie };
  const sessions = tokenizer({ tokenizer: section }, { clock: () => Date.now() + ahead });
  await sessions.ready;
  const app = express();
  app.set("trust proxy", true);
  app.use(sessions);
  app.post("/sign-in", (req, res, next) => {
    req.signIn({ username: "ada", password: "p" }).then(() => res.sendStatus(204), next);
  });
  app.get("/", (req, res) => res.send(`hello ${req.session.username}`));
  const server = createServer(app).listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address();
  const post = (path, headers) => {
    return ask({ port, path, method: "POST", headers: { "x-forwarded-proto": "https", ...headers } });
  };
  const signedIn = await post("/sign-in");
  const [, path, challenge] =
    /path="(.*)";challenge="(.*)"/.exec(signedIn.headers["secure-session-registration"]) ?? [];
  const bound = isBound ? await post(path, { "secure-session-response": proofOf(challenge) }) : undefined;
  ahead = PASSED_GRACE;
  const lines = [signedIn, bound].flatMap((answer) => answer?.headers["set-cookie"] ?? []);
  process.on("message", () => {
    const { user, system } = process.cpuUsage();
    process.send(user + system);
  });
  process.send({ port, cookie: lines.map((line) => line.split(";")[0]).join("; ") });
}

/** As a browser makes it, to register a key. */
function proofOf(challenge) {
  const { privateKey: key, publicKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
  const header = { alg: "ES256", typ: "dbsc+jwt", jwk: publicKey.export({ format: "jwk" }) };
  const signed = [header, { jti: challenge }]
    .map((part) => Buffer.from(JSON.stringify(part)).toString("base64url"))
    .join(".");
  return `${signed}.${sign("sha256", Buffer.from(signed), { key, dsaEncoding: "ieee-p1363" }).toString("base64url")}`;
}
