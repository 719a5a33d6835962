/** Changes that come in one turn of the loop: one transaction, and an outcome for each. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, afterEach, beforeEach, describe, expect, jest, test } from "@jest/globals";
import { LocalBackend } from "../../../lib/backends/local/backend.js";
import { Changes, type Done, type Work } from "../../../lib/backends/local/changes.js";
import { Connection } from "../../../lib/backends/local/connection.js";
import { type EngineName, hasNodeSqlite, loadEngine } from "../../../lib/backends/local/sqlite.js";

const ENGINES: readonly EngineName[] = hasNodeSqlite() ? ["node:sqlite", "libsql"] : ["libsql"];
const root = mkdtempSync(join(tmpdir(), "express-tokenizer-changes-"));
const END = Date.now() + 3_600_000;

afterAll(() => rmSync(root, { recursive: true, force: true }));

const outcomesOf = async (all: ReadonlyArray<Promise<boolean>>) =>
  (await Promise.allSettled(all)).map((one) =>
    one.status === "fulfilled" ? one.value : (one.reason as Error).message,
  );

describe.each(ENGINES)("on %s", (engine) => {
  let path: string;
  let backend: LocalBackend;
  let connection: Connection;
  let transactions: number;

  beforeEach(async () => {
    path = mkdtempSync(join(root, "case-"));
    backend = new LocalBackend({ path, engine }, { now: () => Date.now(), timeout: 30_000, warn: () => {} });
    await backend.open();
    connection = Connection.open(path, await loadEngine(engine), () => {});
    transactions = 0;
  });

  afterEach(async () => {
    jest.restoreAllMocks();
    connection.close();
    await backend.close();
  });

  const record = (version: string) => ({ value: `of ${version}`, version, expires: END });
  const add =
    (key: string): Work =>
    ({ statements }) =>
      statements.add.run(key, "value", "version", END, Date.now());
  const failing: Work = () => {
    throw new Error("this one fails");
  };
  /** Straight to the connection, each transaction counted. */
  const straight = async (work: (connection: Connection) => Done) => {
    transactions++;
    return work(connection);
  };
  const keys = async () => {
    const found: string[] = [];
    for await (const { key } of backend.entries()) found.push(key);
    return found;
  };

  test("a conflict of one is not the others'", async () => {
    await backend.write("there", record("1"), "absent");
    const outcomes = await outcomesOf([
      backend.write("new", record("2"), "absent"),
      backend.write("there", record("3"), "absent"),
      backend.write("there", record("4"), { version: "another" }),
      backend.write("there", record("5"), { version: "1" }),
      backend.touch("nowhere", END, "1"),
      backend.remove("nowhere"),
      backend.remove("new"),
    ]);
    expect(outcomes).toEqual([true, false, false, true, false, false, true]);
    expect([await keys(), (await backend.read("there"))?.version]).toEqual([["there"], "5"]);
  });

  test("twenty of one turn are one transaction, committed before anybody is told", async () => {
    const changes = new Changes(straight);
    const told: Promise<string[]>[] = [];
    const all = Array.from({ length: 20 }, async (_, n) => {
      const isMade = await changes.add(`key ${n}`, add(`key ${n}`));
      // Seen over another connection: that is on disk.
      told.push(keys());
      return isMade;
    });
    expect(await outcomesOf(all)).toEqual(Array(20).fill(true));
    expect((await Promise.all(told)).map(({ length }) => length)).toEqual(Array(20).fill(20));
    expect(transactions).toBe(1);
  });

  test("one that fails is told so, and takes none with it", async () => {
    const changes = new Changes(straight);
    const all = [add("before"), failing, add("after")].map((work, n) => changes.add(`key ${n}`, work));
    expect(await outcomesOf(all)).toEqual([true, "this one fails", true]);
    expect(await keys()).toEqual(["after", "before"]);
  });

  test("one that fails in the database is told why, and takes none with it", async () => {
    connection.database.exec(`
      CREATE TRIGGER refusing BEFORE INSERT ON records WHEN NEW.key = 'bad'
      BEGIN SELECT RAISE(ABORT, 'this one fails'); END
    `);
    const all = ["before", "bad", "after"].map((key) => backend.write(key, record(key), "absent"));
    expect(await outcomesOf(all)).toEqual([true, expect.stringMatching(/failed: this one fails/), true]);
    expect(await keys()).toEqual(["after", "before"]);
  });

  test("those beside one that fails are made again, and the loop goes on after 5 ms", async () => {
    const changes = new Changes(straight);
    let now = 0;
    jest.spyOn(performance, "now").mockImplementation(() => now);
    const slow = (n: number): Work => {
      const work = n === 1 ? failing : add(`key ${n}`);
      return (to) => {
        now += 2;
        return work(to);
      };
    };
    const order: string[] = [];
    setImmediate(() => setImmediate(() => order.push("something else")));
    const all = Array.from({ length: 7 }, (_, n) => changes.add(`key ${n}`, slow(n)));
    for (const [n, one] of all.entries())
      one.then(
        () => order.push(`key ${n}`),
        () => order.push(`not key ${n}`),
      );
    expect(await outcomesOf(all)).toEqual([true, "this one fails", true, true, true, true, true]);
    expect(order.indexOf("something else")).toBe(3);
  });

  test("a fault of the commit is everybody's of that turn, and of no other", async () => {
    const changes = new Changes(straight);
    const commit = jest.spyOn(connection.statements.commit, "run").mockImplementationOnce(() => {
      throw new Error("disk I/O error");
    });
    const all = [changes.add("one", add("one")), changes.add("two", add("two"))];
    expect(await outcomesOf(all)).toEqual(["disk I/O error", "disk I/O error"]);
    expect([await keys(), transactions]).toEqual([[], 1]);
    const next = [changes.add("one", add("one")), changes.add("two", add("two"))];
    expect(await outcomesOf(next)).toEqual([true, true]);
    expect([await keys(), commit.mock.calls.length]).toEqual([["one", "two"], 2]);
  });

  test("after 5 ms the loop goes on, and what is left is another transaction", async () => {
    const changes = new Changes(straight);
    let now = 0;
    jest.spyOn(performance, "now").mockImplementation(() => now);
    const slow =
      (key: string): Work =>
      (to) => {
        now += 2;
        return add(key)(to);
      };
    const order: string[] = [];
    setImmediate(() => setImmediate(() => order.push("something else")));
    const all = Array.from({ length: 7 }, (_, n) =>
      changes.add(`key ${n}`, slow(`key ${n}`)).then((isMade) => {
        order.push(`key ${n}`);
        return isMade;
      }),
    );
    expect(await outcomesOf(all)).toEqual(Array(7).fill(true));
    expect(transactions).toBe(3);
    expect(order.indexOf("something else")).toBe(3);
  });

  test("whoever looks at a record meets what was to be done to it, by the clock of then", async () => {
    await backend.write("a", record("1"), "absent");
    let now = Date.now();
    jest.spyOn(Date, "now").mockImplementation(() => now);
    const touching = backend.touch("a", END + 1000, "1");
    now = END;
    expect((await backend.read("a"))?.expires).toBe(END + 1000);
    expect(await touching).toBe(true);
    const removing = backend.remove("a");
    expect(await keys()).toEqual([]);
    expect(await removing).toBe(true);
    const writing = backend.write("b", record("2"), "absent");
    await backend.close();
    expect(await writing).toBe(true);
  });

  test("who looks at a record whose change waits for another connection's lock does not wait for that", async () => {
    await backend.write("a", record("1"), "absent");
    connection.database.exec("BEGIN IMMEDIATE");
    const writing = backend.write("a", record("2"), { version: "1" });
    const found = backend.read("a");
    expect(found).toMatchObject({ version: "1" });
    connection.database.exec("COMMIT");
    expect(await writing).toBe(true);
    expect(backend.read("a")).toMatchObject({ version: "2" });
  });

  test("what is made on closing is told as made, also where the last connection takes the log with it", async () => {
    connection.close();
    const writing = [backend.write("a", record("1"), "absent"), backend.write("b", record("2"), "absent")];
    await backend.close();
    expect(await outcomesOf(writing)).toEqual([true, true]);
  });

  test("another connection's lock is waited for, by all of them", async () => {
    connection.database.exec("BEGIN IMMEDIATE");
    const all = Array.from({ length: 5 }, (_, n) => backend.write(`key ${n}`, record(String(n)), "absent"));
    await new Promise((resolve) => setImmediate(resolve));
    expect(await keys()).toEqual([]);
    connection.database.exec("COMMIT");
    expect(await outcomesOf(all)).toEqual(Array(5).fill(true));
    expect(await keys()).toHaveLength(5);
  });
});
