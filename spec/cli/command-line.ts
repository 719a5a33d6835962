/** The command line in this process, with what it printed and told. */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll } from "@jest/globals";
import { main } from "../../lib/cli/main.js";

const folders: string[] = [];

afterAll(() => {
  for (const folder of folders) rmSync(folder, { recursive: true, force: true });
});

/** Runs it; everything comes back as text. */
export async function commandLine(argv: string[], env: NodeJS.ProcessEnv = {}) {
  const printed: string[] = [];
  const told: string[] = [];
  const code = await main(argv, { print: (line) => printed.push(line), tell: (line) => told.push(line), env });
  return { code, stdout: printed.join("\n"), stderr: told.join("\n") };
}

/** A settings file of its own; answers its name. */
export function settingsFile(tokenizer: object): string {
  const folder = mkdtempSync(join(tmpdir(), "express-tokenizer-cli-"));
  folders.push(folder);
  const file = join(folder, "settings.yml");
  // JSON is YAML.
  writeFileSync(file, JSON.stringify({ tokenizer: { safe_password: "a safe password for specs", ...tokenizer } }), {
    mode: 0o600,
  });
  return file;
}
