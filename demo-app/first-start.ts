/** The settings file of a first start: the example, with a password of its own in place of the sample. */

import { randomBytes } from "node:crypto";
import { existsSync, readFileSync, writeFileSync } from "node:fs";

/** Where a project has the schema that installed the package. Here it stands beside the file. */
const INSTALLED = "node_modules/express-tokenizer/";

/** Also of the sections that are comments, to be taken instead. */
const SAMPLE_LINES = /^(#? {2}safe_password:).*$/gm;

/** Answers whether the file had to be written. One that is there is never touched. */
export function writeFirstSettings(file: string, example: string): boolean {
  if (existsSync(file)) return false;
  const text = readFileSync(example, "utf8");
  if (text.search(SAMPLE_LINES) < 0) throw new Error(`${example} has no line "  safe_password: …" to replace`);
  // Quoted, since a password of digits alone would be a number.
  const own = `"${randomBytes(32).toString("base64url")}"`;
  return writeNew(file, text.replace(INSTALLED, "./").replace(SAMPLE_LINES, `$1 ${own}`));
}

/** Of two first starts at the same time, the second goes on with what the first wrote. */
function writeNew(file: string, text: string): boolean {
  try {
    writeFileSync(file, text, { mode: 0o600, flag: "wx" });
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "EEXIST") return false;
    throw error;
  }
}
