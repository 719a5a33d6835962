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

/** Fields, links and buttons that have no name to read out. */
export function nameless() {
  return [...document.querySelectorAll("a, button, input:not([type=hidden]), textarea, nav, aside")]
    .filter((element) => {
      const named = element.getAttribute("aria-label") ?? element.getAttribute("aria-labelledby");
      return !named && !element.labels?.length && element.textContent.trim() === "";
    })
    .map((element) => element.outerHTML);
}

/** Texts whose contrast with what is behind them is below 4.5 : 1 (WCAG AA). */
export function unreadable() {
  const channels = (color) => color.match(/[\d.]+/g).map(Number);
  const linear = (value) => (value <= 10 ? value / 255 / 12.92 : ((value / 255 + 0.055) / 1.055) ** 2.4);
  const luminance = (color) => {
    const [red, green, blue] = channels(color).map(linear);
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
  };
  const behind = (element) => {
    const color = getComputedStyle(element).backgroundColor;
    return channels(color)[3] === 0 && element.parentElement ? behind(element.parentElement) : color;
  };
  const hasText = ({ childNodes }) =>
    [...childNodes].some((node) => node.nodeType === Node.TEXT_NODE && node.textContent.trim() !== "");

  return [...document.body.querySelectorAll("*")].filter(hasText).flatMap((element) => {
    const both = [luminance(getComputedStyle(element).color), luminance(behind(element))];
    const contrast = (Math.max(...both) + 0.05) / (Math.min(...both) + 0.05);
    return contrast < 4.5 ? [`${contrast.toFixed(2)} ${element.textContent.trim()}`] : [];
  });
}
