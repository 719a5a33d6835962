/** What an answer says to caches when it depends on a session, or carries a session's cookie. */
import type { Response } from "express";

/** Whether a cache may keep the answer for everybody, with its cookies. */
export function mayBeShared(res: Response): boolean {
  const said = String(res.getHeader("Cache-Control") ?? "");
  const isLet = /(?:^|[\s,])(?:public|s-maxage|max-age\s*=\s*"?0*[1-9])/i.test(said);
  return isLet && !/(?:^|[\s,])(?:private|no-store)(?:$|[\s,])/i.test(said);
}

export class Caching {
  readonly #warn: (message: string) => void;
  #isWarned = false;

  constructor(warn: (message: string) => void) {
    this.#warn = warn;
  }

  /** For an answer that sets or takes back the session's cookie: no cache may hand it to somebody else. */
  forCookie(res: Response): void {
    const isSilent = !res.hasHeader("Cache-Control") && !res.hasHeader("Expires");
    if (isSilent) res.setHeader("Cache-Control", "no-store");
    else if (mayBeShared(res)) this.#warnOfSharing(String(res.getHeader("Cache-Control")));
  }

  /** For an answer that depends on the session: a cache keeps it for the same cookie only. */
  forSession(res: Response): void {
    const said = String(res.getHeader("Vary") ?? "");
    const names = said.toLowerCase().split(/[\s,]+/);
    if (names.includes("cookie") || names.includes("*")) return;
    res.setHeader("Vary", said === "" ? "Cookie" : `${said}, Cookie`);
  }

  #warnOfSharing(said: string): void {
    if (this.#isWarned) return;
    this.#isWarned = true;
    this.#warn(
      `An answer that sets the session's cookie says "Cache-Control: ${said}": a cache that many share may hand one ` +
        "visitor's session to all. Let such answers say private or no-store. express.static and res.sendFile say public " +
        "by themselves: give them { cacheControl: false }, or mount static files before the sessions.",
    );
  }
}
