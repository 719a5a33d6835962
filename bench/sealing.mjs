// npm run bench:sealing: makes ready, and runs sealing-run.mjs on the Node that is measured. Arguments go there.
import { makeReady } from "./ready.mjs";
import { run } from "./stand.mjs";

run(makeReady(), "sealing-run.mjs", process.argv.slice(2));
