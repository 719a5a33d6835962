/** The attributes of a session's cookie that the application says for each request, as for tenants. */
import type { Request } from "express";
import type { CookieOptions } from "express-session";
import { type CookieAttributes, cookieMark } from "./cookie-mark.js";
import { isSession } from "./snapshot.js";

/** What the application said for one request. */
class Said {
  readonly attributes: CookieAttributes;
  #mark: { readonly value: string | undefined } | undefined;

  constructor(attributes: CookieAttributes) {
    this.attributes = attributes;
  }

  /** Hashed once, though a request wants it several times. */
  get mark(): string | undefined {
    this.#mark ??= { value: cookieMark(this.attributes) };
    return this.#mark.value;
  }
}

/** Asked once for a request: so all of its answer, and what `req.session.cookie` shows, say the same. */
export class RequestAttributes {
  readonly #ask: (req: Request) => CookieAttributes;
  /** A property, not a WeakMap: that would keep what it holds until the next collection of all. */
  readonly #asked = Symbol("cookie attributes");

  /** @param ask throws what the application's function throws, and where its answer is wrong */
  constructor(ask: (req: Request) => CookieAttributes) {
    this.#ask = ask;
  }

  of(req: Request): CookieAttributes {
    return this.#saidFor(req).attributes;
  }

  /** The mark of the cookie that a session of a request has (`cookieMark`). */
  markOf(session: object): string | undefined {
    return isSession(session) ? this.#saidFor(session.req as Request).mark : undefined;
  }

  #saidFor(req: Request): Said {
    const asked: Said | undefined = Reflect.get(req, this.#asked);
    if (asked) return asked;
    const said = new Said(this.#ask(req));
    Reflect.defineProperty(req, this.#asked, { value: said });
    return said;
  }
}

/** As express-session calls them, for `req.session.cookie`. */
export function shownAttributes(attributes: CookieAttributes): CookieOptions {
  const { secure, same_site, path, domain, partitioned, priority } = attributes;
  const shown: CookieOptions = { httpOnly: true, secure, sameSite: same_site, path };
  if (domain !== undefined) shown.domain = domain;
  if (partitioned !== undefined) shown.partitioned = partitioned;
  if (priority !== undefined) shown.priority = priority;
  return shown;
}
