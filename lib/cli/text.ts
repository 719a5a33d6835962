/** Text as a terminal shows it: how wide it is, cut, padded and wrapped; and times and counts. */
import stringWidth from "string-width";

/** Months without which a time of day says nothing, as `ls` has it. */
const HALF_A_YEAR = (365 / 2) * 24 * 60 * 60_000;

const MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

/** What a reader takes for one character: an accent belongs to its letter. */
const characters = new Intl.Segmenter("en", { granularity: "grapheme" });

/** Filled up with spaces to so many columns; what is longer stays. */
export function padded(text: string, width: number): string {
  return text + " ".repeat(Math.max(0, width - stringWidth(text)));
}

/** No wider than so many columns; a text that is cut ends with `…`. Escapes (`visible`) stay whole. */
export function cut(text: string, width: number): string {
  if (stringWidth(text) <= width) return text;
  let kept = "";
  for (const part of partsOf(text)) {
    if (stringWidth(kept + part) > width - 1) break;
    kept += part;
  }
  return `${kept}…`;
}

function partsOf(text: string): string[] {
  const pieces = text.split(/(\\u[\da-f]{4})/);
  return pieces.flatMap((piece, at) =>
    at % 2 === 1 ? piece : [...characters.segment(piece)].map(({ segment }) => segment),
  );
}

/**
 * Lines no wider than so many columns, broken between words. A word that is wider has a line of its own.
 *
 * @param indent in front of each line but the first
 */
export function wrapped(text: string, width: number, indent = ""): string {
  return text
    .split("\n")
    .map((line) => wrappedLine(line, width, indent))
    .join(`\n${indent}`);
}

function wrappedLine(line: string, width: number, indent: string): string {
  const [first = "", ...words] = line.split(" ");
  const lines = [first];
  for (const word of words) {
    const longer = `${lines.at(-1)} ${word}`;
    const room = lines.length === 1 ? width : width - stringWidth(indent);
    if (stringWidth(longer) <= room) lines[lines.length - 1] = longer;
    else lines.push(word);
  }
  return lines.join(`\n${indent}`);
}

/** Cells of one line; each as wide as told, and the last as wide as it is. */
export function columns(cells: readonly string[], widths: readonly number[]): string {
  return cells
    .map((cell, at) => padded(cell, widths[at] ?? 0))
    .join("  ")
    .trimEnd();
}

/** As `ls` tells it, by this machine's time zone: `Jan 31 23:59`, and `Jan 31  2027` where that is half a year from `now` or more. */
export function localTime(time: Date, now: number): string {
  const day = `${MONTHS[time.getMonth()]} ${String(time.getDate()).padStart(2)}`;
  const isNear = Math.abs(time.getTime() - now) < HALF_A_YEAR;
  const ofDay = `${twoDigits(time.getHours())}:${twoDigits(time.getMinutes())}`;
  return `${day} ${isNear ? ofDay : String(time.getFullYear()).padStart(5)}`;
}

/** `1 session`, `2 sessions`. */
export function counted(count: number, noun: string): string {
  return `${count} ${noun}${count === 1 ? "" : "s"}`;
}

const twoDigits = (part: number): string => String(part).padStart(2, "0");
