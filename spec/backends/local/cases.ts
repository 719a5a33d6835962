/** A folder for each case, processes that work in it, and what of their work is kept. */
import { mkdtempSync, renameSync, rmSync, unlinkSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, afterEach, beforeEach, expect, jest } from "@jest/globals";
import { LocalBackend } from "../../../lib/backends/local/backend.js";
import { type EngineName, hasNodeSqlite } from "../../../lib/backends/local/sqlite.js";
import type { TokenizerError } from "../../../lib/errors.js";
import { LocalProcess } from "../../support/local-process.js";

export const ENGINES: readonly EngineName[] = hasNodeSqlite() ? ["node:sqlite", "libsql"] : ["libsql"];
const FAR = Date.now() + 3_600_000;

const root = mkdtempSync(join(tmpdir(), "express-tokenizer-local-"));
/** Of the case that runs: its folder, and what was warned of in this process. */
export const current = { path: "", warnings: [] as string[] };
export const processes = new Set<LocalProcess>();
const opened = new Set<LocalBackend>();

beforeEach(() => {
  current.path = join(newFolder("case"), "tokens");
  current.warnings = [];
});

afterEach(async () => {
  jest.restoreAllMocks();
  for (const each of processes) await each.kill();
  for (const each of opened) await each.close();
  processes.clear();
  opened.clear();
});

afterAll(() => rmSync(root, { recursive: true, force: true }));

export const newFolder = (name: string) => mkdtempSync(join(root, `${name}-`));
export const file = (end = "") => join(current.path, `sessions.db${end}`);

export function remove(...ends: string[]): void {
  for (const end of ends) unlinkSync(file(end));
}

/** Puts files of another folder in the place of those that are there. */
export function restore(folder: string, ...ends: string[]): void {
  for (const end of ends) renameSync(join(folder, `sessions.db${end}`), file(end));
}

export const nothingLost = () =>
  `The log of the database ${file()}, or the log's index, was removed or replaced while in use: nothing is lost. Keep programs that clean up or restore away from this folder while the application runs.`;
export const over = () => `The database ${file()} was removed or replaced while in use: its sessions are over.`;
export const underway = () =>
  `The database ${file()} was removed or replaced while it was written. Service goes on with what is there now.`;

export async function start(engine: EngineName): Promise<LocalProcess> {
  const started = await LocalProcess.start({ path: current.path, engine });
  processes.add(started);
  return started;
}

export function make(engine: EngineName, timeout = 2000): LocalBackend {
  const { path, warnings } = current;
  const backend = new LocalBackend({ path, engine }, { now: Date.now, timeout, warn: (text) => warnings.push(text) });
  opened.add(backend);
  return backend;
}

export const record = (value: string) => ({ value, version: value, expires: FAR });

/** Writes, until there are some more. */
export async function work(worker: LocalProcess): Promise<void> {
  await worker.run({ task: "work" });
  await more(worker);
}

export async function more(worker: LocalProcess): Promise<void> {
  const enough = worker.acknowledged.length + 50;
  await worker.until(() => worker.acknowledged.length >= enough);
}

export const rest = (worker: LocalProcess) => worker.run({ task: "rest" });
export const noticed = (worker: LocalProcess) => worker.until(() => worker.warnings.length > 0);

export const allOf = (...workers: LocalProcess[]) => workers.flatMap(({ acknowledged }) => acknowledged);
/** What was acknowledged after a process had noticed. */
export const sinceOf = (...workers: LocalProcess[]) =>
  workers.flatMap(({ acknowledged, acknowledgedBefore }) => acknowledged.slice(acknowledgedBefore));

/** Kills all, as kill -9 does, and looks with a new process for what was acknowledged. */
export async function expectKept(engine: EngineName, workers: LocalProcess[], keys = allOf(...workers)): Promise<void> {
  await Promise.all(workers.map((each) => each.kill()));
  expect(keys.length).toBeGreaterThanOrEqual(50);
  await expectThere(engine, ...keys);
  // A write may be under way when the database is replaced: it is refused, since nobody can tell.
  expect(workers.flatMap(({ refused }) => refused).filter((message) => message !== underway())).toEqual([]);
}

/** And the file is whole. */
export async function expectThere(engine: EngineName, ...keys: string[]): Promise<void> {
  const reader = await start(engine);
  expect(await reader.run({ task: "missing", keys })).toEqual({ missing: [], check: "ok" });
}

/** What a call answers once it is not refused any more. */
export async function once<T>(call: () => Promise<T>): Promise<T> {
  for (;;) {
    try {
      return await call();
    } catch (error) {
      if ((error as TokenizerError).code !== "STORE_UNAVAILABLE") throw error;
    }
  }
}
