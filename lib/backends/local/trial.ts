/** For who only tries whether a folder would do: another one in its place, which is removed again. */
import { mkdtempSync, rmSync } from "node:fs";
import { dirname, join } from "node:path";
import { cannotBeMade, hasDatabase, isThere, refuseTooLong, tightenFolder } from "./folder.js";

export interface Trial {
  readonly path: string;
  remove(): void;
}

/**
 * A folder to try, on the same disk and with the same permissions above it; nothing where a database is there already.
 *
 * @throws TokenizerError `STORE_UNUSABLE`
 */
export function trialOf(path: string): Trial | undefined {
  if (hasDatabase(path)) return undefined;
  refuseTooLong(path);
  if (isThere(path)) tightenFolder(path);
  const trial = makeTrial(path);
  return { path: trial, remove: () => rmSync(trial, { recursive: true, force: true }) };
}

function makeTrial(path: string): string {
  try {
    return mkdtempSync(join(lastThere(path), ".tokens-"));
  } catch (cause) {
    throw cannotBeMade(path, cause);
  }
}

function lastThere(path: string): string {
  const above = dirname(path);
  return isThere(path) || above === path ? path : lastThere(above);
}
