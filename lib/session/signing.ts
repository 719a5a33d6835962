/** The steps of a sign-in: listed, written, checked, then the session that it replaces is removed. */
import type { Backend } from "../backends/backend.js";
import { TokenizerError } from "../errors.js";
import { emit } from "../events.js";
import { shortName } from "../session-id.js";
import type { Lifetime } from "./lifetime.js";
import type { Operations } from "./operations.js";
import type { Snapshot } from "./snapshot.js";
import { sessionRevoked, type UserIndex } from "./users/user-index.js";
import type { SignIn } from "./users/user-record.js";
import type { StoredUserRecord } from "./users/user-records.js";
import type { Save, SessionWriter } from "./writer.js";

/** A sign-in whose turn has come. */
export interface SignInRequest {
  readonly save: Save;
  readonly user: string;
  readonly label: string | undefined;
  /** The sign-in of a session that goes on as this one. */
  readonly continued: SignIn | undefined;
  /** Removes the session that this one takes the place of, once it is written. */
  readonly removeReplaced: ((written: Snapshot) => Promise<Exchanged>) | undefined;
}

/** After the session that was replaced is removed. */
export interface Exchanged {
  /** Whom it was signed in as. */
  readonly signIn: SignIn | undefined;
  /** The new session, which what others changed in the old one meanwhile may have been written to. */
  readonly written: Snapshot;
}

export interface SigningOptions {
  readonly backend: Backend;
  readonly lifetime: Lifetime;
  readonly users: UserIndex;
  readonly writer: SessionWriter;
  readonly operations: Operations;
  readonly warn: (message: string) => void;
}

export class Signing {
  readonly #options: SigningOptions;

  constructor(options: SigningOptions) {
    this.#options = options;
  }

  /**
   * Signs a session in. Refused, a new session was never there; one that was there before may be signed in where the store
   * failed: it is due for a check at its next request.
   *
   * @returns the new snapshot; nothing if the session is gone
   * @throws TokenizerError `SESSION_REVOKED` when the user's sessions were ended meanwhile
   */
  async signIn({ save, user, label, continued, removeReplaced }: SignInRequest): Promise<Snapshot | undefined> {
    const { lifetime, users, writer } = this.#options;
    const { key, head, deadline } = save;
    const isNew = save.expected === "absent";
    const full = lifetime.expiry(head);
    // The browser knows the id: its next request checks, whatever fails here.
    const end = isNew ? full : lifetime.dueExpiry(head);
    const idle = lifetime.idle(head);
    const signIn = await users.enter({ user, key, label, idle, continued }, full, deadline);
    let written: Snapshot | undefined;
    let record: StoredUserRecord;
    let replaced: SignIn | undefined;
    try {
      written = await writer.write({ ...save, head: { ...head, signIn } }, end);
      if (!written) {
        await users.leave(signIn, deadline);
        return undefined;
      }
      const checked = await users.check({ key, signIn, idle }, end, deadline, { limits: false });
      if (!checked.stays) throw sessionRevoked();
      record = checked.record;
      const exchanged = await removeReplaced?.(written);
      written = exchanged?.written ?? written;
      replaced = exchanged?.signIn;
    } catch (error) {
      const isRevoked = error instanceof TokenizerError && error.code === "SESSION_REVOKED";
      if (isNew || isRevoked) await this.#takeBack(save, signIn);
      throw error;
    }
    if (!continued) {
      emit("sign-in", () => ({ session: shortName(key), user, handle: signIn.handle, label: signIn.label }));
    }
    const isSameUser = replaced?.user === user;
    await users.settle(signIn, record, isSameUser ? replaced?.handle : undefined, deadline);
    if (replaced && !isSameUser) await users.leave(replaced, deadline);
    return written;
  }

  /** Goes on when the time of the sign-in is up, which waits for it no longer. */
  async #takeBack({ key, deadline, shared }: Save, signIn: SignIn): Promise<void> {
    const { backend, users, operations, warn } = this.#options;
    shared.left = undefined;
    await operations.behind(
      deadline,
      async (own) => {
        await own.race(backend.remove(key));
        // Only now: as long as the session may be there, it is listed.
        await users.leave(signIn, own);
      },
      // Its id was sent to nobody, or its next request checks: what is left of it only waits for its end.
      ({ message }) => warn(`A refused sign-in could not be taken back: ${message}`),
    );
  }
}
