/** The pages. Each takes what it shows and answers markup; none of them knows of requests or sessions. */

import type { Draft, Flash } from "./flash.js";
import { banner, page } from "./frame.js";
import { type Html, html } from "./html.js";
import { exactly } from "./times.js";
import { type Account, LONGEST_NOTE, type Note } from "./upstream.js";

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

/** @param accounts those that the page may tell everybody */
export function signInPage(flash: Flash | undefined, accounts: readonly Account[]): Html {
  const known = flash?.username;
  const wrong = flash?.tone === "bad";
  return page({
    title: "Sign in",
    alarming: wrong,
    narrow: true,
    main: html`
      <h1>Sign in</h1>
      <p class="lead">This demo of express-tokenizer fetches your notes from another service with your own name and
        password, which it keeps sealed in your session.</p>
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
      ${accounts.length === 0 ? PRINTED : demoAccounts(accounts)}`,
  });
}

const PRINTED = html`<p class="quiet">Just trying it? Demo accounts were printed where the demo was started.</p>`;

function demoAccounts(accounts: readonly Account[]): Html {
  return html`<section aria-labelledby="accounts">
        <h2 id="accounts">Demo accounts</h2>
        <ul class="accounts">${accounts.map(
          ({ username, password }) => html`
          <li>
            <span><b>${username}</b> <code>${password}</code></span>
            <form method="post" action="/sign-in">
              <input type="hidden" name="username" value="${username}">
              <input type="hidden" name="password" value="${password}">
              <button class="subtle" type="submit">Sign in as ${username}</button>
            </form>
          </li>`,
        )}</ul>
      </section>`;
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
        ${howItGotHere(username, sealed)}
        <section aria-label="Notes">
          ${noteForm(draft, "Add note")}
          ${notes.length === 0 ? html`<p class="empty">No notes yet. The first one goes above.</p>` : noteList(notes)}
        </section>
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
        <time datetime="${writtenAt}">${exactly(new Date(writtenAt))}</time>
      </li>`,
  )}</ol>`;
}

/** The reason for the whole demo: why a password has to come along, and what becomes of it. */
function howItGotHere(username: string, sealed: string | undefined): Html {
  return html`
    <aside class="explain" aria-labelledby="how"><details class="wide-open">
      <summary><h2 id="how">How these notes got here</h2></summary>
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
    </details></aside>`;
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

function action({ href, label, post }: Action): Html {
  if (!post) return html`<a class="button" href="${href}">${label}</a>`;
  return html`<form method="post" action="${href}"><button type="submit">${label}</button></form>`;
}
