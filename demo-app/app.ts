/** The demo: what stands in front of the sessions, the sessions, what needs them, and what is said when it fails. */

import { join } from "node:path";
import express, { type Express, type RequestHandler } from "express";
import type { tokenizer } from "express-tokenizer";
import helmet from "helmet";
import { copiedCookie } from "./copied-cookie.js";
import { crossSite, failures, type Log, notFound } from "./failures.js";
import { notesRoutes } from "./notes.js";
import { notesClient } from "./notes-client.js";
import { trialRoutes } from "./promises/routes.js";
import type { Trials } from "./promises/stacks.js";
import { promisesPage } from "./promises/view.js";
import { ROOT } from "./root.js";
import { sameOriginOnly } from "./same-origin.js";
import { sessionsRoutes } from "./sessions.js";
import { show } from "./show.js";
import { isSignedIn, signingIn } from "./signing-in.js";
import type { Account } from "./upstream.js";

export interface AppOptions {
  readonly sessions: ReturnType<typeof tokenizer>;
  /** Where the notes service answers. */
  readonly upstream: URL;
  readonly tryout?: Tryout | undefined;
  /** Takes a line about every failure; none of them holds a secret. Default: standard error. */
  readonly log?: Log;
  /** The time in milliseconds since 1970, for specs: the same that the sessions have. */
  readonly now?: () => number;
}

/** For whoever only tries the demo: nothing of it is there in production. */
export interface Tryout {
  /** Whose passwords the sign-in page tells everybody. */
  readonly accounts: readonly Account[];
  readonly trials: Trials;
}

export function createApp({ sessions, upstream, tryout, log = console.error, now = Date.now }: AppOptions): Express {
  const notes = notesClient(upstream);
  const app = express();

  // Before the sessions: what needs none, so that pages about a failing store have their style,
  // and the form's text, which such a page gives back.
  app.use(securityHeaders());
  app.use(express.static(join(ROOT, "demo-app", "public"), { index: false, maxAge: "1h" }));
  app.use(neverCached);
  const ourOwn = sameOriginOnly(crossSite);
  if (tryout !== undefined) app.use("/promises", ourOwn, trialRoutes(tryout.trials));
  app.use(express.urlencoded({ extended: false, limit: "32kb" }));

  app.use(sessions);
  // Behind them: browsers also prove their device where another site's link led here.
  app.use(ourOwn);

  app.get("/", (req, res) => res.redirect(303, isSignedIn(req) ? "/notes" : "/sign-in"));
  app.use(signingIn(notes, tryout?.accounts ?? []));
  app.use(notesRoutes(notes));
  app.use(sessionsRoutes(sessions, notes, now));
  if (tryout !== undefined) app.use(copiedCookie);

  app.get("/promises", (req, res) => {
    const username = isSignedIn(req) ? req.session.username : undefined;
    show(res, 200, promisesPage({ username, areTrialsHere: tryout !== undefined }));
  });

  app.use(notFound);
  app.use(failures(log));
  return app;
}

/** Nothing runs, loads or frames here but the files of public/. One page alone sends requests by script. */
function securityHeaders(): RequestHandler {
  return helmet({
    contentSecurityPolicy: {
      useDefaults: false,
      directives: {
        defaultSrc: ["'none'"],
        scriptSrc: ["'self'"],
        connectSrc: [(req) => (req.url === "/promises" ? "'self'" : "'none'")],
        styleSrc: ["'self'"],
        imgSrc: ["'self'"],
        formAction: ["'self'"],
        baseUri: ["'none'"],
        frameAncestors: ["'none'"],
      },
    },
    // With "no-referrer" the browser writes `Origin: null` on our own forms, and same-origin.ts could not tell them.
    referrerPolicy: { policy: "same-origin" },
  });
}

/** After a sign-out, the back button must not bring the notes back. */
const neverCached: RequestHandler = (_req, res, next) => {
  res.set("Cache-Control", "no-store");
  next();
};
