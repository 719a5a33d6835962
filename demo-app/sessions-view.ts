/** The page "Your sessions". */

import type { UserSession } from "express-tokenizer";
import { UNKNOWN_BROWSER } from "./browser-name.js";
import type { Flash } from "./flash.js";
import { banner, page } from "./frame.js";
import { type Html, html } from "./html.js";
import { ago, exactly } from "./times.js";

interface SessionsView {
  readonly username: string;
  readonly sessions: readonly UserSession[];
  /** In milliseconds since 1970. */
  readonly now: number;
  readonly flash: Flash | undefined;
}

export function sessionsPage({ username, sessions, now, flash }: SessionsView): Html {
  const here = sessions.filter(({ current }) => current);
  const others = sessions.filter(({ current }) => !current).sort(lastSeenFirst);
  return page({
    title: "Your sessions",
    username,
    current: "/sessions",
    main: html`
      <h1>Your sessions</h1>
      ${banner(flash)}
      <div class="columns">
        <div class="groups">
          <section aria-labelledby="here">
            <h2 id="here">This browser</h2>
            ${sessionList(here, now)}
          </section>
          <section aria-labelledby="elsewhere">
            <h2 id="elsewhere">Elsewhere</h2>
            ${others.length === 0 ? html`<p class="empty">You are signed in nowhere else.</p>` : elsewhere(others, now)}
          </section>
        </div>
        ${WHAT_ENDING_DOES}
      </div>`,
  });
}

function lastSeenFirst(one: UserSession, other: UserSession): number {
  return other.lastSeenAt.getTime() - one.lastSeenAt.getTime();
}

function elsewhere(others: readonly UserSession[], now: number): Html {
  return html`${sessionList(others, now)}
            <form class="all stack" method="post" action="/sessions/end-others">
              <div class="field">
                <label for="password">Your password, once more</label>
                <input id="password" name="password" type="password" autocomplete="current-password" maxlength="4096" required>
              </div>
              <button type="submit">End all other sessions</button>
            </form>`;
}

function sessionList(sessions: readonly UserSession[], now: number): Html {
  return html`<ul class="sessions">${sessions.map((session) => sessionCard(session, now))}</ul>`;
}

function sessionCard(
  { id, label = UNKNOWN_BROWSER, remembered, bound, createdAt, lastSeenAt, current }: UserSession,
  now: number,
): Html {
  // Read out alone, "End" would not say what; two sessions of one label differ in when they were seen.
  const which = html`<span class="unseen"> ${label}, last seen ${ago(lastSeenAt, now)}</span>`;
  return html`
              <li class="card session${current && " here"}">
                <div>
                  <h3>${label}</h3>
                  <dl>
                    <div><dt>Began</dt><dd>${moment(createdAt, now)}</dd></div>
                    <div><dt>Last seen</dt><dd>${moment(lastSeenAt, now)}</dd></div>
                  </dl>
                  ${remembered && html`<p class="quiet">Stays when that browser is closed.</p>`}
                  ${bound && html`<p class="quiet">Bound to its device: a copy of its cookie opens nothing elsewhere.</p>`}
                </div>
                ${bound && current && COPY}
                <form method="post" action="/sessions/end">
                  <input type="hidden" name="id" value="${id}">
                  <button class="subtle" type="submit">${current ? "End and sign out" : html`End${which}`}</button>
                </form>
              </li>`;
}

const COPY = html`<form method="post" action="/sessions/copy">
                  <button class="subtle" type="submit">Copy this cookie</button>
                </form>`;

/** @param command missing where the browser has not bound its session */
export function copiedCookiePage({ username, command }: { username: string; command: string | undefined }): Html {
  return page({
    title: "A copy of your cookie",
    username,
    current: "/sessions",
    narrow: true,
    main: html`
      <h1>A copy of your cookie</h1>
      ${
        command === undefined
          ? html`<p class="lead">This browser has not bound its session to the device, so there is nothing to show.</p>`
          : html`<p class="lead">A thief has copied your session’s cookie. This command sends it from a terminal:</p>
      <p class="sealed">${command}</p>
      <p class="more">It is refused, with status 401: the command cannot prove that it comes from this device. (For 30
        seconds after you signed in it still opens your notes.) Your browser goes on.</p>`
      }
      <p class="actions"><a class="button" href="/sessions">Back to your sessions</a></p>`,
  });
}

function moment(then: Date, now: number): Html {
  return html`<time datetime="${then.toISOString()}"><b>${ago(then, now)}</b> <span>(${exactly(then)})</span></time>`;
}

const WHAT_ENDING_DOES = html`
        <aside class="explain" aria-labelledby="ending">
          <h2 id="ending">What ending does</h2>
          <p>Every browser that is signed in with your name has a session of its own. Ending one removes it from the
            store, and the sealed password with it.</p>
          <p>Its browser still has the cookie, which opens nothing any more. At its next click it is told that its
            session has ended.</p>
          <p>The browsers’ names are what they said of themselves when they signed in. When one was last seen is written
            down now and then, so it may be a minute or so out.</p>
        </aside>`;
