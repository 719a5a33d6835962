// One row's server under load: what is measured of it, and in which cases.
import { execFileSync } from "node:child_process";
import { once } from "node:events";
import { ask, drive, inTurn, makeSessions, mixed } from "./drive.mjs";
import { statementsOf } from "./postgres.mjs";
import { isCompared } from "./rows.mjs";
import { makeFolder, run } from "./stand.mjs";

/** No more of Express than the sessions need, and no two requests of one session at a time. */
const lean = { name: "lean", order: inTurn, env: {}, isFor: () => true };
/** An application as it is begun: Express's defaults, its answer made from the session, requests of one session that meet. */
const plain = { name: "plain", order: mixed, env: { NODE_ENV: "" }, isFor: isCompared };

export const cases = [
  { title: "unchanged", path: "/unchanged", app: lean },
  { title: "changed", path: "/changed", app: lean },
  { title: "unchanged, in a plain application", path: "/unchanged", app: plain },
  { title: "changed, in a plain application", path: "/changed", app: plain },
];

export async function startServer(row, { app, count, binary }) {
  const args = [row.of ?? row.name, makeFolder(), app.name, ...(row.build ? [row.build] : [])];
  const child = run(binary, "server.mjs", args, { env: app.env });
  const [{ port }] = await once(child, "message");
  const url = `http://127.0.0.1:${port}`;
  return { row, child, url, cookies: await makeSessions(url, count) };
}

/** Of each request: CPU time in microseconds, calls of the engine, and bytes that outlived a scavenge. */
export async function measure({ row, url, cookies }, { path, app }, seconds) {
  const before = await costs(row, url);
  const sample = await drive(url, { path, requests: app.order(cookies), seconds });
  const after = await costs(row, url);
  const per = (name) => (after[name] - before[name]) / sample.requests;
  return { ...sample, cpu: per("cpu"), trips: per("calls"), survived: per("survived") };
}

/** Since the start. */
async function costs({ commands, database }, url) {
  const own = JSON.parse((await ask(`${url}/cost`)).text);
  if (database) return { ...own, calls: await statementsOf(database) };
  if (!commands) return own;
  const stats = execFileSync("redis-cli", ["-p", process.env.REDIS_PORT, "info", "commandstats"]).toString();
  const counts = [...stats.matchAll(/cmdstat_(\w+):calls=(\d+)/g)].filter(([, name]) => commands.includes(name));
  return { ...own, calls: counts.reduce((sum, [, , calls]) => sum + Number(calls), 0) };
}
