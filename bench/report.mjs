// What was measured, as a table in bench/RESULTS.md and as a picture.
import { writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { enginesOf, median, place, quartiles, table, told } from "./figures.mjs";
import { NODE } from "./ready.mjs";

/** Writes both when the whole benchmark ran; answers the table. */
export function report(run) {
  const text = tables(run);
  if (run.isWhole) {
    writeFileSync(fileURLToPath(new URL("RESULTS.md", import.meta.url)), text);
    writeFileSync(fileURLToPath(new URL("results.svg", import.meta.url)), picture(run));
  }
  return text;
}

function tables({ results, counts, rounds, seconds, isPinned, versions, engines }) {
  const { [NODE]: usual, ...others } = versions;
  const nodes = Object.entries(others).map(([name, version]) => `${version} where it says Node ${name}`);
  if (usual) nodes.unshift(`Node ${usual}`);
  const lines = [
    "# Results",
    "",
    "Made by `npm run bench`; not to be edited. Requests go over HTTP by 20 connections to an Express 5 application whose",
    `server has ${isPinned ? "one core for itself; the driver, Redis, PostgreSQL and Amazon's DynamoDB emulator share another one" : "no core of its own"}.`,
    `Each row was measured ${rounds} times for ${seconds} s, in turns with all others, after a round that is not counted. A ratio is the`,
    "median of the ratios within each round, with the quartiles; the other figures are medians.",
    "",
    "- _Surviving_ are the bytes that outlive a scavenge, for each request: copied within the young generation, or promoted to the",
    "  old one. The slowest hundredth of the requests meets a scavenge, and this is what it takes its time for.",
    "- _A plain application_ has Express as it comes (`ETag`, `X-Powered-By`, no `NODE_ENV`), answers with JSON made from the",
    "  session, and gets requests of one session that meet. In the others each connection has sessions of its own.",
    "",
    place([...nodes, ...enginesOf(engines)]),
    "",
  ];
  for (const count of counts) {
    const ofCount = results.filter((result) => result.count === count);
    for (const title of new Set(ofCount.map((result) => result.case.title))) {
      const ofTable = ofCount.filter((result) => result.case.title === title);
      lines.push(`## ${told(count)} sessions, ${title}`, "", ...costs(ofTable), ...ratios(ofTable));
    }
  }
  return lines.join("\n");
}

function costs(ofTable) {
  const titles = ["store", "req/s", "p50 ms", "p99 ms", "CPU µs", "surviving, bytes", "round trips"];
  const cells = ofTable.map(({ row, samples }) => {
    const of = (name, digits) => median(samples.map((sample) => sample[name])).toFixed(digits);
    const trips = row.engine === undefined ? "–" : of("trips", 2);
    return [row.name, of("perSecond", 0), of("p50", 1), of("p99", 1), of("cpu", 0), survived(samples), trips];
  });
  return table(titles, cells);
}

/** Of all rounds together: in one round there are a few scavenges. */
function survived(samples) {
  const requests = samples.reduce((sum, sample) => sum + sample.requests, 0);
  return told(samples.reduce((sum, sample) => sum + sample.survived * sample.requests, 0) / requests);
}

/** Of each round by itself, since the machine's speed drifts. */
function ratios(ofTable) {
  const cells = ofTable.flatMap(({ row, samples }) =>
    [row.base, ...(row.also ?? [])].flatMap((name) => {
      const base = ofTable.find((other) => other.row.name === name)?.samples;
      if (!base) return [];
      const within = (key) =>
        quartiles(
          samples.map((sample, round) => sample[key] / base[round][key]),
          2,
        );
      const names = `${row.name} / ${name}`;
      return [[names, within("perSecond"), within("p99"), within("cpu"), `${survived(samples)} / ${survived(base)}`]];
    }),
  );
  return cells.length > 0 ? table(["ratio", "requests a second", "p99", "CPU time", "surviving"], cells) : [];
}

/** Bars of requests a second: ours beside the store that it takes the place of. */
function picture({ results, counts }) {
  const [count] = counts;
  const shown = results.filter(
    (result) => result.count === count && result.case.title === "unchanged" && !result.row.node,
  );
  const bars = shown.map(({ row, samples }) => ({
    name: row.name,
    perSecond: median(samples.map((sample) => sample.perSecond)),
    isOurs: row.isOurs,
  }));
  const most = Math.max(...bars.map(({ perSecond }) => perSecond));
  const [left, width, height, top] = [170, 420, 26, 44];
  const rows = bars.map(({ name, perSecond, isOurs }, n) => {
    const y = top + n * height;
    const length = (perSecond / most) * width;
    return [
      `<text class="name" x="${left - 10}" y="${y + 16}">${name}</text>`,
      `<rect class="${isOurs ? "ours" : "other"}" x="${left}" y="${y + 3}" width="${length.toFixed(1)}" height="18" rx="3"/>`,
      `<text class="value" x="${left + length + 8}" y="${y + 16}">${perSecond.toFixed(0)}</text>`,
    ].join("\n  ");
  });
  const total = { width: left + width + 70, height: top + bars.length * height + 12 };
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${total.width} ${total.height}" width="${total.width}" height="${total.height}" role="img" aria-label="Requests a second of an unchanged session, for each store">
  <style>
    text { font: 13px system-ui, sans-serif; fill: #57606a } .name { text-anchor: end } .value { font-variant-numeric: tabular-nums }
    .title { font-weight: 600 } .ours { fill: #2f6f4f } .other { fill: #afb8c1 }
    @media (prefers-color-scheme: dark) { text { fill: #9ea7b3 } .ours { fill: #58b583 } .other { fill: #4b535d } }
  </style>
  <text class="title" x="${left}" y="24">Requests a second, ${count} unchanged sessions</text>
  ${rows.join("\n  ")}
</svg>
`;
}
