import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { afterEach, describe, expect, test } from "@jest/globals";
import { documentOf } from "../scripts/api/document.mjs";
import { ROOT } from "./support/packed.js";

describe("docs/api.md", () => {
  const { faults, page } = documentOf(ROOT);

  test("every public name has a comment, and every name and file that a comment names is there", () => {
    expect(faults).toEqual([]);
  });

  test("says what the comments say (npm run build && npm run api writes it)", () => {
    expect(page).not.toBe("");
    expect(readFileSync(join(ROOT, "docs/api.md"), "utf8")).toBe(page);
  });

  test("no two headings have the same anchor", () => {
    const headings = [...page.matchAll(/^#+ (.*)$/gm)].map(([, heading = ""]) => heading.toLowerCase());
    const anchors = headings.map((heading) => heading.replace(/[^\w\s-]/g, "").replaceAll(" ", "-"));
    expect(anchors.length).toBeGreaterThan(80);
    expect(anchors.filter((anchor, index) => anchors.indexOf(anchor) !== index)).toEqual([]);
  });

  test("shows nothing that is internal", () => {
    expect(page).not.toMatch(/@internal|#private|private constructor|removals|TokenStoreParts|UsersParts/);
  });
});

describe("a package", () => {
  let root: string | undefined;

  afterEach(() => {
    if (root !== undefined) rmSync(root, { recursive: true, force: true });
  });

  /** What there is to say of a package with these files, whose entry point is dist/index.d.ts. */
  function documented(files: Record<string, string>, names: readonly { name: string; as?: string }[]) {
    root = mkdtempSync(join(tmpdir(), "express-tokenizer-api-"));
    for (const [path, text] of Object.entries(files)) {
      mkdirSync(dirname(join(root, path)), { recursive: true });
      writeFileSync(join(root, path), text);
    }
    return documentOf(root, { entries: ["index.d.ts"], outline: [{ title: "All", names }] });
  }

  const faultsOf = (text: string, ...names: string[]) =>
    documented(
      { "dist/index.d.ts": text, "docs/there.md": "" },
      names.map((name) => ({ name })),
    ).faults;

  test.each([
    ["an interface", "export interface A {}", "A", "A has no comment"],
    ["a function", "export declare function a(): void;", "a", "a has no comment"],
    ["a constant", "export declare const a: number;", "a", "a has no comment"],
    ["a type", "export type A = string;", "A", "A has no comment"],
    ["a key", "/** A. */ export interface A { /** B. */ b: 1; c: 2 }", "A", "A.c has no comment"],
    ["a method of a class", "/** A. */ export declare class A { b(): void }", "A", "A.b has no comment"],
    ["a type's key", "/** A. */ export type A = B & { c: 1 }", "A", "A.c has no comment"],
    [
      "a key of an option that is written out",
      "/** A. */ export interface A { /** B. */ b: { c: 1 } }",
      "A",
      "A.b: its comment does not name c",
    ],
    [
      "what is added to another's",
      "declare global { namespace Express { interface Request { b: 1 } } }",
      "Express.Request",
      "Express.Request has no comment",
    ],
    ["a parameter", "/** A. */ export declare function a(b: string): void;", "a", "a: its comment does not name b"],
    [
      "an option in a parameter",
      "/** A takes `b`. */ export declare function a(b: { c: 1 }): void;",
      "a",
      "a: its comment does not name b.c",
    ],
  ])("finds %s without a comment", (_what, text, name, fault) => {
    expect(faultsOf(text, name)).toContain(fault);
  });

  test.each([
    ["`sessions.listt`", "A: its comment names sessions.listt, which is nowhere"],
    ["`req.signin`", "A: its comment names req.signin, which is nowhere"],
    ["{@link B}", "A: its comment names B, which is nowhere"],
    ["`docs/missing.md`", "A: its comment names docs/missing.md, which is nowhere"],
    ["A.\n@param b what", "A has no parameter b"],
    ["A.\n@deprecated since", "A: the page does not show @deprecated"],
  ])("finds that the comment %j leads nowhere", (comment, fault) => {
    expect(faultsOf(`/** ${comment} */ export interface A {}`, "A")).toEqual([fault]);
  });

  test.each(["`req.session`", "{@link A}", "`docs/there.md#heading`", "`sessions` and `A`"])(
    "has no fault by the comment %s",
    (comment) => {
      expect(faultsOf(`/** ${comment} */ export interface A {}`, "A")).toEqual([]);
    },
  );

  test("must have every public name in the outline, and nothing else there", () => {
    const text = "/** A. */ export interface A {}\n/** B. */ export interface B {}";
    expect(faultsOf(text, "A", "C")).toEqual(["B is not in the outline", "C of the outline is not public"]);
  });

  test("must have what a public name needs in the outline, also from another file", () => {
    const files = {
      "dist/index.d.ts": 'import { B } from "./b.js";\n/** A. */ export interface A { /** C. */ c: B }',
      "dist/b.d.ts": "/** B. */ export interface B {}\n/** Not needed. */ export interface D {}",
    };
    expect(documented(files, [{ name: "A" }]).faults).toEqual(["B is not in the outline"]);
  });

  test("a file's heading is no comment of its first name", () => {
    const files = {
      "dist/index.d.ts": 'export { type A } from "./a.js";',
      "dist/a.d.ts": "/** What lives in it. */\nexport interface A {}",
      "lib/a.ts": "/** What lives in it. */\nexport interface A {}",
    };
    expect(documented(files, [{ name: "A" }]).faults).toEqual(["A has no comment"]);
  });

  test("has signatures, comments, links and what is optional on its page, and nothing private", () => {
    const text = `
      /** Makes a {@link B}.
       * @param c so many
       * @returns one
       * @throws TokenizerError \`D\` when
       *   it fails
       * @example
       * a(1);
       */
      export declare function a(c?: number): B;
      /** Made by \`a()\`. */
      export declare class B {
        #private;
        private constructor();
        /** Times. */
        readonly times?: readonly number[] | undefined;
        /** Does. */
        does(): void;
        does(callback: () => void): void;
        /** Hidden. */
        private hidden(): void;
      }`;
    const names = [{ name: "a" }, { name: "B", as: "b" }];
    expect(
      documented({ "dist/index.d.ts": text.replace("Does.", "Does. With `callback`: later.") }, names).page,
    ).toContain(
      `### \`a()\`

\`\`\`ts
function a(c?: number): B
\`\`\`

Makes a [\`B\`](#b-b).

**Takes**

- \`c\`: so many

**Answers** one

**Throws** \`TokenizerError\` \`D\` when
it fails

\`\`\`ts
a(1);
\`\`\`

See [\`B\`](#b-b).

### \`B\` (\`b\`)

\`\`\`ts
class B { … }
\`\`\`

Made by [\`a()\`](#a).

#### \`b.times\`

\`\`\`ts
times?: readonly number[]
\`\`\`

Times.

#### \`b.does()\`

\`\`\`ts
does(): void
does(callback: () => void): void
\`\`\`

Does. With \`callback\`: later.
`,
    );
  });
});
