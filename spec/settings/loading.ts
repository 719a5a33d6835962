/** Loads settings as a spec needs it: from text in a folder of its own, with nothing of this machine's environment. */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll } from "@jest/globals";
import { TokenizerError } from "../../lib/errors.js";
import { type LoadedSettings, loadSettings } from "../../lib/settings/load.js";
import type { SettingsInput } from "../../lib/settings/settings.js";

export const GOOD_PASSWORD = "correct-horse-battery-staple";

export interface Loading {
  readonly settings: LoadedSettings | undefined;
  readonly error: TokenizerError | undefined;
  readonly warnings: readonly string[];
}

const folder = mkdtempSync(join(tmpdir(), "settings-spec-"));
let files = 0;

afterAll(() => rmSync(folder, { recursive: true }));

/** A new file that only its owner can read. */
export function writeSettings(text: string | Buffer, mode = 0o600): string {
  files += 1;
  const file = join(folder, `settings-${files}.yml`);
  writeFileSync(file, text, { mode });
  return file;
}

export function loading(source: string | SettingsInput | undefined, env: NodeJS.ProcessEnv = {}): Loading {
  const warnings: string[] = [];
  const log = { warn: (message: string) => void warnings.push(message) };
  try {
    return { settings: loadSettings(source, { log, env }), error: undefined, warnings };
  } catch (error) {
    if (!(error instanceof TokenizerError)) {
      throw error;
    }
    return { settings: undefined, error, warnings };
  }
}

export function loadingText(text: string | Buffer, env: NodeJS.ProcessEnv = {}): Loading {
  return loading(writeSettings(text), env);
}

/** The section `tokenizer` with a good password, and these lines below it. */
export function section(...lines: readonly string[]): string {
  return ["tokenizer:", `safe_password: ${GOOD_PASSWORD}`, ...lines].join("\n  ");
}

export function paths({ error }: Loading): readonly string[] {
  return (error?.faults ?? []).map(({ path }) => path);
}
