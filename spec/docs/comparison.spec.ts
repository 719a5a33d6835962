/** docs/comparison.md and the README say of each store what bench/PROMISES.md counted. */
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { describe, expect, test } from "@jest/globals";

type Table = Record<string, Record<string, string>>;

const read = (file: string) => readFileSync(fileURLToPath(new URL(`../../${file}`, import.meta.url)), "utf8");
const comparison = read("docs/comparison.md");
const sections = ["## Stores of express-session", "## Other session layers"].map((heading) => {
  const [text = ""] = comparison.slice(comparison.indexOf(heading)).split(/\n(?=## )(?!## Stores|## Other)/);
  return { heading, text, table: tableOf(text) };
});
const counted = Object.entries(tableOf(read("bench/PROMISES.md"))).map(([row, counts]) => ({
  row,
  store: nameOf(row),
  counts,
}));

/** Which column of PROMISES.md a row is about, and what of it counts as kept. */
const KEPT: Record<string, [column: string, isKept: (count: string) => boolean]> = {
  "parallel requests lose nothing": ["kept of 50", (count) => count === "50"],
  "a late save brings no ended session back": ["back of 20", (count) => count === "0"],
  "a late touch brings no ended session back": ["back unchanged", (count) => count === "0"],
  "an answer never claims a save that failed": ["failed save", (status) => Number(status) >= 500],
  "ends at an absolute time": ["ends", (end) => end !== "never"],
  "an unchanged session costs few writes": ["wrote of 20", (count) => Number(count) <= 1],
  "session ids are hashed at rest": ["id at rest", (how) => how === "hidden"],
  "contents can be sealed": ["text at rest", (how) => how === "sealed"],
  "a user's sessions can be listed and ended": ["ended of 3", (count) => count === "3"],
};

describe.each(sections)("$heading", ({ text, table }) => {
  const cells = Object.entries(table).flatMap(([what, { found, ...stores }]) =>
    Object.entries(stores).map(([store, cell]) => ({ what, store, cell, found })),
  );

  test("its rows that were run are those that can be, and the others were read", () => {
    const run = new Set(cells.filter(({ found }) => found === "run").map(({ what }) => what));
    expect([...run].sort()).toEqual(Object.keys(KEPT).sort());
    expect(new Set(cells.map(({ found }) => found))).toEqual(new Set(["run", "read"]));
  });

  test.each(cells.filter(({ found }) => found === "run"))("$store: $what: $cell, as was counted", (one) => {
    const [column, isKept] = KEPT[one.what] ?? ["", () => false];
    const counts = counted.filter(({ store }) => store === one.store).map(({ counts }) => counts[column] ?? "");
    expect(counts.length).toBeGreaterThan(0);
    if (counts.includes("–")) expect(one.cell).toBe("–");
    else if (one.cell !== "P") expect(one.cell).toBe(counts.every(isKept) ? "Y" : "N");
  });

  test("every P has a line that names its store", () => {
    const notes = text.slice(text.indexOf("Theirs:")).replaceAll(/\s+/g, " ");
    const partly = cells.filter(({ cell }) => cell === "P");
    expect(partly.length).toBeGreaterThan(3);
    const unexplained = partly.filter(({ store }) => {
      const name = { "express-tokenizer": "Ours:", "AdonisJS session": "AdonisJS" }[store] ?? store;
      return !notes.includes(name);
    });
    expect(unexplained).toEqual([]);
  });
});

test("every store that was run has its column, and the other way round", () => {
  const columns = sections.flatMap(({ table }) => Object.values(table).flatMap(Object.keys));
  expect(new Set(columns)).toEqual(new Set([...counted.map(({ store }) => store), "found"]));
});

test("the versions that were run are those that the benchmark installs", () => {
  const { packages } = JSON.parse(read("bench/package-lock.json"));
  const versions = counted.flatMap(({ row }) => {
    const [, name = "", version] = /^(.+) (\d\S*)$/.exec(row) ?? [];
    return version ? [[name === "AdonisJS session" ? "@adonisjs/session" : name, version]] : [];
  });
  expect(versions.length).toBeGreaterThan(8);
  for (const [name, version] of versions) {
    expect({ name, version: packages[`node_modules/${name}`]?.version }).toEqual({ name, version });
  }
});

test("the README says of each store what docs/comparison.md says or bench/PROMISES.md counted", () => {
  const readme = read("README.md");
  const table = Object.entries(tableOf(readme.slice(readme.indexOf("## Five promises"))));
  expect(table.length).toBeGreaterThan(3);
  for (const [row, cells] of table) {
    for (const [column, cell] of Object.entries(cells)) {
      // Either way round: stores as columns, or as rows.
      const said = [...saidOf(column, row), ...saidOf(row, column)];
      expect({ row, column, said }).toEqual({ row, column, said: [cell] });
    }
  }
});

/** What is said of a store, once if it is the same everywhere. */
function saidOf(store: string, what: string): string[] {
  const column = what.replace(/^(kept of 50|back) .*/, (_, start) => (start === "back" ? "back of 20" : start));
  const counts = counted.filter((one) => one.store === store).map(({ counts }) => counts[column]);
  const cells = sections.map(({ table }) => table[what]?.[store]);
  return [...new Set([...counts, ...cells].filter((cell) => cell !== undefined))];
}

/** `express-tokenizer, local` → `express-tokenizer`, `connect-redis 10.0.0` → `connect-redis`. */
function nameOf(row: string): string {
  return row.replace(/,.*| \d.*/, "");
}

/** The first table of a text: by row, by column. */
function tableOf(text: string): Table {
  const lines = text.split("\n");
  const from = lines.findIndex((line) => line.startsWith("|"));
  const rows = lines.slice(
    from,
    lines.findIndex((line, index) => index > from && !line.startsWith("|")),
  );
  const [[, ...columns] = [], , ...body] = rows.map((row) => {
    const cells = row.split("|").slice(1, -1);
    return cells.map((cell) => cell.trim());
  });
  return Object.fromEntries(
    body.map(([what = "", ...values]) => [
      what,
      Object.fromEntries(columns.map((name, at) => [name, values[at] ?? ""])),
    ]),
  );
}
