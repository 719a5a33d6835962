/** Folders that are not below a temporary one, which `check` warns of. */
import { mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { homedir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll } from "@jest/globals";
import { temporaryFolderAbove } from "../../lib/settings/folder.js";

/** The project itself may stand below a temporary folder. */
const places = [fileURLToPath(new URL("../../.cache", import.meta.url)), join(homedir(), ".cache")];
const folders: string[] = [];

afterAll(() => {
  for (const folder of folders) rmSync(folder, { recursive: true, force: true });
});

/** An empty one, removed when the spec file is done. */
export function lastingFolder(): string {
  const place = places.find((each) => temporaryFolderAbove(each, process.env) === undefined);
  if (place === undefined) throw new Error(`All of these are below a temporary folder: ${places.join(", ")}`);
  mkdirSync(place, { recursive: true });
  const folder = mkdtempSync(join(place, "express-tokenizer-spec-"));
  folders.push(folder);
  return folder;
}
