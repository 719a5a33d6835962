// jest 29, in the working directory. Its core alone is installed: with its command, `npx jest` would be the older one here.
import { runCLI } from "jest29-core";

const { results } = await runCLI(
  { _: [], $0: "jest", config: "jest.config.json", json: true, outputFile: "results.json" },
  [process.cwd()],
);
if (!results.success) process.exitCode = 1;
