/** Markup that is safe by construction: what is put into `html` is escaped, unless `html` made it. */

const ESCAPES: Readonly<Record<string, string>> = {
  "&": "&amp;",
  "<": "&lt;",
  ">": "&gt;",
  '"': "&quot;",
  "'": "&#39;",
};

/** Finished markup. Only `html` makes one, so text from outside can never pass for it. */
export class Html {
  readonly #markup: string;

  constructor(strings: TemplateStringsArray, values: readonly Fragment[]) {
    this.#markup = strings.reduce((markup, part, index) => markup + render(values[index - 1]) + part);
  }

  toString(): string {
    return this.#markup;
  }
}

/** What may stand in a template: `undefined` and `false` leave nothing behind, for conditional parts. */
export type Fragment = Html | string | number | undefined | false | readonly Fragment[];

/**
 * @example
 * html`<p>${note.text}</p>`        // text is escaped
 * html`<ul>${notes.map(item)}</ul>` // markup made by `html` is not, lists are joined
 */
export function html(strings: TemplateStringsArray, ...values: Fragment[]): Html {
  return new Html(strings, values);
}

function render(value: Fragment): string {
  if (value === undefined || value === false) return "";
  if (value instanceof Html) return value.toString();
  if (typeof value === "object") return value.map(render).join("");
  return String(value).replace(/[&<>"']/g, (character) => ESCAPES[character] ?? "");
}
