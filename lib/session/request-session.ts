/** The session of one request: what `req.session` has become by the answer is saved, ended or refused. */
import type { Request, Response } from "express";
import session, { type Session, type SessionData } from "express-session";
import { TokenizerError } from "../errors.js";
import { storageKey } from "../session-id.js";
import type { Caching } from "./caching.js";
import type { Found, SessionCookie } from "./cookie.js";
import type { SessionEngine } from "./engine.js";
import type { Serving } from "./serving.js";
import { takenKeyIn } from "./snapshot.js";
import { unwatched, wasSessionRead } from "./watch.js";

export type LiveSession = Session & SessionData;

export interface RequestSessionParts {
  readonly req: Request;
  readonly res: Response;
  readonly engine: SessionEngine;
  readonly cookie: SessionCookie;
  readonly caching: Caching;
  readonly serving: Serving;
  /** What the request's cookies named. */
  readonly found: Found;
}

/**
 * A handler may put another session into `req.session`, or none: `null`, `undefined` and `delete` end the session that
 * the request has, as `destroy` does. Anything else is the application's mistake.
 */
export class RequestSession {
  readonly #parts: RequestSessionParts;
  /** The session that the request has by load, sign-in or sign-out, whatever the handler put into `req.session`. */
  #latest: LiveSession;
  /** What was ended by `req.session = null`, so that it is not ended again. */
  #endedId: string | undefined;
  #isEndRefused = false;
  /** The application knows already that it put something else there: its error page is no second mistake. */
  #isMistakeTold = false;
  #isSignedOut = false;
  #isExposed = false;
  #isHeadOut = false;
  #isCookieRenewed = false;
  /** The session whose cookie was sent. */
  #announcedId: string | undefined;

  constructor(parts: RequestSessionParts) {
    this.#parts = parts;
    this.#latest = parts.req.session;
  }

  /**
   * What a sign-in or sign-out takes the place of. Nothing when the handler let go of a session that it got by
   * `regenerate`: then it is the one that `req.sessionID` names.
   *
   * @throws TokenizerError `SESSION_INVALID`
   */
  get current(): LiveSession | undefined {
    const { session, sessionID } = this.#parts.req;
    if (isSession(session)) return session;
    if (!isNothing(session)) throw this.#mistake(session);
    return this.#latest.id === sessionID ? this.#latest : undefined;
  }

  signedIn(): void {
    this.#latest = this.#parts.req.session;
  }

  signedOut(): void {
    this.#latest = this.#parts.req.session;
    this.#isSignedOut = true;
  }

  /**
   * Saves the session if there is something to save; ends it if the handler let go of it.
   *
   * @returns nothing when there is nothing to do
   */
  save(): Promise<void> | undefined {
    return this.#apart(() => this.#save());
  }

  /** Headers go out before the session is saved. */
  expose(): void {
    const { req, engine } = this.#parts;
    const expose = (session: unknown) => isSession(session) && engine.expose(session);
    this.#isExposed = this.#apart(() => expose(req.session));
  }

  /** The head goes out now: with the session's cookie where the browser does not have it, or taken back. */
  announce(): void {
    const { req, res, caching } = this.#parts;
    this.#isHeadOut = true;
    const before = res.getHeader("Set-Cookie");
    this.#apart(() => this.#putCookie());
    if (res.getHeader("Set-Cookie") !== before) caching.forCookie(res);
    if (wasSessionRead(req)) caching.forSession(res);
  }

  /** With the request as this middleware left it. */
  #apart<T>(work: () => T): T {
    const { req, serving } = this.#parts;
    return unwatched(req, serving.within(work));
  }

  #save(): Promise<void> | undefined {
    const { req, engine, found } = this.#parts;
    const session: unknown = req.session;
    if (isSession(session)) {
      const isOutOfReach = this.#isHeadOut && session.id !== found.live && session.id !== this.#announcedId;
      if (isOutOfReach) engine.expose(session);
      this.#renewCookie(session);
      return engine.commit(session);
    }
    if (!isNothing(session)) return this.#isMistakeTold ? undefined : Promise.reject(this.#mistake(session));
    return this.#isOver ? undefined : this.#end(req.sessionID);
  }

  #putCookie(): void {
    const { req, res, engine, cookie, found } = this.#parts;
    cookie.lookAtOthers(res);
    const session: unknown = req.session;
    const current = isSession(session) ? session : undefined;
    const isSaved = current !== undefined && engine.isStored(current);
    const isNew = current && current.id !== found.live && (this.#isExposed || isSaved);
    const isLetGo = isNothing(session) && found.live !== undefined && !this.#isEndRefused;
    if (isNew) {
      cookie.send(req, res, current.id, { found, isSaved });
      this.#announcedId = current.id;
    } else if (this.#isSignedOut || isLetGo) cookie.clear(req, res, found);
    else if (found.live === undefined || current?.id === found.live) {
      const isOld = current !== undefined && engine.hasOldCookie(current);
      cookie.tidy(req, res, found, { isRenewed: this.#isCookieRenewed, isOld });
    }
  }

  /** The settings of the cookie were changed since it was sent. */
  #renewCookie(session: LiveSession): void {
    const { req, res, engine, cookie, found } = this.#parts;
    const isHere = session.id === found.live && !this.#isHeadOut;
    if (!isHere || !engine.hasOldCookie(session) || !cookie.mayRenew(req, res, found)) return;
    this.#isCookieRenewed = true;
    engine.renewCookie(session);
  }

  /** Whether the session that the handler let go of is in no store. */
  get #isOver(): boolean {
    const { req, engine } = this.#parts;
    if (this.#endedId === req.sessionID) return true;
    return this.#latest.id === req.sessionID && !engine.isStored(this.#latest);
  }

  #mistake(found: unknown): TokenizerError {
    this.#isMistakeTold = true;
    const takenKey = typeof found === "object" && found !== null ? takenKeyIn(found) : undefined;
    return takenKey ?? sessionInvalid(found);
  }

  async #end(id: string): Promise<void> {
    const { res, engine } = this.#parts;
    // A page that tells of a failure stands: most likely it tells of this one, which `destroy` or `signOut` met before.
    const isErrorPage = res.statusCode >= 500;
    try {
      await engine.remove(storageKey(id));
      this.#endedId = id;
    } catch (error) {
      if (!isErrorPage) throw error;
      this.#isEndRefused = true;
    }
  }
}

function isNothing(value: unknown): value is null | undefined {
  return value === null || value === undefined;
}

/** A deep copy of a session has its class, but is no session: it has no id. */
function isSession(value: unknown): value is LiveSession {
  return value instanceof session.Session && typeof value.id === "string";
}

function sessionInvalid(found: unknown): TokenizerError {
  const kind = Array.isArray(found) ? "an array" : typeof found === "object" ? "an object" : `a ${typeof found}`;
  return new TokenizerError(
    "SESSION_INVALID",
    `req.session was replaced by ${kind} that is no session, so nothing was saved. To change the session, set its keys: ` +
      "req.session.basket = …, or Object.assign(req.session, values). To end it: req.session = null, or req.signOut(). " +
      "To begin a new one: req.session.regenerate(…), or req.signIn(…).",
  );
}
