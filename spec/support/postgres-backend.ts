/** PostgreSQL backends of specs, closed after the file's last one. */
import { inspect } from "node:util";
import { afterAll, expect, test } from "@jest/globals";
import { PostgresBackend, type PostgresBackendOptions } from "../../lib/backends/postgres/backend.js";
import { createStatements, grantStatements, tableOf } from "../../lib/backends/postgres/table.js";
import { type PostgresServer, type PostgresServerOptions, type Session, startPostgres } from "./postgres-server.js";
import { until } from "./redis-server.js";

export interface TestBackend {
  readonly backend: PostgresBackend;
  /** The time is the real one, and so many milliseconds. */
  readonly clock: { ahead: number };
  /** Each line that was logged. */
  readonly warnings: string[];
}

const made = new Set<PostgresBackend>();

afterAll(async () => {
  await Promise.all([...made].map((backend) => backend.close()));
});

/** A backend, not opened yet. `timeout` is milliseconds, by default more than a busy machine takes; `now` replaces the clock. */
export function makeBackend(
  options: Partial<PostgresBackendOptions> = {},
  { timeout = 30_000, now }: { timeout?: number; now?: () => number } = {},
): TestBackend {
  const clock = { ahead: 0 };
  const warnings: string[] = [];
  const backend = new PostgresBackend(
    { host: "127.0.0.1", table: "tokenizer_records", ...options },
    { now: now ?? (() => Date.now() + clock.ahead), timeout, warn: (message) => warnings.push(message) },
  );
  made.add(backend);
  return { backend, clock, warnings };
}

/** The user that `startServing` makes. */
export const APP = { username: "app", password: "never to be told 1" } as const;

/** A server with our table and a user who has the rights in service; what signs in there beside it. */
export async function startServing(options: PostgresServerOptions = {}) {
  const server = await startPostgres({ users: { [APP.username]: APP.password }, ...options });
  await makeTable(server);
  return { server, login: loginAt(server) };
}

export const loginAt = ({ port }: { readonly port: number }) => ({ ...APP, port, database: "postgres" });

/** Makes a table as `create-table` does, and grants what service needs. */
export async function makeTable(server: PostgresServer, name = "tokenizer_records", session?: Session): Promise<void> {
  const table = tableOf(name);
  const statements = [...createStatements(table), ...grantStatements(table, APP.username)];
  await server.sql(statements.join(";\n"), [], session);
}

let versions = 0;

/** A record that lives for a minute. */
export function record(value: string, expires = Date.now() + 60_000) {
  return { value, version: `version-${++versions}`, expires };
}

/** What a promise rejects with. */
export async function errorOf(work: unknown): Promise<Error & { code: string; status?: number }> {
  try {
    const answer = await work;
    return Object.assign(new Error(`It should have failed, and answered ${JSON.stringify(answer)}.`), { code: "" });
  } catch (error) {
    return error as Error & { code: string };
  }
}

/** The same as code and message. */
export async function failureOf(work: unknown): Promise<{ code: string; message: string }> {
  const { code, message } = await errorOf(work);
  return { code, message };
}

/** Waits until a backend serves. */
export function untilServed(backend: PostgresBackend): Promise<void> {
  return until("it serves", () => backend.write("served", record("x"), "any").catch(() => false));
}

export type Refusal = readonly [
  ...[name: string, options: () => Partial<PostgresBackendOptions>, code: string, message: RegExp],
  more?: {
    /** Milliseconds. Default: more than a busy machine takes to answer. */
    readonly timeout?: number;
    /** After it the same backend serves. */
    readonly mend?: () => unknown;
  },
];

/** Each must fail by the deadline, with nothing told that is secret, and serve when it is mended, without another open. */
export function refuses(rows: readonly Refusal[]): void {
  test.each(rows)("%s", async (_name, options, code, message, { timeout = 30_000, mend } = {}) => {
    const { backend } = makeBackend(options(), { timeout });
    const start = performance.now();
    const error = await errorOf(backend.open());
    expect([error.code, error.message]).toEqual([code, expect.stringMatching(message)]);
    expect(inspect(error, { depth: 9 })).not.toContain("never to be told");
    expect(performance.now() - start).toBeLessThan(5 * timeout);
    // Later calls fail in time, too.
    const read = await errorOf(backend.read("key"));
    if (read.code !== "") expect(read.status).toBe(503);
    if (!mend) return;
    await mend();
    await untilServed(backend);
    await backend.open();
  });
}
