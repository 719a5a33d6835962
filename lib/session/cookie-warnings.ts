/** What becomes of the session's cookie where that is not what somebody expects: each is warned of once. */
import type { Request, Response } from "express";
import type { CookieSettings } from "../settings/settings.js";
import { quoted } from "../visible.js";
import type { CookieAttributes } from "./cookie-mark.js";
import { Place } from "./place.js";

/** Names that browsers take from secure cookies alone (draft-ietf-httpbis-rfc6265bis). */
const SECURE_PREFIX = /^__(?:Host|Http|Secure)-/i;

const TLS_ADVICE = 'Behind a proxy set app.set("trust proxy", …); for plain HTTP on your own machine';

export class CookieWarnings {
  readonly #settings: CookieSettings;
  readonly #warn: (message: string) => void;
  readonly #place: Place;
  readonly #told = new Set<string>();
  /** The visitor chooses the host, so each would be another message. */
  #isOtherHostTold = false;
  /** Browsers sent the cookie with a request that is not below its path: a proxy takes the path off. */
  #isPathChanged = false;

  constructor(settings: CookieSettings, warn: (message: string) => void) {
    this.#settings = settings;
    this.#warn = warn;
    this.#place = new Place(settings.path);
  }

  /** A cookie of ours came with a request. */
  came(req: Request): void {
    if (!this.#place.isSentThere(req)) this.#isPathChanged = true;
  }

  /** Without Express nobody knows whether a proxy spoke TLS, so nobody knows whether the cookie is to be secure. */
  notExpress(): void {
    this.#once(
      "The session's cookie is not sent with an answer that is not Express's (of Socket.IO's polling, say): " +
        "begin and end sessions in routes of Express.",
    );
  }

  notSent(): void {
    this.#once(
      "tokenizer.cookie.secure is true, but a request came without TLS: its session's cookie is not sent. " +
        `${TLS_ADVICE} use secure: auto.`,
    );
  }

  /** A cookie that is sent, but that browsers will not keep. */
  sent(req: Request, isSecure: boolean, { same_site, domain, path }: CookieAttributes = this.#settings): void {
    const { name } = this.#settings;
    const dropped = "a request came without TLS: browsers drop its session's cookie, which is not Secure.";
    if (!isSecure && same_site === "none") {
      this.#once(`tokenizer.cookie.same_site is none, but ${dropped} ${TLS_ADVICE} use same_site: lax.`);
    }
    if (!isSecure && SECURE_PREFIX.test(name)) {
      this.#once(`tokenizer.cookie.name is ${name}, but ${dropped} ${TLS_ADVICE} use a name without that prefix.`);
    }
    // Over HTTP/2 there is no Host, and Express knows of none.
    const host: string | undefined = req.hostname;
    if (domain !== undefined && host !== undefined && !isOf(domain, host)) this.#otherHost(domain, host);
    // A path that the application says for a request, it says for that path.
    if (path === this.#settings.path && !this.#isPathChanged && !this.#place.isSentThere(req)) {
      this.#once(
        `tokenizer.cookie.path is ${path}, but a request for another path has a session: browsers send its cookie back ` +
          `below ${path} alone, capitals and all. That is right behind a proxy that takes ${path} off; else mount the ` +
          `sessions there: app.use("${path}", sessions).`,
      );
    }
  }

  /** The application's own cookies, before the session's is added. One that only takes the cookie back does no harm. */
  others(res: Response): void {
    const { name } = this.#settings;
    const lines = [res.getHeader("set-cookie") ?? []].flat().map(String);
    if (!lines.some((line) => line.startsWith(`${name}=`) && !isRemoval(line))) return;
    this.#once(
      `The application sets a cookie of its own called ${name}, which is the name of the session's cookie: browsers ` +
        "keep the later one, or send both. Rename one of them, the session's by tokenizer.cookie.name.",
    );
  }

  #otherHost(domain: string, host: string): void {
    if (this.#isOtherHostTold) return;
    this.#isOtherHostTold = true;
    this.#warn(
      `tokenizer.cookie.domain is ${domain}, but a request came for the host ${quoted(host)}: browsers take no cookie ` +
        "with another host's domain. Take the domain away; or, if a proxy put that host there, let it pass on the " +
        "browser's Host.",
    );
  }

  #once(message: string): void {
    if (this.#told.has(message)) return;
    this.#told.add(message);
    this.#warn(message);
  }
}

/** Whether browsers take a cookie of the domain from the host. A domain of one label is nobody's but its own. */
function isOf(domain: string, host: string): boolean {
  const [own, name] = [domain.replace(/^\./, "").toLowerCase(), host.toLowerCase()];
  return name === own || (own.includes(".") && name.endsWith(`.${own}`));
}

function isRemoval(line: string): boolean {
  return /^[^=;]*=\s*(?:;|$)|;\s*max-age\s*=\s*(?:0|-)|;\s*expires\s*=[^;]*\b19\d\d\b/i.test(line);
}
