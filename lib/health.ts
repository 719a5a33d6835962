/** Whether the backend answers, and how fast: for a readiness probe. */
import type { Backend } from "./backends/backend.js";
import { Deadline } from "./deadline.js";
import { TokenizerError } from "./errors.js";

/** How the backend answered a moment ago. */
export interface Health {
  /** Whether the backend answered, and in time. */
  readonly ok: boolean;
  /** How long it took, in milliseconds. */
  readonly milliseconds: number;
  /** Why it is not ok; missing when it is. */
  readonly error?: TokenizerError;
}

/**
 * Asks the backend for a record. Never rejects.
 *
 * @param timeout in milliseconds
 */
export async function checkHealth(backend: Backend, timeout: number): Promise<Health> {
  const started = performance.now();
  try {
    await Deadline.during(timeout, (deadline) => deadline.race(backend.read("health")));
    return { ok: true, milliseconds: performance.now() - started };
  } catch (cause) {
    const error =
      cause instanceof TokenizerError
        ? cause
        : new TokenizerError("STORE_UNAVAILABLE", "The session store failed.", { cause });
    return { ok: false, milliseconds: performance.now() - started, error };
  }
}
