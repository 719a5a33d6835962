/** What the server signs for a device and keeps nowhere: challenges, and the short-lived cookie. Good on every server. */
import { createHmac, createSecretKey, type KeyObject, randomBytes, timingSafeEqual } from "node:crypto";

/** What a challenge is for. */
export type Purpose = "register" | "refresh";

/** How long a challenge may take to come back. Two minutes: a device's key may have to be made first. */
const CHALLENGE_LIFE = 2 * 60_000;

/**
 * How long the short-lived cookie lives. Ten minutes: Chromium signs six times in nine minutes for a site, and refreshes two
 * minutes early.
 */
export const COOKIE_LIFE = 10 * 60_000;

/** What clocks of servers may differ by, and requests be under way. With 15 s no request of Chromium was refused. */
export const GRACE = 30_000;

/** Cookies, some 300 bytes each. */
const MOST_REMEMBERED = 1000;

const NONCE_BYTES = 16;

export interface TicketOptions {
  /** The first signs, all verify. */
  readonly secrets: readonly [string, ...string[]];
  /** Milliseconds since 1970. */
  readonly now: () => number;
}

export class DeviceTickets {
  readonly #current: KeyObject;
  readonly #all: readonly KeyObject[];
  readonly #now: () => number;
  /** Good cookies, and what for: an HMAC costs more than the rest of a request's check. */
  readonly #verified = new Map<string, string>();

  constructor({ secrets, now }: TicketOptions) {
    // Made once: of a text each HMAC would make one.
    const [current, ...older] = secrets;
    this.#current = keyOf(current);
    this.#all = [this.#current, ...older.map(keyOf)];
    this.#now = now;
  }

  /** @param id the hashed session id */
  challenge(purpose: Purpose, id: string): string {
    const expires = this.#now() + CHALLENGE_LIFE;
    return this.#signed(purpose, `${id}.${expires}.${randomBytes(NONCE_BYTES).toString("base64url")}`);
  }

  /** The session that a challenge was made for; nothing for what we did not make for that purpose, or too long ago. */
  sessionOf(challenge: string, purpose: Purpose): string | undefined {
    const [id, expires] = this.#opened(purpose, challenge)?.split(".") ?? [];
    return Number(expires) > this.#now() ? id : undefined;
  }

  /** @param key the name of the device's key */
  cookie(id: string, key: string): string {
    return this.#signed(ofCookie(id, key), String(this.#now() + COOKIE_LIFE));
  }

  isCookie(value: string, id: string, key: string): boolean {
    const purpose = ofCookie(id, key);
    if (this.#verified.get(value) !== purpose) {
      if (this.#opened(purpose, value) === undefined) return false;
      this.#remember(value, purpose);
    }
    return Number(value.slice(0, value.lastIndexOf("."))) + GRACE > this.#now();
  }

  #remember(value: string, purpose: string): void {
    const [oldest] = this.#verified.keys();
    if (oldest !== undefined && this.#verified.size >= MOST_REMEMBERED) this.#verified.delete(oldest);
    this.#verified.set(value, purpose);
  }

  #signed(purpose: string, text: string): string {
    return `${text}.${mac(this.#current, purpose, text)}`;
  }

  #opened(purpose: string, signed: string): string | undefined {
    const at = signed.lastIndexOf(".");
    const [text, found] = [signed.slice(0, Math.max(at, 0)), Buffer.from(signed.slice(at + 1))];
    const isOurs = this.#all.some((secret) => {
      const made = Buffer.from(mac(secret, purpose, text));
      return made.length === found.length && timingSafeEqual(made, found);
    });
    return isOurs ? text : undefined;
  }
}

function ofCookie(id: string, key: string): string {
  return `cookie ${id} ${key}`;
}

function keyOf(secret: string): KeyObject {
  return createSecretKey(Buffer.from(secret));
}

function mac(secret: KeyObject, purpose: string, text: string): string {
  return createHmac("sha256", secret).update(`${purpose}\n${text}`).digest("base64url");
}
