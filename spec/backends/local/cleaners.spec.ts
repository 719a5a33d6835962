/** Programs that remove what looks unused. */
import { execFileSync } from "node:child_process";
import {
  chmodSync,
  existsSync,
  readdirSync,
  statfsSync,
  statSync,
  unlinkSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { afterEach, describe, expect, jest, test } from "@jest/globals";
import type { EngineName } from "../../../lib/backends/local/sqlite.js";
import { current, ENGINES, expectKept, file, make, newFolder, nothingLost, rest, start, work } from "./cases.js";

const DAY = 86_400_000;
const TMPFS = 0x01021994;

const mounted: string[] = [];

// The processes in it have been killed by then.
afterEach(() => {
  for (const each of mounted) execFileSync("umount", [each]);
  mounted.length = 0;
});

describe("cleaners by age", () => {
  /** A disk in memory: what is written to shared memory there never changes a file's times. */
  function mountTmpfs(): string | undefined {
    const folder = newFolder("tmpfs");
    try {
      execFileSync("mount", ["-t", "tmpfs", "-o", "size=64m", "tmpfs", folder], { stdio: "pipe" });
      mounted.push(folder);
      return folder;
    } catch (error) {
      console.info(`No tmpfs can be mounted here, so the disk stands for it: ${(error as Error).message.trim()}`);
      return undefined;
    }
  }

  /** By its own program where there is one; else by its rule (dir_cleanup in systemd's tmpfiles.c). */
  function clean(folder: string): void {
    const config = join(folder, "..", "clean.conf");
    writeFileSync(config, ["e", folder, "- - - aAmM:10d\n"].join(" "));
    try {
      execFileSync("systemd-tmpfiles", ["--clean", config], { stdio: "pipe" });
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== "ENOENT") throw error;
      console.info("systemd-tmpfiles is not installed here, its rule is applied by hand.");
      for (const name of readdirSync(folder)) {
        const { mode, atimeMs, mtimeMs } = statSync(join(folder, name));
        if (!(mode & 0o1000) && Math.max(atimeMs, mtimeMs) < Date.now() - 10 * DAY) unlinkSync(join(folder, name));
      }
    }
  }

  const age = (...ends: string[]) => {
    const past = new Date(Date.now() - 20 * DAY);
    for (const end of ends) utimesSync(file(end), past, past);
  };

  const engine = ENGINES[0] as EngineName;

  test.each([
    ["systemd-tmpfiles leaves an index that looks unused alone", 0o1600, true],
    ["systemd-tmpfiles removes an index without the sticky bit", 0o600, false],
  ])("%s; one runs, the next starts, the first ends: nothing is lost", async (_, mode, isLeft) => {
    const tmpfs = mountTmpfs();
    if (tmpfs) current.path = join(tmpfs, "tokens");
    const first = await start(engine);
    await work(first);
    await rest(first);
    if (tmpfs) expect(statfsSync(current.path).type).toBe(TMPFS);
    expect(statSync(file("-shm")).mode & 0o7777).toBe(0o1600);
    chmodSync(file("-shm"), mode);
    age("-shm");
    clean(current.path);
    expect(existsSync(file("-shm"))).toBe(isLeft);

    await work(first);
    const second = await start(engine);
    await work(second);
    await rest(first);
    await first.run({ task: "close" });
    await first.kill();
    await second.until(() => second.acknowledged.length > 150);
    const third = await start(engine);
    await work(third);
    await rest(second);
    await second.run({ task: "close" });
    await third.until(() => third.acknowledged.length > 100);
    expect(first.warnings).toEqual(isLeft ? [] : [nothingLost()]);
    await expectKept(engine, [first, second, third]);
  });

  test("all files have the sticky bit, those of earlier starts, too", async () => {
    const first = make(engine);
    await first.open();
    const names = readdirSync(current.path).filter((name) => name !== ".gitignore");
    for (const name of names) chmodSync(join(current.path, name), 0o600);
    const second = make(engine);
    await second.open();
    for (const name of ["sessions.db", "sessions.db-wal"])
      expect(statSync(join(current.path, name)).mode & 0o7777).toBe(0o1600);
    expect(names.sort()).toEqual(["sessions.db", "sessions.db-shm", "sessions.db-wal", "sessions.files"]);
  });

  test("once an hour the times of all files are renewed, for cleaners that know nothing of the sticky bit", async () => {
    jest.useFakeTimers({ doNotFake: ["performance", "nextTick", "setImmediate", "setTimeout", "Date"] });
    try {
      const backend = make(engine);
      await backend.open();
      await jest.advanceTimersByTimeAsync(1000);
      const names = readdirSync(current.path);
      expect(names).toHaveLength(5);
      const ageAll = () => {
        const past = new Date(Date.now() - 20 * DAY);
        for (const name of names) utimesSync(join(current.path, name), past, past);
      };
      const youngest = () => Math.max(...names.map((name) => Date.now() - statSync(join(current.path, name)).mtimeMs));
      ageAll();
      await jest.advanceTimersByTimeAsync(1000);
      expect(youngest()).toBeGreaterThan(DAY);
      const { now } = performance;
      jest.spyOn(performance, "now").mockImplementation(() => now.call(performance) + 3_600_001);
      await jest.advanceTimersByTimeAsync(1000);
      expect(youngest()).toBeLessThan(DAY);
    } finally {
      jest.useRealTimers();
    }
  });
});
