/** Tells of users' sessions that end, in the process that ends them: an application forwards it to its sockets. */
import { EventEmitter } from "node:events";
import { TokenizerError } from "../errors.js";
import { nextTick } from "../native.js";
import { listedIdOf, type SignIn } from "./users/user-record.js";

/**
 * Why a session ended:
 *
 * - `sign-out`: `req.signOut` ended it, or your application deleted its `username`;
 * - `replaced`: another session took its place, after `req.signIn`, `req.session.regenerate` or a change of `username`;
 * - `revoked`: `sessions.users.revoke` or `sessions.users.revokeEveryone` ended it, at once or with its next request;
 * - `limit`: the user had more than `sessions_per_user`, and it was the oldest;
 * - `destroyed`: `req.session.destroy`, `req.session = null` or the store ended it.
 */
export type EndReason = "sign-out" | "replaced" | "revoked" | "limit" | "destroyed";

/** What a listener of `sessions.on` gets: a user's session that was ended. */
export interface SessionEnd {
  /** The session's handle: the `id` in `sessions.users.list`, and what `sessions.users.handle` answers. */
  readonly handle: string;
  /** The name of its user. */
  readonly user: string;
  /** Why it ended. */
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

  /** The emitter, for a listener of one of these events: another name would never be heard of. */
  heard(event: unknown, listener: unknown): EventEmitter<Events> {
    if (typeof listener !== "function") {
      throw new TokenizerError(
        "ARGUMENT_INVALID",
        `The listener of sessions.on is a function. It got a ${typeof listener}.`,
      );
    }
    if (event === "ended") return this.#emitter;
    throw new TokenizerError("ARGUMENT_INVALID", 'The sessions have one event: sessions.on("ended", listener).');
  }
}
