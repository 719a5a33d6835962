/** Files of a database in use are replaced or moved away: what stands there then is whole, and goes on. */
import { copyFileSync, readdirSync, renameSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "@jest/globals";
import {
  allOf,
  current,
  ENGINES,
  expectKept,
  file,
  more,
  newFolder,
  nothingLost,
  noticed,
  over,
  rest,
  restore,
  sinceOf,
  start,
  work,
} from "./cases.js";

describe.each(ENGINES)("on %s", (engine) => {
  describe("a backup put in the place of the database, the log left where it is", () => {
    test("under two that write, then a third: the backup is whole, and goes on", async () => {
      const [first, second] = await Promise.all([start(engine), start(engine)]);
      await Promise.all([work(first), work(second)]);
      const backup = newFolder("backup");
      const kept = allOf(first, second);
      await first.run({ task: "backUp", to: join(backup, "sessions.db") });
      await Promise.all([first, second].map((each) => each.until(() => each.acknowledged.length > 150)));
      restore(backup, "");
      const third = await start(engine);
      await Promise.all([work(third), ...[first, second].map(noticed)]);
      for (const each of [first, second]) expect(each.warnings[0]).toBe(over());
      await Promise.all([first, second].map(more));
      await expectKept(engine, [first, second, third], [...kept, ...sinceOf(first, second, third)]);
    });

    test("after kill -9: the backup is whole, and what the log held is said to be dropped", async () => {
      const first = await start(engine);
      await work(first);
      const kept = allOf(first);
      const backup = newFolder("backup");
      await first.run({ task: "backUp", to: join(backup, "sessions.db") });
      await first.until(() => first.acknowledged.length > 150);
      await first.kill();
      restore(backup, "");
      const second = await start(engine);
      await work(second);
      expect(second.warnings).toEqual([
        `The database ${file()} was replaced, and its log was not. The log was emptied: its changes were those of the former database.`,
      ]);
      await expectKept(engine, [first, second], [...kept, ...allOf(second)]);
    });
  });

  test("all three replaced by a backup of all three, under two that write, then a third: the backup is whole, and goes on", async () => {
    const [first, second] = await Promise.all([start(engine), start(engine)]);
    await Promise.all([work(first), work(second)]);
    await Promise.all([first, second].map(rest));
    const kept = allOf(first, second);
    const backup = newFolder("backup");
    const ends = ["", "-wal", "-shm"];
    for (const end of ends) copyFileSync(file(end), join(backup, `sessions.db${end}`));
    await Promise.all([work(first), work(second)]);
    restore(backup, ...ends);
    const third = await start(engine);
    await Promise.all([work(third), ...[first, second].map(noticed)]);
    await Promise.all([first, second].map(more));
    await expectKept(engine, [first, second, third], [...kept, ...sinceOf(first, second, third)]);
  });

  test("the log replaced by an older one, then a third, then kill -9: nothing is lost", async () => {
    const [first, second] = await Promise.all([start(engine), start(engine)]);
    await Promise.all([work(first), work(second)]);
    const backup = newFolder("backup");
    copyFileSync(file("-wal"), join(backup, "sessions.db-wal"));
    // Until what it holds is older than the database.
    await Promise.all([first, second].map((each) => each.until(() => each.acknowledged.length > 300)));
    restore(backup, "-wal");
    const third = await start(engine);
    await Promise.all([work(third), ...[first, second].map(noticed)]);
    expect([first, second].map((each) => each.warnings)).toEqual([[nothingLost()], [nothingLost()]]);
    await expectKept(engine, [first, second, third]);
  });

  test("the database moved away: it is whole where it is now", async () => {
    const worker = await start(engine);
    await work(worker);
    await rest(worker);
    const away = newFolder("away");
    renameSync(file(), join(away, "sessions.db"));
    await noticed(worker);
    expect(worker.warnings).toEqual([over()]);
    expect(readdirSync(current.path)).toEqual([".gitignore", "sessions.files"]);
    current.path = away;
    await expectKept(engine, [worker]);
  });
});
