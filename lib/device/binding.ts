/** Binds sessions to devices: the way of a request, and the one route that browsers prove their key on. */
import type { Request, RequestHandler, Response } from "express";
import type { Awaitable } from "../awaitable.js";
import { TokenizerError } from "../errors.js";
import { emit } from "../events.js";
import { pathOf } from "../session/place.js";
import type { Bound, RecordHead } from "../session/record.js";
import { hashedKey, SESSION_PREFIX, shortName, storageKey } from "../session-id.js";
import type { CookieSettings } from "../settings/settings.js";
import { type BoundCookie, broughtBy, challengeFor, ending, instructions, registration } from "./messages.js";
import { challengeIn, type DeviceKey, nameOf, readProof } from "./proof.js";
import { COOKIE_LIFE, type DeviceTickets, GRACE } from "./tickets.js";

/** How much of the hashed id a cookie's name has: enough for the few sessions of one browser. In characters. */
const ID_SHOWN = 8;

/** Where bindings are kept, under the hashed session ids. */
export interface Bindings {
  find(id: string): Promise<Bound | undefined>;
  bind(id: string, key: DeviceKey): Promise<boolean>;
  show(id: string): Promise<void>;
}

/** Asks the browser to bind the session that a request leaves, if it signed somebody in. One that cannot ignores it. */
export type BindNew = (sessionId: string, head: RecordHead | undefined) => void;

export interface DeviceBindingOptions {
  readonly tickets: DeviceTickets;
  readonly bindings: Bindings;
  /** Of the session's cookie. */
  readonly name: string;
  /** What the session's cookie is sent with. */
  readonly attributesOf: (req: Request) => Pick<CookieSettings, "path" | "same_site">;
  /** All values that the request's cookies have under a name. */
  readonly cookiesOf: (req: Request, name: string) => readonly string[];
  readonly now: () => number;
  readonly warn: (message: string) => void;
}

export class DeviceBinding {
  readonly #options: DeviceBindingOptions;
  /** The end of the route's path: a proxy may take off what is in front of it. */
  readonly #route: string;
  #isWarned = false;

  constructor(options: DeviceBindingOptions) {
    this.#options = options;
    this.#route = `/device-bound/${encodeURIComponent(options.name)}`;
  }

  /** Whether the request is a browser's, to register or to refresh. */
  serves(req: Request): boolean {
    return req.method === "POST" && pathOf(req).endsWith(this.#route);
  }

  /** Answers it. A store that fails goes to `next`: the browser comes again. */
  readonly serve: RequestHandler = (req, res, next) => {
    const { id, response } = broughtBy(req.headers);
    const answered = id === undefined ? this.#register(req, res, response) : this.#refresh(req, res, id, response);
    answered.catch(next);
  };

  /**
   * Whether a request with the cookie of this session may go on. Asks no store, but for the first request that shows what
   * the browser got: that is noted.
   */
  isProven(req: Request, sessionId: string, { bound }: RecordHead): Awaitable<boolean> {
    if (!bound) return true;
    const isShown = this.#isShown(req, idOf(sessionId), bound);
    if (bound.shown === undefined) return isShown ? this.#noteShown(idOf(sessionId)) : true;
    // Requests that were under way when it was first shown have no such cookie.
    if (isShown || this.#options.now() < bound.shown + GRACE) return true;
    emit("unproven", () => ({ session: shortName(storageKey(sessionId)) }));
    return false;
  }

  #isShown(req: Request, id: string, { key }: Bound): boolean {
    const { tickets, cookiesOf } = this.#options;
    const name = nameOf(key);
    return cookiesOf(req, this.#nameFor(id)).some((value) => tickets.isCookie(value, id, name));
  }

  /** A store that fails is no reason to refuse: the next request shows it again. */
  async #noteShown(id: string): Promise<true> {
    await this.#options.bindings.show(id).catch((error: unknown) => {
      this.#options.warn(
        `A session is bound to its device only later: ${error instanceof Error ? error.message : error}`,
      );
    });
    return true;
  }

  /** @param before the head of the session that the request came with */
  begin(req: Request, res: Response, before: RecordHead | undefined): BindNew {
    // Now: in a router of the application's it is another one.
    const mount = req.baseUrl;
    return (sessionId, head) => {
      if (!head?.signIn || head.bound || head.signIn.handle === before?.signIn?.handle) return;
      if (!req.secure) return this.#warnOfPlain();
      const challenge = this.#options.tickets.challenge("register", idOf(sessionId));
      res.append("Secure-Session-Registration", registration(this.#placeOf(req, mount), challenge));
    };
  }

  async #register(req: Request, res: Response, response = ""): Promise<void> {
    const { tickets, bindings } = this.#options;
    // First: anybody may ask, and a signature costs far more to verify.
    const id = tickets.sessionOf(challengeIn(response), "register");
    const proof = id === undefined ? undefined : readProof(response);
    if (!proof || id === undefined || !(await bindings.bind(id, proof.key))) return answer(res, 400);
    const cookie = this.#send(req, res, id, proof.key);
    answer(res, 200, instructions(id, this.#placeOf(req, req.baseUrl), cookie));
  }

  async #refresh(req: Request, res: Response, id: string, response: string | undefined): Promise<void> {
    const { tickets, bindings } = this.#options;
    if (hashedKey(id) === undefined) return answer(res, 400);
    const bound = await bindings.find(id);
    if (!bound) return answer(res, 200, ending(id));
    const proof = response === undefined ? undefined : readProof(response, bound.key);
    if (response !== undefined && !proof) return answer(res, 400);
    if (proof && tickets.sessionOf(proof.challenge, "refresh") === id) {
      if (bound.shown === undefined) await bindings.show(id);
      this.#send(req, res, id, bound.key);
      return answer(res, 200);
    }
    // None yet, or one that came to its end on the way.
    res.setHeader("Secure-Session-Challenge", challengeFor(id, tickets.challenge("refresh", id)));
    answer(res, 403);
  }

  #send(req: Request, res: Response, id: string, key: DeviceKey): BoundCookie {
    const { path, same_site: sameSite } = this.#options.attributesOf(req);
    const value = this.#options.tickets.cookie(id, nameOf(key));
    const name = this.#nameFor(id);
    res.cookie(name, value, { httpOnly: true, secure: true, sameSite, path, maxAge: COOKIE_LIFE });
    return { name, path, sameSite };
  }

  /** Of each session another: a browser may have keys of older ones, too, and would refresh only one of them. */
  #nameFor(id: string): string {
    return `${this.#options.name}-bound-${id.slice(0, ID_SHOWN)}`;
  }

  /** Where the browser is to send its proofs: below the cookie's path, or where the sessions are mounted, if that is deeper. */
  #placeOf(req: Request, mount: string): string {
    const cookiePath = this.#options.attributesOf(req).path.replace(/\/+$/, "");
    const isDeeper = `${mount}/`.startsWith(`${cookiePath}/`);
    return (isDeeper ? mount : cookiePath) + this.#route;
  }

  #warnOfPlain(): void {
    if (this.#isWarned) return;
    this.#isWarned = true;
    this.#options.warn(
      "tokenizer.cookie.device_bound is true, but a sign-in came without TLS: browsers bind nothing there. Behind a proxy set " +
        'app.set("trust proxy", …).',
    );
  }
}

export function unproven(): TokenizerError {
  return new TokenizerError(
    "SESSION_UNPROVEN",
    "The session is bound to a device, and the request does not prove to come from it. If this is your user's own browser, " +
      "let it sign in again.",
  );
}

function answer(res: Response, status: number, body?: object): void {
  res.statusCode = status;
  res.setHeader("Cache-Control", "no-store");
  if (body) res.setHeader("Content-Type", "application/json");
  res.end(body && JSON.stringify(body));
}

/** What browsers know the session by: the hashed id. */
function idOf(sessionId: string): string {
  return storageKey(sessionId).slice(SESSION_PREFIX.length);
}
