// What runs inside a page, where the specs' own types do not hold. Each function is sent as text, so it stands alone.

/** By how many pixels the page can be scrolled sideways. */
export function tooWide() {
  return document.documentElement.scrollWidth - document.documentElement.clientWidth;
}

/** How the focused element is outlined. */
export function focusOutline() {
  return getComputedStyle(document.activeElement).outlineStyle;
}

export function background() {
  return getComputedStyle(document.body).backgroundColor;
}

/** Whether the explanation beside the notes shows its heading alone. */
export function isFolded() {
  return !document.querySelector(".explain details").open;
}

/** Lets forms go out that the browser would hold back, as a client without a form's rules does. */
export function passUnchecked() {
  for (const form of document.forms) form.noValidate = true;
}

/** What axe-core, which has been put into the page, finds amiss; of what it cannot tell, the contrasts. */
export async function axeFindings() {
  const { violations, incomplete } = await globalThis.axe.run();
  const found = [...violations, ...incomplete.filter(({ id }) => id === "color-contrast")];
  return found.flatMap(({ id, nodes }) => nodes.map(({ html, failureSummary }) => `${id}: ${html} ${failureSummary}`));
}
