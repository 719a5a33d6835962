/** What to do about the settings file: where there is none, or one that belongs to another user. */
import { type Dirent, existsSync, readdirSync } from "node:fs";
import { basename, dirname, join, parse, relative } from "node:path";
import { misspelt } from "./nearest.js";

/** Also as editors, other programs and Windows spell it. */
const USUAL_NAME = /^settings?\.(ya?ml|json)(\.txt)?$/i;
const MOST_FOLDERS = 50;
const MOST_NAMED = 3;

/** How the one who asks names another file: in code, or on the command line. */
export type Asking = "code" | "command";

/**
 * Ends the sentence that there is no such file.
 *
 * @param file absolute; nothing is there, or a folder
 */
export function adviceWithout(file: string, isFolder: boolean, asking: Asking): string {
  const found = isFolder ? settingsIn(file) : settingsAround(file);
  const [first, ...others] = found.slice(0, MOST_NAMED).map((path) => relative(process.cwd(), path));
  if (first !== undefined) {
    return `Is it ${[first, ...others].join(" or ")}? Then name it: ${nameOf(first, asking)}.`;
  }
  return asking === "command" && !isFolder
    ? "Run the command in the application's folder, or name the settings file: --settings FILE."
    : howToBegin(asking);
}

export function howToBegin(asking: Asking): string {
  const name = asking === "command" ? "--settings FILE" : nameOf("config/settings.yml", asking);
  return (
    "Copy node_modules/express-tokenizer/settings.example.yml to settings.yml and give it a safe_password, " +
    `or name another file: ${name}.`
  );
}

/** What is right for a file with secrets that belongs to another user, as what `COPY` puts into an image belongs to root. */
export function howToOwn(file: string): string {
  return (
    `Give it to the user that the application runs as: chown USER ${file} && chmod 600 ${file}; ` +
    "in a Dockerfile COPY --chown=node:node --chmod=600."
  );
}

function nameOf(file: string, asking: Asking): string {
  return asking === "command" ? `--settings ${file}` : `tokenizer(${JSON.stringify(file)}), or TOKENIZER_SETTINGS`;
}

/** In its folder, in those right below that, and in the one above. */
function settingsAround(file: string): readonly string[] {
  const folder = dirname(file);
  const entries = entriesOf(folder);
  const alike = entries.filter((entry) => entry.isFile() && misspelt(basename(file), [entry.name]) !== undefined);
  const found = [...settingsIn(folder), ...alike.map(({ name }) => join(folder, name))];
  // Below the root is all of the machine.
  if (!existsSync(folder) || folder === parse(folder).root) return [...new Set(found)];
  const below = entries.filter((entry) => entry.isDirectory() && !/^(\.|node_modules$)/.test(entry.name));
  const folders = below.slice(0, MOST_FOLDERS).map(({ name }) => join(folder, name));
  return [...new Set([...found, ...[...folders, dirname(folder)].flatMap(settingsIn)])];
}

function settingsIn(folder: string): readonly string[] {
  const files = entriesOf(folder).filter((entry) => entry.isFile() && USUAL_NAME.test(entry.name));
  return files.map(({ name }) => join(folder, name));
}

/** What cannot be read holds nothing that could be named. */
function entriesOf(folder: string): readonly Dirent[] {
  try {
    return readdirSync(folder, { withFileTypes: true }).sort((one, other) => (one.name < other.name ? -1 : 1));
  } catch {
    return [];
  }
}
