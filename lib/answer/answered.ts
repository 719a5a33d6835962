/** What an answer asks of the session that it belongs to, and of whoever answers when that is not saved. */

export interface AnsweredSession {
  /** Saves what is to be saved. Nothing when there is nothing to save: then the answer goes out at once. */
  save(): Promise<void> | undefined;
  /** Adds the session's cookie. Called once, right before the headers go out, and not for an answer taken back. */
  announce(): void;
  /** Headers go out before the session is saved, since the handler sends them by hand. */
  expose(): void;
  /** The save failed, and the answer goes out all the same, without a cookie: it is an error page. */
  giveUp(error: unknown): void;
}

/** The save failed. The answer was taken back, and somebody else answers with this error. */
export type Refuse = (error: unknown) => void;
