// npm run bench:scale: what more sessions cost. The local backend and PostgreSQL at 1,000 to 1,000,000 of them, what one takes
// of Redis's memory, and the capacity that DynamoDB charges. Writes SCALE.md and the tables of docs/scaling.md.
// npm run bench:scale -- --only postgres writes its table alone. -- --sizes 1000,10000 --rounds 3 measures less, and writes
// nothing.
import { once } from "node:events";
import { readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { startPostgres } from "./postgres.mjs";
import { makeReady, versionOf } from "./ready.mjs";
import { makeFolder, run, startDynamodb, startRedis } from "./stand.mjs";

const { values } = parseArgs({
  options: {
    sizes: { type: "string", default: "1000,10000,100000,1000000" },
    rounds: { type: "string", default: "9" },
    keys: { type: "string", default: "100000" },
    requests: { type: "string", default: "1200" },
    only: { type: "string", default: "local,postgres,redis,dynamodb" },
  },
});
const sizes = values.sizes.split(",").map(Number);
const rounds = Number(values.rounds);
const isUsual = process.argv.slice(2).every((word) => !word.startsWith("--") || /^--only\b/.test(word));
const isWanted = (name) => values.only.split(",").includes(name);

const binary = makeReady();
// Loaded now that the packages are there.
const { report } = await import("./scale-report.mjs");

const local = isWanted("local") ? await measureLocal() : undefined;
const postgres = isWanted("postgres") ? await measurePostgres() : undefined;
const redis = isWanted("redis") ? await measureRedis() : undefined;
const dynamodb = isWanted("dynamodb") ? await measureDynamodb() : undefined;
const { text, blocks } = report({ local, postgres, redis, dynamodb, rounds, node: versionOf(binary), ...values });
if (isUsual) {
  const isWhole = local && postgres && redis && dynamodb;
  if (isWhole) writeFileSync(new URL("SCALE.md", import.meta.url), text);
  const doc = new URL("../docs/scaling.md", import.meta.url);
  writeFileSync(doc, withBlocks(readFileSync(doc, "utf8"), blocks));
}
console.log(text);
process.exit();

/** Each size has a process of its own, so that its memory is its own; they take turns, so that a noisy minute meets all. */
async function measureLocal() {
  const backends = [];
  for (const count of sizes) {
    const place = makeFolder();
    const start = performance.now();
    const [code] = await once(run(binary, "scale-local.mjs", [place, count, "fill"]), "exit");
    if (code !== 0) throw new Error("It could not be filled.");
    progress(`local: ${count} sessions filled in, ${((performance.now() - start) / 1000).toFixed(1)} s`);
    const size = statSync(join(place, "sessions.db")).size;
    const child = run(binary, "scale-local.mjs", [place, count]);
    await once(child, "message");
    backends.push({ count, child, size, samples: { read: [], touch: [], write: [], prune: [] } });
  }
  // The first round warms up.
  for (let round = 0; round <= rounds; round++) {
    for (const task of ["read", "touch", "write", "prune"]) {
      for (let n = 0; n < backends.length; n++) {
        const { child, samples } = backends[(n + round) % backends.length];
        const sample = await told(child, task);
        if (round > 0) samples[task].push(sample);
      }
    }
    progress(`local: round ${round} of ${rounds}`);
  }
  for (const backend of backends) backend.memory = await told(backend.child, "end");
  for (const { child } of backends) child.disconnect();
  return backends;
}

async function measurePostgres() {
  const server = await startPostgres();
  if (!server) return undefined;
  const [results] = await once(run(binary, "scale-postgres.mjs", [values.sizes, rounds]), "message");
  return { results, version: server.version };
}

async function measureRedis() {
  const redis = await startRedis();
  if (!redis) return undefined;
  const [results] = await once(run(binary, "scale-redis.mjs", [values.keys]), "message");
  return { results, version: redis.version };
}

async function measureDynamodb() {
  if (!(await startDynamodb())) return undefined;
  const [results] = await once(run(binary, "scale-dynamodb.mjs", [values.requests]), "message");
  return results;
}

async function told(child, task) {
  child.send(task);
  const [answer] = await once(child, "message");
  return answer;
}

function progress(line) {
  process.stderr.write(`${line}\n`);
}

/** A block stands between `<!-- name: … -->` and `<!-- end -->`. */
function withBlocks(doc, blocks) {
  return Object.entries(blocks).reduce(
    (text, [name, lines]) =>
      text.replace(
        new RegExp(`(<!-- ${name}:.*-->\n)[^]*?(<!-- end -->)`),
        (_, start, end) => `${start}\n${lines.join("\n")}\n${end}`,
      ),
    doc,
  );
}
