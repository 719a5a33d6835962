/** The session's cookie: what it carries, how it is read and sent, and how it is taken back. */
import { parse } from "cookie";
import { sign, unsign } from "cookie-signature";
import type { CookieOptions, Request, Response } from "express";
import type { CookieSettings } from "../settings/settings.js";
import { mayBeShared } from "./caching.js";
import { completePartitioned, otherForms } from "./cookie-forms.js";
import type { CookieAttributes } from "./cookie-mark.js";
import { CookieWarnings } from "./cookie-warnings.js";
import { type Arrival, Overtaken } from "./overtaken.js";
import type { RequestAttributes } from "./request-attributes.js";

/** Marks a signed value. The format is express-session's, so that cookies outlive a change of middleware. */
const SIGNED = "s:";

/** A dot, and a SHA-256 in base64 without padding. */
const SIGNATURE = /\.[\w+/]{43}$/;

/** So many of the rightly signed ids that one request brings are looked up. */
const MOST_LOOKED_UP = 3;

/** What a request's cookies name. */
export interface Brought extends Arrival {
  /** The session ids that are rightly signed, in the browser's order. */
  readonly ids: readonly string[];
  /** Several cookies of the name came, all of them ours: of another path, or from before a change of `domain`. */
  readonly areSeveral: boolean;
  /** A cookie of the name came that is not rightly signed: perhaps another application's. */
  readonly areMixed: boolean;
}

/** The same after they were looked up: the sessions before `live` are over, and without it those of all. */
export interface Found extends Brought {
  readonly live: string | undefined;
  /** Of those that are over one is still there, but cannot be read. */
  readonly isUnreadable: boolean;
}

export interface SessionCookieOptions {
  readonly now: () => number;
  readonly warn: (message: string) => void;
  /** Where the application says the attributes. */
  readonly byRequest: RequestAttributes | undefined;
}

/** What an answer has to know of a live session's cookie. */
export interface Tidying extends Pick<SentCookie, "end"> {
  readonly isRenewed: boolean;
  /** It was sent with other attributes than now. */
  readonly isOld: boolean;
}

/** The cookie of a session that is there. */
export interface SentCookie {
  readonly id: string;
  /** When browsers are to forget it, in milliseconds since 1970. None: when they are closed. */
  readonly end: number | undefined;
}

/**
 * A browser-session cookie, but for those of remembered sessions: their Max-Age is what is left until the absolute end. It
 * never rolls, or a slow answer would set a dead cookie over a new one: how long a session lives is the store's business.
 */
export class SessionCookie {
  readonly #settings: CookieSettings;
  readonly #byRequest: RequestAttributes | undefined;
  readonly #secrets: readonly [string, ...string[]];
  readonly #now: () => number;
  readonly #warnings: CookieWarnings;
  readonly #overtaken: Overtaken;

  /** @param secrets the first signs, all are accepted */
  constructor(
    settings: CookieSettings,
    secrets: readonly [string, ...string[]],
    { now, warn, byRequest }: SessionCookieOptions,
  ) {
    this.#settings = settings;
    this.#byRequest = byRequest;
    this.#secrets = secrets;
    this.#now = now;
    this.#warnings = new CookieWarnings(settings, warn);
    this.#overtaken = new Overtaken(now);
  }

  /** What the cookie is sent with. */
  attributesOf(req: Request): CookieAttributes {
    return this.#byRequest?.of(req) ?? this.#settings;
  }

  /** The session ids that the request's cookies name. Several cookies may have the name: only their signatures tell whose. */
  read(req: Request): Brought {
    const values = valuesOf(req.headers.cookie, this.#settings.name);
    const ids = values.flatMap((value) => this.#idOf(value) ?? []);
    if (ids.length > 0) this.#warnings.came(req);
    return {
      ids: [...new Set(ids)].slice(0, MOST_LOOKED_UP),
      areSeveral: ids.length > 1,
      areMixed: ids.length < values.length,
      ...this.#overtaken.arrive(),
    };
  }

  /**
   * Sends the cookie of a new session. A `secure` cookie is not sent where the browser would refuse it.
   *
   * @param isSaved whether the session is in the store already
   */
  send(req: Request, res: Response, sent: SentCookie, { found, isSaved }: { found: Found; isSaved: boolean }): void {
    if (!this.#set(req, res, sent)) return;
    this.#overtaken.change(found.ids, found);
    if (!isSaved) this.#overtaken.announceEarly(sent.id);
    if (found.areSeveral) this.#forgetOthers(req, res, found);
  }

  /** Takes the cookie of a session that is over back from the browser. */
  clear(req: Request, res: Response, found: Found): void {
    if (!isExpress(res)) {
      this.#warnings.notExpress();
      return;
    }
    this.#overtaken.change(found.ids, found);
    this.#clear(res, this.#attributes(req));
    if (found.areSeveral || found.live === undefined) this.#forgetOthers(req, res, found);
  }

  /**
   * Whether this answer may send the cookie of the live session again, with other attributes. Answers to requests that are
   * under way now then do not.
   */
  mayRenew(req: Request, res: Response, found: Found): boolean {
    const isRefused = this.attributesOf(req).secure === true && !req.secure;
    if (found.live === undefined || !isExpress(res) || isRefused || !this.#mayTidy(res, found)) return false;
    this.#overtaken.change([found.live], found);
    return true;
  }

  /**
   * Where the session stays what it was: sends the cookie again that is to be renewed, or that an older secret signed, and
   * takes back one whose session is over, which would be looked up with each request. Nothing is done where it could meet a
   * newer cookie; there will be other answers.
   */
  tidy(req: Request, res: Response, found: Found, { isRenewed, isOld, end }: Tidying): void {
    const { ids, live, isUnreadable } = found;
    const isFine = live !== undefined && ids[0] === live && this.#secrets.length === 1;
    if ((isFine && !isRenewed) || !this.#mayTidy(res, found)) return;
    if (isRenewed || (live !== undefined && this.#isSignedWithOlderSecret(req, live))) {
      const isSent = live !== undefined && this.#set(req, res, { id: live, end });
      if (isSent && isRenewed) this.#forgetOthers(req, res, found);
      return;
    }
    // A server that lacks a key must not sign everybody out for good.
    const isOver = ids[0] !== live && !isUnreadable;
    if (!isOver || !isExpress(res) || !mayTakeBack(req, res)) return;
    if (live === undefined) this.clear(req, res, found);
    // The live one was sent with the domain and the partition that there are now: in another form it is not the live one.
    else if (!isOld) this.#forgetOthers(req, res, found);
  }

  /** To be called with what the application has put into an answer, before the session's cookie is added. */
  lookAtOthers(res: Response): void {
    this.#warnings.others(res);
  }

  #mayTidy(res: Response, found: Found): boolean {
    return !this.#overtaken.isOvertaken(found.ids, found) && !mayBeShared(res);
  }

  #idOf(value: string): string | undefined {
    if (!value.startsWith(SIGNED) || !SIGNATURE.test(value)) return undefined;
    const signed = value.slice(SIGNED.length);
    for (const secret of this.#secrets) {
      const id = unsign(signed, secret);
      if (id) return id;
    }
    return undefined;
  }

  #isSignedWithOlderSecret(req: Request, sessionId: string): boolean {
    if (this.#secrets.length === 1) return false;
    return !req.headers.cookie?.includes(encodeURIComponent(this.#valueOf(sessionId)));
  }

  #set(req: Request, res: Response, { id, end }: SentCookie): boolean {
    const usual = this.#attributes(req);
    const attributes = end === undefined ? usual : { ...usual, maxAge: Math.max(0, end - this.#now()) };
    if (!isExpress(res)) this.#warnings.notExpress();
    else if (this.attributesOf(req).secure === true && !req.secure) this.#warnings.notSent();
    else {
      this.#warnings.sent(req, attributes.secure === true, this.attributesOf(req));
      res.cookie(this.#settings.name, this.#valueOf(id), attributes);
      if (attributes.partitioned) completePartitioned(res);
      return true;
    }
    return false;
  }

  #clear(res: Response, attributes: CookieOptions): void {
    res.clearCookie(this.#settings.name, attributes);
    if (attributes.partitioned) completePartitioned(res);
  }

  /** A cookie from before a change of `domain` or `partitioned` is another one for the browser. No new session is in it. */
  #forgetOthers(req: Request, res: Response, { areMixed }: Brought): void {
    if (areMixed) return;
    const isPartitionKnown = this.attributesOf(req).partitioned !== undefined;
    for (const form of otherForms(this.#attributes(req), isPartitionKnown)) this.#clear(res, form);
  }

  #valueOf(sessionId: string): string {
    return `${SIGNED}${sign(sessionId, this.#secrets[0])}`;
  }

  #attributes(req: Request): CookieOptions {
    const { secure, same_site, path, domain, partitioned, priority } = this.attributesOf(req);
    const attributes: CookieOptions = {
      httpOnly: true,
      sameSite: same_site,
      secure: secure === "auto" ? req.secure : secure,
      path,
    };
    if (domain !== undefined) attributes.domain = domain;
    if (partitioned) attributes.partitioned = true;
    if (priority !== undefined) attributes.priority = priority;
    return attributes;
  }
}

/** All values under the name, decoded: a browser sends one for each path and domain. */
export function valuesOf(header: string | undefined, name: string): string[] {
  const pairs = header?.split(";").map((pair) => pair.trim()) ?? [];
  return pairs.filter((pair) => pair.startsWith(`${name}=`)).flatMap((pair) => parse(pair)[name] ?? []);
}

function isExpress(res: Response): boolean {
  return typeof res.cookie === "function";
}

/**
 * A page that takes a cookie back is there before anybody can sign in on it. What a script asks for is not, and neither is
 * a part of a page. Not every client says which it is. The page that a redirect leads to wants to know of the end, too.
 */
function mayTakeBack(req: Request, res: Response): boolean {
  const isPartOfPage = req.headers["sec-fetch-dest"] !== undefined && req.headers["sec-fetch-mode"] !== "navigate";
  const isRedirect = res.statusCode >= 300 && res.statusCode < 400 && res.statusCode !== 304;
  return !isPartOfPage && !isRedirect;
}
