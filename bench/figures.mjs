// Figures of several rounds, and how the results tell them.
import { readFileSync } from "node:fs";
import { cpus } from "node:os";

export function median(values) {
  const sorted = [...values].sort((one, other) => one - other);
  const middle = Math.floor(sorted.length / 2);
  return sorted.length % 2 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
}

/** The median with the smallest and the largest. */
export function spread(values, digits) {
  const [least, most] = [Math.min(...values), Math.max(...values)];
  return `${told(median(values), digits)} (${told(least, digits)} to ${told(most, digits)})`;
}

/** The median with the quartiles. */
export function quartiles(values, digits) {
  const sorted = [...values].sort((one, other) => one - other);
  const at = (share) => told(sorted[Math.round((sorted.length - 1) * share)], digits);
  return `${told(median(values), digits)} [${at(0.25)}–${at(0.75)}]`;
}

/** With its thousands set apart. */
export function told(value, digits = 0) {
  return value.toLocaleString("en", { minimumFractionDigits: digits, maximumFractionDigits: digits });
}

/** Aligned, as the formatter has it. */
export function table(titles, rows) {
  const widths = titles.map((title, column) => Math.max(3, title.length, ...rows.map((cells) => cells[column].length)));
  const line = (cells) =>
    `| ${cells.map((cell, column) => (column === 0 ? cell.padEnd(widths[0]) : cell.padStart(widths[column]))).join(" | ")} |`;
  const rule = widths.map((width, column) => (column === 0 ? "-".repeat(width) : `${"-".repeat(width - 1)}:`));
  return [line(titles), line(rule), ...rows.map(line), ""];
}

/** When and on what. */
export function place(versions) {
  const [{ model = "an unknown processor" } = {}] = cpus();
  return `${new Date().toISOString().slice(0, 10)}, ${model}, ${versions.join(", ")}.`;
}

/** What the sessions were kept in, as `place` takes it. */
export function enginesOf({ redis, postgres }) {
  return Object.entries({ Redis: redis, PostgreSQL: postgres }).map(
    ([name, it]) => `${name} ${it?.version ?? "left out"}`,
  );
}

/** A peer, with the version that is installed here. */
export function versioned(name) {
  const file = new URL(`node_modules/${name}/package.json`, import.meta.url);
  return `${name} ${JSON.parse(readFileSync(file, "utf8")).version}`;
}
