import { describe, expect, test } from "@jest/globals";
import { type Fragment, html } from "../../demo-app/html.js";

describe("html", () => {
  test.each<[string, Fragment, string]>([
    ["escapes text", `<a href="x">'&`, "&lt;a href=&quot;x&quot;&gt;&#39;&amp;"],
    ["leaves markup of its own alone", html`<b>${"<"}</b>`, "<b>&lt;</b>"],
    ["joins lists, escaping each part", [html`<i>`, "<", ["&"]], "<i>&lt;&amp;"],
    ["writes numbers", 0, "0"],
    ["leaves nothing of undefined", undefined, ""],
    ["leaves nothing of false", false, ""],
  ])("%s", (_what, value, markup) => {
    expect(html`${value}`.toString()).toBe(markup);
  });

  test("does not take an object for markup that only looks like it", () => {
    const forged = { toString: () => "<script>" } as unknown as string;
    expect(() => html`${forged}`.toString()).toThrow("map");
  });
});
