// npm run bench:sealing: makes ready, and runs sealing-run.mjs on the Node that is measured. Arguments go there.
import { once } from "node:events";
import { makeReady } from "./ready.mjs";
import { run } from "./stand.mjs";

const [code] = await once(run(makeReady(), "sealing-run.mjs", process.argv.slice(2)), "exit");
if (code !== 0) process.exitCode = 1;
