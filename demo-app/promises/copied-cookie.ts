/** A thief's copy of a session's cookie, kept in the same browser under another name: no script may read either. */

import { parse } from "cookie";
import type { RequestHandler } from "express";

/** Copies the session's cookie; the copy goes to the routes below `copied` alone. */
export function copyCookie(name: string): RequestHandler {
  return (req, res) => {
    const value = parse(req.headers.cookie ?? "")[name];
    if (value === undefined) return void res.status(409).json({ said: "there is no cookie to copy" });
    res.cookie(copyOf(name), value, { httpOnly: true, sameSite: "lax", path: `${req.baseUrl}/copied` });
    res.json({ said: "copied" });
  };
}

/** From here on the request has the copy for its session's cookie, and nothing else. */
export function useCopy(name: string): RequestHandler {
  return (req, _res, next) => {
    const copy = parse(req.headers.cookie ?? "")[copyOf(name)];
    req.headers.cookie = copy === undefined ? "" : `${name}=${encodeURIComponent(copy)}`;
    next();
  };
}

function copyOf(name: string): string {
  return `${name}-copy`;
}
