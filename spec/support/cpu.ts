/**
 * How long this process has worked, in milliseconds, all its threads together. Unlike the clock it hardly moves while
 * others have the processors.
 */
export function cpuTime(): number {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1000;
}
