/** When a session ends: all arithmetic of its two ends, and of how often the stored one is moved. Times are milliseconds. */

import type { RecordHead } from "./record.js";

/** What the settings say of a session's life. They may say something else than when it was written: the earlier end counts. */
export interface LifetimeOptions {
  /** A session ends this long after its last request, unless `cookie.maxAge` says otherwise. */
  readonly timeout: number;
  /** A session ends this long after sign-in, however busy. */
  readonly absoluteTimeout?: number | undefined;
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

/** The last moment that a Date can hold (ECMA-262). Much later ones are no exact numbers, which not every engine takes. */
export const END_OF_TIME = 8.64e15;

/** How far the clocks of servers may be apart without harm. Ten minutes. */
export const CLOCKS_DIFFER = 10 * 60_000;

export class Lifetime {
  readonly #options: LifetimeOptions;

  constructor(options: LifetimeOptions) {
    this.#options = options;
  }

  get now(): number {
    return this.#options.now();
  }

  /** How long a session lives without a request. */
  idle(maxAge: number | undefined): number {
    return maxAge ?? this.#options.timeout;
  }

  /** The end of a session whose last request comes now. */
  expiry(maxAge: number | undefined): number {
    return Math.min(this.now + this.idle(maxAge), END_OF_TIME);
  }

  /** The end to be stored beside that head, for a session whose last request comes now. */
  renewedExpiry(head: RecordHead): number {
    return this.expiry(this.#storedIdle(head));
  }

  /** Whether the stored end is to be moved by a request that comes now. */
  isDue(head: RecordHead, expires: number): boolean {
    return this.renewedExpiry(head) - expires >= this.#interval(head.maxAge);
  }

  /** Whether the stored end is later than a request could have made it by now: the head was changed since. */
  isTooLate(maxAge: number | undefined, expires: number): boolean {
    return expires - this.expiry(maxAge) > CLOCKS_DIFFER;
  }

  /** The head of a session whose end is made now, by the settings as they are. */
  stamp({ idle: _, ...head }: RecordHead): RecordHead {
    return head.maxAge === undefined ? { ...head, idle: this.#options.timeout } : head;
  }

  /** Whether the head is as it would be written now. */
  isStamped({ maxAge, idle }: RecordHead): boolean {
    return maxAge !== undefined || idle === this.#options.timeout;
  }

  /** The end of a session whose last request comes now, stored so that the next request is due to move it. */
  dueExpiry(maxAge: number | undefined): number {
    return this.expiry(maxAge) - this.#interval(maxAge);
  }

  /** The absolute end of a session that is signed in now; none without the setting. */
  absoluteEnd(now = this.now): number | undefined {
    const { absoluteTimeout } = this.#options;
    return absoluteTimeout === undefined ? undefined : now + absoluteTimeout;
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
    const idleEnd = expires - (this.#storedIdle(head) - this.idle(head.maxAge));
    return Math.min(idleEnd, this.#absoluteEndOf(head));
  }

  /**
   * From the last request to the stored end. Where the setting was raised since it was written in the head, a request
   * may have moved the end by the longer time.
   */
  #storedIdle({ maxAge, idle = 0 }: RecordHead): number {
    return maxAge ?? Math.max(idle, this.#options.timeout);
  }

  /** Counted from the sign-in, or from the beginning where nobody is signed in. */
  #absoluteEndOf({ created, signIn, end = END_OF_TIME }: RecordHead): number {
    return Math.min(end, this.absoluteEnd(signIn?.since ?? created) ?? END_OF_TIME);
  }

  #interval(maxAge: number | undefined): number {
    return Math.max(1, Math.min(this.#options.touchInterval, this.idle(maxAge) / 10));
  }
}
