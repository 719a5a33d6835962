// The page about the public names, and what keeps it from being complete.
import { faultsOf } from "./faults.mjs";
import { ENTRIES, OUTLINE } from "./outline.mjs";
import { renderPage } from "./page.mjs";
import { readReference } from "./reference.mjs";

export function documentOf(root, { entries = ENTRIES, outline = OUTLINE } = {}) {
  const reference = readReference(`${root}/dist`, entries, outline);
  const faults = faultsOf(reference, root);
  return { faults, page: faults.length === 0 ? renderPage(reference) : "" };
}
