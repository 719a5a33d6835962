// Runs local backends outside of jest: as a child process, which is told what to do by messages, or as a worker thread.
// It is plain JavaScript on dist, so that neither needs a compiler.
import { readdirSync, readlinkSync, writeSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { isMainThread, parentPort, workerData } from "node:worker_threads";

const before = process.eventNames();
const { LocalBackend } = await import("../../dist/backends/local/backend.js");
const { loadEngine } = await import("../../dist/backends/local/sqlite.js");

const options = isMainThread ? JSON.parse(process.argv[2]) : workerData;
const { path, engine, timeout = 60_000 } = options;
const far = Date.now() + 3_600_000;
let versions = 0;
const newVersion = () => `${process.pid}-${options.name ?? ""}-${versions++}`;
const warn = (warned) => process.send?.({ warned });
const make = () => new LocalBackend({ path, engine }, { now: Date.now, timeout, warn });
let work;

// What is loaded later could not be read any more by another user.
await loadEngine(engine);
if (options.umask !== undefined) process.umask(options.umask);
if (options.uid !== undefined) {
  process.setgroups([]);
  process.setgid(options.uid);
  process.setuid(options.uid);
}

const backends = [make()];
const backend = backends[0];

const tasks = {
  /** Calls a method of the backend, or of a second one of this process on the same folder. */
  async call({ method, args, index = 0 }) {
    backends[index] ??= make();
    return backends[index][method](...args);
  },

  async write({ key, value, index = 0 }) {
    backends[index] ??= make();
    return backends[index].write(key, { value, version: newVersion(), expires: far }, "any");
  },

  /** Counts up in one record by compare-and-set. */
  async increment({ key, times }) {
    for (let done = 0; done < times; ) {
      const current = await backend.read(key);
      const next = { value: String(Number(current?.value ?? 0) + 1), version: newVersion(), expires: far };
      if (await backend.write(key, next, current ? { version: current.version } : "absent")) done += 1;
    }
  },

  /** Writes until it is killed. What was acknowledged stands on standard output before the next begins. */
  async flood({ name }) {
    for (let count = 0; ; count += 1) {
      const value = `${count} ${"x".repeat((count * 997) % 20_000)}`;
      await backend.write(`${name}-${count}`, { value, version: newVersion(), expires: far }, "absent");
      writeSync(1, `${count}\n`);
    }
  },

  /** Goes on writing records of its own, every few milliseconds, and tells each that was acknowledged, or refused. */
  async work() {
    work = { isOver: false };
    const mine = work;
    mine.done = (async () => {
      for (; !mine.isOver; await sleep(2)) {
        const key = newVersion();
        const value = `${key} ${"x".repeat(500)}`;
        await backend.write(key, { value, version: key, expires: far }, "absent").then(
          (isWritten) => process.send({ acknowledged: isWritten ? key : undefined }),
          ({ message }) => process.send({ refused: message }),
        );
      }
    })();
  },

  async rest() {
    if (work) work.isOver = true;
    await work?.done;
  },

  /** Which of these records are not there, and what SQLite's own check of the file says. */
  async missing({ keys }) {
    const missing = [];
    for (const key of keys) if (!(await backend.read(key))) missing.push(key);
    const database = (await loadEngine(engine))(`${path}/sessions.db`);
    const { integrity_check } = database.prepare("PRAGMA integrity_check").get();
    database.close();
    return { missing, check: integrity_check };
  },

  /** Makes a backup, as SQLite does. */
  async backUp({ to }) {
    const database = (await loadEngine(engine))(`${path}/sessions.db`);
    database.exec(`VACUUM INTO '${to}'`);
    database.close();
  },

  /** Has the file open as another program would, and reads it. In a transaction, so that the log cannot be moved. */
  async browse({ inTransaction = false }) {
    globalThis.browsed = (await loadEngine(engine))(`${path}/sessions.db`);
    globalThis.browsed.exec(`${inTransaction ? "BEGIN;" : ""} SELECT count(*) FROM records`);
  },

  /** Fills the disk, closes, and tells how that ended. */
  async fill() {
    let count = 0;
    const rejections = [];
    process.on("unhandledRejection", (reason) => rejections.push(String(reason)));
    const value = "x".repeat(10_000);
    const failed = [];
    for (; failed.length < 3 && count < 5000; count += 1) {
      try {
        await backend.write(`fill-${count}`, { value, version: newVersion(), expires: far }, "absent");
      } catch (error) {
        failed.push(told(error));
      }
    }
    const found = [];
    for await (const { key, value: stored } of backend.entries()) found.push(`${key} ${stored.length}`);
    const first = await backend.read("fill-0");
    const closed = await backend.close().then(() => true, told);
    await new Promise(setImmediate);
    const isFirstThere = first?.value === value;
    return { written: count - failed.length, failed, found: found.length, first: isFirstThere, closed, rejections };
  },

  /** Holds the write lock until this process ends. */
  async hold() {
    const database = (await loadEngine(engine))(`${path}/sessions.db`);
    globalThis.held = database;
    database.exec("BEGIN IMMEDIATE");
  },

  /** Lets go of all, in truth: libsql closes a file only when its statements were collected as garbage. */
  async close() {
    for (const each of backends) await each?.close();
    backends.length = 1;
    if (engine !== "libsql") return;
    globalThis.gc();
    await new Promise(setImmediate);
    globalThis.gc();
  },

  /** The files below the folder that this process has open. */
  async openFiles() {
    return readdirSync("/proc/self/fd").flatMap((fd) => {
      try {
        const file = readlinkSync(`/proc/self/fd/${fd}`);
        return file.startsWith(path) ? [file] : [];
      } catch {
        return [];
      }
    });
  },

  /** The memory that `times` reads, writes and touches leave behind, and so many openings of the file. */
  async growth({ times }) {
    const work = async () => {
      for (let count = 0; count < times; count += 1) {
        await tasks.write({ key: `k${count % 10}`, value: "{}" });
        const { version } = await backend.read(`k${count % 10}`);
        await backend.touch(`k${count % 10}`, far + 1, version);
      }
      for (let count = 0; count < times / 100; count += 1) {
        const other = make();
        await other.open();
        await other.close();
        globalThis.gc();
        await new Promise(setImmediate);
      }
      globalThis.gc();
    };
    await work();
    const start = process.memoryUsage().rss;
    await work();
    return { bytes: process.memoryUsage().rss - start, files: (await tasks.openFiles()).length };
  },

  async listeners() {
    const ours = new Set(["message", "disconnect", "internalMessage"]);
    return process.eventNames().filter((name) => !before.includes(name) && !ours.has(name));
  },
};

const told = (error) => ({ name: error.name, code: error.code, status: error.status, message: error.message });

async function run({ task, ...rest }) {
  try {
    return { result: await tasks[task](rest) };
  } catch (error) {
    return { error: told(error) };
  }
}

if (isMainThread && process.send) {
  process.on("message", async (message) => {
    const answer = await run(message);
    process.send({ id: message.id, ...answer });
  });
  process.send("ready");
} else if (isMainThread) {
  // In a shell of its own there is no channel for messages: one task, its answer on standard output.
  process.stdout.write(JSON.stringify(await run(options)));
} else {
  parentPort.postMessage(await run(workerData));
  await backend.close();
}
