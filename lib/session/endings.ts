/** Tells of users' sessions that end, in the process that ends them: an application forwards it to its sockets. */
import { EventEmitter } from "node:events";
import { TokenizerError } from "../errors.js";
import { nextTick } from "../native.js";
import { listedIdOf, type SignIn } from "./users/user-record.js";

/**
 * Why a session ended:
 *
 * - `sign-out`: by `req.signOut`, or because its `username` was deleted;
 * - `replaced`: another took its place, by `req.signIn`, `regenerate`, or another `username`;
 * - `revoked`: by `sessions.users`; or a request was the first to meet it after that;
 * - `limit`: the user had too many, and it was the oldest;
 * - `destroyed`: by `req.session.destroy`, `req.session = null` or the store.
 */
export type EndReason = "sign-out" | "replaced" | "revoked" | "limit" | "destroyed";

/** A user's session that was ended. Of one that nobody is signed in to, or whose time was up, nothing is told. */
export interface SessionEnd {
  /** As `sessions.users.list` showed it (`id`), and `sessions.users.handle`. */
  readonly handle: string;
  readonly user: string;
  readonly reason: EndReason;
}

interface Events {
  ended: [SessionEnd];
}

export class Endings {
  readonly #emitter = new EventEmitter<Events>();

  tell(signIn: SignIn | undefined, reason: EndReason): void {
    if (!signIn || this.#emitter.listenerCount("ended") === 0) return;
    const end = { handle: listedIdOf(signIn), user: signIn.user, reason };
    // Not at once: what a listener throws is no failed sign-out.
    nextTick(() => this.#emitter.emit("ended", end));
  }

  /** The emitter, for one of these events: another name would never be heard of. */
  heard(event: unknown): EventEmitter<Events> {
    if (event === "ended") return this.#emitter;
    throw new TokenizerError("ARGUMENT_INVALID", 'The sessions have one event: sessions.on("ended", listener).');
  }
}
