/** The pages. Each takes what it shows and answers markup; none of them knows of requests or sessions. */

import type { Draft, Flash } from "./flash.js";
import { type Html, html } from "./html.js";
import { LONGEST_NOTE, type Note } from "./upstream.js";

/** A page that says what went wrong, what was done and what was not, and where to go from there. */
export interface Problem {
  readonly title: string;
  readonly text: readonly string[];
  readonly actions: readonly Action[];
  readonly username?: string;
  /** What the visitor typed, given back with a button that sends it again. */
  readonly draft?: Draft;
}

interface Action {
  readonly href: string;
  readonly label: string;
  /** Sends a form rather than following a link. */
  readonly post?: boolean;
}

interface NotesView {
  readonly username: string;
  readonly notes: readonly Note[];
  readonly draft: Draft;
  readonly flash: Flash | undefined;
  /** The sealed envelope, as the store keeps it. */
  readonly sealed: string | undefined;
}

/** The pages of the signed-in, in the order of the navigation. */
const PAGES = [
  { href: "/notes", label: "Notes" },
  { href: "/sessions", label: "Sessions" },
];

export function signInPage(flash: Flash | undefined): Html {
  const known = flash?.username;
  const wrong = flash?.tone === "bad";
  return page({
    title: "Sign in",
    alarming: wrong,
    narrow: true,
    main: html`
      <h1>Sign in</h1>
      <p class="lead">Your notes live in another service. This site has no list of users: it asks that service whether
        your name and password are right.</p>
      ${banner(flash, "sign-in-message")}
      <form class="card stack" method="post" action="/sign-in">
        <div class="field">
          <label for="username">Name</label>
          <input id="username" name="username" value="${known}" autocomplete="username" autocapitalize="none"
            autocorrect="off" spellcheck="false" maxlength="256" required ${known === undefined && AUTOFOCUS} ${wrong && FAULTY}>
        </div>
        <div class="field">
          <label for="password">Password</label>
          <input id="password" name="password" type="password" autocomplete="current-password" maxlength="4096"
            required ${known !== undefined && AUTOFOCUS} ${wrong && FAULTY}>
        </div>
        <div class="choice">
          <input id="remember" name="remember" type="checkbox">
          <label for="remember">Stay signed in when this browser is closed</label>
        </div>
        <button type="submit">Sign in</button>
      </form>
      <p class="quiet">Just trying it? Demo accounts were printed where the demo was started.</p>`,
  });
}

const AUTOFOCUS = html`autofocus`;
const FAULTY = html`aria-invalid="true" aria-describedby="sign-in-message"`;

export function notesPage({ username, notes, draft, flash, sealed }: NotesView): Html {
  return page({
    title: "Your notes",
    username,
    current: "/notes",
    main: html`
      <h1>Your notes</h1>
      ${banner(flash)}
      <div class="columns">
        <section aria-label="Notes">
          ${noteForm(draft, "Add note")}
          ${notes.length === 0 ? html`<p class="empty">No notes yet. The first one goes above.</p>` : noteList(notes)}
        </section>
        ${howItGotHere(username, sealed)}
      </div>`,
  });
}

export function signedOutPage(): Html {
  return page({
    title: "You are signed out",
    narrow: true,
    main: html`
      <h1>You are signed out</h1>
      <p class="lead">Your session was removed from the store, and the sealed password with it.
        The cookie that could open it has been cleared from this browser.</p>
      <p class="actions"><a class="button" href="/sign-in">Sign in again</a></p>`,
  });
}

export function problemPage({ title, text, actions, username, draft }: Problem): Html {
  return page({
    title,
    username,
    narrow: true,
    main: html`
      <h1>${title}</h1>
      ${text.map((paragraph, index) => html`<p class="${index === 0 ? "lead" : "more"}">${paragraph}</p>`)}
      ${draft !== undefined && noteForm(draft, "Send it again")}
      ${actions.length > 0 && html`<div class="actions">${actions.map(action)}</div>`}`,
  });
}

function noteForm({ id, text, author }: Draft, label: string): Html {
  return html`
    <form class="card stack" method="post" action="/notes">
      <input type="hidden" name="id" value="${id}">
      ${author !== "" && html`<input type="hidden" name="author" value="${author}">`}
      <div class="field">
        <label for="text">New note</label>
        <textarea id="text" name="text" rows="3" maxlength="${LONGEST_NOTE}" required>
${text}</textarea>
      </div>
      <button type="submit">${label}</button>
    </form>`;
}

function noteList(notes: readonly Note[]): Html {
  return html`<ol class="notes">${notes.map(
    ({ text, writtenAt }) => html`
      <li class="card">
        <p class="note">${text}</p>
        <time datetime="${writtenAt}">${dateAndTime.format(new Date(writtenAt))}</time>
      </li>`,
  )}</ol>`;
}

const dateAndTime = new Intl.DateTimeFormat("en-GB", { dateStyle: "medium", timeStyle: "short" });

/** The reason for the whole demo: why a password has to come along, and what becomes of it. */
function howItGotHere(username: string, sealed: string | undefined): Html {
  return html`
    <aside class="explain" aria-labelledby="how">
      <h2 id="how">How these notes got here</h2>
      <p>A moment ago this site asked the notes service for them <strong>as ${username}</strong>, with your own name and
        password. The service knows nothing of sessions and wants both every time.</p>
      <p>Your password is not stored in clear: it travels sealed in your session, and is opened for one request at a
        time.</p>
      <dl class="places">
        <div><dt>Your browser</dt><dd>A cookie with the session’s id. Scripts cannot read it.</dd></div>
        <div><dt>The session store</dt><dd>Your name, and your password in a sealed envelope. Of the id, only a hash.</dd></div>
        <div><dt>The settings</dt><dd>A secret of this site: <code>safe_password</code>.</dd></div>
        <div><dt>Memory</dt><dd>The opened password, while a page is being made.</dd></div>
      </dl>
      <p>Store and settings together do not open the envelope: your cookie is part of its key.</p>
      ${sealed !== undefined && envelope(sealed)}
    </aside>`;
}

function envelope(sealed: string): Html {
  const [version, key, ...body] = sealed.split(".");
  return html`
    <details>
      <summary>Show the envelope in the store</summary>
      <p class="sealed"><span>${version}</span>.<span>${key}</span>.${body.join(".")}</p>
      <p class="quiet">Its format, which key sealed it, and the sealed text. It is of no use in any other session, and
        of none in this one after you sign out.</p>
    </details>`;
}

export function banner(flash: Flash | undefined, id = "message"): Html | undefined {
  if (flash === undefined) return undefined;
  const role = flash.tone === "bad" ? "alert" : "status";
  return html`<p class="banner ${flash.tone}" id="${id}" role="${role}">${flash.text}</p>`;
}

function action({ href, label, post }: Action): Html {
  if (!post) return html`<a class="button" href="${href}">${label}</a>`;
  return html`<form method="post" action="${href}"><button type="submit">${label}</button></form>`;
}

interface Page {
  readonly title: string;
  readonly main: Html;
  readonly username?: string | undefined;
  readonly current?: string;
  /** A single column of text rather than the whole width. */
  readonly narrow?: boolean;
  /** Screen readers read the title first, so a page with a fault says so there. */
  readonly alarming?: boolean;
}

export function page({ title, main, username, current, narrow = false, alarming = false }: Page): Html {
  return html`<!doctype html>
<html lang="en">
  <head>
    <meta charset="utf-8">
    <meta name="viewport" content="width=device-width, initial-scale=1">
    <meta name="color-scheme" content="light dark">
    <title>${alarming && "Error: "}${title} · Commonplace</title>
    <link rel="icon" href="/icon.svg" type="image/svg+xml">
    <link rel="stylesheet" href="/style.css">
  </head>
  <body>
    <a class="skip" href="#main">Skip to the content</a>
    <header>
      <div class="bar">
        <a class="brand" href="/">${SEAL}Commonplace</a>
        ${username !== undefined && signedInBar(username, current)}
      </div>
    </header>
    <main id="main" tabindex="-1"${narrow && html` class="narrow"`}>${main}
    </main>
    <footer><p>A demo of express-tokenizer. The notes are kept in memory and start afresh with it.</p></footer>
  </body>
</html>
`;
}

function signedInBar(username: string, current: string | undefined): Html {
  return html`
        <nav aria-label="Pages"><ul>${PAGES.map(
          ({ href, label }) =>
            html`<li><a href="${href}"${href === current && html` aria-current="page"`}>${label}</a></li>`,
        )}</ul></nav>
        <form class="account" method="post" action="/sign-out">
          <span class="who"><span class="prefix">Signed in as </span><b>${username}</b></span>
          <button class="subtle" type="submit">Sign out</button>
        </form>`;
}

const SEAL = html`<svg class="seal" viewBox="0 0 32 32" aria-hidden="true" focusable="false">
          <path d="M5 8.5h22v16H5z M5 8.5l11 9 11-9" fill="none" stroke="currentColor" stroke-width="2.2" stroke-linejoin="round"/>
          <circle cx="16" cy="17.5" r="4.6" class="wax"/></svg>`;
