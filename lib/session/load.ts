/** The session that a request's cookie names, or a new one: express-session's own objects, without its hands on the answer. */
import type { Request } from "express";
import type { SessionCookie } from "./cookie.js";
import type { TokenStore } from "./store.js";

/**
 * Gives the request its `session`, `sessionID` and `sessionStore`.
 *
 * express-session's middleware would also take over the response, to send its headers first and save then; and it takes
 * ids that cookie-parser checked, with a secret that is not ours.
 *
 * @param done called when the session is there, or with why it could not be loaded
 */
export function loadSession(
  req: Request,
  { store, cookie }: { store: TokenStore; cookie: SessionCookie },
  done: (error: unknown, cookieId: string | undefined) => void,
): void {
  const cookieId = cookie.read(req);
  Object.assign(req, { sessionStore: store });
  if (cookieId === undefined) {
    store.generate(req);
    done(undefined, undefined);
    return;
  }
  req.sessionID = cookieId;
  store.get(cookieId, (error, data) => {
    if (error) return done(error, cookieId);
    if (data) store.createSession(req, data);
    else store.generate(req);
    done(undefined, cookieId);
  });
}
