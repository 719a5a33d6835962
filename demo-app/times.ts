/** A moment in words, and to the minute. */

const MINUTE = 60_000; // milliseconds
const UNITS = [
  ["day", 24 * 60 * MINUTE],
  ["hour", 60 * MINUTE],
  ["minute", MINUTE],
] as const;

const relative = new Intl.RelativeTimeFormat("en-GB");
// With the zone, since it is the server's: without a script the browser cannot say its own.
const exact = new Intl.DateTimeFormat("en-GB", {
  day: "numeric",
  month: "short",
  year: "numeric",
  hour: "2-digit",
  minute: "2-digit",
  timeZoneName: "short",
});

export function ago(then: Date, now: number): string {
  const elapsed = now - then.getTime();
  const [unit, length] = UNITS.find(([, milliseconds]) => elapsed >= milliseconds) ?? [];
  // A moment still to come is that of a server whose clock is a little ahead.
  return unit === undefined ? "just now" : relative.format(-Math.floor(elapsed / length), unit);
}

export function exactly(then: Date): string {
  return exact.format(then);
}
