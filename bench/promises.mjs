// npm run bench:promises: which promises are kept, on ours and on others; prints a table, writes PROMISES.md when whole.
// Counts, no times, so a busy machine does not matter. `-- --only NAME` runs those whose name has that in it.
import { once } from "node:events";
import { parseArgs } from "node:util";
import { contenders as all } from "./promises/contenders.mjs";
import { report } from "./promises/report.mjs";
import { makeReady, versionOf } from "./ready.mjs";
import { makeFolder, run, startEngines } from "./stand.mjs";

const { values } = parseArgs({ options: { only: { type: "string", default: "" } } });
process.env.AWS_SDK_JS_NODE_VERSION_SUPPORT_WARNING_DISABLED = "true";
const binary = makeReady();
const wanted = all.filter(({ name }) => name.includes(values.only));
const engines = await startEngines(wanted);
const contenders = wanted.filter(({ engine }) => !engine || engines[engine]);

const results = [];
for (const contender of contenders) results.push({ contender, ...(await measured(contender)) });
const isWhole = contenders.length === all.length;
console.log(report({ results, isWhole, node: versionOf(binary), engines }));
process.exit();

/** In a process of its own, on a Redis of its own: the last measure leaves one that refuses writes. */
async function measured({ name, engine }) {
  const own = engine === "redis" ? await startEngines([{ engine }]) : {};
  // Applications in development: in production some would demand HTTPS of a cookie.
  const child = run(binary, "promises/contender.mjs", [name, makeFolder()], { env: { NODE_ENV: "" } });
  const [result] = await once(child, "message");
  child.disconnect();
  own.redis?.child.kill();
  return result;
}
