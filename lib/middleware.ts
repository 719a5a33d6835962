/** The middleware: the session is loaded on the way in; on the way out it is saved before the answer is sent. */
import type { NextFunction, Request, RequestHandler } from "express";
import { commitBeforeAnswer } from "./answer/commit.js";
import { type Awaitable, isPromise } from "./awaitable.js";
import { CredentialsSealer } from "./credentials/credentials.js";
import type { Keyring } from "./credentials/keyring.js";
import { exposeCredentials } from "./credentials/middleware.js";
import { DeviceBinding, unproven } from "./device/binding.js";
import { DeviceTickets } from "./device/tickets.js";
import { TokenizerError } from "./errors.js";
import { emit } from "./events.js";
import type { Bindings } from "./session/bindings.js";
import { Caching } from "./session/caching.js";
import { type Found, SessionCookie, valuesOf } from "./session/cookie.js";
import type { SessionEngine } from "./session/engine.js";
import { exposeSignedInAt } from "./session/freshness.js";
import type { Lifetime } from "./session/lifetime.js";
import { loadSession } from "./session/load.js";
import { Place } from "./session/place.js";
import type { RequestAttributes } from "./session/request-attributes.js";
import { RequestSession } from "./session/request-session.js";
import { Serving } from "./session/serving.js";
import { confirmSignIn, signIn, signOut } from "./session/sign-in.js";
import type { TokenStore } from "./session/store.js";
import { unwatched, watchSession } from "./session/watch.js";
import type { Settings } from "./settings/settings.js";
import { proxyWarning, sameNameWarning } from "./warnings.js";

export interface MiddlewareParts {
  readonly settings: Settings;
  readonly store: TokenStore;
  readonly engine: SessionEngine;
  readonly bindings: Bindings;
  readonly lifetime: Lifetime;
  readonly keyring: Keyring | undefined;
  /** Sign what devices get. */
  readonly deviceSecrets: Keyring["deviceSecrets"];
  /** Where the application says the cookie's attributes for each request. */
  readonly byRequest: RequestAttributes | undefined;
  readonly now: () => number;
  readonly warn: (message: string) => void;
}

export function makeMiddleware(parts: MiddlewareParts): RequestHandler {
  const { settings, store, engine, lifetime, keyring, byRequest, now, warn } = parts;
  const cookie = new SessionCookie(settings.tokenizer.cookie, secretsOf(settings, keyring), { now, warn, byRequest });
  const caching = new Caching(warn);
  const isLocal = settings.authenticator.type === "local";
  const sealer = isLocal && keyring ? new CredentialsSealer({ keyring, now, warn }) : undefined;
  const device = deviceBinding(parts, cookie);
  const shared = { engine, removals: store.removals, cookie, caching, warn, device };
  const signing = { store, engine, lifetime, sealer };
  const { name: cookieName, path, secure } = settings.tokenizer.cookie;
  const place = new Place(path);
  const warnOfProxy = proxyWarning(secure, warn);
  const warnOfSameName = sameNameWarning(cookieName, warn);

  /** Whether the request may have the session that was loaded. */
  function isProven(device: DeviceBinding, req: Request, { live }: Found): Awaitable<boolean> {
    if (live === undefined) return true;
    // Of a session that a wrapped store copied nothing is known: it may be bound.
    const head = engine.known.snapshotOf(req.session)?.head;
    return head !== undefined && device.isProven(req, req.sessionID, head);
  }

  /** The request has a new session, for an error handler to sign in with. */
  function withoutSession(req: Request, found: Found): Found {
    store.generate(req);
    // The cookie is left alone: if the browser only failed to prove it for now, it is good again soon.
    return { ...found, live: undefined, isUnreadable: true };
  }

  return function sessions(req, res, next) {
    const other = Serving.of(req);
    if (other ? other.isBy(store) : req.session) return next(mountedTwice());
    const depth = place.depthOf(req);
    if (other) warnOfSameName(other.by.cookieName);
    // Of equals the later one is nearer to the handler.
    if (other && depth < other.by.depth) return next();
    try {
      // Before anything has happened, rather than when an answer goes out.
      byRequest?.of(req);
    } catch (error) {
      return refuse(error, next);
    }
    if (device?.serves(req)) return void device.serve(req, res, next);
    warnOfProxy(req);
    watchSession(req);
    const serving = unwatched(req, () => Serving.begin(req, { owner: store, depth, cookieName }));
    const serve = (loaded: Found, mayUse: boolean) => {
      const { found, session } = unwatched(req, () => {
        const found = mayUse ? loaded : withoutSession(req, loaded);
        exposeCredentials(req, sealer);
        exposeSignedInAt(req, engine);
        return { found, session: new RequestSession(req, res, serving, found, shared) };
      });
      req.sessionEnded = mayUse && found.ids.length > 0 && found.live === undefined;
      const signInNow = async (...[credentials, options]: Parameters<typeof req.signIn>) => {
        if (res.headersSent) throw tooLate("signIn");
        await signIn(req, signing, session.current, credentials, options);
        session.signedIn();
      };
      const signOutNow = async () => {
        await signOut(req, signing, session.current);
        session.signedOut();
      };
      const confirmNow = async (credentials: Parameters<typeof req.confirmSignIn>[0]) => {
        if (res.headersSent) throw tooLate("confirmSignIn");
        if (res.destroyed) throw goneBefore();
        await confirmSignIn(req, signing, session.current, credentials);
        session.signedIn();
      };
      req.signIn = (credentials, options) => session.begin(signInNow(credentials, options));
      req.confirmSignIn = (credentials) => session.begin(confirmNow(credentials));
      req.signOut = () => session.begin(signOutNow());
      commitBeforeAnswer(res, session, (error) => refuse(error, next));
      if (mayUse) next();
      else refuse(unproven(), next);
    };
    loadSession(req, { store, engine, cookie }, (error, loaded) => {
      if (error) return refuse(error, next);
      const mayUse = device ? unwatched(req, () => isProven(device, req, loaded)) : true;
      if (isPromise(mayUse)) mayUse.then((may) => serve(loaded, may)).catch(next);
      else serve(loaded, mayUse);
    });
  };
}

/** Where the settings ask for it. */
function deviceBinding(parts: MiddlewareParts, cookie: SessionCookie): DeviceBinding | undefined {
  const { settings, bindings, deviceSecrets: secrets, now, warn } = parts;
  const { name, device_bound: isOn = false } = settings.tokenizer.cookie;
  if (!isOn) return undefined;
  return new DeviceBinding({
    tickets: new DeviceTickets({ secrets, now }),
    bindings,
    name,
    attributesOf: (req) => cookie.attributesOf(req),
    cookiesOf: (req, name) => valuesOf(req.headers.cookie, name),
    now,
    warn,
  });
}

function refuse(error: unknown, next: NextFunction): void {
  emit("refuse", () => ({ code: error instanceof TokenizerError ? error.code : undefined }));
  next(error);
}

/** The settings have been checked: there is a secret, or a password to derive one from. */
function secretsOf({ tokenizer: { cookie } }: Settings, keyring: Keyring | undefined): [string, ...string[]] {
  const [first, ...older] = cookie.secret === undefined ? (keyring?.cookieSecrets ?? []) : [cookie.secret].flat();
  if (first === undefined) throw new TokenizerError("SETTINGS_INVALID", "There is nothing to sign cookies with.");
  return [first, ...older];
}

function mountedTwice(): TokenizerError {
  return new TokenizerError(
    "MOUNTED_TWICE",
    "req.session is there already: the session middleware is mounted twice, or behind another one. Mount it once.",
  );
}

function tooLate(method: string): TokenizerError {
  return new TokenizerError(
    "SIGN_IN_INVALID",
    `req.${method} came after the answer had begun, when its cookie cannot be sent any more. Await it, then answer.`,
  );
}

/** Of two clicks on a button browsers give up the first: confirmed by that one, the session would be under an id that nobody has. */
function goneBefore(): TokenizerError {
  return new TokenizerError(
    "SIGN_IN_AGAIN",
    "The connection was closed before req.confirmSignIn, so that the new cookie would reach nobody: nothing was confirmed.",
  );
}
