import { mkdtempSync, rmSync } from "node:fs";
import { join } from "node:path";
import { test } from "@jest/globals";
import type { BackendFactory } from "express-tokenizer";
import { backendContract, type MakeSubject } from "express-tokenizer/backend-contract";

// The example of docs/backends.md, which jest compiles to CommonJS.

const { default: makeBackend }: { default: BackendFactory<{ file: string }> } = require(
  join(process.cwd(), "my-backend.js"),
);

const makeSubject: MakeSubject = async (context) => {
  const folder = mkdtempSync(join(process.cwd(), "data-"));
  const connect = () => makeBackend({ file: join(folder, "sessions.db") }, context);
  return {
    backend: await connect(),
    other: await connect(),
    dispose: () => rmSync(folder, { recursive: true }),
  };
};

test.each(backendContract.map(({ name, run }) => [name, run] as const))("%s", (_, run) => run(makeSubject));
