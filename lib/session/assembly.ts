/** Joins the parts of this folder over one backend. */
import type { CookieOptions } from "express-session";
import type { Backend } from "../backends/backend.js";
import { nextTick } from "../native.js";
import { Bindings } from "./bindings.js";
import { Endings } from "./endings.js";
import { SessionEngine, type StoreEvent } from "./engine.js";
import { Lifetime, type LifetimeOptions } from "./lifetime.js";
import { SessionListing } from "./listing.js";
import type { SessionKeys } from "./loader.js";
import { Operations } from "./operations.js";
import type { RequestAttributes } from "./request-attributes.js";
import { TokenStore } from "./store.js";
import { ListedSessions } from "./users/listed-sessions.js";
import { Revocation } from "./users/revocation.js";
import { UserIndex } from "./users/user-index.js";
import { UserRecords } from "./users/user-records.js";
import { Users } from "./users/users.js";

/** Times are milliseconds. */
export interface AssemblyOptions extends LifetimeOptions {
  readonly backend: Backend;
  /** Waited for by every operation that needs them. */
  readonly keys: Promise<SessionKeys>;
  /** What a load, a save or a removal may take in all. */
  readonly storeTimeout: number;
  /** Of a session's record; a backend may keep less. */
  readonly maxSessionBytes: number;
  /** How many sessions a user may have; the oldest gives way. */
  readonly limit: number;
  /** What `req.session.cookie` shows, beside the session's lifetime. */
  readonly cookie: CookieOptions;
  /** Of the attributes that cookies are sent with now (`cookieMark`). */
  readonly cookieMark?: string | undefined;
  /** Where the application says them for each request. */
  readonly byRequest?: RequestAttributes | undefined;
  readonly warn: (message: string) => void;
}

export type Assembly = ReturnType<typeof assemble>;

export function assemble(options: AssemblyOptions) {
  const { backend, keys, storeTimeout, maxSessionBytes, limit, cookie, cookieMark, byRequest, warn, ...life } = options;
  const operations = new Operations(storeTimeout);
  const lifetime = new Lifetime(life);
  const keyIds = keys.then(({ ids }) => ids);
  // Whoever needs them gets the rejection.
  keyIds.catch(() => {});
  const endings = new Endings();
  const records = new UserRecords(backend);
  const sessions = new ListedSessions({ backend, records, lifetime, endings, storeTimeout, warn });
  const index = new UserIndex({ records, sessions, lifetime, keyIds, limit, warn });
  const revocation = new Revocation({ backend, records, sessions, lifetime, endings, keyIds, storeTimeout });
  const listing = new SessionListing({ backend, operations, keys, lifetime, endings, cookie });
  const notify = (event: StoreEvent, session: string) => {
    // Not at once: what a listener throws is no failed save.
    nextTick(() => store.emit(event, { session }));
  };
  const parts = { backend, operations, keys, lifetime, users: index, endings };
  const engine = new SessionEngine({ ...parts, maxSessionBytes, cookieMark, byRequest, notify, warn });
  const bindings = new Bindings({ backend, operations, lifetime });
  const store: TokenStore = TokenStore.over({ engine, listing, cookie, byRequest, warn });
  const users = Users.over({
    index,
    revocation,
    operations,
    lifetime,
    handleOf: (session) => engine.known.handleOf(session),
  });
  return { engine, bindings, store, users, listing, lifetime, operations, endings };
}
