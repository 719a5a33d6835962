/** Whether a handler looked at `req.session`: then its answer depends on the request's cookie. */
import type { Request } from "express";

const SESSION = Symbol("session");
const IS_READ = Symbol("session was read");

interface Watched {
  [SESSION]?: unknown;
  [IS_READ]?: boolean;
}

/** One for all requests, and with symbols for its values: anything else turns every request into a slow object. */
const watched: PropertyDescriptor & ThisType<Watched> = {
  configurable: true,
  enumerable: true,
  get() {
    this[IS_READ] = true;
    return this[SESSION];
  },
  set(session: unknown) {
    this[SESSION] = session;
  },
};

/** Makes `req.session` a property that notes when it is read. It can be set, deleted and defined anew as any other. */
export function watchSession(req: Request & Watched): void {
  const session = unwatched(req, () => req.session);
  Object.defineProperty(req, "session", watched);
  req.session = session;
}

/** Whether it was read, but for the time of `unwatched`. */
export function wasSessionRead(req: Request & Watched): boolean {
  return req[IS_READ] === true;
}

/** For what the middleware itself does: that is not noted. */
export function unwatched<T>(req: Request & Watched, work: () => T): T {
  const wasRead = wasSessionRead(req);
  try {
    return work();
  } finally {
    req[IS_READ] = wasRead;
  }
}
