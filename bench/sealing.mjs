// npm run bench:sealing: makes ready, and runs sealing-run.mjs on the Node that is measured. Arguments go there.
import { makeReady, runsOn } from "./ready.mjs";

const binary = makeReady();
if (!runsOn(binary, "./sealing-run.mjs", process.argv.slice(2))) process.exitCode = 1;
