/** What the page “Try the promises” asks: the same routes on each stack, mounted in front of the demo's own sessions. */

import { randomBytes } from "node:crypto";
import { setTimeout } from "node:timers/promises";
import { type ErrorRequestHandler, type Request, type RequestHandler, Router } from "express";
import { rateLimit } from "express-rate-limit";
import { TokenizerError } from "express-tokenizer";
import { copyCookie, useCopy } from "./copied-cookie.js";
import { Meetings } from "./meetings.js";
import { PLACES, type Stack, type Trials } from "./stacks.js";

declare module "express-session" {
  interface SessionData {
    [item: `item${number}`]: true | undefined;
    late?: true;
  }
}

/** How long a request that saves an item takes, in milliseconds: as one that asks a database. */
const WORK = 100;
const WINDOW = 10 * 60 * 1000; // milliseconds
/** Of everybody together: what is begun and never ended stays in memory for a while. */
const MOST_SESSIONS = 600;
const ITEM = /^[1-9][0-9]?$/;

export function trialRoutes({ stacks, disk }: Trials): Router {
  const router = Router();
  const limited = limitSessions();
  for (const place of PLACES) router.use(`/${place}`, stackRoutes(stacks[place], limited));

  router.post("/disk/fill", (_req, res) => {
    disk.fill();
    res.json({ isFull: disk.isFull });
  });
  router.get("/disk", (_req, res) => {
    res.json({ isFull: disk.isFull });
  });
  return router;
}

function stackRoutes(stack: Stack, limited: RequestHandler): Router {
  const router = Router();
  const routes = sessionRoutes(stack, limited);
  router.post("/copy", copyCookie(stack.cookieName));
  router.use("/copied", useCopy(stack.cookieName), routes);
  router.use(routes);
  return router;
}

function sessionRoutes({ sessions, signIn, signOut }: Stack, limited: RequestHandler): Router {
  const router = Router();
  const meetings = new Meetings();

  router.post("/begin", limited);
  router.use(sessions);

  router.post("/begin", async (req, res) => {
    const visitor = `visitor-${randomBytes(6).toString("hex")}`;
    await signIn(req, visitor);
    res.json({ said: "signed in", visitor });
  });
  router.get("/session", (req, res) => {
    const { username: visitor } = req.session;
    res.json({ isSignedIn: visitor !== undefined, visitor, items: itemsOf(req) });
  });
  router.post(["/items/:item", "/slow", "/sign-out-meanwhile"], begunOnly);
  router.post("/items/:item", async (req, res) => {
    const { item } = req.params;
    if (!ITEM.test(item)) return void res.status(400).json({ said: "no such item" });
    await setTimeout(WORK);
    req.session[`item${Number(item)}`] = true;
    res.json({ said: "saved" });
  });
  router.post("/slow", async (req, res) => {
    await meetings.slow(req.sessionID);
    req.session.late = true;
    res.json({ said: "done" });
  });
  router.post("/sign-out-meanwhile", async (req, res) => {
    await meetings.signOut(req.sessionID, () => signOut(req));
    res.json({ said: "signed out" });
  });
  router.post("/sign-out", async (req, res) => {
    await signOut(req);
    res.json({ said: "signed out" });
  });

  router.use(refused);
  return router;
}

/** What needs no session that was begun would make one of its own, and nothing would limit those. */
const begunOnly: RequestHandler = (req, res, next) => {
  if (req.session.username !== undefined) return next();
  res.status(409).json({ said: "no session was begun, or it has ended" });
};

function itemsOf({ session }: Request): number[] {
  return Object.keys(session)
    .filter((key) => key.startsWith("item"))
    .map((key) => Number(key.slice("item".length)));
}

/** express-session tells of a save that failed when its answer is out already: that answer is what the page shows. */
const refused: ErrorRequestHandler = (error: unknown, _req, res, _next) => {
  if (res.headersSent) return;
  res.status(error instanceof TokenizerError ? error.status : 500).json({ said: "not saved" });
};

function limitSessions(): RequestHandler {
  return rateLimit({
    windowMs: WINDOW,
    limit: MOST_SESSIONS,
    keyGenerator: () => "everybody",
    standardHeaders: "draft-8",
    legacyHeaders: false,
    message: { said: "too many trials were begun; please wait ten minutes" },
  });
}
