/** The folder of the local backend: private to us, on a disk of this machine, or refused with the reason. */
import { chmodSync, closeSync, lstatSync, mkdirSync, openSync, readdirSync, type Stats, statfsSync } from "node:fs";
import { dirname, join } from "node:path";
import { TokenizerError } from "../../errors.js";

/** Magic numbers of statfs(2) for file systems on which SQLite's shared memory is unsafe. */
const NETWORK_FILE_SYSTEMS = new Map([
  [0x6969, "NFS"],
  [0x517b, "SMB"],
  [0xfe534d42, "SMB"],
  [0xff534d42, "CIFS"],
  [0x01021997, "9p"],
]);

const OTHERS = 0o077;
const STICKY = 0o1000;

/**
 * Makes the folder if it is missing, and tightens it if it is ours.
 *
 * @param path the folder
 * @param files the names of our own files in it
 * @throws TokenizerError `STORE_UNUSABLE`
 */
export function preparePrivateFolder(path: string, files: readonly string[]): void {
  try {
    mkdirSync(path, { recursive: true, mode: 0o700 });
  } catch (cause) {
    throw cannotBeMade(path, cause);
  }
  const folder = lstatSync(path);
  if (folder.isSymbolicLink()) throw unusable(path, "it is a symbolic link");
  if (!folder.isDirectory()) throw unusable(path, "it is not a folder");
  refuseNetwork(path);
  if (process.platform === "win32") return;
  refuseStrangers(path, folder, files);
  for (const file of files) refuseLink(join(path, file));
  if (folder.mode & OTHERS) chmodSync(path, 0o700);
}

/**
 * Makes the file if it is missing, and tightens it. SQLite gives the files beside it the same mode.
 *
 * An existing file is not opened: closing it again would drop the locks that this process holds on it through its
 * other connections, and another process would then remove a log that is in use (sqlite.org/howtocorrupt.html, 2.2).
 */
export function makePrivateFile(file: string): void {
  try {
    closeSync(openSync(file, "wx", 0o600));
  } catch (error) {
    if (codeOf(error) !== "EEXIST") throw error;
  }
  if (process.platform !== "win32") chmodSync(file, 0o600);
}

/** Somebody else's folder, or one that others use, too, is not ours to tighten. */
function refuseStrangers(path: string, folder: Stats, files: readonly string[]): void {
  if (folder.uid !== process.getuid?.()) throw unusable(path, "it belongs to another user");
  if (!(folder.mode & OTHERS)) return;
  const isShared = folder.mode & STICKY || readdirSync(path).some((name) => !files.includes(name));
  if (isShared) throw unusable(path, "it is open to other users and holds other things than sessions");
}

function refuseLink(file: string): void {
  const found = lstatSync(file, { throwIfNoEntry: false });
  if (found && !found.isFile()) throw unusable(dirname(file), `${file} is not an ordinary file`);
}

function refuseNetwork(path: string): void {
  const name = networkFileSystem(statfsSync(path).type);
  if (name) throw unusable(path, `it is on a network file system (${name}), which the database does not survive`);
}

/** The name of a file system that we refuse, by its magic number. */
function networkFileSystem(type: number): string | undefined {
  return NETWORK_FILE_SYSTEMS.get(type);
}

function unusable(path: string, reason: string, options?: { cause: unknown }): TokenizerError {
  const advice = "Name a folder below it, or another one, in tokenizer.path.";
  return new TokenizerError("STORE_UNUSABLE", `The folder ${path} cannot keep sessions: ${reason}. ${advice}`, options);
}

function cannotBeMade(path: string, cause: unknown): TokenizerError {
  const code = codeOf(cause);
  if (code !== "EACCES" && code !== "EPERM") return unusable(path, `it cannot be made (${code})`, { cause });
  const advice =
    "Make it, and give it to the user that the application runs as; or name another one in tokenizer.path.";
  const message = `The folder ${path} cannot keep sessions: this user may not make it (${code}). ${advice}`;
  return new TokenizerError("STORE_UNUSABLE", message, { cause });
}

function codeOf(error: unknown): string {
  return (error as NodeJS.ErrnoException).code ?? String(error);
}
