// Writes docs/api.md from the built declarations and their comments.
import { writeFileSync } from "node:fs";
import { documentOf } from "./api/document.mjs";
import { ROOT } from "./run.mjs";

const { faults, page } = documentOf(ROOT);
for (const fault of faults) console.error(fault);
if (faults.length > 0) process.exitCode = 1;
else writeFileSync(`${ROOT}docs/api.md`, page);
