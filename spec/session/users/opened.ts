/** Sessions opened on a place as a server opens them, requests of users there, and a clock moved by hand. */
import { jest } from "@jest/globals";
import type { Request } from "express";
import session, { type Session, type SessionData } from "express-session";
import type { Backend } from "../../../lib/backends/backend.js";
import type { SessionEngine } from "../../../lib/session/engine.js";
import { signIn as signInRequest } from "../../../lib/session/sign-in.js";
import type { TokenStore } from "../../../lib/session/store.js";
import { loadSettings } from "../../../lib/settings/load.js";
import { makeTokenizer, type Tokenizer } from "../../../lib/tokenizer.js";
import { save } from "../../support/by-promise.js";
import type { Place } from "../../support/places.js";

const MINUTE = 60_000;

/** What several servers on one place have in common. */
export class Servers {
  now = Date.now();
  readonly #place: Place;
  readonly #prototype: Backend;
  readonly #opened: Opened[] = [];

  /** @param prototype of the backend that the place is on */
  constructor(place: Place, prototype: Backend) {
    this.#place = place;
    this.#prototype = prototype;
  }

  async open(settings: Place = {}): Promise<Opened> {
    const section = { ...this.#place, safe_password: "a safe password, for specs", store_timeout: 60, ...settings };
    const warnings: string[] = [];
    const warn = (message: string) => void warnings.push(message);
    const loaded = loadSettings({ tokenizer: section }, { log: { warn } });
    const { sessions, engine } = makeTokenizer(loaded, { now: () => this.now, warn });
    const opened = new Opened(sessions, engine, warnings, this.#prototype);
    this.#opened.push(opened);
    await sessions.ready;
    return opened;
  }

  forward(minutes: number): void {
    this.now += minutes * MINUTE;
  }

  async close(): Promise<void> {
    await Promise.all(this.#opened.map(({ sessions }) => sessions.close()));
  }
}

export type Visit = Request & { session: Session & SessionData };

let ids = 0;

/** One server. */
export class Opened {
  constructor(
    readonly sessions: Tokenizer,
    readonly engine: SessionEngine,
    readonly warnings: readonly string[],
    private readonly prototype: Backend,
  ) {}

  get users(): Tokenizer["users"] {
    return this.sessions.users;
  }

  get store(): TokenStore {
    return this.sessions.store;
  }

  /** A request without a session. */
  request(): Request {
    const req = { sessionID: `raw-id-${++ids}`, sessionStore: this.store } as unknown as Request;
    this.store.createSession(req, { cookie: new session.Cookie() });
    return req;
  }

  /** By `req.signIn`; the request may have a session already. */
  async signIn(username: string, { label, req = this.request() }: { label?: string; req?: Request } = {}) {
    const { store, engine } = this;
    const context = { store, engine, lifetime: undefined as never, sealer: undefined };
    await signInRequest(req, context, req.session, { username }, { label });
    return req;
  }

  /** By the application, that sets `username` and saves, as after passport. */
  async signInByHand(username: unknown, req = this.request()): Promise<Request> {
    Object.assign(req.session, { username });
    await save(req.session);
    return req;
  }

  /** A later request of the same browser; nothing if its session is over. What is written alongside is waited for. */
  async visit(req: Request): Promise<Visit | undefined> {
    const touch = jest.spyOn(this.prototype, "touch");
    const later = await this.load(req);
    await Promise.allSettled(touch.mock.results.map(({ value }) => value));
    touch.mockRestore();
    return later;
  }

  /** The same, and nothing is waited for. */
  async load({ sessionID }: Request): Promise<Visit | undefined> {
    const loaded = await this.engine.load(sessionID);
    if (!loaded) return undefined;
    const req = { sessionID, sessionStore: this.store } as unknown as Request;
    const data = { ...loaded.fields, cookie: new session.Cookie() } as unknown as SessionData;
    data.cookie.originalMaxAge = loaded.snapshot.maxAge ?? null;
    this.engine.known.remember(this.store.createSession(req, data), loaded.snapshot);
    return req;
  }

  async isIn(req: Request): Promise<boolean> {
    return (await this.visit(req)) !== undefined;
  }

  /** Those that are still signed in. */
  async alive(requests: readonly Request[]): Promise<Request[]> {
    const alive: Request[] = [];
    for (const req of requests) if (await this.isIn(req)) alive.push(req);
    return alive;
  }
}
