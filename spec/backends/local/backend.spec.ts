import { once } from "node:events";
import {
  chmodSync,
  chownSync,
  closeSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
  writeSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, afterEach, beforeEach, describe, expect, jest, test } from "@jest/globals";
import type { StoredRecord } from "../../../lib/backends/backend.js";
import { LocalBackend } from "../../../lib/backends/local/backend.js";
import { type EngineName, hasNodeSqlite, loadEngine } from "../../../lib/backends/local/sqlite.js";
import { TokenizerError } from "../../../lib/errors.js";
import { backendContract, type MakeSubject } from "../../../lib/testing/backend-contract.js";
import { LocalProcess, type ProcessOptions, runBelow, runInWorker, type Told } from "../../support/local-process.js";

// Rows of a table of faults are cases whose names begin with their numbers (59–72).

const IS_FULL = process.env.TEST_FULL === "1";
const IS_ROOT = process.getuid?.() === 0;
const NOBODY = 65_534;
const FAR = Date.now() + 3_600_000;

const ENGINES: readonly EngineName[] = hasNodeSqlite() ? ["node:sqlite", "libsql"] : ["libsql"];
if (!hasNodeSqlite()) console.info(`Node ${process.versions.node} has no SQLite of its own: libsql alone is tried.`);

/** What is in the folder while nobody uses it. */
const AT_REST = [".gitignore", "sessions.db", "sessions.files"];

const root = mkdtempSync(join(tmpdir(), "express-tokenizer-local-"));
const processes = new Set<LocalProcess>();
const opened = new Set<LocalBackend>();
let warnings: string[];
let path: string;

beforeEach(() => {
  warnings = [];
  path = join(mkdtempSync(join(root, "case-")), "tokens");
});

afterEach(async () => {
  jest.restoreAllMocks();
  for (const each of processes) await each.kill();
  for (const each of opened) await each.close();
  processes.clear();
  opened.clear();
});

afterAll(() => {
  rmSync(root, { recursive: true, force: true });
});

function make(engine: EngineName, { now = Date.now, timeout = 60_000, folder = path } = {}): LocalBackend {
  const backend = new LocalBackend({ path: folder, engine }, { now, timeout, warn: (text) => warnings.push(text) });
  opened.add(backend);
  return backend;
}

async function start(engine: EngineName, options: Partial<ProcessOptions> = {}): Promise<LocalProcess> {
  const started = await LocalProcess.start({ path, engine, ...options });
  processes.add(started);
  return started;
}

const record = (part: Partial<StoredRecord> = {}): StoredRecord => ({
  value: "{}",
  version: `v${Math.random()}`,
  expires: FAR,
  ...part,
});

const file = () => join(path, "sessions.db");
const modeOf = (name: string) => (statSync(name).mode & 0o7777).toString(8);

/** What another process finds in the folder now. */
async function valuesOnDisk(engine: EngineName, ...keys: string[]): Promise<Array<string | undefined>> {
  const reader = await start(engine);
  const found = await Promise.all(keys.map((key) => reader.call("read", key)));
  await reader.kill();
  return found.map((each) => (each as StoredRecord | undefined)?.value);
}

/** Writes a database of so many records and closes it, so that the file is whole and alone. */
async function seed(engine: EngineName, count: number): Promise<void> {
  const writer = await start(engine);
  for (let index = 0; index < count; index += 1) {
    await writer.run({ task: "write", key: `seed-${index}`, value: "s".repeat(500) });
  }
  await writer.run({ task: "close" });
  await writer.kill();
  expect(readdirSync(path)).toEqual(AT_REST);
}

async function refusal(answer: unknown): Promise<{ code: string; status: number; message: string }> {
  const error = await Promise.resolve(answer).then(
    () => undefined,
    (reason: unknown) => reason,
  );
  expect(error).toBeInstanceOf(TokenizerError);
  const { code, status, message } = error as TokenizerError;
  return { code, status, message };
}

const BELOW = "Name a folder below it, or another one, in tokenizer.path.";

const unusableFolder = (reason: string, folder = path, advice = "Name another folder in tokenizer.path.") => ({
  code: "STORE_UNUSABLE",
  status: 503,
  message: `The folder ${folder} cannot keep sessions: ${reason}. ${advice}`,
});

const damaged = () => ({
  code: "STORE_UNUSABLE",
  status: 503,
  message: `The database ${file()} is damaged, or not one. Move its folder away (everybody signs in again), or name another one in tokenizer.path.`,
});

const removed = () => `The database ${file()} was removed or replaced while in use: its sessions are over.`;

const closed = { code: "STORE_CLOSED", status: 503, message: "The session store was closed." };

describe.each(ENGINES)("on %s", (engine) => {
  const makeSubject: MakeSubject = async ({ now }) => {
    const folder = join(mkdtempSync(join(root, "contract-")), "tokens");
    return { backend: make(engine, { now, folder }), other: make(engine, { now, folder }), expiryGranularity: 1 };
  };

  describe("the contract", () => {
    test.each(backendContract.map(({ name, run }) => [name, run] as const))("%s", async (_, run) => {
      await run(makeSubject);
      expect(warnings).toEqual([]);
    });
  });

  describe("rows that are not ours", () => {
    test.each([
      ["a value that is no text", "value = x'00ff'"],
      ["a version that is no text", "version = x'00ff'"],
      ["an end that is no number", "expires = 'tomorrow'"],
      ["an end too large for a number", "expires = 9223372036854775807"],
    ])("%s: absent, reported once", async (_, planted) => {
      const backend = make(engine);
      for (const key of ["a", "b", "c"]) await backend.write(key, record(), "any");
      const database = (await loadEngine(engine))(file());
      database.exec(`UPDATE records SET ${planted} WHERE key = 'b'`);
      database.close();

      expect(await backend.read("b")).toBeUndefined();
      expect(await backend.read("b")).toBeUndefined();
      const keys: string[] = [];
      for await (const { key } of backend.entries()) keys.push(key);
      expect(keys).toEqual(["a", "c"]);
      expect(warnings).toEqual([`A row of ${file()} is not a record of ours: passed over.`]);
      expect(await backend.write("b", record({ value: "mended" }), "any")).toBe(true);
      expect((await backend.read("b"))?.value).toBe("mended");
    });
  });

  describe("several processes", () => {
    test("ten that start at one moment on a new folder all open it", async () => {
      const rounds = IS_FULL ? 10 : 1;
      for (let round = 0; round < rounds; round += 1) {
        const folder = join(path, `round-${round}`);
        const all = await Promise.all(Array.from({ length: 10 }, () => start(engine, { path: folder })));
        await Promise.all(all.map((each) => each.call("open")));
        await Promise.all(all.map((each, index) => each.run({ task: "write", key: `k${index}`, value: "v" })));
        let count = 0;
        for await (const _ of make(engine, { folder }).entries()) count += 1;
        expect(count).toBe(10);
        await Promise.all(all.map((each) => each.kill()));
      }
    });

    test("64: two that count up in one record 200 times each lose nothing", async () => {
      const both = await Promise.all([start(engine), start(engine)]);
      await Promise.all(both.map((each) => each.run({ task: "increment", key: "count", times: 200 })));
      expect((await make(engine).read("count"))?.value).toBe("400");
    });

    test("a second connection does not drop the locks of the first", async () => {
      const ours = await start(engine);
      await ours.run({ task: "write", key: "a", value: "1" });
      await ours.run({ task: "write", key: "b", value: "2", index: 1 });
      // Were the lock gone, this one would take itself for the last, and remove the log that ours goes on to write to.
      const theirs = await start(engine);
      await theirs.run({ task: "write", key: "c", value: "3" });
      await theirs.run({ task: "close" });
      await ours.run({ task: "write", key: "d", value: "4" });
      expect(await valuesOnDisk(engine, "a", "b", "c", "d")).toEqual(["1", "2", "3", "4"]);
    });

    test("65: what was acknowledged before kill -9 is there", async () => {
      const rounds = IS_FULL ? 100 : 2;
      for (let round = 0; round < rounds; round += 1) {
        const names = ["a", "b"].map((name) => `${name}${round}`);
        const last = new Map<string, number>();
        await Promise.all(
          names.map(async (name) => {
            const writer = await start(engine);
            const lines = createInterface({ input: writer.child.stdout as NodeJS.ReadableStream });
            const ended = once(lines, "close");
            const fatal = 20 + Math.floor(Math.random() * 200);
            lines.on("line", (line) => {
              last.set(name, Number(line));
              if (Number(line) === fatal) writer.child.kill("SIGKILL");
            });
            writer.run({ task: "flood", name }).catch(() => {});
            await ended;
          }),
        );
        const backend = make(engine);
        for (const name of names) {
          const acknowledged = last.get(name) ?? 0;
          expect(acknowledged).toBeGreaterThanOrEqual(20);
          for (let count = 0; count <= acknowledged; count += 1) {
            const found = await backend.read(`${name}-${count}`);
            expect(found?.value).toBe(`${count} ${"x".repeat((count * 997) % 20_000)}`);
          }
        }
        await backend.close();
      }
    });

    test("70: worker threads share the folder with each other and with us", async () => {
      const ours = make(engine);
      const workers = Array.from({ length: 4 }, (_, index) =>
        runInWorker({ path, engine, name: `worker-${index}`, task: "increment", key: "count", times: 100 }),
      );
      await ours.write("ours", record({ value: "kept" }), "absent");
      await Promise.all(workers);
      expect((await ours.read("count"))?.value).toBe("400");
      expect((await ours.read("ours"))?.value).toBe("kept");
    });

    test("71: another one, stopped while it holds the write lock: writes fail in time, reads and the loop go on", async () => {
      const timeout = 600;
      const backend = make(engine, { timeout });
      await backend.write("k", record({ value: "before" }), "any");
      const holder = await start(engine);
      await holder.run({ task: "hold" });
      holder.child.kill("SIGSTOP");

      let reads = 0;
      let isOver = false;
      const reading = (async () => {
        for (; !isOver; reads += 1) {
          expect((await backend.read("k"))?.value).toBe("before");
          await sleep(2);
        }
      })();
      const begin = performance.now();
      const tries = new Set<unknown>();
      const refusals = await Promise.all(
        Array.from({ length: 50 }, async (_, index) => {
          const writing = backend.write(`k${index}`, record(), "any");
          writing.catch(({ cause }: TokenizerError) => tries.add(cause));
          const told = await refusal(writing);
          return { ...told, after: performance.now() - begin };
        }),
      );
      isOver = true;
      await reading;

      for (const { after, ...told } of refusals) {
        expect(told).toEqual({
          code: "STORE_UNAVAILABLE",
          status: 503,
          message: `The database ${file()} failed: another process keeps it locked.`,
        });
        expect(after).toBeGreaterThanOrEqual(timeout);
        expect(after).toBeLessThan(5 * timeout);
      }
      expect(reads).toBeGreaterThan(5);
      // A try holds the loop for 5 ms. Were it one for each of the 50 that wait, it would stand still for 250 ms.
      expect(tries.size).toBeLessThan(10);

      await holder.kill();
      expect(await backend.write("k", record({ value: "after" }), "any")).toBe(true);
      expect((await backend.read("k"))?.value).toBe("after");
    });

    test("71: whoever waits for the lock gets it once it is free", async () => {
      const backend = make(engine);
      await backend.open();
      const holder = await start(engine);
      await holder.run({ task: "hold" });
      const writes = Array.from({ length: 50 }, (_, index) => backend.write(`k${index}`, record(), "absent"));
      const pruning = backend.prune();
      // They have met the lock, and wait.
      await sleep(30);
      await holder.kill();
      expect(await Promise.all(writes)).toEqual(Array(50).fill(true));
      expect(await pruning).toBe(0);
    });
  });

  describe("the disk", () => {
    const expectRefusedWrites = (answer: unknown) => {
      const { written, failed, found, first, closed, rejections } = answer as {
        written: number;
        failed: Told[];
        found: number;
        first: boolean;
        closed: unknown;
        rejections: string[];
      };
      expect(written).toBeGreaterThan(0);
      expect(failed).toHaveLength(3);
      for (const { name, code, status, message } of failed) {
        expect({ name, code, status }).toEqual({ name: "TokenizerError", code: "STORE_UNAVAILABLE", status: 503 });
        expect(message).toMatch(/^The database .*sessions\.db failed: .*(full|disk I\/O error).*\.$/);
      }
      expect(found).toBe(written);
      expect(first).toBe(true);
      // Though the log cannot be emptied.
      expect(closed).toBe(true);
      expect(rejections).toEqual([]);
    };

    test("59: full: writes are refused, reads go on, nothing is rejected unheard", async () => {
      const disk = `${path}-disk`;
      mkdirSync(disk);
      const { answer, reason } = await runBelow(
        ["unshare", "--user", "--map-root-user", "--mount"],
        `mount -t tmpfs -o size=2m tmpfs '${disk}'`,
        { path: join(disk, "tokens"), engine, task: "fill" },
      );
      if (!answer)
        console.info(`59: a small disk cannot be mounted here, the limit of a file stands for it: ${reason}`);
      else expectRefusedWrites(answer.result);
    });

    test("59: no file may grow (ulimit -f): the same", async () => {
      const { answer, reason } = await runBelow([], "ulimit -f 2000", { path, engine, task: "fill" });
      expect(reason).toBeUndefined();
      expectRefusedWrites(answer?.result);
    });

    const asStranger = IS_ROOT ? { uid: NOBODY } : {};
    /** Root may write everywhere: then it is the folder of another user, who is not root. */
    const giveAway = (...names: string[]) => {
      if (IS_ROOT) for (const name of names) chownSync(name, NOBODY, NOBODY);
    };

    test("60: a folder that cannot be made is refused", async () => {
      const parent = join(path, "..");
      giveAway(parent);
      chmodSync(root, 0o711);
      chmodSync(parent, 0o500);
      const stranger = await start(engine, asStranger);
      await expect(stranger.call("open")).rejects.toMatchObject({
        code: "STORE_UNUSABLE",
        message: expect.stringMatching(
          /: this user may not make it \(EACCES\)\. Make it, and give it to the user that/,
        ),
      });
      chmodSync(parent, 0o700);
    });

    test("60: a read-only folder is refused, empty or with a database", async () => {
      chmodSync(root, 0o711);
      chmodSync(join(path, ".."), 0o711);
      mkdirSync(path, { mode: 0o700 });
      giveAway(path);
      chmodSync(path, 0o500);
      const first = await start(engine, asStranger);
      await expect(first.call("open")).rejects.toMatchObject({
        code: "STORE_UNUSABLE",
        status: 503,
        message: `The database ${file()} cannot be written (EACCES: permission denied, open '${file()}'). Make its folder writable, or name another one in tokenizer.path.`,
      });

      chmodSync(path, 0o700);
      await first.run({ task: "write", key: "k", value: "v" });
      await first.run({ task: "close" });
      await first.kill();
      chmodSync(path, 0o500);
      const second = await start(engine, asStranger);
      await expect(second.call("open")).rejects.toMatchObject({
        code: "STORE_UNUSABLE",
        status: 503,
        message: expect.stringMatching(
          /^The database .* cannot be written \(.+\)\. Make its folder writable, or name another one in tokenizer\.path\.$/,
        ),
      });
      chmodSync(path, 0o700);
      expect(await second.call("open")).toBeUndefined();
    });

    test.each(["sessions.db", "sessions.db-wal", "sessions.db-shm", "sessions.files"])(
      "61: a file that root put there is named: %s",
      async (name) => {
        if (!IS_ROOT) return;
        chmodSync(root, 0o711);
        chmodSync(join(path, ".."), 0o711);
        mkdirSync(path, { mode: 0o700 });
        giveAway(path);
        const first = await start(engine, asStranger);
        await first.run({ task: "write", key: "k", value: "v" });
        await first.kill("SIGKILL");
        chownSync(join(path, name), 0, 0);
        const second = await start(engine, asStranger);
        await expect(second.call("open")).rejects.toMatchObject({
          code: "STORE_UNUSABLE",
          status: 503,
          message: `The folder ${path} cannot keep sessions: ${join(path, name)} belongs to another user. Give it to the user that the application runs as (chown): what root puts there, as a restored backup, is root's.`,
        });
        chownSync(join(path, name), NOBODY, NOBODY);
        expect(await second.call("open")).toBeUndefined();
        expect(await second.call("read", "k")).toMatchObject({ value: "v" });
      },
    );

    test("60: a file system mounted read-only is refused", async () => {
      await seed(engine, 3);
      const { answer, reason } = await runBelow(
        ["unshare", "--user", "--map-root-user", "--mount"],
        `mount --bind '${path}' '${path}' && mount -o remount,ro,bind '${path}'`,
        { path, engine, task: "call", method: "open", args: [] },
      );
      if (!answer) console.info(`60: nothing can be mounted here, folders without permission stand for it: ${reason}`);
      else {
        expect(answer.error).toMatchObject({
          code: "STORE_UNUSABLE",
          status: 503,
          message: expect.stringMatching(/^The database .* cannot be written \(EROFS: .+\)\. Make its folder writable/),
        });
      }
    });

    test("61: a folder of another user is refused, and left as it was", async () => {
      const theirs = IS_ROOT ? path : "/usr";
      if (IS_ROOT) {
        mkdirSync(path, { mode: 0o777 });
        chownSync(path, NOBODY, NOBODY);
      }
      const mode = modeOf(theirs);
      const told = await refusal(make(engine, { folder: theirs }).open());
      expect(told).toEqual(
        unusableFolder(
          "it belongs to another user",
          theirs,
          "Run as that user, or name a folder below it, or another one, in tokenizer.path.",
        ),
      );
      expect(modeOf(theirs)).toBe(mode);
    });

    test.each([
      ["with things of others", 0o755, "notes.txt"],
      ["writable by all, with things of others", 0o777, "notes.txt"],
      ["sticky, as the system's temporary folder, even empty", 0o1777, undefined],
    ])("61: a folder of ours %s is refused, and left as it was", async (_, mode, other) => {
      mkdirSync(path);
      if (other) writeFileSync(join(path, other), "theirs");
      chmodSync(path, mode);
      const told = await refusal(make(engine).open());
      expect(told).toEqual(
        unusableFolder("it is open to other users and holds other things than sessions", path, BELOW),
      );
      expect(modeOf(path)).toBe(mode.toString(8));
      expect(readdirSync(path)).toEqual(other ? [other] : []);
    });

    test("61: the system's temporary folder itself is refused, and left as it was", async () => {
      const mode = modeOf("/tmp");
      const { code, message } = await refusal(make(engine, { folder: "/tmp" }).open());
      expect(code).toBe("STORE_UNUSABLE");
      expect(message).toMatch(/^The folder \/tmp cannot keep sessions: it (belongs to another user|is open to other)/);
      expect(modeOf("/tmp")).toBe(mode);
      expect(existsSync("/tmp/sessions.db")).toBe(false);
    });

    test("61: an open folder of ours is tightened when it is empty, and when it holds only our files", async () => {
      mkdirSync(path);
      chmodSync(path, 0o755);
      const first = make(engine);
      await first.write("k", record({ value: "kept" }), "any");
      expect(modeOf(path)).toBe("700");

      for (const name of readdirSync(path)) chmodSync(join(path, name), 0o644);
      chmodSync(path, 0o755);
      const second = make(engine);
      expect((await second.read("k"))?.value).toBe("kept");
      expect(modeOf(path)).toBe("700");
      expect(modeOf(file())).toBe("1600");
    });

    test("61: a folder that others cannot enter may hold other things, too", async () => {
      mkdirSync(path, { mode: 0o700 });
      writeFileSync(join(path, "notes.txt"), "ours");
      await make(engine).open();
      expect(readdirSync(path)).toContain("notes.txt");
    });

    test("61: the folder is 0700 and each file 0600, whatever the umask", async () => {
      const writer = await start(engine, { umask: 0 });
      await writer.run({ task: "write", key: "k", value: "v" });
      expect(modeOf(path)).toBe("700");
      const modes = Object.fromEntries(readdirSync(path).map((name) => [name, modeOf(join(path, name))]));
      expect(modes).toEqual({
        ".gitignore": "600",
        "sessions.db": "1600",
        "sessions.db-shm": "1600",
        "sessions.db-wal": "1600",
        "sessions.files": "1600",
      });
    });

    test("61: folders made on the way are private, too", async () => {
      path = join(path, "a", "b");
      const writer = await start(engine, { umask: 0 });
      await writer.call("open");
      expect([path, join(path, ".."), join(path, "../..")].map(modeOf)).toEqual(["700", "700", "700"]);
    });

    test.each(["sessions.db", "sessions.db-wal", "sessions.db-shm"])(
      "62: %s a symbolic link is refused",
      async (name) => {
        mkdirSync(path, { mode: 0o700 });
        const target = join(path, "..", "target");
        writeFileSync(target, "theirs");
        symlinkSync(target, join(path, name));
        const told = await refusal(make(engine).open());
        expect(told).toEqual(unusableFolder(`${join(path, name)} is not an ordinary file`));
        expect(readFileSync(target, "utf8")).toBe("theirs");
      },
    );

    test("62: a symbolic link to nothing is refused, and its target not made", async () => {
      mkdirSync(path, { mode: 0o700 });
      symlinkSync(join(path, "..", "target"), file());
      const told = await refusal(make(engine).open());
      expect(told).toEqual(unusableFolder(`${file()} is not an ordinary file`));
      expect(existsSync(join(path, "..", "target"))).toBe(false);
    });

    test("62: the folder a symbolic link is refused", async () => {
      mkdirSync(`${path}-target`, { mode: 0o700 });
      symlinkSync(`${path}-target`, path);
      expect(await refusal(make(engine).open())).toEqual(unusableFolder("it is a symbolic link", path, BELOW));
      expect(readdirSync(`${path}-target`)).toEqual([]);
    });

    test("62: the file a folder is refused", async () => {
      mkdirSync(file(), { recursive: true, mode: 0o700 });
      expect(await refusal(make(engine).open())).toEqual(unusableFolder(`${file()} is not an ordinary file`));
    });

    test("63: the parent a file is refused", async () => {
      writeFileSync(path, "a file");
      const folder = join(path, "tokens");
      const told = await refusal(make(engine, { folder }).open());
      expect(told).toEqual(unusableFolder(`${path} is a file`, folder));
    });

    test("63: the folder itself a file is refused", async () => {
      writeFileSync(path, "a file");
      expect(await refusal(make(engine).open())).toEqual(unusableFolder("it is a file"));
      expect(readFileSync(path, "utf8")).toBe("a file");
    });

    test("a refusal is not final: once the folder is right, service comes by itself", async () => {
      writeFileSync(path, "a file");
      const backend = make(engine);
      await refusal(backend.open());
      rmSync(path);
      expect(await backend.write("k", record({ value: "v" }), "absent")).toBe(true);
      expect(await valuesOnDisk(engine, "k")).toEqual(["v"]);
    });
  });

  describe("66: the file", () => {
    test("cut short is refused, at whatever size", async () => {
      await seed(engine, 200);
      const whole = readFileSync(file());
      expect(whole.length).toBeGreaterThan(100_000);
      const sizes = [
        16,
        99,
        100,
        512,
        4095,
        4096,
        4097,
        8192,
        whole.length >> 1,
        whole.length - 4096,
        whole.length - 1,
      ];
      for (const size of sizes) {
        writeFileSync(file(), whole.subarray(0, size));
        const backend = make(engine);
        expect([size, await refusal(backend.open())]).toEqual([size, damaged()]);
        expect([size, await refusal(backend.read("seed-1"))]).toEqual([size, damaged()]);
        await backend.close();
      }
    });

    test.each([
      ["all zeros", (size: number) => Buffer.alloc(size)],
      ["text", (size: number) => Buffer.from("These are not the sessions you are looking for.\n".repeat(size / 48))],
      ["a short text", () => Buffer.from("hello\n")],
      ["noise", (size: number) => Buffer.from(Array.from({ length: size }, (_, index) => (index * 7919) % 251))],
    ])("%s is refused, and left as it was", async (_, content) => {
      await seed(engine, 20);
      const bytes = content(statSync(file()).size);
      writeFileSync(file(), bytes);
      expect(await refusal(make(engine).open())).toEqual(damaged());
      expect(readFileSync(file()).equals(bytes)).toBe(true);
    });

    test("with zeros in its middle fails with the way out, and never crashes", async () => {
      await seed(engine, 200);
      const size = statSync(file()).size;
      const fd = openSync(file(), "r+");
      writeSync(fd, Buffer.alloc(size - 8192), 0, size - 8192, 4096);
      closeSync(fd);
      const backend = make(engine);
      expect(await refusal(backend.read("seed-100"))).toEqual(damaged());
      expect(await refusal(backend.write("seed-100", record(), "any"))).toEqual(damaged());
      // As advised, while we run.
      renameSync(path, `${path}-damaged`);
      const { now } = performance;
      jest.spyOn(performance, "now").mockImplementation(() => now.call(performance) + 2000);
      expect(await backend.write("k", record(), "absent")).toBe(true);
    });

    // SQLite itself once made files of one byte, so it takes that for empty.
    test.each(["", "x"])("of nothing (%j) is a new database", async (content) => {
      mkdirSync(path, { mode: 0o700 });
      writeFileSync(file(), content);
      expect(await make(engine).write("k", record(), "absent")).toBe(true);
    });

    test.each(["DELETE", "WAL"])("of another program (%s) is refused, and left as it was", async (mode) => {
      mkdirSync(path, { mode: 0o700 });
      // In a process of its own, whose end closes it on either engine.
      const open = await loadEngine(engine);
      const database = open(file());
      database.exec(
        `PRAGMA journal_mode = ${mode}; CREATE TABLE records (theirs TEXT); INSERT INTO records VALUES ('x')`,
      );
      database.close();
      const before = readFileSync(file());
      expect(await refusal(make(engine).open())).toEqual({
        code: "STORE_UNUSABLE",
        status: 503,
        message: `${file()} belongs to another program. Name another folder in tokenizer.path.`,
      });
      expect(readFileSync(file()).equals(before)).toBe(true);
    });

    test("of a release whose tables are others is refused", async () => {
      const backend = make(engine);
      await backend.write("k", record(), "any");
      await backend.close();
      const open = await loadEngine(engine);
      const database = open(file());
      database.exec("PRAGMA user_version = 7");
      database.close();
      expect(await refusal(make(engine).open())).toEqual({
        code: "STORE_UNUSABLE",
        status: 503,
        message: `${file()} was made by another release of express-tokenizer, which keeps its tables otherwise. Use that release, or name another folder in tokenizer.path (everybody signs in again).`,
      });
    });
  });

  describe("67: while running", () => {
    /** Reads look at the file once a second. */
    const passASecond = () => {
      const { now } = performance;
      const start = now.call(performance) + 1001;
      let calls = 0;
      jest.spyOn(performance, "now").mockImplementation(() => start + calls++ / 1000);
    };

    test.each([
      ["the folder removed", () => rmSync(path, { recursive: true })],
      ["the folder moved away", () => renameSync(path, `${path}-away`)],
      ["the file removed", () => rmSync(file())],
      [
        "the file replaced by a copy",
        () => {
          writeFileSync(`${file()}-copy`, readFileSync(file()));
          renameSync(`${file()}-copy`, file());
        },
      ],
    ])("%s: the write that meets it is on disk, and it is said", async (_, harm) => {
      const backend = make(engine);
      await backend.write("before", record({ value: "1" }), "any");
      harm();
      expect(await backend.write("meets", record({ value: "2" }), "any")).toBe(true);
      expect(await backend.write("after", record({ value: "3" }), "any")).toBe(true);
      expect(await valuesOnDisk(engine, "meets", "after")).toEqual(["2", "3"]);
      expect(warnings).toEqual([removed()]);
    });

    test("the folder removed: what is touched or removed is not there any more", async () => {
      const backend = make(engine);
      for (const method of ["touch", "remove"] as const) {
        const stored = record();
        await backend.write("k", stored, "any");
        rmSync(path, { recursive: true });
        const call = { touch: () => backend.touch("k", FAR + 1, stored.version), remove: () => backend.remove("k") };
        expect(await call[method]()).toBe(false);
        expect(await backend.read("k")).toBeUndefined();
      }
    });

    test("the folder removed: reads notice it within a second, and say so once", async () => {
      const backend = make(engine);
      await backend.write("k", record(), "any");
      rmSync(path, { recursive: true });
      passASecond();
      expect(await backend.read("k")).toBeUndefined();
      expect(await backend.read("k")).toBeUndefined();
      expect(warnings).toEqual([removed()]);
      expect(await backend.write("k", record({ value: "new" }), "absent")).toBe(true);
      expect(await valuesOnDisk(engine, "k")).toEqual(["new"]);
    });

    test("the folder removed, and a file in its place: refused until it is gone", async () => {
      const backend = make(engine);
      await backend.write("k", record(), "any");
      rmSync(path, { recursive: true });
      writeFileSync(path, "a file");
      for (let time = 0; time < 2; time += 1) {
        expect(await refusal(backend.write("k", record(), "any"))).toEqual(unusableFolder("it is a file"));
      }
      rmSync(path);
      expect(await backend.write("k", record(), "absent")).toBe(true);
    });

    test("the folder removed under two processes: each heals, and neither takes the other's records away", async () => {
      const [first, second] = await Promise.all([start(engine), start(engine)]);
      for (const each of [first, second]) await each.run({ task: "write", key: "old", value: "0" });
      rmSync(path, { recursive: true });
      await first.run({ task: "write", key: "a", value: "1" });
      // Lets go of the removed file only now, when another is in its place.
      await second.run({ task: "write", key: "b", value: "2" });
      await first.run({ task: "write", key: "c", value: "3" });
      await Promise.all([first.run({ task: "close" }), second.run({ task: "close" })]);
      expect(await valuesOnDisk(engine, "old", "a", "b", "c")).toEqual([undefined, "1", "2", "3"]);
    });
  });

  describe("closing", () => {
    test("leaves no log behind, so nothing that was removed either", async () => {
      const backend = make(engine);
      await backend.write("k", record(), "any");
      await backend.remove("k");
      await backend.close();
      expect(statSync(join(path, "sessions.db-wal"), { throwIfNoEntry: false })?.size ?? 0).toBe(0);
    });

    test("69: each call after close is refused, and the file is not opened again", async () => {
      const backend = make(engine);
      await backend.write("k", record(), "any");
      await backend.close();
      rmSync(path, { recursive: true });
      const calls = [
        () => backend.open(),
        () => backend.read("k"),
        () => backend.write("k", record(), "any"),
        () => backend.touch("k", FAR, "v"),
        () => backend.remove("k"),
        () => backend.entries().next(),
        () => backend.prune(),
      ];
      for (const call of calls) expect(await refusal(call())).toEqual(closed);
      await backend.close();
      expect(existsSync(path)).toBe(false);
    });

    test("69: closed while it opens, it does not open", async () => {
      const backend = make(engine);
      const opening = refusal(backend.open());
      await backend.close();
      expect(await opening).toEqual(closed);
      expect(existsSync(path)).toBe(false);
    });

    test("69: closed while a write waits for a lock, the write is refused at once", async () => {
      const backend = make(engine, { timeout: 60_000 });
      await backend.open();
      const holder = await start(engine);
      await holder.run({ task: "hold" });
      const writing = refusal(backend.write("k", record(), "any"));
      await backend.close();
      expect(await writing).toEqual(closed);
    });

    test("69: closed between two pages, the rest is refused", async () => {
      const backend = make(engine);
      for (let index = 0; index < 300; index += 1) await backend.write(`k${index}`, record(), "any");
      const reading = (async () => {
        for await (const _ of backend.entries()) await backend.close();
      })();
      expect(await refusal(reading)).toEqual(closed);
    });

    test("lets go of its files, and installs no listener (72)", async () => {
      const user = await start(engine);
      await user.run({ task: "write", key: "k", value: "v" });
      const files = ["", "-wal", "-shm"].map((end) => `${file()}${end}`);
      expect([...new Set((await user.run({ task: "openFiles" })) as string[])].sort()).toEqual(files.sort());
      expect(await user.run({ task: "listeners" })).toEqual([]);
      await user.run({ task: "close" });
      expect(await user.run({ task: "openFiles" })).toEqual([]);
      expect(readdirSync(path)).toEqual(AT_REST);
    });
  });

  describe("cost", () => {
    test("prune takes large records in small steps, and all of them", async () => {
      let time = 1_000_000;
      const backend = make(engine, { now: () => time });
      const value = "x".repeat(100_000);
      for (let index = 0; index < 200; index += 1) {
        await backend.write(`session:${index}`, record({ value, expires: time + 1000 }), "any");
      }
      time += 2000;
      let turns = 0;
      const counting = setInterval(() => {
        turns += 1;
      }, 0);
      expect(await backend.prune()).toBe(200);
      clearInterval(counting);
      // In steps of 50 there would be four.
      expect(turns).toBeGreaterThan(8);
      expect(await backend.prune()).toBe(0);
    });

    test("thousands of calls and many openings leave no memory and no file behind", async () => {
      const user = await start(engine);
      const { bytes, files } = (await user.run({ task: "growth", times: 5000 })) as { bytes: number; files: number };
      // A statement for each call would be some kilobytes each.
      expect(bytes).toBeLessThan(12 * 1024 * 1024);
      expect(files).toBeLessThanOrEqual(6);
    });
  });
});

describe("a file written on one engine is read on the other", () => {
  const pairs = ENGINES.flatMap((one) => ENGINES.filter((two) => two !== one).map((two) => [one, two] as const));
  if (pairs.length === 0) {
    test("there is but one engine on this Node", () => expect(ENGINES).toEqual(["libsql"]));
    return;
  }

  test.each(pairs)("%s, then %s", async (one, two) => {
    // Processes of their own: two copies of SQLite in one process do not see each other's locks.
    const value = JSON.stringify({ text: "a\0b \ud800 🔑 é" });
    const written = record({ value, expires: 8.64e15 });
    const writer = await start(one);
    await writer.call("write", "session:k", written, "absent");
    await writer.run({ task: "increment", key: "count", times: 3 });
    // First beside the log that the writer leaves when it is killed, then without.
    await writer.kill();
    for (const isWhole of [false, true]) {
      expect(existsSync(`${file()}-wal`)).toBe(!isWhole);
      const reader = await start(two);
      expect(await reader.call("read", "session:k")).toEqual(written);
      expect(((await reader.call("read", "count")) as StoredRecord).value).toBe("3");
      await reader.run({ task: "close" });
      await reader.kill();
    }
    const next = record({ value: "moved on" });
    const changer = await start(two);
    expect(await changer.call("write", "session:k", next, { version: written.version })).toBe(true);
    await changer.kill();
    expect(await valuesOnDisk(one, "session:k", "count")).toEqual(["moved on", "3"]);
  });

  test.each(pairs)("%s and %s at once count up and lose nothing", async (one, two) => {
    const both = await Promise.all([start(one), start(two)]);
    await Promise.all(both.map((each) => each.run({ task: "increment", key: "count", times: 100 })));
    expect(await valuesOnDisk(one, "count")).toEqual(["200"]);
  });
});
