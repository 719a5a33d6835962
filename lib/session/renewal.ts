/** Moves a session's stored end when that is due, after a look at its user's record: where one that was ended is found out. */
import type { Backend } from "../backends/backend.js";
import type { Deadline } from "../deadline.js";
import { emit } from "../events.js";
import { shortName } from "../session-id.js";
import type { Endings } from "./endings.js";
import type { Lifetime } from "./lifetime.js";
import { asTokenizerError, type Operations } from "./operations.js";
import type { Snapshot } from "./snapshot.js";
import type { UserIndex } from "./users/user-index.js";
import type { SignIn } from "./users/user-record.js";

/** What moving a session's end needs to know, and moves on. */
export interface Renewed extends Pick<Snapshot, "head" | "version"> {
  expires: number;
}

export interface Renewing {
  /** Then the session is removed. */
  readonly isEnded: boolean;
  /** Whether the end of that version was moved; where that was due. Never rejects. */
  readonly touched?: Promise<boolean>;
}

const STAYS: Renewing = { isEnded: false };

export interface RenewalOptions {
  readonly backend: Backend;
  readonly operations: Operations;
  readonly lifetime: Lifetime;
  readonly users: UserIndex;
  readonly endings: Endings;
  readonly warn: (message: string) => void;
}

export class Renewal {
  readonly #options: RenewalOptions;

  constructor(options: RenewalOptions) {
    this.#options = options;
  }

  /** Moves the end, if that is due. Who serves a request does not wait for the touch: it goes on alongside. */
  async renew(key: string, session: Renewed, deadline: Deadline): Promise<Renewing> {
    const { lifetime, users } = this.#options;
    const { head, version } = session;
    if (!lifetime.isDue(head, session.expires)) return STAYS;
    const end = lifetime.renewedExpiry(head);
    const { signIn } = head;
    try {
      if (signIn && !(await users.check({ key, signIn, idle: lifetime.idle(head) }, end, deadline)).stays) {
        await this.#remove(key, signIn);
        return { isEnded: true };
      }
    } catch (error) {
      // Served, and not touched: so the next request checks again.
      this.#warn(key, error);
      return STAYS;
    }
    session.expires = end;
    return { isEnded: false, touched: this.#touch(key, end, version) };
  }

  /** Whether it was that version. A failure is logged. */
  async #touch(key: string, end: number, version: string): Promise<boolean> {
    const { backend, operations } = this.#options;
    try {
      const wasThere = await operations.within((deadline) =>
        operations.inTurn(key, deadline, () => deadline.race(backend.touch(key, end, version))),
      );
      emit("touch", () => ({ session: shortName(key) }));
      return wasThere;
    } catch (error) {
      if (!operations.isClosed) this.#warn(key, error);
      return true;
    }
  }

  /** A failure is logged: the session's next request comes by here again. */
  async #remove(key: string, signIn: SignIn): Promise<void> {
    const { backend, operations, endings, warn } = this.#options;
    try {
      const wasThere = await operations.within((deadline) =>
        operations.inTurn(key, deadline, () => deadline.race(backend.remove(key))),
      );
      if (wasThere) endings.tell(signIn, "revoked");
    } catch (error) {
      if (operations.isClosed) return;
      warn(`Session ${shortName(key)} was ended, and could not be removed: ${asTokenizerError(error).message}`);
    }
  }

  #warn(key: string, error: unknown): void {
    this.#options.warn(endNotMoved(key, error));
  }
}

/** Said where a session is served although its end could not be moved. */
export function endNotMoved(key: string, error: unknown): string {
  return `The expiry of session ${shortName(key)} could not be moved: ${asTokenizerError(error).message}`;
}
