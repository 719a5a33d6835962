/** Whether the clocks of servers differ from ours. */
import { clockWarning } from "../clock.js";
import type { Owner } from "./servers.js";

/**
 * A warning for each server whose clock is wrong, or ours. Those that may not be asked are passed over.
 *
 * @param now milliseconds since 1970
 */
export async function clockWarnings(
  connections: Iterable<Owner>,
  now: () => number,
  giveUpAt: number,
): Promise<readonly string[]> {
  const asked = [...connections].map(async (connection) => {
    const lead = timeIn(await connection.send(["TIME"], giveUpAt)) - now();
    return Number.isNaN(lead) ? undefined : clockWarning(lead, `Redis at ${connection.server}`);
  });
  const warnings = await Promise.all(asked.map((one) => one.catch(() => undefined)));
  return warnings.filter((warning) => warning !== undefined);
}

/** Seconds and microseconds, in milliseconds. */
function timeIn(answer: unknown): number {
  const [seconds, microseconds] = Array.isArray(answer) ? answer.map(Number) : [];
  return (seconds ?? Number.NaN) * 1000 + (microseconds ?? Number.NaN) / 1000;
}
