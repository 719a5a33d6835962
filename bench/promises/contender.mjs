// One contender in a process of its own: `node promises/contender.mjs NAME FOLDER`. Sends what was measured.
import { contenders } from "./contenders.mjs";
import { makeGates, measure } from "./measures.mjs";

const [name, folder] = process.argv.slice(2);
const { start } = contenders.find((one) => one.name === name);
const server = await start({ gates: makeGates(), folder });
process.send(await measure({ ...server, at: (step) => process.stderr.write(`${name}: ${step}\n`) }));
process.once("disconnect", () => process.exit());
