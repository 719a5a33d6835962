/** Three-way merge of a session's top-level keys, for two writers that loaded the same state. */

/** A session's own fields, each as its JSON text: what is compared is what would be stored. */
type Fields = Map<string, string>;

/**
 * Applies to `theirs` what changed from `base` to `mine`. A key that both changed is mine: the later
 * save wins.
 *
 * @param base what this writer loaded, as the JSON text of an object
 * @param mine what this writer wants to save
 * @param theirs what is stored now
 * @returns the JSON text of the merged object
 */
export function merge(base: string, mine: string, theirs: string): string {
  const [before, after, merged] = [fieldsOf(base), fieldsOf(mine), fieldsOf(theirs)];
  for (const key of before.keys()) {
    if (!after.has(key)) merged.delete(key);
  }
  for (const [key, text] of after) {
    if (before.get(key) !== text) merged.set(key, text);
  }
  return textOf(merged);
}

function fieldsOf(text: string): Fields {
  const object: Record<string, unknown> = JSON.parse(text);
  return new Map(Object.entries(object).map(([key, value]) => [key, JSON.stringify(value)]));
}

/** Written out by hand, since assigning a key called `__proto__` to an object would set its prototype. */
function textOf(fields: Fields): string {
  return `{${[...fields].map(([key, text]) => `${JSON.stringify(key)}:${text}`).join(",")}}`;
}
