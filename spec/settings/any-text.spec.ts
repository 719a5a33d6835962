import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, test } from "@jest/globals";
import fc from "fast-check";
import { TokenizerError } from "../../lib/errors.js";
import { loadSettings } from "../../lib/settings/load.js";
import { settingsSchema } from "../../lib/settings/schema.js";
import { cpuTime } from "../support/cpu.js";
import { isFull } from "../support/redis-server.js";

const RUNS = isFull ? 20_000 : 300;
/** Milliseconds of work, some ten times what it takes, and bytes of heap. */
const BOUNDS = { time: 5000, heap: 100 * 1024 * 1024 };

const folder = mkdtempSync(join(tmpdir(), "any-text-spec-"));
const file = join(folder, "settings.yml");
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** Whether the text is taken, or refused as a text; anything else is thrown. */
function isTaken(content: string | Uint8Array): boolean {
  writeFileSync(file, content, { mode: 0o600 });
  const [start, heap] = [cpuTime(), process.memoryUsage().heapUsed];
  try {
    loadSettings(file, { log: { warn: () => {} }, env: {} });
    return true;
  } catch (error) {
    if (!(error instanceof TokenizerError)) throw error;
    expect(error.code).toBe("SETTINGS_INVALID");
    expect(error.faults.length).toBeGreaterThan(0);
    return false;
  } finally {
    expect(cpuTime() - start).toBeLessThan(BOUNDS.time);
    expect(process.memoryUsage().heapUsed - heap).toBeLessThan(BOUNDS.heap);
  }
}

const keys = Object.keys(settingsSchema.properties.tokenizer.properties);
/** Of what YAML is made. */
const piece = fc.constantFrom(
  ...[
    "tokenizer:",
    "authenticator:",
    "type: ",
    "local",
    "redis",
    "postgres",
    "\n",
    "\n  ",
    "\n    ",
    "- ",
    "? ",
    ": ",
    "#",
    "---\n",
    "...\n",
  ],
  ...[
    "&a ",
    "*a",
    "<<: *a",
    "!!js/function ",
    "!!binary ",
    "!!set ",
    "|\n",
    ">-\n",
    "'",
    '"',
    "{",
    "}",
    "[",
    "]",
    ",",
    "%YAML 1.2\n",
  ],
  ...[
    "0123",
    "1e5",
    "0x1F",
    "null",
    "~",
    "true",
    "20",
    "-1",
    ".nan",
    ".inf",
    "2026-11-23",
    "\t",
    "\uFEFF",
    "\u0000",
    "\u2028",
  ],
  ...["safe_password: ", "a long enough password", "__proto__: ", "constructor: ", ...keys.map((key) => `${key}: `)],
);
const yaml = fc.array(piece, { maxLength: 40 }).map((pieces) => pieces.join(""));
const scalar = fc.oneof(
  fc.json({ maxDepth: 3 }),
  fc.string({ unit: "binary" }).map((text) => JSON.stringify(text)),
  piece,
);
const section = fc
  .array(fc.tuple(fc.constantFrom(...keys), scalar), { maxLength: 6 })
  .map((pairs) => ["tokenizer:", ...pairs.map(([key, item]) => `  ${key}: ${item}`)].join("\n"));

test.each([
  ["any bytes", fc.uint8Array({ maxLength: 300 })],
  ["any text", fc.string({ unit: "binary", maxLength: 300 })],
  ["pieces of YAML", yaml],
  ["a section with any values", section],
] as Array<[string, fc.Arbitrary<string | Uint8Array>]>)(
  `%s: settings, or what is wrong with them; ${RUNS} times`,
  (_what, content) => {
    fc.assert(
      fc.property(content, (text) => {
        isTaken(text);
      }),
      { numRuns: RUNS },
    );
  },
);

test.each([
  ["deep nesting", `tokenizer: ${"[".repeat(100_000)}`],
  ["deep nesting that is closed", `tokenizer: ${"{a: ".repeat(20_000)}1${"}".repeat(20_000)}`],
  [
    "an alias bomb",
    [
      "a: &a [x,x,x,x,x,x,x,x,x]",
      ..."bcdefghijk".split("").map((letter, n) => `${letter}: &${letter} [${Array(9).fill(`*${"abcdefghij"[n]}`)}]`),
      "tokenizer: *k",
    ].join("\n"),
  ],
  ["ten megabytes of keys", Array.from({ length: 500_000 }, (_, n) => `key${n}: value`).join("\n")],
  ["one long line", `tokenizer: ${"x".repeat(5_000_000)}`],
  // As much as a file may have.
  ["many anchors", Array.from({ length: 14_000 }, (_, n) => `k${n}: &a${n} 1`).join("\n")],
  ["many documents", "---\na: 1\n".repeat(29_000)],
])("refused without much work and memory: %s", (_what, content) => {
  expect(isTaken(content)).toBe(false);
});
