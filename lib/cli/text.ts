/** What is printed: cells, times, counts. */
import { visible } from "../visible.js";

/** Cells of one line; each as wide as told, and the last as wide as it is. */
export function columns(cells: readonly string[], widths: readonly number[]): string {
  return cells
    .map((cell, at) => visible(cell).padEnd(widths[at] ?? 0))
    .join("  ")
    .trimEnd();
}

/** `2026-01-31 23:59:59`, by this machine's clock and time zone. */
export function localTime(time: Date): string {
  const day = [time.getFullYear(), time.getMonth() + 1, time.getDate()];
  const hour = [time.getHours(), time.getMinutes(), time.getSeconds()];
  return `${day.map(twoDigits).join("-")} ${hour.map(twoDigits).join(":")}`;
}

/** `1 session`, `2 sessions`. */
export function counted(count: number, noun: string): string {
  return `${count} ${noun}${count === 1 ? "" : "s"}`;
}

const twoDigits = (part: number): string => String(part).padStart(2, "0");
