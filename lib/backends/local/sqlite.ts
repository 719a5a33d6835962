/** One face for the two SQLite engines: Node's own, and the package libsql for Node before 22.13. */
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { TokenizerError } from "../../errors.js";

/** What `local` needs of an engine. Both have it, under the same names. */
export interface Database {
  exec(sql: string): unknown;
  prepare(sql: string): Statement;
  close(): unknown;
}

export interface Statement {
  run(...values: Array<string | number>): { changes: number | bigint };
  get(...values: Array<string | number>): unknown;
  all(...values: Array<string | number>): unknown[];
}

/** Opens a database file, which is created when it is missing. Throws the engine's own errors. */
export type OpenDatabase = (file: string) => Database;

export type EngineName = "node:sqlite" | "libsql";

/** SQLite's result codes (sqlite.org/rescode.html), without the extended part. */
const RESULT = { busy: 5, locked: 6, readonly: 8, corrupt: 11, constraint: 19, notadb: 26 } as const;

/**
 * Loads the engine: Node's own where there is one.
 *
 * @throws TokenizerError `PACKAGE_MISSING`
 */
export async function loadEngine(name: EngineName = hasNodeSqlite() ? "node:sqlite" : "libsql"): Promise<OpenDatabase> {
  if (name === "node:sqlite") {
    const { DatabaseSync }: typeof import("node:sqlite") = require("node:sqlite");
    const memory = new DatabaseSync(":memory:");
    const isOld = !takesNumbers(memory);
    memory.close();
    return (file) => (isOld ? withPlainParameters(new DatabaseSync(file)) : new DatabaseSync(file));
  }
  try {
    const LibsqlDatabase: typeof import("libsql") = require("libsql");
    isLibsqlLoaded = true;
    return (file) => new LibsqlDatabase(file);
  } catch (cause) {
    const advice = `Node ${process.versions.node} has no SQLite of its own: run "npm install libsql", or use Node 22.13 or later.`;
    throw new TokenizerError("PACKAGE_MISSING", `tokenizer.type: local needs an SQLite engine. ${advice}`, { cause });
  }
}

let isLibsqlLoaded = false;

/**
 * Lets closed databases go of their files. Node's engine does by itself; libsql 0.5.29 only when each statement was
 * collected as garbage, which in a busy process takes minutes (tursodatabase/libsql-js#228). Until then it keeps its
 * locks. It takes the time of one whole collection, so it is for what hardly ever happens.
 */
export function letGoOfClosed(): void {
  if (!isLibsqlLoaded) return;
  setFlagsFromString("--expose-gc");
  const collect = runInNewContext("gc") as () => void;
  // In a turn of its own, in which no caller's variables hold a statement.
  setImmediate(collect);
}

/** Without a flag since 22.13. */
export function hasNodeSqlite(): boolean {
  const [major = 0, minor = 0] = process.versions.node.split(".").map(Number);
  return major > 22 || (major === 22 && minor >= 13);
}

/** Damage that the engines do not notice by themselves. */
export function damage(message: string): Error {
  return Object.assign(new Error(message), { errcode: RESULT.corrupt });
}

/** Not now: `isBusy` recognises it, and what was tried is tried again. */
export class InUse extends Error {
  readonly errcode = RESULT.busy;
}

/** Whether another connection holds the lock that was wanted. */
export function isBusy(error: unknown): boolean {
  const code = resultCode(error);
  return code === RESULT.busy || code === RESULT.locked;
}

/** Whether a condition of a table was not met. */
export function isConstraint(error: unknown): boolean {
  return resultCode(error) === RESULT.constraint;
}

/** Whether the file is damaged or is no database. */
export function isDamaged(error: unknown): boolean {
  const code = resultCode(error);
  return code === RESULT.corrupt || code === RESULT.notadb;
}

/** Whether we may not write there. */
export function isForbidden(error: unknown): boolean {
  const { code } = error as NodeJS.ErrnoException;
  return code === "EACCES" || code === "EPERM" || code === "EROFS" || resultCode(error) === RESULT.readonly;
}

/** node:sqlite and libsql keep it under different names; libsql's `code` has no name for most extended codes. */
function resultCode(error: unknown): number | undefined {
  const { errcode, rawCode } = error as { errcode?: unknown; rawCode?: unknown };
  const code = errcode ?? rawCode;
  return typeof code === "number" ? code & 0xff : undefined;
}

/** Node's own engine takes the 1 of `?1` for a name before 22.20 and 24.7 (nodejs/node#59340). */
export function takesNumbers(database: Database): boolean {
  try {
    database.prepare("SELECT ?1").get(1);
    return true;
  } catch {
    return false;
  }
}

/** The same database, where each `?N` goes to the engine as a plain `?`, and the values in the order of these. */
export function withPlainParameters(database: Database): Database {
  return {
    exec: (sql) => database.exec(sql),
    close: () => database.close(),
    prepare(sql) {
      const order: number[] = [];
      const plain = sql.replace(/\?(\d+)/g, (_, number) => {
        order.push(Number(number) - 1);
        return "?";
      });
      const statement = database.prepare(plain);
      if (order.length === 0) return statement;
      const inOrder = (values: ReadonlyArray<string | number>) =>
        order.map((index) => values[index] as string | number);
      return {
        run: (...values) => statement.run(...inOrder(values)),
        get: (...values) => statement.get(...inOrder(values)),
        all: (...values) => statement.all(...inOrder(values)),
      };
    },
  };
}
