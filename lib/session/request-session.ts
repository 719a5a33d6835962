/** The session of one request: what `req.session` has become by the answer is saved, ended or refused. */
import type { Request, Response } from "express";
import session, { type Session, type SessionData } from "express-session";
import type { BindNew, DeviceBinding } from "../device/binding.js";
import { TokenizerError } from "../errors.js";
import { emit } from "../events.js";
import { storageKey } from "../session-id.js";
import { type Begun, begin, begunBy } from "./begun.js";
import type { Caching } from "./caching.js";
import type { Found, SessionCookie } from "./cookie.js";
import type { SessionEngine } from "./engine.js";
import type { Removals } from "./removals.js";
import type { Serving } from "./serving.js";
import { takenKeyIn } from "./snapshot.js";
import { unwatched, wasSessionRead } from "./watch.js";

export type LiveSession = Session & SessionData;

/** What all requests of a middleware have in common. */
export interface SharedParts {
  readonly engine: SessionEngine;
  readonly removals: Removals;
  readonly cookie: SessionCookie;
  readonly caching: Caching;
  readonly warn: (message: string) => void;
  /** Where sign-ins are bound to devices. */
  readonly device: DeviceBinding | undefined;
}

/**
 * A handler may put another session into `req.session`, or none: `null`, `undefined` and `delete` end the session that
 * the request has, as `destroy` does. Anything else is the application's mistake.
 */
export class RequestSession {
  // One by one: one literal for each request, kept by this, would keep the request until the next collection of all.
  readonly #req: Request;
  readonly #res: Response;
  readonly #serving: Serving;
  readonly #found: Found;
  readonly #shared: SharedParts;
  /** When the request began. */
  readonly #moment: number;
  /** The session that the request has by load, sign-in or sign-out, whatever the handler put into `req.session`. */
  #latest: LiveSession;
  readonly #bindNew: BindNew | undefined;
  /** What was ended by `req.session = null`, so that it is not ended again. */
  #endedId: string | undefined;
  /** The application knows already that it put something else there: its error page is no second mistake. */
  #isMistakeTold = false;
  #isSignedOut = false;
  #isExposed = false;
  #isHeadOut = false;
  #isCookieRenewed = false;
  /** The session whose cookie was sent. */
  #announcedId: string | undefined;

  /** @param found what the request's cookies named */
  constructor(req: Request, res: Response, serving: Serving, found: Found, shared: SharedParts) {
    this.#req = req;
    this.#res = res;
    this.#serving = serving;
    this.#found = found;
    this.#shared = shared;
    this.#moment = shared.removals.moment;
    this.#latest = req.session;
    this.#bindNew = shared.device?.begin(req, res, shared.engine.known.snapshotOf(req.session)?.head);
  }

  /**
   * What a sign-in or sign-out takes the place of. Nothing when the handler let go of a session that it got by
   * `regenerate`: then it is the one that `req.sessionID` names.
   *
   * @throws TokenizerError `SESSION_INVALID`
   */
  get current(): LiveSession | undefined {
    const { session, sessionID } = this.#req;
    if (isSession(session)) return session;
    if (!isNothing(session)) throw this.#mistake(session);
    return this.#latest.id === sessionID ? this.#latest : undefined;
  }

  /** Begins a sign-in or sign-out. The answer waits for it; whoever called may, too. */
  begin(work: Promise<void>): Promise<void> {
    const { warn } = this.#shared;
    return begin(this.#req, work, (error, begun) => {
      // Once whoever waits for it has been told.
      setImmediate(() => {
        if (!begun.isTold && this.#res.writableEnded)
          warn(`A sign-in or sign-out failed after the answer: ${messageOf(error)}`);
      });
    });
  }

  signedIn(): void {
    this.#latest = this.#req.session;
  }

  signedOut(): void {
    this.#latest = this.#req.session;
    this.#isSignedOut = true;
  }

  /**
   * Saves the session if there is something to save; ends it if the handler let go of it. What the request began with the
   * store is waited for; what failed of that unknown to anybody, or after the handler answered, is a refusal.
   *
   * @returns nothing when there is nothing to do
   */
  save(): Promise<void> | undefined {
    return this.#apart(() => {
      const begun = this.#begun;
      return begun.some(isUnsettled) ? this.#saveAfter(begun) : this.#save();
    });
  }

  /** The save failed, and the answer goes out all the same: an error page. */
  giveUp(error: unknown): void {
    emit("refuse", () => ({ code: error instanceof TokenizerError ? error.code : undefined }));
  }

  /** Headers go out before the session is saved. */
  expose(): void {
    const { engine } = this.#shared;
    const expose = (session: unknown) => isSession(session) && engine.expose(session);
    this.#isExposed = this.#apart(() => expose(this.#req.session));
  }

  /** The head goes out now: with the session's cookie where the browser does not have it, or taken back. */
  announce(): void {
    const res = this.#res;
    const { caching } = this.#shared;
    this.#isHeadOut = true;
    const before = res.getHeader("Set-Cookie");
    this.#apart(() => this.#putCookie());
    if (res.getHeader("Set-Cookie") !== before) caching.forCookie(res);
    if (wasSessionRead(this.#req)) caching.forSession(res);
  }

  /** With the request as this middleware left it. */
  #apart<T>(work: () => T): T {
    return unwatched(this.#req, () => this.#serving.within(work));
  }

  get #begun(): readonly Begun[] {
    const begun = begunBy(this.#req);
    const removal = this.#removal;
    return removal ? [...begun, removal] : begun;
  }

  async #saveAfter(begun: readonly Begun[]): Promise<void> {
    try {
      for (const one of begun.filter(isUnsettled)) await one.over;
    } finally {
      for (const one of begun) one.isTold = true;
    }
    // What was begun meanwhile, by a callback say, is waited for, too.
    await this.save();
  }

  #save(): Promise<void> | undefined {
    const req = this.#req;
    const found = this.#found;
    const { engine } = this.#shared;
    const session: unknown = req.session;
    if (isSession(session)) {
      const isOutOfReach = this.#isHeadOut && session.id !== found.live && session.id !== this.#announcedId;
      if (isOutOfReach) engine.expose(session);
      this.#renewCookie(session);
      return engine.commit(session);
    }
    if (!isNothing(session)) return this.#isMistakeTold ? undefined : Promise.reject(this.#mistake(session));
    return this.#isOver || this.#isEndGivenUp ? undefined : this.#end(req.sessionID);
  }

  #putCookie(): void {
    const req = this.#req;
    const res = this.#res;
    const found = this.#found;
    const { engine, cookie } = this.#shared;
    cookie.lookAtOthers(res);
    const session: unknown = req.session;
    const current = isSession(session) ? session : undefined;
    const isSaved = current !== undefined && engine.known.isStored(current);
    const isNew = current && current.id !== found.live && (this.#isExposed || isSaved);
    const isLetGo = isNothing(session) && found.live !== undefined && !this.#isEndGivenUp;
    const end = current && engine.cookies.endOf(current);
    if (isSaved) this.#bindNew?.(current.id, engine.known.snapshotOf(current)?.head);
    if (isNew) {
      cookie.send(req, res, { id: current.id, end }, { found, isSaved });
      this.#announcedId = current.id;
    } else if (this.#isSignedOut || isLetGo) cookie.clear(req, res, found);
    else if (found.live === undefined || current?.id === found.live) {
      const isOld = current !== undefined && engine.cookies.isOld(current);
      cookie.tidy(req, res, found, { isRenewed: this.#isCookieRenewed, isOld, end });
    }
  }

  /** The settings of the cookie were changed since it was sent. */
  #renewCookie(session: LiveSession): void {
    const { engine, cookie } = this.#shared;
    const isHere = session.id === this.#found.live && !this.#isHeadOut;
    if (!isHere || !engine.cookies.isOld(session) || !cookie.mayRenew(this.#req, this.#res, this.#found)) return;
    this.#isCookieRenewed = true;
    engine.cookies.renew(session);
  }

  /** Whether the session that the handler let go of is in no store. */
  get #isOver(): boolean {
    const { sessionID } = this.#req;
    const removal = this.#removal;
    const isRemoved = this.#endedId === sessionID || (removal?.isOver === true && removal.error === undefined);
    return isRemoved || (this.#latest.id === sessionID && !this.#shared.engine.known.isStored(this.#latest));
  }

  /** The page tells of a failure: of this one, most likely, which `destroy` met before. It is not tried again. */
  get #isEndGivenUp(): boolean {
    return this.#res.statusCode >= 500 && this.#removal?.error !== undefined;
  }

  /** Of the session that the request has, where somebody asked the store for it since the request began. */
  get #removal(): Begun | undefined {
    return this.#shared.removals.since(this.#moment, this.#req.sessionID);
  }

  #mistake(found: unknown): TokenizerError {
    this.#isMistakeTold = true;
    const takenKey = typeof found === "object" && found !== null ? takenKeyIn(found) : undefined;
    return takenKey ?? sessionInvalid(found);
  }

  async #end(id: string): Promise<void> {
    await this.#shared.engine.remove(storageKey(id), "destroyed");
    this.#endedId = id;
  }
}

/** Still under way, or failed unknown to anybody. */
function isUnsettled({ isOver, isTold, error }: Begun): boolean {
  return !isOver || (error !== undefined && !isTold);
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
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
