/** Two clocks that differ: the engine's and ours. */

const MINUTE = 60_000;

/**
 * What to warn of, or nothing while they agree to within a minute.
 *
 * @param lead how far theirs is ahead of ours, in milliseconds
 * @param theirs whose it is: `Redis at 127.0.0.1:6379`
 */
export function clockWarning(lead: number, theirs: string): string | undefined {
  if (Math.abs(lead) <= MINUTE) return undefined;
  const difference = `${Math.round(Math.abs(lead) / MINUTE)} minutes ${lead > 0 ? "behind" : "ahead of"}`;
  return `The clock of this machine is about ${difference} that of ${theirs}: sessions end by the clock of the machine that serves them. Let NTP keep all clocks right.`;
}
