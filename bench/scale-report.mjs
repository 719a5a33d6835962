// What scale.mjs measured, as text.
import { costs, perMillion } from "./cost.mjs";
import { median, place, spread, table, told, versioned } from "./figures.mjs";

const MB = 1024 * 1024;

/** The whole, and the parts that docs/scaling.md shows, too. */
export function report({ local, postgres, redis, dynamodb, rounds, node, keys, requests }) {
  const blocks = {
    ...(local && { local: localTable(local) }),
    ...(postgres && { postgres: postgresTable(postgres) }),
    ...(redis && { redis: redisTable(redis) }),
    ...(dynamodb && { capacity: capacityTable(dynamodb), cost: costs(dynamodb) }),
  };
  const versions = [`Node ${node}`];
  if (postgres) versions.push(`PostgreSQL ${postgres.version}`);
  if (redis) versions.push(`Redis ${redis.version}`, versioned("connect-redis"));
  if (dynamodb) versions.push(versioned("connect-dynamodb"), "Amazon's DynamoDB emulator");
  const lines = ["# Scale", "", "Made by `npm run bench:scale`; not to be edited.", "", place(versions), ""];
  if (local)
    lines.push("## Local", "", ...localNotes(rounds), ...blocks.local, ...pruneTable(local), ...memoryTable(local));
  if (postgres) lines.push("## PostgreSQL", "", ...postgresNotes(rounds), ...blocks.postgres);
  if (redis) lines.push("## Redis", "", ...redisNotes(keys), ...blocks.redis);
  if (dynamodb)
    lines.push(
      "## DynamoDB",
      "",
      ...capacityNotes(requests),
      ...blocks.capacity,
      "## What DynamoDB costs",
      "",
      ...blocks.cost,
    );
  return { text: lines.join("\n"), blocks };
}

function localNotes(rounds) {
  return [
    "Microseconds of a call of the backend, on sessions of about 420 bytes taken at random, which is the worst for every",
    `cache. Each number of sessions has a process of its own; they take turns, ${rounds} rounds after one that is not counted: the`,
    "median of the rounds' means, with the smallest and the largest.",
    "",
  ];
}

const TASKS = ["read", "touch", "write"];

function postgresNotes(rounds) {
  return [
    "Microseconds of a call of the backend, one after another on one connection, on sessions of about 420 bytes taken at random; a",
    `server on the same machine, with \`fsync\` on. Each number has a table of its own; they take turns, ${rounds} rounds after one that`,
    "is not counted: the median of the rounds' means, with the smallest and the largest. Pruned is a tenth of the sessions, at most",
    "20,000; bytes are those of table and indexes when it is filled.",
    "",
  ];
}

function postgresTable({ results }) {
  const titles = [
    "sessions",
    "read, µs",
    "touch, µs",
    "write, µs",
    "pruned record, µs",
    "nothing to prune, µs",
    "bytes each",
  ];
  const rows = results.map(({ count, bytes, samples }) => [
    told(count),
    ...[...TASKS, "prune", "nothing"].map((task) => spread(samples[task], 0)),
    told(bytes / count),
  ]);
  const [few, many] = [results[0], results.at(-1)];
  const growth = (task) => (median(many.samples[task]) / median(few.samples[task])).toFixed(1);
  const [read, touch, write, prune] = [...TASKS, "prune"].map(growth);
  return [
    ...table(titles, rows),
    `From ${told(few.count)} to ${told(many.count)} sessions, ${told(many.count / few.count)} times as many, a read takes ${read} times as long, a touch ${touch},`,
    `a write ${write}, and a pruned record ${prune}.`,
    "",
  ];
}

function localTable(local) {
  const means = ({ samples }, task) => samples[task].map(({ mean }) => mean);
  const pruned = ({ samples }) => samples.prune.map(({ each }) => each);
  const rows = local.map((one) => [
    told(one.count),
    ...TASKS.map((task) => spread(means(one, task), 0)),
    spread(pruned(one), 0),
  ]);
  const [few, many] = [local[0], local.at(-1)];
  const growth = (of) => (median(of(many)) / median(of(few))).toFixed(1);
  const [read, touch, write] = TASKS.map((task) => growth((one) => means(one, task)));
  return [
    ...table(["sessions", "read, µs", "touch, µs", "write, µs", "pruned record, µs"], rows),
    `From ${told(few.count)} to ${told(many.count)} sessions, ${told(many.count / few.count)} times as many, a read takes ${read} times as long, a touch ${touch},`,
    `a write ${write}, and a pruned record ${growth(pruned)}.`,
    "",
  ];
}

function pruneTable(local) {
  return [
    "Pruning: a tenth of the sessions (at most 20,000), taken at random, has ended. The loop's delay is the 99th percentile while",
    "it prunes and while it idles, the median of the rounds with the smallest and the largest; the longest is of all rounds.",
    "",
    ...table(
      ["sessions", "pruned at once", "the loop's delay, ms", "idle, ms", "longest, ms", "with nothing to prune, µs"],
      local.map(({ count, samples: { prune } }) => {
        const of = (name, digits) =>
          spread(
            prune.map((sample) => sample[name]),
            digits,
          );
        const longest = Math.max(...prune.map((sample) => sample.longest));
        const dropped = told(prune[0].dropped);
        return [told(count), dropped, of("delay", 1), of("idle", 1), told(longest, 1), of("nothing", 0)];
      }),
    ),
  ];
}

function memoryTable(local) {
  return [
    "What it takes: the file when it is filled, and the resident memory of the process when it has opened the database and when",
    "all was measured. The times are the 50th and the 99th percentile of the calls, the median of the rounds: every so often a",
    "change moves the log into the database, which is what the slowest hundredth waits for.",
    "",
    ...table(
      ["sessions", "on disk, MB", "bytes a session", "memory, MB", ...TASKS.map((task) => `${task} p50 / p99, µs`)],
      local.map(({ count, size, memory, samples }) => {
        const of = (task, name) => told(median(samples[task].map((sample) => sample[name])));
        const times = TASKS.map((task) => `${of(task, "p50")} / ${of(task, "p99")}`);
        const resident = `${told(memory.started / MB)} → ${told(memory.rss / MB)}`;
        return [told(count), told(size / MB, 1), told(size / count), resident, ...times];
      }),
    ),
  ];
}

function redisNotes(keys) {
  return [
    `What Redis's \`used_memory\` grows by, divided by the ${told(Number(keys))} sessions: server.mjs's session (about 390 bytes of JSON). Ours holds a`,
    "version, an expiry to the millisecond and a line about the session, but of the cookie only what differs from the settings. Of",
    "users that are signed in, ours keeps one more record, so that their sessions can be listed and ended; here each has one session.",
    "",
  ];
}

function redisTable({ results }) {
  return table(
    ["", "bytes a session", "keys a session"],
    results.map(({ name, bytes, keys }) => [name, told(bytes), told(keys, 0)]),
  );
}

function capacityNotes(requests) {
  return [
    "What a thousand requests call, and the units of capacity that DynamoDB charges, as the emulator tells them",
    `(\`ReturnConsumedCapacity\`; over ${told(Number(requests))} requests to an Express application, 5 sessions, each signed in, asking in turns at the pace`,
    "told). `touch_interval` is 60 seconds. Ours is told the time; connect-dynamodb writes at every request, at any pace.",
    "",
  ];
}

function capacityTable(results) {
  const calls = ({ reads, writes, signIn, name, bytes, every, path, ...others }) =>
    Object.entries(others)
      .map(([action, count]) => `${told(count)} ${action}`)
      .join(", ");
  const rows = results.map((result) => {
    const { name, bytes, every, path, reads = 0, writes = 0 } = result;
    const pace = `${path}, every ${every} s`;
    return [
      name,
      `${told(bytes)} bytes`,
      pace,
      calls(result),
      told(reads),
      told(writes),
      `$${told(perMillion(result), 2)}`,
    ];
  });
  const signIns = results
    .filter(({ path, every }) => path === "unchanged" && every === results[0].every)
    .map(({ name, bytes, signIn }) => [
      name,
      `${told(bytes)} bytes`,
      calls(signIn),
      told(signIn.reads ?? 0),
      told(signIn.writes ?? 0, 1),
    ]);
  return [
    ...table(["", "text", "session", "calls", "read units", "write units", "a million requests"], rows),
    "One sign-in, from no session:",
    "",
    ...table(["", "text", "calls", "read units", "write units"], signIns),
  ];
}
