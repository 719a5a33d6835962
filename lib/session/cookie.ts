/** The session's cookie: what it carries, how it is read and sent, and how it is taken back. */
import { parse } from "cookie";
import { sign, unsign } from "cookie-signature";
import type { CookieOptions, Request, Response } from "express";
import type { CookieSettings } from "../settings/settings.js";
import { CookieWarnings } from "./cookie-warnings.js";

/** Marks a signed value. The format is express-session's, so that cookies outlive a change of middleware. */
const SIGNED = "s:";

/**
 * A browser-session cookie. It has no Max-Age and never rolls, or a slow answer would set a dead cookie
 * over a new one: how long a session lives is the store's business.
 */
export class SessionCookie {
  readonly #settings: CookieSettings;
  readonly #secrets: readonly [string, ...string[]];
  readonly #warnings: CookieWarnings;

  /** @param secrets the first signs, all are accepted */
  constructor(settings: CookieSettings, secrets: readonly [string, ...string[]], warn: (message: string) => void) {
    this.#settings = settings;
    this.#secrets = secrets;
    this.#warnings = new CookieWarnings(settings, warn);
  }

  /** Whether the request is for the cookie's path: outside of it there is no session. An upgrade is none of Express's. */
  isInPath(req: Request): boolean {
    const { path } = this.#settings;
    return path === "/" || pathOf(req.originalUrl ?? req.url).startsWith(path);
  }

  /** The session id that the request's cookie names; nothing without a cookie that is rightly signed. */
  read(req: Request): string | undefined {
    const header = req.headers.cookie;
    const value = header === undefined ? undefined : parse(header)[this.#settings.name];
    if (!value?.startsWith(SIGNED)) return undefined;
    const signed = value.slice(SIGNED.length);
    for (const secret of this.#secrets) {
      const id = unsign(signed, secret);
      if (id) return id;
    }
    return undefined;
  }

  /** Sends the cookie of a session. A `secure` cookie is not sent where the browser would refuse it. */
  send(req: Request, res: Response, sessionId: string): void {
    const { name, secure } = this.#settings;
    const attributes = this.#attributes(req);
    if (!isExpress(res)) this.#warnings.notExpress();
    else if (secure === true && !req.secure) this.#warnings.notSent();
    else {
      this.#warnings.sent(req, attributes.secure === true);
      res.cookie(name, this.#valueOf(sessionId), attributes);
    }
  }

  /** Takes the cookie back from the browser. */
  clear(req: Request, res: Response): void {
    if (isExpress(res)) res.clearCookie(this.#settings.name, this.#attributes(req));
    else this.#warnings.notExpress();
  }

  /** To be called with what the application has put into an answer, before the session's cookie is added. */
  lookAtOthers(res: Response): void {
    this.#warnings.others(res);
  }

  /** Whether the cookie that came with the request was signed with a secret that is on its way out. */
  isSignedWithOlderSecret(req: Request, sessionId: string): boolean {
    if (this.#secrets.length === 1) return false;
    return !req.headers.cookie?.includes(encodeURIComponent(this.#valueOf(sessionId)));
  }

  #valueOf(sessionId: string): string {
    return `${SIGNED}${sign(sessionId, this.#secrets[0])}`;
  }

  #attributes(req: Request): CookieOptions {
    const { secure, same_site, path, domain } = this.#settings;
    const attributes = { httpOnly: true, sameSite: same_site, secure: secure === "auto" ? req.secure : secure, path };
    return domain === undefined ? attributes : { ...attributes, domain };
  }
}

function isExpress(res: Response): boolean {
  return typeof res.cookie === "function";
}

/** Without the origin that a request through a proxy may name, and without the query. */
function pathOf(url: string): string {
  return url.replace(/^[a-z][\w+.-]*:\/\/[^/?#]*/i, "").replace(/[?#].*$/s, "") || "/";
}
