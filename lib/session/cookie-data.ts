/** What `req.session.cookie` shows: the settings' attributes, and the lifetime of the session. */
import type { Cookie, CookieOptions } from "express-session";

/**
 * @param defaults the attributes by the settings, which are not stored
 * @param maxAge the `cookie.maxAge` that the application set, in milliseconds
 * @param expires the session's end, in milliseconds since 1970
 */
export function cookieData(defaults: CookieOptions, maxAge: number | undefined, expires: number): CookieOptions {
  const end = maxAge === undefined ? null : new Date(expires);
  // express-session's own types do not know that a stored cookie has this.
  return { ...defaults, expires: end, originalMaxAge: maxAge ?? null } as CookieOptions;
}

/**
 * Shows in `req.session.cookie` when the browser forgets the cookie of a remembered session. A `maxAge` that the
 * application set stays what it is.
 *
 * @param end in milliseconds since 1970; none for a cookie that lasts as long as the browser runs
 */
export function showCookieEnd(cookie: Cookie, end: number | undefined): void {
  if (end === undefined || cookie.originalMaxAge !== null) return;
  cookie.expires = new Date(end);
  // Setting the one sets the other.
  cookie.originalMaxAge = null;
}
