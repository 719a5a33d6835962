/** Which device a session is bound to, found and noted by the hashed session id: a proof comes without the session's cookie. */
import type { Backend, StoredRecord } from "../backends/backend.js";
import type { Deadline } from "../deadline.js";
import { type DeviceKey, nameOf } from "../device/proof.js";
import { emit } from "../events.js";
import { SESSION_PREFIX, shortName } from "../session-id.js";
import type { Lifetime } from "./lifetime.js";
import type { Operations } from "./operations.js";
import { type Bound, inspectHead, type RecordHead, withHead } from "./record.js";
import { newVersion } from "./snapshot.js";

export interface BindingsOptions {
  readonly backend: Backend;
  readonly operations: Operations;
  readonly lifetime: Lifetime;
}

/** A live session that somebody is signed in to. */
interface SignedIn {
  readonly stored: StoredRecord;
  readonly head: RecordHead;
}

/** The longest pause before a binding that met a save is tried again, in milliseconds, for each try so far. */
const JITTER = 5;

export class Bindings {
  readonly #options: BindingsOptions;

  constructor(options: BindingsOptions) {
    this.#options = options;
  }

  /**
   * The device that the session is bound to; nothing where it is bound to none, over, or nobody's. Its end stays where it is.
   *
   * @param id the hashed session id
   */
  async find(id: string): Promise<Bound | undefined> {
    return this.#options.operations.within(async (deadline) => (await this.#signedIn(id, deadline))?.head.bound);
  }

  /**
   * Binds a session to a device, for good.
   *
   * @returns whether it is bound to that one now; not where it is bound to another one, over, or nobody's
   */
  async bind(id: string, key: DeviceKey): Promise<boolean> {
    const { now } = this.#options.lifetime;
    const bound = await this.#change(id, (before) => before ?? { key, since: now });
    return bound !== undefined && nameOf(bound.key) === nameOf(key);
  }

  /** The browser has shown what it got: from now on that is asked of it. A session that is over, or nobody's, is no error. */
  async show(id: string): Promise<void> {
    const { now } = this.#options.lifetime;
    let isFirst = false;
    await this.#change(id, (before) => {
      isFirst = before !== undefined && before.shown === undefined;
      return before && { shown: now, ...before };
    });
    if (isFirst) emit("bind", () => ({ session: shortName(SESSION_PREFIX + id) }));
  }

  /** Answers how it is bound then; nothing where it is not, is over, or nobody's. */
  async #change(id: string, next: (before: Bound | undefined) => Bound | undefined): Promise<Bound | undefined> {
    const { backend, operations } = this.#options;
    const storageKey = SESSION_PREFIX + id;
    return operations.within((deadline) =>
      operations.inTurn(storageKey, deadline, async (shared) => {
        for (let tries = 1; ; tries++) {
          const found = await this.#signedIn(id, deadline);
          const before = found?.head.bound;
          const bound = found && next(before);
          if (!bound || (before && before.shown === bound.shown)) return bound;
          const value = withHead(found.stored.value, { ...found.head, bound });
          const record = { value, version: newVersion(), expires: found.stored.expires };
          const isWritten = await deadline.race(backend.write(storageKey, record, { version: found.stored.version }));
          shared.left = isWritten ? record : undefined;
          if (isWritten) return bound;
          await deadline.pause(JITTER * tries);
        }
      }),
    );
  }

  async #signedIn(id: string, deadline: Deadline): Promise<SignedIn | undefined> {
    const { backend, lifetime } = this.#options;
    const stored = await deadline.race(backend.read(SESSION_PREFIX + id));
    const head = stored && inspectHead(stored.value);
    return stored && head?.signIn && !lifetime.isOver(head, stored.expires) ? { stored, head } : undefined;
  }
}
