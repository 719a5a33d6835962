/** The page “Try the promises”: what each trial does and what to look at. public/promises.js runs them and fills in. */

import { page } from "../frame.js";
import { type Html, html } from "../html.js";

interface PromisesView {
  readonly username: string | undefined;
  /** In production they are not. */
  readonly areTrialsHere: boolean;
}

interface Trial {
  /** As public/promises.js has it. */
  readonly name: string;
  readonly title: string;
  readonly does: string;
  readonly lookAt: string;
  /** Where the promise, or the comparison, has its limit. */
  readonly limit: string;
  readonly button: string;
}

const TRIALS: readonly Trial[] = [
  {
    name: "parallel",
    title: "Twenty parallel requests",
    does: "Sends twenty requests of one session; each takes a tenth of a second and saves an item of its own.",
    lookAt: "Look at how many of the twenty items are in the session afterwards.",
    limit: "Your browser sends about six at a time. Where two requests change the same key, the later save wins.",
    button: "Send twenty requests",
  },
  {
    name: "slow",
    title: "A slow request that meets a sign-out",
    does: "Starts a slow request, signs out while it is under way, and lets it change the session and finish.",
    lookAt: "Look at what the session’s cookie opens afterwards.",
    limit: "The slow request itself gets its answer as usual; what it changed is discarded.",
    button: "Sign out meanwhile",
  },
  {
    name: "failing",
    title: "A store that fails for ten seconds",
    does: "Saves an item, lets the store refuse every write for ten seconds, as a full disk does, and saves another item during that time and a third one after it.",
    lookAt: "Look at whether the session holds every item whose answer said “saved”.",
    limit:
      "This trial has two small stores of its own, which fail at the same time. Where reading fails as well, both stacks refuse.",
    button: "Let the store fail",
  },
  {
    name: "copied",
    title: "A copied cookie",
    does: "Copies the session’s cookie, as a thief would, and uses the copy while the owner is signed in and after the sign-out.",
    lookAt: "Look at what the copy opens after the sign-out, above all when a request of the thief’s was under way.",
    limit: "While the session lives, its copied cookie opens it in both: no store can tell the two apart.",
    button: "Copy the cookie",
  },
];

export function promisesPage({ username, areTrialsHere }: PromisesView): Html {
  return page({
    title: "Try the promises",
    username,
    current: "/promises",
    scripts: areTrialsHere ? ["/promises.js"] : [],
    main: html`
      <h1>Try the promises</h1>
      ${areTrialsHere ? allTrials() : NOT_HERE}`,
  });
}

function allTrials(): Html {
  return html`
      <p class="lead measure">Each button sends real requests from your browser to two session stacks in this process:
        express-tokenizer, on the store that this demo is set to, and express-session with its MemoryStore. The tables
        show what came back. The trials have sessions of their own and leave yours alone.</p>
      <p class="banner" id="no-script">The trials need JavaScript, since your browser sends their requests. Please switch
        it on for this page.</p>
      <div class="trials">${TRIALS.map(trialCard)}
      </div>`;
}

function trialCard({ name, title, does, lookAt, limit, button }: Trial): Html {
  return html`
        <section class="card trial" aria-labelledby="${name}">
          <div class="about">
            <h2 id="${name}">${title}</h2>
            <p>${does}</p>
            <p><b>${lookAt}</b></p>
            <p class="quiet">${limit}</p>
            <button type="button" data-trial="${name}" disabled>${button}</button>
          </div>
          <div class="outcome" data-outcome="${name}"><p class="quiet" role="status">Nothing was sent yet.</p></div>
        </section>`;
}

const NOT_HERE = html`
      <p class="lead measure">The trials are left out here: with <code>NODE_ENV=production</code> the demo opens no sessions
        to visitors who are not signed in. Start it on your own machine with <code>npm start</code>, and they are on this
        page.</p>`;
