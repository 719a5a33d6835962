/** When a session ends: all arithmetic of its two ends, and of how often the stored one is moved. Times are milliseconds. */

/** What the settings say of a session's life. */
export interface LifetimeOptions {
  /** A session ends this long after its last request, unless `cookie.maxAge` says otherwise. */
  readonly timeout: number;
  /** A session ends this long after sign-in, however busy. */
  readonly absoluteTimeout?: number | undefined;
  /** The stored end is moved at most this often; never less often than a tenth of the session's timeout. */
  readonly touchInterval: number;
  readonly now: () => number;
}

/** What a session's head says of its life. */
interface Life {
  readonly created: number;
  readonly end?: number;
  readonly maxAge?: number;
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

  /** Whether the stored end is to be moved by a request that comes now. */
  isDue(maxAge: number | undefined, expires: number): boolean {
    return this.expiry(maxAge) - expires >= this.#interval(maxAge);
  }

  /** Whether the stored end is later than a request could have made it by now: the session's life was shortened since. */
  isTooLate(maxAge: number | undefined, expires: number): boolean {
    return expires - this.expiry(maxAge) > CLOCKS_DIFFER;
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

  /** Whether the absolute end has come. */
  isOver(life: Life): boolean {
    return this.#endOf(life) <= this.now;
  }

  /** When the last request came, and when the session ends if no other one does. */
  timesOf(life: Life, expires: number): { lastSeen: number; end: number } {
    return { lastSeen: expires - this.idle(life.maxAge), end: Math.min(expires, this.#endOf(life)) };
  }

  /** For a session from before there was such a setting, counted from its beginning. */
  #endOf({ created, end }: Life): number {
    return end ?? this.absoluteEnd(created) ?? END_OF_TIME;
  }

  #interval(maxAge: number | undefined): number {
    return Math.max(1, Math.min(this.#options.touchInterval, this.idle(maxAge) / 10));
  }
}
