/** The session that a request's cookies name, or a new one: express-session's own objects, without its hands on the answer. */
import type { Request } from "express";
import type { Found, SessionCookie } from "./cookie.js";
import type { SessionEngine } from "./engine.js";
import type { TokenStore } from "./store.js";
import { unwatched } from "./watch.js";

/**
 * Gives the request its `session`, `sessionID` and `sessionStore`. Of several cookies the first counts whose session is
 * live.
 *
 * express-session's middleware would also take over the response, to send its headers first and save then; and it takes
 * ids that cookie-parser checked, with a secret that is not ours.
 *
 * @param done called when the session is there, or with why it could not be loaded
 */
export function loadSession(
  req: Request,
  { store, engine, cookie }: { store: TokenStore; engine: SessionEngine; cookie: SessionCookie },
  done: (error: unknown, found: Found) => void,
): void {
  const brought = cookie.read(req);
  Object.assign(req, { sessionStore: store });
  const lookUp = ([id, ...others]: readonly string[]): void => {
    if (id === undefined) {
      const isUnreadable = brought.ids.some((one) => engine.isUnreadable(one));
      unwatched(req, () => store.generate(req));
      done(undefined, { ...brought, live: undefined, isUnreadable });
      return;
    }
    req.sessionID = id;
    store.get(id, (error, data) => {
      if (!error && !data) return lookUp(others);
      if (data) unwatched(req, () => store.createSession(req, data));
      done(error, { ...brought, live: id, isUnreadable: false });
    });
  };
  lookUp(brought.ids);
}
