/** The users' records in the store: read, and changed by versioned writes alone. */
import type { Awaitable } from "../../awaitable.js";
import type { Backend } from "../../backends/backend.js";
import type { Deadline } from "../../deadline.js";
import { END_OF_TIME } from "../lifetime.js";
import { KeyedQueue } from "../queue.js";
import { newVersion } from "../snapshot.js";
import { decodeUser, encodeUser, type Handle, type UserRecord, without } from "./user-record.js";

/** A record as it was read or written. */
export interface StoredUserRecord extends UserRecord {
  /** None where there is no record yet. */
  readonly version: string | undefined;
  /** When it ends, in milliseconds since 1970. */
  readonly expires: number;
}

/** What is to be different; nothing if nothing is. The end moves only later. */
export type UserChange = { endings?: number; handles?: readonly Handle[]; until?: number } | undefined;

/** The longest pause before a write that met another one is tried again, in milliseconds. */
const JITTER = 10;

export class UserRecords {
  readonly #backend: Backend;
  readonly #queue = new KeyedQueue();

  constructor(backend: Backend) {
    this.#backend = backend;
  }

  async read(key: string, deadline: Deadline): Promise<StoredUserRecord> {
    const stored = await deadline.race(this.#backend.read(key));
    return { ...decodeUser(stored), version: stored?.version, expires: stored?.expires ?? 0 };
  }

  /**
   * Changes a record, again and again until nobody comes between; answers what is stored then.
   *
   * @param change may be called more than once
   * @param first what was read of it already
   */
  update(
    key: string,
    deadline: Deadline,
    change: (record: StoredUserRecord) => UserChange | Promise<UserChange>,
    first?: StoredUserRecord,
  ): Promise<StoredUserRecord> {
    return this.#queue.run(key, deadline, async () => {
      for (let before = first ?? (await this.read(key, deadline)); ; before = await this.read(key, deadline)) {
        const changed = await change(before);
        if (!changed) return before;
        const after = changedBy(before, changed);
        if (await deadline.race(this.#write(key, before, after))) return after;
        await deadline.pause(JITTER);
        deadline.check();
      }
    });
  }

  /** Takes handles off the list. */
  async drop(key: string, ids: ReadonlySet<string>, deadline: Deadline): Promise<void> {
    await this.update(key, deadline, ({ handles }) => {
      const left = without(handles, ids);
      return left === handles ? undefined : { handles: left };
    });
  }

  #write(key: string, before: StoredUserRecord, after: StoredUserRecord & { version: string }): Awaitable<boolean> {
    const record = { value: encodeUser(after), version: after.version, expires: after.expires };
    return this.#backend.write(key, record, before.version === undefined ? "absent" : { version: before.version });
  }
}

function changedBy(before: StoredUserRecord, change: NonNullable<UserChange>) {
  const { name, endings, handles } = before;
  const expires = Math.min(Math.max(before.expires, change.until ?? 0), END_OF_TIME);
  return {
    name,
    endings: change.endings ?? endings,
    handles: change.handles ?? handles,
    version: newVersion(),
    expires,
  };
}
