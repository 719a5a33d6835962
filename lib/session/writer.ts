/** One save of a session: written by its version, merged with whoever wrote meanwhile, its end moved when that is due. */
import type { Backend, Expected, StoredRecord } from "../backends/backend.js";
import type { Deadline } from "../deadline.js";
import { emit } from "../events.js";
import { shortName } from "../session-id.js";
import type { Endings } from "./endings.js";
import type { Lifetime } from "./lifetime.js";
import { merge } from "./merge.js";
import type { Shared } from "./queue.js";
import { type RecordCodec, type RecordHead, refuseTooLarge, type SessionRecord, type SizeLimit } from "./record.js";
import { endNotMoved } from "./renewal.js";
import {
  isSameMaxAge,
  newVersion,
  type SessionState,
  type Snapshot,
  snapshotAfter,
  withCookieMark,
  withMaxAge,
} from "./snapshot.js";
import type { UserIndex } from "./users/user-index.js";

/** A save whose turn has come. */
export interface Save {
  readonly sid: string;
  readonly key: string;
  /** What was loaded or last acknowledged; nothing for a new session, and for an unknown object. */
  readonly snapshot: Snapshot | undefined;
  readonly state: SessionState;
  /** What the record's head is to be, unless another writer's is merged in. */
  readonly head: RecordHead;
  readonly expected: Expected;
  readonly deadline: Deadline;
  readonly codec: RecordCodec;
  /** Holds what this process wrote last under the key, so that no failing write is needed to find out. */
  readonly shared: Shared<StoredRecord>;
}

export interface WriterOptions {
  readonly backend: Backend;
  /** Of a record, unless the backend can keep less. */
  readonly maxSessionBytes: number;
  readonly lifetime: Lifetime;
  readonly users: UserIndex;
  readonly endings: Endings;
  readonly warn: (message: string) => void;
}

/** What is stored, as far as a save knows. */
interface Stored {
  readonly head: RecordHead | undefined;
  readonly expires: number | undefined;
}

/** When a session is to end, and the head that says by what. */
interface Life {
  readonly head: RecordHead;
  readonly expires: number;
}

/** The longest pause before a save that met another one is tried again, in milliseconds, for each try so far. */
const JITTER = 5;

export class SessionWriter {
  readonly #options: WriterOptions;

  constructor(options: WriterOptions) {
    this.#options = options;
  }

  /**
   * Writes, again and again until nobody comes between.
   *
   * @param end when the session is to end if no request comes; default: its end as it is stored, moved when that is due
   * @returns the new snapshot; nothing if the session is gone
   */
  async write(save: Save, end?: number): Promise<Snapshot | undefined> {
    const { sid, key, state, snapshot, deadline, codec, shared } = save;
    const { backend } = this.#options;
    let { expected } = save;
    let record: SessionRecord = { head: save.head, text: state.text };
    let stored: Stored = { head: snapshot?.head, expires: snapshot?.expires };
    let current = typeof expected === "object" && shared.left?.version !== expected.version ? shared.left : undefined;
    for (let tries = 1; ; tries++) {
      if (current) {
        const theirs = codec.decode(sid, current.value);
        record = mergedWith(theirs, save);
        stored = { head: theirs?.head, expires: current.expires };
        expected = { version: current.version };
        emit("merge", () => ({ session: shortName(key) }));
      }
      const life = end === undefined ? await this.#lifeOf(record.head, stored, save) : this.#made(record.head, end);
      if (life === undefined) return undefined;
      const { head, expires } = life;
      record = { ...record, head };
      // Sealing what is far too large would hold the loop for nothing.
      refuseTooLarge(record.text, record.text, this.#limit);
      const next = { value: codec.encode(sid, record), version: newVersion(), expires };
      refuseTooLarge(next.value, record.text, this.#limit);
      if (await deadline.race(backend.write(key, next, expected))) {
        shared.left = next;
        return snapshotAfter(state, record, next);
      }
      shared.left = undefined;
      current = await deadline.race(backend.read(key));
      // A write whose answer was lost may meet itself.
      if (current?.version === next.version) return snapshotAfter(state, record, next);
      if (!current) return undefined;
      emit("conflict", () => ({ session: shortName(key) }));
      await deadline.pause(JITTER * (tries - 1));
      deadline.check();
    }
  }

  get #limit(): SizeLimit {
    const { backend, maxSessionBytes } = this.#options;
    const { maxValueBytes = Number.POSITIVE_INFINITY } = backend;
    return maxValueBytes < maxSessionBytes
      ? { bytes: maxValueBytes }
      : { bytes: maxSessionBytes, setting: "tokenizer.max_session_kb" };
  }

  #made(head: RecordHead, expires: number): Life {
    return { head: this.#options.lifetime.stamp(head), expires };
  }

  /** The end to be stored, and the head beside it; nothing if the session was ended: then it is removed. */
  async #lifeOf(head: RecordHead, stored: Stored, { key, deadline, shared }: Save): Promise<Life | undefined> {
    const { backend, lifetime, users, endings, warn } = this.#options;
    const { signIn } = head;
    if (stored.expires === undefined) return this.#made(head, lifetime.expiry(head));
    const kept: Life = { head, expires: stored.expires };
    const isOtherLife = !isSameMaxAge(head.maxAge, stored.head?.maxAge);
    const isStamped = [head, stored.head].every((one) => one && lifetime.isStamped(one));
    const isWrong = !isStamped || lifetime.isTooLate(head, stored.expires);
    const isMoved = isOtherLife || isWrong || lifetime.isDue(head, stored.expires);
    const life = isMoved ? this.#made(head, lifetime.expiry(head)) : kept;
    // Its handle gets the present key, too, or nobody lists it once the older one is dropped.
    const hasOtherKey = signIn?.by !== stored.head?.signIn?.by;
    if (!signIn || (life.expires <= stored.expires && !hasOtherKey)) return life;
    try {
      if ((await users.check({ key, signIn, idle: lifetime.idle(head) }, life.expires, deadline)).stays) return life;
    } catch (error) {
      if (isOtherLife) throw error;
      warn(endNotMoved(key, error));
      return kept;
    }
    shared.left = undefined;
    if (await deadline.race(backend.remove(key))) endings.tell(signIn, "revoked");
    return undefined;
  }
}

/** What does not open any more cannot be merged with: mine is all there is. */
function mergedWith(theirs: SessionRecord | undefined, { state, snapshot, head }: Save): SessionRecord {
  if (!theirs) return { head, text: state.text };
  const text = merge(snapshot?.text ?? "{}", state.text, theirs.text);
  const { signIn, bound } = theirs.head;
  // A session that is nobody's any more is bound to nothing.
  if (state.username !== snapshot?.username) return { head: bound && head.signIn ? { ...head, bound } : head, text };
  // By our key, as our check has written into the handle.
  const by = head.signIn?.by ?? signIn?.by;
  const kept = signIn && by ? { ...theirs.head, signIn: { ...signIn, by } } : theirs.head;
  const isMarked = head.cookie !== snapshot?.head.cookie;
  const marked = isMarked ? withCookieMark(kept, head.cookie) : kept;
  return { head: withMaxAge(marked, state, snapshot), text };
}
