/** Files of a database in use are removed, by a backup program or by people: nothing that was acknowledged is lost. */
import { copyFileSync, rmSync, utimesSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, jest, test } from "@jest/globals";
import { Connection } from "../../../lib/backends/local/connection.js";
import {
  allOf,
  current,
  ENGINES,
  expectKept,
  expectThere,
  file,
  make,
  more,
  newFolder,
  nothingLost,
  noticed,
  once,
  over,
  processes,
  record,
  remove,
  rest,
  start,
  underway,
  work,
} from "./cases.js";

describe.each(ENGINES)("on %s", (engine) => {
  describe.each([
    ["the index of the log", ["-shm"]],
    ["the log", ["-wal"]],
    ["both", ["-wal", "-shm"]],
  ])("%s removed", (_, ends) => {
    test("under two that write, then a third, then kill -9: nothing is lost", async () => {
      const [first, second] = await Promise.all([start(engine), start(engine)]);
      await Promise.all([work(first), work(second)]);
      remove(...ends);
      const third = await start(engine);
      await Promise.all([work(third), ...[first, second].map(noticed)]);
      await Promise.all([first, second, third].map(more));
      expect([first, second].map((each) => each.warnings)).toEqual([[nothingLost()], [nothingLost()]]);
      await expectKept(engine, [first, second, third]);
    });

    test("under two that are idle, then a third, then kill -9: nothing is lost", async () => {
      const [first, second] = await Promise.all([start(engine), start(engine)]);
      await Promise.all([work(first), work(second)]);
      await Promise.all([first, second].map(rest));
      remove(...ends);
      const third = await start(engine);
      await work(third);
      expect([first, second].map((each) => each.warnings)).toEqual([[nothingLost()], [nothingLost()]]);
      await expectKept(engine, [first, second, third]);
    });

    test("under one that is about to close: nothing is lost", async () => {
      const only = await start(engine);
      await work(only);
      await rest(only);
      remove(...ends);
      await only.run({ task: "close" });
      expect(only.warnings).toEqual([nothingLost()]);
      await expectKept(engine, [only]);
    });

    test("in a folder that was long untouched, by which alone it is seen: nothing is lost", async () => {
      const backend = make(engine);
      const past = new Date(Date.now() - 86_400_000);
      await backend.write("before", record("1"), "any");
      utimesSync(current.path, past, past);
      const { now } = performance;
      jest.spyOn(performance, "now").mockImplementation(() => now.call(performance) + 1001);
      await backend.read("before");
      remove(...ends);
      expect(await backend.write("after", record("2"), "absent")).toBe(true);
      expect(current.warnings).toEqual([nothingLost()]);
      await expectThere(engine, "before", "after");
    });
  });

  test("the log removed between a look and the write: it is in the database before it is acknowledged", async () => {
    const backend = make(engine);
    await backend.write("before", record("1"), "any");
    const { isWhole } = Connection.prototype;
    jest.spyOn(Connection.prototype, "isWhole").mockImplementationOnce(function (this: Connection) {
      const answer = isWhole.call(this);
      remove("-wal");
      return answer;
    });
    expect(await backend.write("meets", record("2"), "absent")).toBe(true);
    // As whoever finds no log finds it.
    const copy = newFolder("copy");
    copyFileSync(file(), join(copy, "sessions.db"));
    current.path = copy;
    await expectThere(engine, "before", "meets");
  });

  test("the database removed between a look and the write: the write is refused", async () => {
    const backend = make(engine);
    await backend.open();
    const { isWhole } = Connection.prototype;
    jest.spyOn(Connection.prototype, "isWhole").mockImplementationOnce(function (this: Connection) {
      const answer = isWhole.call(this);
      remove("");
      return answer;
    });
    await expect(backend.write("meets", record("1"), "absent")).rejects.toMatchObject({
      code: "STORE_UNAVAILABLE",
      message: underway(),
    });
    expect(await backend.write("after", record("2"), "absent")).toBe(true);
    expect(current.warnings).toEqual([over()]);
  });

  test("the log removed between a look and the write, while another program reads: acknowledged when it is kept", async () => {
    const backend = make(engine, 60_000);
    await backend.write("before", record("1"), "any");
    const browser = await start(engine);
    await browser.run({ task: "browse", inTransaction: true });
    const { isWhole } = Connection.prototype;
    jest.spyOn(Connection.prototype, "isWhole").mockImplementationOnce(function (this: Connection) {
      const answer = isWhole.call(this);
      remove("-wal");
      return answer;
    });
    let isAcknowledged = false;
    const writing = backend.write("meets", record("2"), "absent").finally(() => {
      isAcknowledged = true;
    });
    // Tried again and again.
    const looked = jest.spyOn(Connection.prototype, "abandon");
    while (looked.mock.calls.length < 3) await new Promise(setImmediate);
    expect(isAcknowledged).toBe(false);
    await browser.kill();
    expect(await writing).toBe(true);
    await backend.close();
    await expectThere(engine, "before", "meets");
  });

  test("the log removed while another program reads: refused until it is done, and then nothing is lost", async () => {
    const worker = await start(engine);
    await work(worker);
    const backend = make(engine, 100);
    await backend.open();
    const browser = await start(engine);
    await browser.run({ task: "browse", inTransaction: true });
    await more(worker);
    await worker.kill();
    remove("-wal");
    const write = () => backend.write("k", record("1"), "absent");
    await expect(write()).rejects.toMatchObject({
      code: "STORE_UNAVAILABLE",
      message: `The database ${file()} failed: its log cannot be moved into the database yet.`,
    });
    await browser.kill();
    expect(await once(write)).toBe(true);
    await backend.close();
    await expectKept(engine, [worker]);
  });

  test("one that stands still keeps a third out, who says why; nothing is damaged, whether it goes on or ends", async () => {
    const [first, second] = await Promise.all([start(engine), start(engine)]);
    await Promise.all([work(first), work(second)]);
    await rest(first);
    second.child.kill("SIGSTOP");
    remove("-shm");
    await noticed(first);
    const third = make(engine, 100);
    const write = () => third.write("k", record("1"), "any");
    const refusal = {
      code: "STORE_UNAVAILABLE",
      message: `The database ${file()} failed: another process uses it with files that were removed or replaced since. It lets go of them within a second, unless it stands still, or is another program: then end it.`,
    };
    await expect(write()).rejects.toMatchObject(refusal);
    second.child.kill("SIGCONT");
    await noticed(second);
    await more(second);
    expect(await once(write)).toBe(true);

    second.child.kill("SIGSTOP");
    remove("-shm");
    await expect(write()).rejects.toMatchObject(refusal);
    await second.kill();
    expect(await once(write)).toBe(true);
    await expectKept(engine, [first, second]);
  });

  test("another program has the database open before the application starts: they share it", async () => {
    await work(await start(engine));
    for (const each of processes) await each.kill();
    const browser = await start(engine);
    rmSync(join(current.path, "sessions.files"));
    const at = Date.now();
    const clock = jest.spyOn(Date, "now").mockReturnValue(at);
    await browser.run({ task: "browse" });
    const backend = make(engine, 100);
    const write = () => backend.write("k", record("1"), "any");
    // Who made the index so shortly ago may not know the one of somebody else.
    await expect(write()).rejects.toMatchObject({ code: "STORE_UNAVAILABLE" });
    clock.mockReturnValue(at + 3_600_000);
    expect(await write()).toBe(true);
    jest.restoreAllMocks();
    await expectKept(engine, [...processes]);
  });

  test("another program makes an index of its own in that moment: nothing is mixed, and that something may be lost is said", async () => {
    // Its tables are in the database then, and not in the log alone.
    const first = make(engine);
    await first.open();
    await first.close();
    // It looks at its files each second, and must not before the other program has begun.
    jest.spyOn(globalThis, "setInterval").mockImplementationOnce(() => setTimeout(() => {}, 0));
    const backend = make(engine, 100);
    await backend.write("before", record("1"), "any");
    const browser = await start(engine);
    remove("-wal", "-shm");
    await browser.run({ task: "browse" });
    const write = () => backend.write("after", record("2"), "any");
    await expect(write()).rejects.toMatchObject({ code: "STORE_UNAVAILABLE" });
    expect(current.warnings).toEqual([
      nothingLost().replace("nothing is lost", "what was changed since the log was last moved may be lost"),
    ]);
    await browser.kill();
    expect(await once(write)).toBe(true);
    await backend.close();
    await expectThere(engine, "after");
  });

  test("the log removed after kill -9: the next one says that something is lost, and goes on", async () => {
    const first = await start(engine);
    await work(first);
    await first.kill();
    remove("-wal");
    const second = await start(engine);
    await work(second);
    expect(second.warnings).toEqual([
      `The log of the database ${file()} was removed while nobody used it: the last changes before that are lost. Keep programs that clean up or restore away from this folder while the application runs.`,
    ]);
    await expectKept(engine, [second], allOf(second));
  });
});
