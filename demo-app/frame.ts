/** What stands around every page: head, navigation, who is signed in; and the message that a request left. */

import type { Flash } from "./flash.js";
import { type Html, html } from "./html.js";

interface Page {
  readonly title: string;
  readonly main: Html;
  readonly username?: string | undefined;
  readonly current?: string;
  /** A single column of text rather than the whole width. */
  readonly narrow?: boolean;
  /** Beside the one of every page. */
  readonly scripts?: readonly string[];
  /** Screen readers read the title first, so a page with a fault says so there. */
  readonly alarming?: boolean;
}

export function page({ title, main, username, current, narrow = false, scripts = [], alarming = false }: Page): Html {
  return html`<!doctype html>
<html lang="en">
  <head>
    <meta charset="utf-8">
    <meta name="viewport" content="width=device-width, initial-scale=1">
    <meta name="color-scheme" content="light dark">
    <title>${alarming && "Error: "}${title} · Commonplace</title>
    <link rel="icon" href="/icon.svg" type="image/svg+xml">
    <link rel="stylesheet" href="/style.css">${["/page.js", ...scripts].map(
      (src) => html`
    <script src="${src}" defer></script>`,
    )}
  </head>
  <body>
    <a class="skip" href="#main">Skip to the content</a>
    <header>
      <div class="bar">
        <a class="brand" href="/">${SEAL}Commonplace</a>
        ${navigation(username !== undefined, current)}
        ${username !== undefined && account(username)}
      </div>
    </header>
    <main id="main" tabindex="-1"${narrow && html` class="narrow"`}>${main}
    </main>
    <footer><p>A demo of express-tokenizer. The notes are kept in memory and start afresh with it.</p></footer>
  </body>
</html>
`;
}

export function banner(flash: Flash | undefined, id = "message"): Html | undefined {
  if (flash === undefined) return undefined;
  const role = flash.tone === "bad" ? "alert" : "status";
  return html`<p class="banner ${flash.tone}" id="${id}" role="${role}">${flash.text}</p>`;
}

/** The pages in the order of the navigation. */
const PAGES = [
  { href: "/notes", label: "Notes", forAll: false },
  { href: "/sessions", label: "Sessions", forAll: false },
  { href: "/promises", label: "Try the promises", forAll: true },
];

function navigation(isSignedIn: boolean, current: string | undefined): Html {
  const pages = PAGES.filter(({ forAll }) => forAll || isSignedIn);
  return html`<nav aria-label="Pages"><ul>${pages.map(
    ({ href, label }) => html`<li><a href="${href}"${href === current && html` aria-current="page"`}>${label}</a></li>`,
  )}</ul></nav>`;
}

function account(username: string): Html {
  return html`<form class="account" method="post" action="/sign-out">
          <span class="who"><span class="prefix">Signed in as </span><b>${username}</b></span>
          <button class="subtle" type="submit">Sign out</button>
        </form>`;
}

const SEAL = html`<svg class="seal" viewBox="0 0 32 32" aria-hidden="true" focusable="false">
          <path d="M5 8.5h22v16H5z M5 8.5l11 9 11-9" fill="none" stroke="currentColor" stroke-width="2.2" stroke-linejoin="round"/>
          <circle cx="16" cy="17.5" r="4.6" class="wax"/></svg>`;
