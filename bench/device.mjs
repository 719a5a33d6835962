// npm run bench:device: what cookie.device_bound costs a request whose session does not change, in CPU time of the server. Servers
// of all rows take turns; the least of many rounds, as noise only adds. `-- --against ../other` has another checkout's build
// in place of this one without the setting.
import { fork } from "node:child_process";
import { generateKeyPairSync, sign } from "node:crypto";
import { once } from "node:events";
import { Agent, createServer, request } from "node:http";
import { resolve } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { parseArgs } from "node:util";
import { place, table, told } from "./figures.mjs";
import { makeBuilt } from "./ready.mjs";

const ROOT = fileURLToPath(new URL("..", import.meta.url));
const ROUNDS = 40;
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
  const rows = ROWS.map((row) => ({ ...row, build: row.isOn ? ROOT : resolve(against ?? ROOT), times: [] }));
  for (const row of rows) {
    row.server = fork(fileURLToPath(import.meta.url), [JSON.stringify(row)]);
    [row.at] = await once(row.server, "message");
    await drive(row.at);
  }
  for (let round = 0; round < ROUNDS; round++) for (const row of rows) row.times.push(await timed(row));
  for (const { server } of rows) server.kill();
  const [{ times: first }] = rows;
  const least = Math.min(...first);
  console.log(
    `\n${place([process.version])} In memory; the least of ${ROUNDS} rounds of ${told(REQUESTS)} requests.\n`,
  );
  const cells = rows.map(({ name, times }) => {
    const share = 100 * (Math.min(...times) / least - 1);
    return [name, told(Math.min(...times), 1), `${told(share, 1)} %`];
  });
  console.log(table(["cookie.device_bound", "µs of CPU", "more"], cells).join("\n"));
  const isOver = ({ times, most = 0 }) => Math.min(...times) > least * (1 + most / 100);
  if (rows.slice(1).some(isOver)) process.exitCode = 1;
}

/** Microseconds of the server's CPU for a request. */
async function timed({ server, at }) {
  const used = async () => {
    server.send("cpu");
    return (await once(server, "message"))[0];
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
