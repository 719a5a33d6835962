import { beforeEach, describe, expect, test } from "@jest/globals";

import { type Database, loadEngine, takesNumbers, withPlainParameters } from "../../../lib/backends/local/sqlite.js";

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
