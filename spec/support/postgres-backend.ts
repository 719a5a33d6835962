/** PostgreSQL backends of specs, closed after the file's last one. */
import { afterAll } from "@jest/globals";
import { PostgresBackend, type PostgresBackendOptions } from "../../lib/backends/postgres/backend.js";

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
