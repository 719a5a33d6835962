/** The page of the user's own sessions: which there are, and a way to end them. */

import { type Request, type Response, Router } from "express";
import type { tokenizer, UserSession } from "express-tokenizer";
import { UNKNOWN_BROWSER } from "./browser-name.js";
import { type Flash, leaveFlash, takeFlash } from "./flash.js";
import type { NotesClient } from "./notes-client.js";
import { sessionsPage } from "./sessions-view.js";
import { show } from "./show.js";
import { confirming, credentialsOf, limitWrongPasswords, requireUser } from "./signing-in.js";

const GONE_ALREADY: Flash = { tone: "plain", text: "That session had ended already. Nothing was left to end." };
const NO_OTHERS: Flash = { tone: "plain", text: "There was no other session to end." };

const FRESH = 5; // minutes

export function sessionsRoutes(
  { users, fresh }: ReturnType<typeof tokenizer>,
  notes: NotesClient,
  now: () => number,
): Router {
  const router = Router();

  router.get("/sessions", requireUser, async (req, res) => {
    const { username } = credentialsOf(req);
    const listed = await users.list(username, { current: req });
    const sessions = listed.map((session) => seenNow(session, now()));
    show(res, 200, sessionsPage({ username, sessions, now: now(), flash: takeFlash(req) }));
  });

  router.post("/sessions/end", requireUser, async (req, res) => {
    const { username } = credentialsOf(req);
    // Looked up first: a handle that is missing or somebody else's finds nothing, and one's own is a sign-out.
    const chosen = (await users.list(username, { current: req })).find(({ id }) => id === req.body?.id);
    if (chosen === undefined) return backToSessions(req, res, GONE_ALREADY);
    res.locals.ending = NOT_KNOWN;
    if (chosen.current) {
      await req.signOut();
      return res.redirect(303, "/signed-out");
    }
    const count = await users.revoke(username, { only: chosen.id });
    const text = `1 session was ended: ${chosen.label ?? UNKNOWN_BROWSER}.`;
    backToSessions(req, res, count === 0 ? GONE_ALREADY : { tone: "good", text });
  });

  const askAgain = [limitWrongPasswords(), confirming(notes), fresh(FRESH)];
  router.post("/sessions/end-others", requireUser, askAgain, async (req: Request, res: Response) => {
    res.locals.ending = NOT_KNOWN;
    const count = await users.revoke(credentialsOf(req).username, { except: req });
    const text = count === 1 ? "1 other session was ended." : `${count} other sessions were ended.`;
    backToSessions(req, res, count === 0 ? NO_OTHERS : { tone: "good", text });
  });

  return router;
}

const NOT_KNOWN = "It is not certain what was ended. Please look before you rely on it.";

function backToSessions(req: Request, res: Response, flash: Flash): void {
  // If saving the session fails after this, the page about it has to say what became of the others.
  res.locals.ending = `${flash.text} Only the confirmation was lost.`;
  leaveFlash(req, flash);
  res.redirect(303, "/sessions");
}

/** The store writes now and then when a session was last seen. Of the one that asks, we know better. */
function seenNow(session: UserSession, now: number): UserSession {
  return session.current ? { ...session, lastSeenAt: new Date(now) } : session;
}
