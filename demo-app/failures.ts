/** What went wrong, told so that the visitor knows what was done, what was not, and what to do next. */

import type { ErrorRequestHandler, Request, RequestHandler, Response } from "express";
import { TokenizerError } from "express-tokenizer";
import { draftFrom } from "./notes.js";
import { ServiceUnreachable } from "./notes-client.js";
import { show } from "./show.js";
import { type Problem, problemPage } from "./views.js";

export type Log = (line: string) => void;

export const notFound: RequestHandler = (req, res) => {
  tell(req, res, 404, {
    title: "There is no such page",
    text: ["The address may be mistyped, or the page has moved."],
    actions: [{ href: "/", label: "Go to the start" }],
  });
};

export const crossSite: RequestHandler = (req, res) => {
  tell(req, res, 403, {
    title: "That came from another site",
    text: [
      "Another site asked your browser to send a form here. Nothing was done with it.",
      "If you meant to do this, please do it from this site's own pages.",
    ],
    actions: [{ href: "/", label: "Go to the start" }],
  });
};

/** The last of all handlers. */
export function failures(log: Log): ErrorRequestHandler {
  return function showFailure(error: unknown, req, res, next) {
    const [status, problem] = explain(error, req, res);
    // The path alone, and never the body: queries and forms are where secrets get typed.
    if (status >= 500) log(`${req.method} ${req.path} ${status}: ${describe(error, status)}`);
    if (res.headersSent) return next(error);
    // A page of this browser's: without its cookie, it can sign in again.
    const isLost = problem === OTHER_DEVICE && req.get("Sec-Fetch-Mode") === "navigate";
    if (isLost) req.signOut().then(() => tell(req, res, status, problem), next);
    else tell(req, res, status, problem);
  };
}

function explain(error: unknown, req: Request, res: Response): [number, Problem] {
  if (error instanceof TokenizerError && error.code === "SESSION_REVOKED") return [503, ENDED_MEANWHILE];
  if (error instanceof TokenizerError && error.code === "SIGN_IN_AGAIN") return [401, PASSWORD_NEEDED];
  if (error instanceof TokenizerError && error.code === "SESSION_UNPROVEN") return [401, OTHER_DEVICE];
  if (error instanceof TokenizerError && error.status === 503) return [503, storeFailed(req, res)];
  if (error instanceof ServiceUnreachable) return [502, serviceDown(req)];
  const status = clientFault(error);
  return status === undefined ? [500, OUR_FAULT] : [status, NOT_UNDERSTOOD];
}

const OUR_FAULT: Problem = {
  title: "Something went wrong here",
  text: ["This is our fault, not yours. It has been written down, and trying again may help."],
  actions: [{ href: "/", label: "Go to the start" }],
};

const NOT_UNDERSTOOD: Problem = {
  title: "That could not be read",
  text: ["What your browser sent was too large or was not a form of ours. Nothing was done with it."],
  actions: [{ href: "/", label: "Go to the start" }],
};

const ENDED_MEANWHILE: Problem = {
  title: "Your sign-in was ended from elsewhere",
  text: [
    "While you were signing in, another browser of yours had sessions ended, this one among them. You were not signed in.",
  ],
  actions: [{ href: "/sign-in", label: "Sign in again" }],
};

const PASSWORD_NEEDED: Problem = {
  title: "Please enter your password once more",
  text: ["You signed in a while ago, and this needs to know that it is you. Nothing was done."],
  actions: [{ href: "/sessions", label: "Back to your sessions" }],
};

const OTHER_DEVICE: Problem = {
  title: "This session belongs to another device",
  text: ["Its cookie came without a proof of the device that it is bound to, so nothing of it was shown."],
  actions: [{ href: "/sign-in", label: "Sign in again" }],
};

function serviceDown(req: Request): Problem {
  const kept =
    req.session?.draft === undefined
      ? []
      : ["The note that you wrote last is kept, and waits for you to add it again."];
  return {
    title: "The notes service is not answering",
    text: ["You are still signed in, but your notes could not be fetched.", ...kept],
    actions: [{ href: "/notes", label: "Try again" }],
  };
}

/** Says "saved" of nothing, except of the one thing that is known to be. */
function storeFailed(req: Request, res: Response): Problem {
  const title = "Your session cannot be reached right now";
  const cause = "The place where this site keeps its sessions did not answer.";
  if (res.locals.note === "added") {
    const text = [cause, "Your note did reach the notes service. Only the confirmation was lost."];
    return { title, text, actions: [{ href: "/notes", label: "See your notes" }] };
  }
  switch (`${req.method} ${req.path}`) {
    case "POST /notes":
      return {
        title,
        text: [cause, `${noteOutcome(res)} Here it is; sending it again cannot add it twice.`],
        actions: [],
        draft: draftFrom(req.body, ""),
      };
    case "POST /sessions/end":
    case "POST /sessions/end-others":
      return {
        title,
        text: [cause, res.locals.ending ?? "No session was ended."],
        actions: [{ href: "/sessions", label: "See your sessions" }],
      };
    case "POST /sign-in":
      return {
        title,
        text: [cause, "You were not signed in, and nothing was saved."],
        actions: [{ href: "/sign-in", label: "Try again" }],
      };
    case "POST /sign-out":
      return {
        title,
        text: [cause, "It is not certain that you are signed out. Please try again before you leave this device."],
        actions: [{ href: "/sign-out", label: "Sign out again", post: true }],
      };
    default:
      return {
        title,
        text: [cause, "Nothing was changed. Once it answers again, you can go on where you were."],
        actions: [{ href: req.method === "GET" ? req.path : "/", label: "Try again" }],
      };
  }
}

function noteOutcome(res: Response): string {
  return res.locals.note === "sent" ? "It is not known whether your note was added." : "Your note was not added.";
}

/** body-parser and the router mark what the sender did wrong with a status of 4xx. */
function clientFault(error: unknown): number | undefined {
  const status = (error as { status?: unknown } | null | undefined)?.status;
  return typeof status === "number" && status >= 400 && status < 500 ? status : undefined;
}

function describe(error: unknown, status: number): string {
  if (!(error instanceof Error)) return typeof error;
  if (status === 500) return error.stack ?? error.message;
  return error instanceof TokenizerError ? `${error.code} ${error.message}` : error.message;
}

function tell(req: Request, res: Response, status: number, problem: Problem): void {
  // No session at all when it could not be loaded, or where this stands before the sessions.
  const username = req.session?.username;
  show(res, status, problemPage({ ...problem, ...(username === undefined ? {} : { username }) }));
}
