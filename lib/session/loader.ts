/** Loads sessions, and moves their ends when that is due. */
import { type Awaitable, after } from "../awaitable.js";
import type { Backend, StoredRecord } from "../backends/backend.js";
import type { Deadline } from "../deadline.js";
import { emit } from "../events.js";
import { shortName, storageKey } from "../session-id.js";
import type { Endings } from "./endings.js";
import type { Lifetime } from "./lifetime.js";
import type { Operations } from "./operations.js";
import { inspectHead, type RecordCodec } from "./record.js";
import { Renewal, type Renewed } from "./renewal.js";
import type { Snapshot } from "./snapshot.js";
import type { UserIndex } from "./users/user-index.js";
import type { KeyIds } from "./users/user-record.js";

/** What needs the installation's keys, which take a moment to derive. */
export interface SessionKeys {
  readonly codec: RecordCodec;
  readonly ids: KeyIds;
}

export interface LoaderOptions {
  readonly backend: Backend;
  readonly operations: Operations;
  readonly keys: Promise<SessionKeys>;
  readonly lifetime: Lifetime;
  readonly users: UserIndex;
  readonly endings: Endings;
  readonly warn: (message: string) => void;
}

/** A session as it was loaded. */
export interface LoadedSession {
  /** Nobody else's. */
  readonly fields: Record<string, unknown>;
  readonly snapshot: Snapshot;
}

/** A record, with what it takes to open it. */
interface Arrival {
  readonly sid: string;
  readonly key: string;
  readonly stored: StoredRecord;
  readonly keys: SessionKeys;
}

/** Most unreadable sessions that are remembered as reported. */
const REPORTED = 1000;

export class SessionLoader {
  readonly #options: LoaderOptions;
  readonly #renewal: Renewal;
  readonly #reported = new Set<string>();
  /** Once they are there. */
  #keys: SessionKeys | undefined;

  constructor(options: LoaderOptions) {
    this.#options = options;
    this.#renewal = new Renewal(options);
    options.keys.then(
      (keys) => {
        this.#keys = keys;
      },
      () => {},
    );
  }

  /** The session, or nothing when it is missing, over, ended or damaged. Moves its end when that is due. */
  load(sid: string): Awaitable<LoadedSession | undefined> {
    const start = performance.now();
    const key = storageKey(sid);
    const loading = this.#options.operations.atOnce((deadline) => this.#load(sid, key, deadline));
    return after(loading, (loaded) => {
      emit("load", () => ({
        session: shortName(key),
        found: loaded !== undefined,
        milliseconds: performance.now() - start,
      }));
      return loaded;
    });
  }

  /** Whether a record is there that could not be read. It counts as ended; with the right keys it may be read again. */
  isUnreadable(sid: string): boolean {
    return this.#reported.has(storageKey(sid));
  }

  /**
   * Moves the end when that is due, also of a session that others have written since, or that is not known at all.
   *
   * @param snapshot what the application's object knows of it
   */
  async touch(sid: string, snapshot: Snapshot | undefined): Promise<void> {
    const key = storageKey(sid);
    await this.#options.operations.within(async (deadline) => {
      const isMoved = snapshot && (await this.#renew(key, snapshot, deadline));
      if (isMoved) return;
      // Not as this object knows it, or not known: whoever wrote it last may have given it another lifetime.
      const stored = await this.#stored(key, deadline);
      if (stored) await this.#renew(key, stored, deadline);
    });
  }

  #load(sid: string, key: string, deadline: Deadline): Awaitable<LoadedSession | undefined> {
    return after(deadline.race(this.#options.backend.read(key)), (stored) =>
      after(this.#keys ?? this.#options.keys, (keys) => stored && this.#open({ sid, key, stored, keys }, deadline)),
    );
  }

  #open({ sid, key, stored, keys }: Arrival, deadline: Deadline): Awaitable<LoadedSession | undefined> {
    const { lifetime } = this.#options;
    const { codec, ids } = keys;
    const record = codec.decode(sid, stored.value);
    if (!record) this.#reportDamaged(key);
    if (!record || lifetime.isOver(record.head, stored.expires)) return undefined;
    const { head, text, fields } = record;
    const { version, expires } = stored;
    const hasOlderKey = head.signIn !== undefined && head.signIn.by !== ids[0];
    const stale = record.stale || hasOlderKey || !lifetime.isStamped(head);
    const { username } = fields;
    const snapshot: Snapshot = { text, maxAge: head.maxAge, username, head, version, expires, stale, isGone: false };
    const loaded = { fields, snapshot };
    if (!lifetime.isDue(head, expires)) return loaded;
    return this.#renewal.renew(key, snapshot, deadline).then(({ isEnded }) => (isEnded ? undefined : loaded));
  }

  /** Answers whether nothing is left to be done. */
  async #renew(key: string, session: Renewed, deadline: Deadline): Promise<boolean> {
    const { isEnded, touched } = await this.#renewal.renew(key, session, deadline);
    return isEnded || touched === undefined || (await touched);
  }

  async #stored(key: string, deadline: Deadline): Promise<Renewed | undefined> {
    const stored = await deadline.race(this.#options.backend.read(key));
    const head = stored && inspectHead(stored.value);
    return stored && head && { head, version: stored.version, expires: stored.expires };
  }

  #reportDamaged(key: string): void {
    if (this.#reported.has(key)) return;
    if (this.#reported.size >= REPORTED) this.#reported.clear();
    this.#reported.add(key);
    this.#options.warn(`Session ${shortName(key)} cannot be read (damaged, or sealed otherwise): it counts as ended.`);
  }
}
