/** The page behind the sign-in: the user's notes, fetched and added as the user. */

import { randomUUID } from "node:crypto";
import { type NextFunction, type Request, type RequestHandler, type Response, Router } from "express";
import { type Draft, leaveFlash, takeFlash } from "./flash.js";
import { LoginRefused, type NotesClient, ServiceUnreachable } from "./notes-client.js";
import { show } from "./show.js";
import { credentialsOf, isSignedIn, requireUser } from "./signing-in.js";
import { LONGEST_NOTE } from "./upstream.js";
import { notesPage, problemPage } from "./views.js";

const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;

const ADDED = "Your note was added.";
const NOTHING_WRITTEN = "There was nothing to add: please write something first.";
const TOO_LONG = `Your note was not added: it is longer than ${LONGEST_NOTE.toLocaleString("en")} characters.`;
const KEPT_WHILE_DOWN = "The notes service did not confirm your note. It is kept here: please add it again.";
const KEPT_UNTIL_SIGN_IN = "You are no longer signed in, so your note was not added. Sign in, and it will be waiting.";
const PASSWORD_CHANGED =
  "The notes service no longer accepts the password that you signed in with. Please sign in again.";

export function notesRoutes(notes: NotesClient): Router {
  const router = Router();

  router.get("/notes", requireUser, async (req, res) => {
    const { username, password } = credentialsOf(req);
    const list = await notes.list({ username, password });
    const flash = takeFlash(req);
    const draft = req.session.draft ?? { id: randomUUID(), text: "", author: username };
    show(res, 200, notesPage({ username, notes: list, draft, flash, sealed: req.session.credentials }));
  });

  router.post("/notes", keepDraftOfSignedOut, async (req, res) => {
    const { username, password } = credentialsOf(req);
    const draft = draftFrom(req.body, username);
    if (draft.author !== username) return refuseMixUp(res, draft.author, username);
    const objection = objectionTo(draft.text);
    if (objection !== undefined) {
      leaveFlash(req, { tone: "bad", text: objection });
      return res.redirect(303, "/notes");
    }
    await addOrKeep(req, res, draft, () => notes.add({ username, password }, draft));
    res.redirect(303, "/notes");
  });

  router.use(signOutWhenRefused);
  return router;
}

/** What was typed while the session ended is given back after the sign-in, to the same user only. */
const keepDraftOfSignedOut: RequestHandler = (req, res, next) => {
  if (isSignedIn(req)) return next();
  const draft = draftFrom(req.body, "");
  if (draft.author !== "" && objectionTo(draft.text) === undefined) {
    req.session.draft = draft;
    leaveFlash(req, { tone: "plain", text: KEPT_UNTIL_SIGN_IN, username: draft.author });
  }
  res.redirect(303, "/sign-in");
};

async function addOrKeep(req: Request, res: Response, draft: Draft, add: () => Promise<void>): Promise<void> {
  // If saving the session fails after this, the page about it has to say what became of the note.
  res.locals.note = "sent";
  try {
    await add();
    res.locals.note = "added";
    delete req.session.draft;
    leaveFlash(req, { tone: "good", text: ADDED });
  } catch (error) {
    if (!(error instanceof ServiceUnreachable)) throw error;
    req.session.draft = draft;
    leaveFlash(req, { tone: "bad", text: KEPT_WHILE_DOWN });
  }
}

/** Two tabs, two users: a note written by the one must not land among the other's. */
function refuseMixUp(res: Response, author: string, username: string): void {
  const text = [
    `You wrote this as ${author}, but by now this browser is signed in as ${username}. The note was not added.`,
    "Go back to copy it, then sign in as the right person.",
  ];
  const actions = [{ href: "/notes", label: `Notes of ${username}` }];
  show(res, 409, problemPage({ title: "Whose note is this?", text, actions, username }));
}

async function signOutWhenRefused(error: unknown, req: Request, res: Response, next: NextFunction): Promise<void> {
  if (!(error instanceof LoginRefused)) return next(error);
  const username = req.session.username;
  await req.signOut();
  leaveFlash(req, { tone: "plain", text: PASSWORD_CHANGED, ...(username === undefined ? {} : { username }) });
  res.redirect(303, "/sign-in");
}

/** What the form holds. Without a usable id (a hand-made request) the note gets one. */
export function draftFrom(body: unknown, author: string): Draft {
  const fields = (body ?? {}) as Record<string, unknown>;
  const text = typeof fields.text === "string" ? fields.text.replaceAll("\r\n", "\n").trim() : "";
  const id = typeof fields.id === "string" && UUID.test(fields.id) ? fields.id : randomUUID();
  return { id, text, author: typeof fields.author === "string" ? fields.author : author };
}

function objectionTo(text: string): string | undefined {
  if (text === "") return NOTHING_WRITTEN;
  return text.length > LONGEST_NOTE ? TOO_LONG : undefined;
}
