import { existsSync, mkdtempSync, readdirSync, readlinkSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeEach, describe, expect, test } from "@jest/globals";
import {
  type Database,
  letGoOfClosed,
  loadEngine,
  type Statement,
  takesNumbers,
  withPlainParameters,
} from "../../../lib/backends/local/sqlite.js";

let real: Database;
beforeEach(async () => {
  const open = await loadEngine("libsql");
  real = open(":memory:");
});

/** Takes ?1 for a name, as Node's own engine did: then there are more values than places for them. */
const old = (): Database => ({
  exec: (sql) => real.exec(sql),
  close: () => real.close(),
  prepare(sql) {
    if (!/\?\d/.test(sql)) return real.prepare(sql);
    const refuse = () => {
      throw new Error("column index out of range");
    };
    return { run: refuse, get: refuse, all: refuse };
  },
});

test("an engine that takes numbers is told from one that does not", () => {
  expect(takesNumbers(real)).toBe(true);
  expect(takesNumbers(old())).toBe(false);
  expect(takesNumbers(withPlainParameters(old()))).toBe(true);
});

describe("on one that does not", () => {
  test("each number gets its value, in whatever order and however often it stands there", () => {
    const database = withPlainParameters(old());
    database.exec("CREATE TABLE t (a, b, c)");
    expect(database.prepare("INSERT INTO t VALUES (?2, ?1, ?2)").run("one", "two")).toMatchObject({ changes: 1 });
    const select = "SELECT a, b, c, ?1 AS first FROM t WHERE b = ?2 AND a > ?1";
    const row = { a: "two", b: "one", c: "two", first: "a" };
    expect(database.prepare(select).get("a", "one")).toMatchObject(row);
    expect(database.prepare(select).all("a", "one")).toMatchObject([row]);
    expect(database.prepare(select).get("x", "one")).toBeUndefined();
  });

  test("plain parameters are left as they are", () => {
    const database = withPlainParameters(old());
    expect(database.prepare("SELECT ? AS a, ? AS b").get(1, 2)).toMatchObject({ a: 1, b: 2 });
  });
});

describe("a closed file of libsql", () => {
  const folder = mkdtempSync(join(tmpdir(), "sqlite-spec-"));
  afterAll(() => rmSync(folder, { recursive: true }));

  /** Of this process, where the system tells them. */
  const openFiles = () =>
    readdirSync("/proc/self/fd").filter((fd) => {
      try {
        return readlinkSync(`/proc/self/fd/${fd}`).startsWith(folder);
      } catch {
        return false;
      }
    });

  const turns = async () => {
    for (let turn = 0; turn < 5; turn += 1) await new Promise(setImmediate);
  };

  (existsSync("/proc/self/fd") ? test : test.skip)("is let go of when that is asked for, and no sooner", async () => {
    const open = await loadEngine("libsql");
    let database: Database | undefined = open(join(folder, "file.db"));
    let statement: Statement | undefined = database.prepare("SELECT 1");
    expect(statement.get()).toBeDefined();
    expect(openFiles()).not.toEqual([]);
    // As old as in a server: what is young is collected soon.
    for (let time = 0; time < 3; time += 1) {
      letGoOfClosed();
      await turns();
    }
    database.close();
    database = undefined;
    statement = undefined;
    await turns();
    // Once this fails, libsql lets go by itself, and letGoOfClosed is of no use any more.
    expect(openFiles()).not.toEqual([]);
    letGoOfClosed();
    await turns();
    expect(openFiles()).toEqual([]);
  });
});
