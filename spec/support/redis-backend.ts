/** Redis backends of specs, closed after the file's last one. */
import { afterAll } from "@jest/globals";
import { RedisBackend, type RedisBackendOptions } from "../../lib/backends/redis/backend.js";
import type { RedisServer } from "./redis-server.js";

export interface TestBackend {
  readonly backend: RedisBackend;
  /** The time is the real one, and so many milliseconds. */
  readonly clock: { ahead: number };
  /** Each line that was logged. */
  readonly warnings: string[];
}

const made = new Set<RedisBackend>();

afterAll(async () => {
  await Promise.all([...made].map((backend) => backend.close()));
});

/** A backend, not opened yet. `timeout` is milliseconds, by default more than a busy machine takes; `now` replaces the clock. */
export function makeBackend(
  options: Partial<RedisBackendOptions> = {},
  { timeout = 30_000, now }: { timeout?: number; now?: () => number } = {},
): TestBackend {
  const clock = { ahead: 0 };
  const warnings: string[] = [];
  const backend = new RedisBackend(
    { host: "127.0.0.1", port: 6379, database: 0, prefix: "tokenizer:", ...options },
    { now: now ?? (() => Date.now() + clock.ahead), timeout, warn: (message) => warnings.push(message) },
  );
  made.add(backend);
  return { backend, clock, warnings };
}

export const onServer = ({ port }: Pick<RedisServer, "port">, options: Partial<RedisBackendOptions> = {}) =>
  makeBackend({ port, ...options });

let versions = 0;

/** A record that lives for a minute. */
export function record(value: string, expires = Date.now() + 60_000) {
  return { value, version: `version-${++versions}`, expires };
}

/** What a promise rejects with, as code and message. */
export async function failureOf(work: Promise<unknown>): Promise<{ code: string; message: string }> {
  const error = await work.then(
    (answer) => {
      throw new Error(`It should have failed, and answered ${JSON.stringify(answer)}.`);
    },
    (reason) => reason as Error & { code: string },
  );
  return { code: error.code, message: error.message };
}
