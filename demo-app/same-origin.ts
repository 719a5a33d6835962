/**
 * Refuses forms that another site made the browser send. The cookie is SameSite=Lax already, but "site" leaves out
 * the port and the subdomain: a page on http://localhost:4000 is the same *site* as this one, and its forms would
 * bring the cookie along. It also protects signing in, which needs no cookie: being signed in to somebody else's
 * account without noticing is a way to lose one's notes, too.
 *
 * A token in each form would do the same, and would need a session for every visitor who only looks.
 */

import type { Request, RequestHandler } from "express";

const READING = new Set(["GET", "HEAD", "OPTIONS"]);

/** Calls `refused` in place of the routes below for a request that changes something and comes from elsewhere. */
export function sameOriginOnly(refused: RequestHandler): RequestHandler {
  return function sameOrigin(req, res, next) {
    if (READING.has(req.method) || isOurOwn(req)) return next();
    return refused(req, res, next);
  };
}

function isOurOwn(req: Request): boolean {
  const site = req.get("Sec-Fetch-Site");
  // "none" is the visitor's own doing, a bookmark say.
  if (site !== undefined) return site === "same-origin" || site === "none";
  const origin = req.get("Origin");
  // Browsers leave Sec-Fetch-Site out when they are old, and on plain HTTP anywhere but on localhost; a POST's Origin
  // they all send. With neither it is no browser, and nobody's cookie is being borrowed.
  return origin === undefined || hostOf(origin) === req.get("Host");
}

function hostOf(origin: string): string | undefined {
  // "null" is an origin, too: that of a sandboxed frame.
  return URL.canParse(origin) ? new URL(origin).host : undefined;
}
