// npm run bench:events: what the events cost a request while nobody listens. The fewest ns of many rounds, as noise only adds.
import { makeBuilt } from "./ready.mjs";

makeBuilt();
const { emit } = await import("../dist/events.js");

/** A changed session: loaded and saved, and more where writers meet. */
const TOLD = 4;
const CALLS = 1_000_000;
const ROUNDS = 15;
/** What a whole request takes on the null store in bench/RESULTS.md, which is the least. Microseconds. */
const REQUEST = 74;

const session = "abcdefghijkl";
const times = Array.from({ length: ROUNDS }, () => {
  const start = performance.now();
  for (let call = 0; call < CALLS; call++) emit("load", () => ({ session, found: true, milliseconds: call }));
  return ((performance.now() - start) * 1e6) / CALLS;
}).sort((one, other) => one - other);

const [least] = times;
const share = (100 * TOLD * least) / 1000 / REQUEST;
console.log(`\n${least.toFixed(1)} ns (at most ${times.at(-1).toFixed(1)}) for an event that nobody listens to;`);
console.log(`${TOLD} of them are ${share.toFixed(2)} % of a request of ${REQUEST} µs. At most 2 % are meant.`);
if (share > 2) process.exitCode = 1;
