// PostgreSQL's programs as the specs run them: by which user, in which folders, with which settings.
import { execFile, spawn, spawnSync } from "node:child_process";
import {
  chownSync,
  closeSync,
  existsSync,
  mkdtempSync,
  openSync,
  readFileSync,
  realpathSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { promisify } from "node:util";
import { findProgram } from "../../scripts/needs.mjs";

export const POSTGRES = findProgram("POSTGRES");

/** The superuser: without a password at the socket, with it over TCP. */
export const ADMIN = { username: "postgres", password: "an-admin-password-of-the-specs" };

const SETPRIV = process.env.SETPRIV ?? "/usr/bin/setpriv";

/** With what takes no time on a machine that has nothing else to do. Milliseconds. */
const PATIENCE = 120_000;

/** PostgreSQL refuses to run as root. */
const identity = process.getuid?.() === 0 ? { uid: idOf("-u"), gid: idOf("-g") } : {};

/** Nothing of ours (PGPORT, PGOPTIONS …) reaches a server. */
const ENVIRONMENT = { PATH: process.env.PATH, LC_ALL: "C" };

function idOf(option) {
  const { status, stdout } = spawnSync("id", [option, "postgres"], { encoding: "utf8" });
  return status === 0 ? Number(stdout) : undefined;
}

/** An empty folder that the servers' user owns. */
export function makeFolder() {
  const folder = mkdtempSync(join(tmpdir(), "postgres-spec-"));
  own(folder);
  return folder;
}

/** Gives a file to the servers' user. */
function own(file) {
  if (identity.uid !== undefined) chownSync(file, identity.uid, identity.gid);
}

/** A file that the servers' user alone can read. */
export function writeOwn(file, text) {
  rmSync(file, { force: true });
  writeFileSync(file, text, { mode: 0o600 });
  own(file);
}

/** Runs a program to its end as the servers' user: one that stands beside `postgres`, or `cp`. */
export async function run(name, args) {
  // A link to it may stand where the others do not.
  const file = name === "cp" ? name : join(dirname(realpathSync(POSTGRES)), name);
  await promisify(execFile)(file, args, { ...identity, env: ENVIRONMENT, cwd: "/", maxBuffer: Infinity });
}

/** Makes the data that each server begins with a copy of. */
export async function makeTemplate() {
  const folder = makeFolder();
  const [data, secret] = [join(folder, "data"), join(folder, "secret")];
  writeOwn(secret, ADMIN.password);
  await run("initdb", [
    ...["--pgdata", data, "--username", ADMIN.username, "--pwfile", secret],
    ...["--auth-local=trust", "--auth-host=scram-sha-256", "--encoding=UTF8", "--locale=C"],
    ...["--no-sync", "--wal-segsize=1"],
  ]);
  return data;
}

/** What a server of specs needs at least; a power failure is none of their subjects. */
const settingsOf = (folder, port) => ({
  listen_addresses: "127.0.0.1",
  port,
  unix_socket_directories: folder,
  fsync: "off",
  full_page_writes: "off",
  shared_buffers: "16MB",
  min_wal_size: "5MB",
  max_wal_size: "64MB",
  // Its memory stands in its folder, and is removed with that.
  dynamic_shared_memory_type: "mmap",
  timezone: "UTC",
  log_timezone: "UTC",
  log_line_prefix: "%m [%p] %u@%d ",
});

const TCP = ["host all all 127.0.0.1/32 scram-sha-256"];

/** Writes the settings, and who may sign in: over TCP as the lines of `hba` say. */
export function configure(folder, port, { settings = {}, hba = TCP } = {}) {
  const all = Object.entries({ ...settingsOf(folder, port), ...settings });
  const quoted = all.map(([name, value]) => `${name} = '${String(value).replaceAll("'", "''")}'\n`);
  writeOwn(join(folder, "data/postgresql.conf"), quoted.join(""));
  const socket = ["local all,replication postgres trust", "local all all scram-sha-256"];
  writeOwn(join(folder, "data/pg_hba.conf"), [...socket, ...hba, ""].join("\n"));
}

/** Starts a program as the servers' user, its log in a file; the system ends it when this process ends, however it does. */
export function start(file, args, log, signal) {
  const [program, ...rest] = [...(existsSync(SETPRIV) ? [SETPRIV, "--pdeathsig", signal] : []), file, ...args];
  const output = openSync(log, "a");
  const child = spawn(program, rest, { ...identity, env: ENVIRONMENT, cwd: "/", stdio: ["ignore", output, output] });
  closeSync(output);
  return child;
}

/** Starts a server; answers its process once it takes connections. */
export async function startServer(folder) {
  const [data, log] = [join(folder, "data"), join(folder, "log")];
  // SIGQUIT has it leave no memory behind, and end its processes.
  const child = start(POSTGRES, ["-D", data], log, "QUIT");
  let failure;
  child.once("error", (error) => {
    failure = error;
  });
  await until("PostgreSQL's start", log, () => {
    if (failure || child.exitCode !== null) throw failure ?? new Error("It ended.");
    const lines = read(join(data, "postmaster.pid")).split("\n");
    return lines[0] === String(child.pid) && lines[7]?.trim() === "ready";
  });
  return child;
}

/** Asks again until it is so; what goes wrong is told with the log's end. */
export async function until(name, log, condition) {
  const end = performance.now() + PATIENCE;
  try {
    while (!(await condition())) {
      if (performance.now() > end) throw new Error(`Not within ${PATIENCE} ms.`);
      await sleep(5);
    }
  } catch (error) {
    throw new Error(`${name}: ${error.message}\n${read(log).slice(-4000)}`, { cause: error });
  }
}

/** What a file has; nothing where there is none. */
export function read(file) {
  try {
    return readFileSync(file, "utf8");
  } catch (error) {
    if (error.code === "ENOENT") return "";
    throw error;
  }
}

/** Removes a server's folder after its end, and the memory that the system keeps for one that was killed. */
export function remove(folder) {
  const [, memory] = read(join(folder, "data/postmaster.pid")).split("\n")[6]?.trim().split(/\s+/) ?? [];
  if (memory) spawnSync("ipcrm", ["--shmem-id", memory], { stdio: "ignore" });
  rmSync(folder, { recursive: true, force: true });
}
