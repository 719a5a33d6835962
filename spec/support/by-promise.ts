/** What express-session answers by callback, by promise. */
import type { Session } from "express-session";
import type { TokenStore } from "../../lib/session/store.js";

/** Saves the session as the application's `req.session.save` does. */
export function save(session: Session): Promise<void> {
  return new Promise((resolve, reject) => session.save((error) => (error ? reject(error) : resolve())));
}

/** Ends the session of that id. */
export function destroy(store: TokenStore, sid: string): Promise<void> {
  return new Promise((resolve, reject) => store.destroy(sid, (error) => (error ? reject(error) : resolve())));
}
