/** The cookie that each session was sent with: whether it is to be sent again, and until when browsers keep it. */
import { rememberedMark } from "./cookie-mark.js";
import type { KnownSessions } from "./known.js";
import type { Lifetime } from "./lifetime.js";
import type { RecordHead } from "./record.js";
import type { RequestAttributes } from "./request-attributes.js";

export interface SentCookiesOptions {
  readonly known: KnownSessions;
  readonly lifetime: Lifetime;
  /** Of the attributes that cookies are sent with now (`cookieMark`). */
  readonly cookieMark: string | undefined;
  /** Where the application says them for each request. */
  readonly byRequest: RequestAttributes | undefined;
}

export class SentCookies {
  readonly #options: SentCookiesOptions;
  /** Sessions whose cookie is sent again. */
  readonly #renewing = new WeakSet<object>();

  constructor(options: SentCookiesOptions) {
    this.#options = options;
  }

  /** Whether the session's cookie was sent with other attributes than now. */
  isOld(session: object): boolean {
    const snapshot = this.#options.known.snapshotOf(session);
    return snapshot?.isGone === false && snapshot.head.cookie !== this.markOf(session, snapshot.head);
  }

  /** When browsers are to forget the cookie of a remembered session, in milliseconds since 1970; none of others. */
  endOf(session: object): number | undefined {
    const { known, lifetime } = this.#options;
    const head = known.snapshotOf(session)?.head;
    return head?.remembered && lifetime.cookieEndOf(head);
  }

  /** It is sent again with the answer that the next save is for, which says so in the record. */
  renew(session: object): void {
    this.#renewing.add(session);
  }

  isRenewed(session: object): boolean {
    return this.#renewing.has(session);
  }

  /** What the record is to say of a cookie that is sent now. */
  markOf(session: object, { remembered }: RecordHead): string | undefined {
    const { byRequest, cookieMark } = this.#options;
    const mark = byRequest ? byRequest.markOf(session) : cookieMark;
    return remembered ? rememberedMark(mark) : mark;
  }
}
