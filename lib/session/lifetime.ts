/** When a session ends: all arithmetic of its two ends, and of how often the stored one is moved. Times are milliseconds. */

import type { RecordHead } from "./record.js";

interface Timeouts {
  /** A session ends this long after its last request, unless `cookie.maxAge` says otherwise. */
  readonly timeout: number;
  /** A session ends this long after sign-in, however busy. */
  readonly absoluteTimeout?: number | undefined;
}

/** What the settings say of a session's life. They may say something else than when it was written: the earlier end counts. */
export interface LifetimeOptions extends Timeouts {
  /** The same of sessions that are remembered. Missing: they have the life of all. */
  readonly remember?: Timeouts | undefined;
  /** The stored end is moved at most this often; never less often than a tenth of the session's timeout. */
  readonly touchInterval: number;
  readonly now: () => number;
}

export interface SessionTimes {
  /** The moment of sign-in; where nobody is signed in, of the first save. */
  readonly createdAt: Date;
  /** To within `touch_interval`. */
  readonly lastSeenAt: Date;
  /** When it ends if no further request comes. */
  readonly expiresAt: Date;
}

/** By what a session's life is told: its own `maxAge`, and whether it is remembered. */
export type Life = Pick<RecordHead, "maxAge" | "remembered">;

/** The last moment that a Date can hold (ECMA-262). Much later ones are no exact numbers, which not every engine takes. */
export const END_OF_TIME = 8.64e15;

/** How far the clocks of servers may be apart without harm. Ten minutes. */
export const CLOCKS_DIFFER = 10 * 60_000;

/** Browsers keep none for longer (draft-ietf-httpbis-rfc6265bis, 5.5). 400 days. */
const LONGEST_COOKIE = 400 * 24 * 60 * 60_000;

export class Lifetime {
  readonly #options: LifetimeOptions;

  constructor(options: LifetimeOptions) {
    this.#options = options;
  }

  get now(): number {
    return this.#options.now();
  }

  /** Whether sign-ins may ask to be remembered. */
  get remembers(): boolean {
    return this.#options.remember !== undefined;
  }

  /** How long any session may live without a request, but for those with a `maxAge`. */
  get longestIdle(): number {
    const { timeout, remember } = this.#options;
    return Math.max(timeout, remember?.timeout ?? 0);
  }

  /** How long a session lives without a request. */
  idle(life: Life): number {
    return life.maxAge ?? this.#timeouts(life).timeout;
  }

  /** The end of a session whose last request comes now. */
  expiry(life: Life): number {
    return this.#after(this.idle(life));
  }

  /** The end to be stored beside that head, for a session whose last request comes now. */
  renewedExpiry(head: RecordHead): number {
    return this.#after(this.#storedIdle(head));
  }

  /** Whether the stored end is to be moved by a request that comes now. */
  isDue(head: RecordHead, expires: number): boolean {
    return this.renewedExpiry(head) - expires >= this.#interval(head);
  }

  /** Whether the stored end is later than a request could have made it by now: the head was changed since. */
  isTooLate(life: Life, expires: number): boolean {
    return expires - this.expiry(life) > CLOCKS_DIFFER;
  }

  /** The head of a session whose end is made now, by the settings as they are. */
  stamp({ idle: _, ...head }: RecordHead): RecordHead {
    return head.maxAge === undefined ? { ...head, idle: this.idle(head) } : head;
  }

  /** Whether the head is as it would be written now. */
  isStamped(head: RecordHead): boolean {
    return head.maxAge !== undefined || head.idle === this.idle(head);
  }

  /** The end of a session whose last request comes now, stored so that the next request is due to move it. */
  dueExpiry(life: Life): number {
    return this.expiry(life) - this.#interval(life);
  }

  /** The absolute end of a session that is signed in now; none without the setting. */
  absoluteEnd(life: Life, now = this.now): number | undefined {
    const { absoluteTimeout } = this.#timeouts(life);
    return absoluteTimeout === undefined ? undefined : now + absoluteTimeout;
  }

  /** Past this the session is over, however busy: counted from the sign-in, or from the beginning where nobody is signed in. */
  absoluteEndOf(head: RecordHead): number {
    const { created, signIn, end = END_OF_TIME } = head;
    return Math.min(end, this.absoluteEnd(head, signIn?.since ?? created) ?? END_OF_TIME);
  }

  /** When browsers are to forget a cookie that lasts as long as the session may. */
  cookieEndOf(head: RecordHead): number {
    return Math.min(this.absoluteEndOf(head), this.now + LONGEST_COOKIE);
  }

  /** Whether the session has ended, though its record may still be there. */
  isOver(head: RecordHead, expires: number): boolean {
    return this.#endOf(head, expires) <= this.now;
  }

  /** What a list tells of a session. */
  timesOf(head: RecordHead, expires: number): SessionTimes {
    const began = head.signIn?.since ?? head.created;
    return {
      createdAt: new Date(began),
      // The end of a sign-in in place is stored an interval early.
      lastSeenAt: new Date(Math.max(began, expires - this.#storedIdle(head))),
      expiresAt: new Date(this.#endOf(head, expires)),
    };
  }

  #endOf(head: RecordHead, expires: number): number {
    // By less than the stored time: the setting was lowered since. Not from the last request, which may be far from whole numbers.
    const idleEnd = expires - (this.#storedIdle(head) - this.idle(head));
    return Math.min(idleEnd, this.absoluteEndOf(head));
  }

  /**
   * From the last request to the stored end. Where the setting was raised since it was written in the head, a request
   * may have moved the end by the longer time.
   */
  #storedIdle(head: RecordHead): number {
    return head.maxAge ?? Math.max(head.idle ?? 0, this.idle(head));
  }

  #after(idle: number): number {
    return Math.min(this.now + idle, END_OF_TIME);
  }

  #interval(life: Life): number {
    return Math.max(1, Math.min(this.#options.touchInterval, this.idle(life) / 10));
  }

  #timeouts({ remembered }: Life): Timeouts {
    return (remembered && this.#options.remember) || this.#options;
  }
}
