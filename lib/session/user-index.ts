/**
 * Which sessions a user has. The promise, without transactions: every session that a browser holds is listed,
 * and one that was ended stays ended.
 *
 * - A sign-in lists its handle, writes the session, and looks again: a handle that is gone or `ending` by then
 *   means that the sessions were ended meanwhile, so the session just written is removed. Its cookie was not sent.
 * - Ending marks the handles, removes their sessions, then drops the handles. Whoever meets a marked handle
 *   finishes the work, so a crash in between loses nothing.
 *
 * The record of a user is only ever changed by versioned writes, and never removed: it ends by itself.
 */
import { randomBytes } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import type { Backend, StoredRecord } from "../backends/backend.js";
import type { Deadline } from "../deadline.js";
import { newVersion } from "./known.js";
import { END_OF_TIME, type RecordHead } from "./record.js";
import { Turns } from "./turns.js";

/** A session, as its user's record lists it. In the order of sign-in. */
export interface ListedHandle {
  /** Opaque and random: nothing of the session's id is in it. */
  readonly id: string;
  /** The key that the session is stored under. */
  readonly key: string;
  /** When it was signed in, in milliseconds since 1970. */
  readonly created: number;
  readonly label?: string | undefined;
  /** To be ended by whoever meets it. */
  readonly ending?: true;
}

/** A listed session that is there. */
export interface LiveHandle extends ListedHandle {
  readonly head: RecordHead;
  /** When it ends if no request comes, in milliseconds since 1970. */
  readonly expires: number;
}

export interface UserIndexOptions {
  readonly backend: Backend;
  /** The head of a stored session that is live by the application's rules, or nothing. */
  readonly headOf: (stored: StoredRecord) => RecordHead | undefined;
  readonly now: () => number;
  /** How many sessions a user may have; the oldest gives way. Default: any number. */
  readonly limit?: number | undefined;
  /** A session's timeout, in milliseconds. */
  readonly timeout: number;
  /** How long a session may be on its way after its handle was listed, in milliseconds. */
  readonly grace: number;
}

const FORMAT = 1;
/** Handles of sessions that ended by themselves are looked for when a record grows past this. */
const MANY = 20;
/** How many sessions are read or removed at once. */
const BATCH = 25;
/** The longest pause before a write that met another one is tried again, in milliseconds. */
const JITTER = 10;
/** Users whose record's end is remembered, so that a touch need not read it. */
const REMEMBERED = 10_000;

type Change = (handles: readonly ListedHandle[]) => readonly ListedHandle[] | Promise<readonly ListedHandle[]>;

export function newHandle(): string {
  return randomBytes(16).toString("base64url");
}

export class UserIndex {
  readonly #options: UserIndexOptions;
  readonly #turns = new Turns<never>();
  /** When the records end, as far as this process knows. */
  readonly #expires = new Map<string, number>();

  constructor(options: UserIndexOptions) {
    this.#options = options;
  }

  // `key` is that of the user's record.

  /** Lists a session that is about to be written. Over the limit, the oldest are marked. */
  async add(key: string, handle: ListedHandle, deadline: Deadline): Promise<void> {
    await this.#update(key, deadline, async (handles) => {
      if (handles.some(({ id }) => id === handle.id)) return handles;
      return this.#withinLimit([...handles, handle], deadline);
    });
  }

  /** Whether a session that has been written may stay. Finishes what is marked. */
  async confirm(key: string, id: string, deadline: Deadline): Promise<boolean> {
    const { handles } = await this.#read(key, deadline);
    await this.#finish(key, handles, deadline);
    return handles.some((handle) => handle.id === id && !handle.ending);
  }

  /** Takes a session from the list that is over already. */
  async drop(key: string, ids: readonly string[], deadline: Deadline): Promise<void> {
    await this.#update(key, deadline, (handles) => without(handles, ids));
  }

  /** The user's live sessions, the oldest first. What is over is dropped, what is marked is finished. */
  async live(key: string, deadline: Deadline): Promise<LiveHandle[]> {
    const { handles } = await this.#read(key, deadline);
    const { live, dead } = await this.#look(
      handles.filter(({ ending }) => !ending),
      deadline,
    );
    if (dead.length > 0) await this.drop(key, dead, deadline);
    await this.#finish(key, handles, deadline);
    return live;
  }

  /** Ends those that are meant; answers how many sessions that were. */
  async end(key: string, isMeant: (handle: ListedHandle) => boolean, deadline: Deadline): Promise<number> {
    const handles = await this.#update(key, deadline, (listed) =>
      listed.some((handle) => isMeant(handle) && !handle.ending)
        ? listed.map((handle) => (isMeant(handle) ? { ...handle, ending: true } : handle))
        : listed,
    );
    return this.#finish(key, handles, deadline);
  }

  /** Before a session's end is moved: its user's record must not end earlier. */
  async keep(key: string, idle: number, deadline: Deadline): Promise<void> {
    const { backend, now } = this.#options;
    const least = now() + idle;
    if ((this.#expires.get(key) ?? 0) >= least) return;
    const later = Math.min(least + idle, END_OF_TIME);
    for (;;) {
      const stored = await deadline.race(backend.read(key));
      if (!stored) return;
      this.#remember(key, stored.expires);
      if (stored.expires >= least) return;
      if (await deadline.race(backend.touch(key, later, stored.version))) return this.#remember(key, later);
    }
  }

  async idle(): Promise<void> {
    await this.#turns.idle();
  }

  /** Removes the sessions of marked handles, then the handles. */
  async #finish(key: string, handles: readonly ListedHandle[], deadline: Deadline): Promise<number> {
    const ending = handles.filter((handle) => handle.ending);
    if (ending.length === 0) return 0;
    const { live } = await this.#look(ending, deadline);
    let count = 0;
    for (const batch of batches(live)) {
      const removed = await Promise.all(batch.map((handle) => deadline.race(this.#options.backend.remove(handle.key))));
      count += removed.filter(Boolean).length;
    }
    await this.drop(
      key,
      ending.map(({ id }) => id),
      deadline,
    );
    return count;
  }

  /** Marks the oldest over the limit. Only then, or when there are many, is it looked which are over already. */
  async #withinLimit(handles: readonly ListedHandle[], deadline: Deadline): Promise<readonly ListedHandle[]> {
    const limit = this.#options.limit ?? Number.POSITIVE_INFINITY;
    const active = handles.filter(({ ending }) => !ending);
    if (active.length <= Math.min(limit, MANY)) return handles;
    const { dead } = await this.#look(active, deadline);
    const left = without(handles, dead);
    let excess = left.filter(({ ending }) => !ending).length - limit;
    return left.map((handle) => (!handle.ending && excess-- > 0 ? { ...handle, ending: true as const } : handle));
  }

  /** Reads the sessions. One that is not there is dead, unless it may still be on its way. */
  async #look(handles: readonly ListedHandle[], deadline: Deadline): Promise<{ live: LiveHandle[]; dead: string[] }> {
    const live: LiveHandle[] = [];
    const dead: string[] = [];
    for (const batch of batches(handles)) {
      const found = await Promise.all(batch.map((handle) => deadline.race(this.#options.backend.read(handle.key))));
      for (const [index, handle] of batch.entries()) {
        const stored = found[index];
        const head = stored && this.#options.headOf(stored);
        // Under the same key there may be a session that has gone over to another user.
        if (stored && head?.handle === handle.id) live.push({ ...handle, head, expires: stored.expires });
        else if (handle.created + this.#options.grace <= this.#options.now()) dead.push(handle.id);
      }
    }
    return { live, dead };
  }

  async #read(key: string, deadline: Deadline): Promise<{ handles: readonly ListedHandle[]; expires: number }> {
    const stored = await deadline.race(this.#options.backend.read(key));
    if (stored) this.#remember(key, stored.expires);
    return { handles: decode(stored), expires: stored?.expires ?? 0 };
  }

  /** Changes the record in one versioned write, again and again until nobody comes between. */
  #update(key: string, deadline: Deadline, change: Change): Promise<readonly ListedHandle[]> {
    const { backend, now, timeout } = this.#options;
    return this.#turns.take(key, deadline, async () => {
      for (;;) {
        const stored = await deadline.race(backend.read(key));
        const before = decode(stored);
        const after = await change(before);
        if (after === before) return after;
        const expires = Math.max(stored?.expires ?? 0, now() + 2 * timeout);
        const record = { value: encode(after), version: newVersion(), expires };
        const expected = stored ? { version: stored.version } : "absent";
        if (await deadline.race(backend.write(key, record, expected))) {
          this.#remember(key, expires);
          return after;
        }
        await deadline.race(sleep(Math.random() * JITTER));
        await deadline.check();
      }
    });
  }

  #remember(key: string, expires: number): void {
    if (this.#expires.size >= REMEMBERED) this.#expires.clear();
    this.#expires.set(key, expires);
  }
}

function without(handles: readonly ListedHandle[], ids: readonly string[]): readonly ListedHandle[] {
  const left = handles.filter(({ id }) => !ids.includes(id));
  return left.length === handles.length ? handles : left;
}

function* batches<T>(all: readonly T[]): Generator<T[]> {
  for (let start = 0; start < all.length; start += BATCH) yield all.slice(start, start + BATCH);
}

function encode(handles: readonly ListedHandle[]): string {
  return JSON.stringify({ v: FORMAT, handles });
}

/** A record that is not ours to read lists nobody. */
function decode(stored: StoredRecord | undefined): readonly ListedHandle[] {
  if (!stored) return [];
  try {
    const { v, handles } = JSON.parse(stored.value) as { v?: unknown; handles?: unknown };
    return v === FORMAT && Array.isArray(handles) ? handles.filter(isHandle) : [];
  } catch {
    return [];
  }
}

function isHandle(value: unknown): value is ListedHandle {
  const { id, key, created } = (value ?? {}) as Record<string, unknown>;
  return typeof id === "string" && typeof key === "string" && typeof created === "number";
}
