/** Reads a secret from a file of its own, as Docker and Kubernetes give it. */

import { isUtf8 } from "node:buffer";
import { closeSync, openSync, readSync } from "node:fs";

/** The text, or why there is none, without anything that the file holds. */
export type SecretFile = { readonly text: string } | { readonly fault: string };

/** As much as a Secret of Kubernetes may hold. */
const MOST_BYTES = 1024 * 1024;

/** What readers of variables leave around a name. */
const WRAPPED = /^\s|\s$|^(["']).*\1$/s;

const NO_SUCH_NAME =
  "there is no such file (what stands here is in quotes, or has white space around it, and that counts)";

const REASONS: Readonly<Record<string, string>> = {
  ENOENT: "there is no such file (what stands here must be a file's name, not the secret)",
  EACCES: "this process may not read it; give it to the user that the application runs as",
  EISDIR: "this is a folder",
};

/** Without the newline at its end, which editors and `echo` put there. */
export function readSecretFile(name: string): SecretFile {
  try {
    const bytes = readSome(name);
    const fault = whyUnfit(bytes);
    return fault === undefined ? { text: bytes.toString().replace(/\r?\n$/, "") } : unusable(fault);
  } catch (error) {
    const { code = "" } = error as NodeJS.ErrnoException;
    return unusable(code === "ENOENT" && WRAPPED.test(name) ? NO_SUCH_NAME : (REASONS[code] ?? code));
  }
}

/** Without its name: that may be the secret itself, put here by mistake. */
const unusable = (reason: string): SecretFile => ({ fault: `the file that it names cannot be used: ${reason}` });

/** A pipe is as good as a file, and `/dev/zero` has no end. */
function readSome(name: string): Buffer {
  const file = openSync(name, "r");
  try {
    const bytes = Buffer.alloc(MOST_BYTES + 1);
    let length = 0;
    for (;;) {
      const more = readSync(file, bytes, length, bytes.length - length, null);
      length += more;
      if (more === 0 || length === bytes.length) return bytes.subarray(0, length);
    }
  } finally {
    closeSync(file);
  }
}

function whyUnfit(bytes: Buffer): string | undefined {
  if (bytes.length > MOST_BYTES) return "it has more than a megabyte";
  if (!isUtf8(bytes) || bytes.includes(0)) return "it is not UTF-8 text";
  return /^\s*$/.test(bytes.toString()) ? "it is empty" : undefined;
}
