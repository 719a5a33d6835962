/** The folder of the local backend: private to us, on a disk of this machine, or refused with the reason. */
import {
  chmodSync,
  existsSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  realpathSync,
  type Stats,
  statfsSync,
  writeFileSync,
} from "node:fs";
import { dirname, join } from "node:path";
import { TokenizerError } from "../../errors.js";
import { DATABASE, FILES, IGNORE } from "./files.js";

/** Magic numbers of statfs(2) for file systems on which SQLite's shared memory is unsafe. */
const NETWORK_FILE_SYSTEMS = new Map([
  [0x6969, "NFS"],
  [0x517b, "SMB"],
  [0xfe534d42, "SMB"],
  [0xff534d42, "CIFS"],
  [0x01021997, "9p"],
  [0x00c36400, "Ceph"],
  [0x0bd00bd0, "Lustre"],
  [0x47504653, "GPFS"],
  [0x19830326, "BeeGFS"],
  [0x5346414f, "AFS"],
  [0x6b414653, "AFS"],
  [0x73757245, "Coda"],
  [0x786f4256, "VirtualBox's shared folders"],
  [0xbacbacbc, "VMware's shared folders"],
  [0x7c7c6673, "Parallels' shared folders"],
]);

/** A disk by way of a program (NTFS), or another machine's folder: the number is the same. */
const FUSE = 0x65735546;

const OTHERS = 0o077;
const STICKY = 0o1000;

/** The longest path of a database that SQLite opens, in bytes; it keeps 512 for that of the longest file beside it. */
const LONGEST = 504;

const BELOW = "Name a folder below it, or another one, in tokenizer.path.";
const ANOTHER = "Name another folder in tokenizer.path.";

/**
 * Makes the folder if it is missing, and tightens it if it is ours.
 *
 * @throws TokenizerError `STORE_UNUSABLE`
 */
export function preparePrivateFolder(path: string): void {
  refuseTooLong(path);
  if (makeFolder(path)) writeFileSync(join(path, IGNORE), "*\n", { mode: 0o600 });
  tightenFolder(path);
}

/**
 * The same for one that must be there, with a database in it.
 *
 * @throws TokenizerError `STORE_UNUSABLE`
 */
export function preparePresentFolder(path: string): void {
  if (!hasDatabase(path)) {
    throw new TokenizerError(
      "STORE_UNUSABLE",
      `There is no ${DATABASE} in the folder ${path}: no sessions were ever kept there. Is this the settings file of the application, and its user?`,
    );
  }
  tightenFolder(path);
}

export function hasDatabase(path: string): boolean {
  return existsSync(join(path, DATABASE));
}

/** @throws TokenizerError `STORE_UNUSABLE` */
export function tightenFolder(path: string): void {
  const folder = refuseOther(path);
  refuseTooLong(realpathSync(path));
  refuseNetwork(path);
  if (process.platform === "win32") return;
  refuseStrangers(path, folder);
  for (const file of FILES) refuseOthersFile(path, file);
  if (folder.mode & OTHERS) chmodSync(path, 0o700);
}

/** With those above it that are missing. Answers whether it was missing. */
function makeFolder(path: string): boolean {
  try {
    return makeFolders(path);
  } catch (cause) {
    throw cannotBeMade(path, cause);
  }
}

/** By hand, since with `recursive` Node goes on for ever where the folder above is there and can hold none, as /proc. */
function makeFolders(path: string): boolean {
  try {
    return makeOne(path);
  } catch (error) {
    if (codeOf(error) !== "ENOENT" || dirname(path) === path) throw error;
  }
  makeFolders(dirname(path));
  return makeOne(path);
}

/** Answers whether it was missing: another process may make it at the same moment. */
function makeOne(path: string): boolean {
  try {
    mkdirSync(path, { mode: 0o700 });
    return true;
  } catch (error) {
    if (codeOf(error) === "EEXIST") return false;
    throw error;
  }
}

function refuseOther(path: string): Stats {
  const folder = lstatSync(path);
  if (folder.isSymbolicLink()) throw unusable(path, "it is a symbolic link", BELOW);
  if (!folder.isDirectory()) throw unusable(path, "it is a file");
  return folder;
}

/** SQLite itself would say "unable to open database file", and no more. */
export function refuseTooLong(path: string): void {
  const length = Buffer.byteLength(join(path, DATABASE));
  if (length <= LONGEST || process.platform === "win32") return;
  throw unusable(path, `its path is ${length - LONGEST} bytes too long for the database`);
}

/** Somebody else's folder, or one that others use, too, is not ours to tighten. */
function refuseStrangers(path: string, folder: Stats): void {
  if (folder.uid !== process.getuid?.()) {
    const advice = "Run as that user, or name a folder below it, or another one, in tokenizer.path.";
    throw unusable(path, "it belongs to another user", advice);
  }
  if (!(folder.mode & OTHERS)) return;
  const isShared = folder.mode & STICKY || readdirSync(path).some((name) => !FILES.includes(name));
  if (isShared) throw unusable(path, "it is open to other users and holds other things than sessions", BELOW);
}

function refuseOthersFile(path: string, name: string): void {
  const file = join(path, name);
  const found = lstatSync(file, { throwIfNoEntry: false });
  if (!found) return;
  if (!found.isFile()) throw unusable(path, `${file} is not an ordinary file`);
  // It is git's business alone.
  if (name === IGNORE || found.uid === process.getuid?.() || process.getuid?.() === 0) return;
  const advice =
    "Give it to the user that the application runs as (chown): what root puts there, as a restored backup, is root's.";
  throw unusable(path, `${file} belongs to another user`, advice);
}

/** What to warn of, if anything: it cannot be told from here whether the database survives there. */
export function doubtAbout(path: string): string | undefined {
  return statfsSync(path).type === FUSE
    ? "The folder of the sessions is on FUSE, as the shared folders of Docker Desktop and of virtual machines are, sshfs and their like. Many of those damage the database as soon as two processes use it. Name a folder on a disk in tokenizer.path, or a volume of the container."
    : undefined;
}

function refuseNetwork(path: string): void {
  const name = NETWORK_FILE_SYSTEMS.get(statfsSync(path).type);
  if (name) throw unusable(path, `it is on a network file system (${name}), which the database does not survive`);
}

function unusable(path: string, reason: string, advice = ANOTHER, options?: { cause: unknown }): TokenizerError {
  return new TokenizerError("STORE_UNUSABLE", `The folder ${path} cannot keep sessions: ${reason}. ${advice}`, options);
}

/** From the reason why the system would not make it. */
export function cannotBeMade(path: string, cause: unknown): TokenizerError {
  const code = codeOf(cause);
  if (code === "ENOTDIR") return unusable(path, `${fileAbove(path)} is a file`, ANOTHER, { cause });
  if (code !== "EACCES" && code !== "EPERM" && code !== "EROFS") {
    return unusable(path, `no folder can be made there (${code})`, ANOTHER, { cause });
  }
  const advice =
    "Make it, and give it to the user that the application runs as; or name another one in tokenizer.path.";
  return unusable(path, `this user may not make it (${code})`, advice, { cause });
}

function fileAbove(path: string): string {
  const above = dirname(path);
  return above === path || isThere(above) ? above : fileAbove(above);
}

export function isThere(path: string): boolean {
  try {
    return lstatSync(path, { throwIfNoEntry: false }) !== undefined;
  } catch {
    // What is below a file is not there.
    return false;
  }
}

function codeOf(error: unknown): string {
  return (error as NodeJS.ErrnoException).code ?? String(error);
}
