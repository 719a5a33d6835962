// All that is public, with what it names: the entries that the page and its check are about.
import { Declarations } from "./declarations.mjs";
import { entryOf, usesOf } from "./entry.mjs";

/**
 * @typedef {object} Reference
 * @property {Map<string, import("./entry.mjs").Entry>} entries
 * @property {Map<string, string>} anchors what a comment may name → the heading about it
 * @property {{ title: string, text?: string, names: { name: string, as?: string }[] }[]} outline
 */

/**
 * @param {string} folder what was built
 * @param {string[]} files its entry points
 * @returns {Reference}
 */
export function readReference(folder, files, outline) {
  const declarations = new Declarations(folder);
  const wanted = files.flatMap((file) => [...declarations.exportedBy(file), ...declarations.augmentedBy(file)]);
  const exported = new Set(wanted);
  const entries = new Map();
  for (const declaration of wanted) {
    if (entries.has(declaration.name)) continue;
    entries.set(declaration.name, { ...entryOf(declaration), isExported: exported.has(declaration) });
    // It cannot be understood without them, whether they are exported or not.
    wanted.push(...usesOf(declaration));
  }
  return { entries, outline, anchors: anchorsOf(entries, outline) };
}

function anchorsOf(entries, outline) {
  const anchors = new Map();
  for (const { name, as } of outline.flatMap(({ names }) => names)) {
    const entry = entries.get(name);
    if (!entry) continue;
    const title = titleOf(entry, as);
    for (const alias of isCalled(entry) ? [title] : [name, name.split(".").at(-1)]) anchors.set(alias, anchorOf(title));
    for (const member of as ? entry.members : []) {
      const title = memberTitle(member, as, entry);
      for (const alias of [`${as}.${member.name}`, title]) anchors.set(alias, anchorOf(title));
    }
  }
  return anchors;
}

const isCalled = ({ code }) => code.startsWith("function ");

/** As text; on the page each word is code. */
export function titleOf(entry, as) {
  const name = entry.name.split(".").at(-1);
  if (as) return `${name} (${as})`;
  return isCalled(entry) ? `${name}()` : name;
}

export function memberTitle({ name, kind }, as, entry) {
  if (kind === "constructor") return `new ${entry.name}()`;
  return `${as}.${name}${kind === "method" ? "()" : ""}`;
}

/** As it is made of a heading where the page is read. */
export function anchorOf(title) {
  return title
    .toLowerCase()
    .replace(/[^\w\s-]/g, "")
    .replaceAll(" ", "-");
}
