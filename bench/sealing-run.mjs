// What it takes to open and to seal a user's credentials, ours beside others'; writes SEALING.md when whole.
// npm run bench:sealing -- --rounds 3 --milliseconds 50 measures less, and writes nothing.
import { writeFileSync } from "node:fs";
import { parseArgs } from "node:util";
import { Bench } from "tinybench";
import { median, place, spread, table, told, versioned } from "./figures.mjs";
import { OPENING_AIM, rows, secondsOfKeys } from "./sealing-rows.mjs";

const { values } = parseArgs({
  options: { rounds: { type: "string", default: "15" }, milliseconds: { type: "string", default: "200" } },
});
const [rounds, time] = [Number(values.rounds), Number(values.milliseconds)];
const isWhole = process.argv.length === 2;

const samples = new Map(rows.map(({ name }) => [name, { open: [], seal: [] }]));
// The first round warms up.
for (let round = 0; round <= rounds; round++) {
  for (const action of ["open", "seal"]) {
    const bench = new Bench({ time, iterations: 3, warmup: false, throws: true });
    // Each begins a round once, so that none has a warmer processor than the others.
    for (let n = 0; n < rows.length; n++) {
      const row = rows[(n + round) % rows.length];
      bench.add(row.name, row[action]);
    }
    for (const { name, result } of await bench.run()) {
      if (round > 0) samples.get(name)[action].push(result.latency.p50);
    }
  }
  process.stderr.write(`round ${round} of ${rounds}\n`);
}

const [{ name: ours }] = rows;
const base = samples.get(ours).open;
const text = [
  "# Sealing",
  "",
  "Made by `npm run bench:sealing`; not to be edited. Milliseconds for a name and a password, in one process: the median of",
  `${rounds} rounds of ${time} ms, with the smallest and the largest; each round's figure is the median of its calls. All rows take`,
  "turns, after a round that is not counted. The ratio is the median of the ratios within each round.",
  "",
  place([`Node ${process.version}`, versioned("@hapi/iron"), versioned("kruptein")]),
  "",
  ...table(
    ["", "open", "seal", "opening, times ours"],
    rows.map(({ name }) => {
      const { open, seal } = samples.get(name);
      const ratio = median(open.map((one, round) => one / base[round]));
      return [name, spread(open, 4), spread(seal, 4), told(ratio, 1)];
    }),
  ),
  "- _on a request_ is `req.credentials`: the session id hashed, the text opened and parsed, the user name and the end checked.",
  "- _the envelope alone_ is HKDF-SHA256 and AES-256-GCM of the text, without that.",
  "- @hapi/iron and kruptein as they are by default. _PBKDF2 on every request_ is 100,000 rounds of SHA-256 and AES-CFB8, as it",
  "  was once done where our settings come from; it holds the event loop meanwhile.",
  "",
  `The keys are made once, at start, off the event loop: ${told(await secondsOfKeys(), 2)} s for each \`safe_password\`.`,
  "",
  `Aim: opening on a request in less than ${OPENING_AIM} ms. It is ${median(base) < OPENING_AIM ? "met" : "**not met**"}.`,
  "",
].join("\n");
if (isWhole) writeFileSync(new URL("SEALING.md", import.meta.url), text);
console.log(text);
