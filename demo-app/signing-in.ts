/** Signing in and out. There is no table of users here: whoever the notes service lets in is signed in. */

import { type Request, type RequestHandler, type Response, Router } from "express";
import { rateLimit } from "express-rate-limit";
import { TokenizerError } from "express-tokenizer";
import { browserName } from "./browser-name.js";
import { type Flash, leaveFlash, takeFlash } from "./flash.js";
import { type Login, LoginRefused, type NotesClient, ServiceUnreachable } from "./notes-client.js";
import { show } from "./show.js";
import type { Account } from "./upstream.js";
import { problemPage, signedOutPage, signInPage } from "./views.js";

const WINDOW = 10 * 60 * 1000; // milliseconds
const WRONG_PASSWORDS = 10;

const FIELD_MISSING: Flash = { tone: "bad", text: "Please enter both your name and your password." };
const WRONG_PASSWORD: Flash = {
  tone: "bad",
  text: "That name and password do not belong together. Please try again.",
};
const NOT_YOUR_PASSWORD: Flash = { tone: "bad", text: "That is not your password. No session was ended." };
const CANNOT_CHECK: Flash = {
  tone: "plain",
  text: "The notes service is not answering, so your password could not be checked. Please try again soon.",
};
const SESSION_ENDED: Flash = { tone: "plain", text: "Your session has ended. Please sign in again." };
const CANNOT_REOPEN: Flash = {
  tone: "plain",
  text: "Your sign-in could not be reopened, so nothing was fetched in your name. Please sign in again.",
};

/** @param accounts those that the sign-in page tells everybody */
export function signingIn(notes: NotesClient, accounts: readonly Account[]): Router {
  const router = Router();

  router.get("/sign-in", async (req, res) => {
    if (isSignedIn(req)) return res.redirect(303, "/notes");
    const flash = takeFlash(req) ?? whyAgain(req);
    await forgetEmptySession(req);
    show(res, 200, signInPage(flash, accounts));
  });

  router.post("/sign-in", limitWrongPasswords(), async (req, res) => {
    const login = loginFrom(req.body);
    if (login === undefined) return backToSignIn(req, res, FIELD_MISSING);
    const objection = await objectionTo(login, notes);
    if (objection !== undefined) {
      res.locals.wrongPassword = objection === WRONG_PASSWORD;
      return backToSignIn(req, res, { ...objection, username: login.username });
    }
    const draftIsTheirs = req.session.draft?.author === login.username;
    const label = browserName(req.get("User-Agent"));
    const remember = req.body.remember === "on";
    await req.signIn(login, { keep: draftIsTheirs ? ["draft"] : [], label, remember });
    res.redirect(303, "/notes");
  });

  router.post("/sign-out", async (req, res) => {
    await req.signOut();
    res.redirect(303, "/signed-out");
  });

  router.get("/signed-out", (req, res) => {
    if (isSignedIn(req)) return res.redirect(303, "/notes");
    show(res, 200, signedOutPage());
  });

  return router;
}

/** A session whose credentials do not open is no sign-in: nothing could be fetched with it. */
export function isSignedIn(req: Request): boolean {
  return req.session.username !== undefined && req.credentials !== undefined;
}

/** For every page of the signed-in. */
export const requireUser: RequestHandler = (req, res, next) => {
  if (isSignedIn(req)) return next();
  res.redirect(303, "/sign-in");
};

/** What the routes behind `requireUser` act with. */
export function credentialsOf({ credentials }: Request): Login {
  if (credentials !== undefined) return credentials;
  throw new Error("a route that acts as the user was reached without credentials");
}

/**
 * Asks again who it is: whose form has the right password has a sign-in that is not old. Without one, `sessions.fresh`
 * decides.
 */
export function confirming(notes: NotesClient): RequestHandler {
  return async (req, res, next) => {
    const { username } = credentialsOf(req);
    const login = loginFrom({ username, password: req.body?.password });
    if (login === undefined) return next();
    const objection = await objectionTo(login, notes);
    if (objection === undefined) return (await isConfirmed(req, login)) ? next() : res.redirect(303, "/sessions");
    res.locals.wrongPassword = objection === WRONG_PASSWORD;
    leaveFlash(req, res.locals.wrongPassword ? NOT_YOUR_PASSWORD : objection);
    res.redirect(303, "/sessions");
  };
}

const OVERTAKEN: ReadonlySet<unknown> = new Set(["SIGN_IN_AGAIN", "SESSION_REVOKED"]);

/** Not when the session is no more: another browser ended it, or the same form came twice and the first one was served. */
async function isConfirmed(req: Request, login: Login): Promise<boolean> {
  try {
    await req.confirmSignIn(login);
    return true;
  } catch (error) {
    if (error instanceof TokenizerError && OVERTAKEN.has(error.code)) return false;
    throw error;
  }
}

async function objectionTo(login: Login, notes: NotesClient): Promise<Flash | undefined> {
  try {
    await notes.list(login);
    return undefined;
  } catch (error) {
    if (error instanceof LoginRefused) return WRONG_PASSWORD;
    if (error instanceof ServiceUnreachable) return CANNOT_CHECK;
    throw error;
  }
}

function backToSignIn(req: Request, res: Response, flash: Flash): void {
  leaveFlash(req, flash);
  res.redirect(303, "/sign-in");
}

function whyAgain(req: Request): Flash | undefined {
  if (req.sessionEnded) return SESSION_ENDED;
  if (req.session.username !== undefined) return CANNOT_REOPEN;
  return undefined;
}

/**
 * Somebody who is not signed in keeps a session only while something waits in it. Otherwise its end would one day
 * be told as "your session has ended" to a visitor who mistyped a password once.
 */
async function forgetEmptySession(req: Request): Promise<void> {
  const { username, draft } = req.session;
  const wasStored = req.headers.cookie !== undefined && !req.sessionEnded;
  if (wasStored && username === undefined && draft === undefined) await req.signOut();
}

/** Fields that come twice are lists; those are nobody's name. */
function loginFrom(body: unknown): Login | undefined {
  const { username, password } = (body ?? {}) as Record<string, unknown>;
  if (typeof username !== "string" || typeof password !== "string") return undefined;
  return username === "" || password === "" ? undefined : { username, password };
}

/** Counts by address, and only wrong passwords: an office behind one address may sign in as often as it likes. */
export function limitWrongPasswords() {
  return rateLimit({
    windowMs: WINDOW,
    limit: WRONG_PASSWORDS,
    standardHeaders: "draft-8",
    legacyHeaders: false,
    skipSuccessfulRequests: true,
    requestWasSuccessful: (_req, res) => res.locals.wrongPassword !== true,
    handler: (_req, res) => {
      show(
        res,
        429,
        problemPage({
          title: "Too many wrong passwords",
          text: [
            "Several sign-ins from your address went wrong, so signing in from there is paused.",
            `Please wait ${WINDOW / 60_000} minutes, then try again. Whoever is signed in already stays signed in.`,
          ],
          actions: [{ href: "/sign-in", label: "Back to sign-in" }],
        }),
      );
    },
  });
}
