/** The session that another one takes the place of: removed, also where the other one is the same under another id. */
import type { Backend } from "../backends/backend.js";
import type { Deadline } from "../deadline.js";
import { TokenizerError } from "../errors.js";
import { storageKey } from "../session-id.js";
import type { Endings, EndReason } from "./endings.js";
import { merge } from "./merge.js";
import type { Operations } from "./operations.js";
import { inspectHead } from "./record.js";
import type { Exchanged } from "./signing.js";
import { newVersion, type Snapshot } from "./snapshot.js";
import type { SignIn } from "./users/user-record.js";
import type { Save, SessionWriter } from "./writer.js";

export interface Replaced {
  readonly sid: string;
  /** What is known of it, where it goes on as the new one. */
  readonly continued?: Snapshot | undefined;
}

interface Removed {
  readonly wasThere: boolean;
  readonly signIn: SignIn | undefined;
}

export interface ReplacingOptions {
  readonly backend: Backend;
  readonly operations: Operations;
  readonly endings: Endings;
  readonly writer: SessionWriter;
}

export class Replacing {
  readonly #options: ReplacingOptions;

  constructor(options: ReplacingOptions) {
    this.#options = options;
  }

  /**
   * Removes the session whose place another one takes.
   *
   * @param save that of the other one, which is `written` by now
   * @throws TokenizerError `SIGN_IN_AGAIN` where it was to go on, and is over
   */
  async remove({ sid, continued }: Replaced, save: Save, written: Snapshot): Promise<Exchanged> {
    const key = storageKey(sid);
    if (continued) return this.#moveOn({ sid, key, continued }, save, written);
    const { signIn } = await this.removeNow(key, "replaced", save.deadline);
    return { signIn, written };
  }

  async removeNow(key: string, reason: EndReason, deadline: Deadline): Promise<Removed> {
    const { backend, operations, endings } = this.#options;
    return operations.inTurn(key, deadline, async () => {
      const stored = await deadline.race(backend.read(key));
      const wasThere = await deadline.race(backend.remove(key));
      const signIn = stored && inspectHead(stored.value)?.signIn;
      if (wasThere) endings.tell(signIn, reason);
      return { wasThere, signIn };
    });
  }

  /** Signed out, ended, gone over to somebody else, or gone on elsewhere: then it does not go on here. */
  async #moveOn(
    { sid, key, continued }: { sid: string; key: string; continued: Snapshot },
    save: Save,
    written: Snapshot,
  ): Promise<Exchanged> {
    const { backend, operations } = this.#options;
    const { codec, deadline } = save;
    return operations.inTurn(key, deadline, async () => {
      const stored = await deadline.race(backend.read(key));
      const theirs = stored && codec.decode(sid, stored.value);
      const signIn = theirs?.head.signIn;
      if (!theirs || signIn?.handle !== continued.head.signIn?.handle) throw isOver();
      const isChanged = stored.version !== continued.version && theirs.text !== continued.text;
      const moved = isChanged ? await this.#write(theirs.text, continued.text, save, written) : written;
      if (!(await deadline.race(backend.remove(key)))) throw isOver();
      return { signIn, written: moved };
    });
  }

  /** Adds what others saved under the old id since this request loaded it. */
  async #write(theirs: string, base: string, save: Save, written: Snapshot): Promise<Snapshot> {
    const { writer } = this.#options;
    const state = { ...save.state, text: merge(base, save.state.text, theirs) };
    const { head, version } = written;
    const merged = await writer.write({ ...save, snapshot: written, state, head, expected: { version } });
    if (!merged) throw isOver();
    // The request's own object has not seen it: its next save must not match.
    return { ...merged, text: save.state.text, version: newVersion() };
  }
}

function isOver(): TokenizerError {
  return new TokenizerError(
    "SIGN_IN_AGAIN",
    "The session ended, or was confirmed by another request, while req.confirmSignIn was under way: nothing was confirmed.",
  );
}
