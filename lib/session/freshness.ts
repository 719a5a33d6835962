/** How long ago somebody signed in: `req.signedInAt`, and the handler for routes that ask for a sign-in that is not old. */
import type { Request, RequestHandler } from "express";
import { TokenizerError } from "../errors.js";
import type { SessionEngine } from "./engine.js";
import { CLOCKS_DIFFER } from "./lifetime.js";
import { signInOf } from "./snapshot.js";

const ENGINE = Symbol("engine");

interface WithEngine {
  [ENGINE]?: SessionEngine;
}

/** One for all requests, as those of the credentials are. */
const signedInAt: PropertyDescriptor & ThisType<Request & WithEngine> = {
  configurable: true,
  get() {
    const { session } = this;
    // What the application put there may be none.
    const signIn =
      typeof session === "object" && session ? signInOf(this[ENGINE]?.known.snapshotOf(session), session) : undefined;
    return signIn && new Date(signIn.confirmed ?? signIn.since);
  },
};

/** Gives the request its `signedInAt`. */
export function exposeSignedInAt(req: Request & WithEngine, engine: SessionEngine): void {
  Object.defineProperty(req, "signedInAt", signedInAt);
  req[ENGINE] = engine;
}

/**
 * Passes on requests whose user signed in within the last `minutes`.
 *
 * @throws TokenizerError `ARGUMENT_INVALID`
 */
export function freshHandler(minutes: unknown, now: () => number): RequestHandler {
  if (typeof minutes !== "number" || !(minutes > 0) || !Number.isFinite(minutes)) throw notMinutes(minutes);
  return function fresh(req, _res, next) {
    if (typeof req.signIn !== "function") return next(notMounted());
    const moment = req.signedInAt?.getTime();
    const age = moment === undefined ? undefined : now() - moment;
    // One that is still to come is another server's clock, or a clock that was wrong then.
    const isFresh = age !== undefined && age <= minutes * 60_000 && age >= -CLOCKS_DIFFER;
    next(isFresh ? undefined : signInAgain(minutes));
  };
}

function signInAgain(minutes: number): TokenizerError {
  return new TokenizerError(
    "SIGN_IN_AGAIN",
    `This asks for a sign-in that is no older than ${minutes} minutes: ask for the password again, then call req.confirmSignIn or req.signIn.`,
  );
}

function notMinutes(found: unknown): TokenizerError {
  const kind = typeof found === "number" ? String(found) : `a value of type ${typeof found}`;
  return new TokenizerError("ARGUMENT_INVALID", `sessions.fresh takes minutes, a number above 0. It got ${kind}.`);
}

function notMounted(): TokenizerError {
  return new TokenizerError("SIGN_IN_INVALID", "sessions.fresh came before the sessions: mount them in front of it.");
}
