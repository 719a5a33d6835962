/**
 * Which sessions a user has. Without transactions, the order of steps carries the promise:
 *
 * - A sign-in lists its handle, writes the session, and checks: what was ended meanwhile is taken back.
 * - A session's end moves only after a check for that very end, so that the user's record outlives its sessions.
 * - A check lists anew what the loss of a record left out, and ends what was marked.
 *
 * No decision compares clocks; they only set ends.
 */
import type { Deadline } from "../../deadline.js";
import { TokenizerError } from "../../errors.js";
import { userKey } from "../../session-id.js";
import { CLOCKS_DIFFER, END_OF_TIME, type Lifetime } from "../lifetime.js";
import { asTokenizerError } from "../operations.js";
import type { FoundSession, ListedSessions } from "./listed-sessions.js";
import {
  activeBy,
  endingBy,
  type Handle,
  handleOf,
  type KeyIds,
  listedId,
  listedIdsOf,
  MOST_HANDLES,
  marked,
  missingOf,
  newId,
  type SignedIn,
  type SignIn,
  standingOf,
  type UserRecord,
  withMissing,
  withOwn,
  without,
} from "./user-record.js";
import type { StoredUserRecord, UserChange, UserRecords } from "./user-records.js";

/** A session that is about to be signed in. */
export interface Entrant extends Pick<SignedIn, "key" | "idle"> {
  readonly user: string;
  readonly label: string | undefined;
  /** The sign-in that goes on under another id. */
  readonly continued: SignIn | undefined;
}

export interface Checked {
  /** Whether the session may stay. */
  readonly stays: boolean;
  /** The user's record, as it was found. */
  readonly record: StoredUserRecord;
}

/** A listed session that is there. */
export interface LiveSession extends FoundSession {
  readonly id: string;
  readonly key: string;
}

export interface UserIndexOptions {
  readonly records: UserRecords;
  readonly sessions: ListedSessions;
  readonly lifetime: Lifetime;
  /** The ids of the installation's keys; the first is that of the present one. */
  readonly keyIds: Promise<KeyIds>;
  /** How many sessions a user may have; the oldest gives way. */
  readonly limit: number;
  readonly warn: (message: string) => void;
}

const MINUTE = 60_000;

export class UserIndex {
  readonly #options: UserIndexOptions;

  constructor(options: UserIndexOptions) {
    this.#options = options;
  }

  /**
   * Lists a session that is about to be written, with that end. Answers what its head is to keep.
   *
   * @throws TokenizerError `SESSION_REVOKED` where it was to go on, and was ended
   */
  async enter({ user, key, label, idle, continued }: Entrant, end: number, deadline: Deadline): Promise<SignIn> {
    const { records, lifetime, keyIds } = this.#options;
    const [by] = await keyIds;
    const kept = continued ? keptOf(continued, lifetime.now) : { since: lifetime.now, ...(label && { label }) };
    const id = newId();
    const handle = handleOf({ handle: id, ...kept }, key, by);
    let isFull = false;
    const add = (now: UserRecord): UserChange => {
      const { handles } = now;
      if (continued && standingOf(now, continued) === "ended") throw sessionRevoked();
      isFull = handles.length >= MOST_HANDLES;
      // A write whose answer was lost may meet itself.
      if (isFull || handles.some(({ id }) => id === handle.id)) return undefined;
      return { handles: [...handles, handle], until: this.#until(end, idle) };
    };
    let record = await records.update(userKey(user), deadline, add);
    if (isFull) record = await records.update(userKey(user), deadline, add, await this.#withRoom(user, deadline));
    if (isFull) throw tooMany();
    const { name, endings } = record;
    return { user, handle: id, by, name, endings, ...kept };
  }

  /**
   * Whether a session may stay, and have that end. Lists it if it was lost, moves the end of its user's record, and
   * keeps the limit.
   *
   * @param limits whether the limit is kept, too: a sign-in does that last
   */
  async check(session: SignedIn, end: number, deadline: Deadline, { limits = true } = {}): Promise<Checked> {
    const { records, sessions, warn } = this.#options;
    const key = userKey(session.signIn.user);
    const keyIds = await this.#options.keyIds;
    const record = await records.read(key, deadline);
    const standing = standingOf(record, session.signIn);
    if (standing === "ended") return { stays: false, record };
    let stays = true;
    let victims: readonly Handle[] = [];
    const keep = async (now: StoredUserRecord): Promise<UserChange> => {
      const found = standingOf(now, session.signIn);
      victims = [];
      stays = found !== "ended";
      if (!stays) return undefined;
      if (found === "unlisted") {
        // What was ended alone was removed before its handle was dropped.
        const stored = await sessions.find(session.key, deadline);
        stays = stored !== undefined;
        // A later sign-in of the same session looks itself.
        if (stored?.head.signIn?.handle !== session.signIn.handle) return undefined;
      }
      let handles = withOwn(now.handles, session, keyIds[0]);
      if (limits) ({ handles, victims } = await this.#limited(handles, keyIds, deadline));
      // It may be the oldest itself, where the limit was lowered.
      if (victims.some(({ id }) => id === session.signIn.handle)) stays = false;
      return handles === now.handles && covers(now, end)
        ? undefined
        : { handles, until: this.#until(end, session.idle) };
    };
    let kept: StoredUserRecord | undefined;
    try {
      kept = await records.update(key, deadline, keep, record);
      await sessions.finish(key, victims, "limit", deadline);
      return { stays, record: kept };
    } catch (error) {
      // Good already: what only serves the limit is done by the next one who looks.
      if (standing !== "listed" || !covers(record, end)) throw error;
      warn(`A user's list of sessions could not be tidied: ${asTokenizerError(error).message}`);
      return { stays: stays || kept === undefined, record };
    }
  }

  /**
   * The last step of a sign-in, which refuses it no more: drops the handle that it took the place of, and keeps the limit.
   *
   * @param replaced the handle of the user's session that was replaced
   */
  async settle({ user, handle }: SignIn, record: StoredUserRecord, replaced: string | undefined, deadline: Deadline) {
    const { records, sessions, warn } = this.#options;
    const keyIds = await this.#options.keyIds;
    let victims: readonly Handle[] = [];
    const tidy = async (now: StoredUserRecord): Promise<UserChange> => {
      const left = without(now.handles, new Set(replaced === undefined ? [] : [replaced]));
      const limited = await this.#limited(left, keyIds, deadline, handle);
      victims = limited.victims;
      return limited.handles === now.handles ? undefined : { handles: limited.handles };
    };
    try {
      await records.update(userKey(user), deadline, tidy, record);
      await sessions.finish(userKey(user), victims, "limit", deadline);
    } catch (error) {
      warn(`A user's list of sessions could not be tidied after a sign-in: ${asTokenizerError(error).message}`);
    }
  }

  /** Takes a session from the list that is over already. A failure is logged: who meets the handle next drops it. */
  async leave({ user, handle }: SignIn, deadline: Deadline): Promise<void> {
    try {
      await this.#options.records.drop(userKey(user), new Set([handle]), deadline);
    } catch (error) {
      this.#options.warn(`A session that is over is still listed: ${asTokenizerError(error).message}`);
    }
  }

  /** The user's live sessions, the oldest first. Takes note of what is missing, and finishes what is marked. */
  async live(user: string, deadline: Deadline): Promise<LiveSession[]> {
    const { records, sessions, keyIds, warn } = this.#options;
    const isActive = activeBy(await keyIds);
    const isMarked = endingBy(await keyIds);
    let marked: readonly Handle[] = [];
    let live: LiveSession[] | undefined;
    const look = async ({ handles }: UserRecord): Promise<UserChange> => {
      const active = handles.filter(isActive);
      const found = await sessions.look(active, deadline);
      marked = handles.filter(isMarked);
      live = active.flatMap((handle) => {
        const session = found.get(handle.id);
        return session ? [{ id: listedId(handle), key: handle.key, ...session }] : [];
      });
      const noted = withMissing(handles, missingOf(active, found));
      return noted === handles ? undefined : { handles: noted };
    };
    try {
      await records.update(userKey(user), deadline, look);
      await sessions.finish(userKey(user), marked, "revoked", deadline);
    } catch (error) {
      // Looked at already: what only tidies the list is done by the next one who looks.
      if (!live) throw error;
      warn(`A user's list of sessions could not be tidied: ${asTokenizerError(error).message}`);
    }
    return live ?? [];
  }

  /**
   * Over the limit, the oldest of those that are there are marked.
   *
   * @param own stays: that of a sign-in, which is good
   */
  async #limited(handles: readonly Handle[], keyIds: KeyIds, deadline: Deadline, own?: string) {
    const { sessions, limit } = this.#options;
    const active = handles.filter(activeBy(keyIds));
    if (listedIdsOf(active).length <= limit) return { handles, victims: [] };
    const found = await sessions.look(active, deadline);
    const there = active.filter(({ id }) => found.has(id));
    const ids = listedIdsOf(there);
    const oldest = new Set(ids.slice(0, Math.max(0, ids.length - limit)));
    const victims = there.filter((handle) => oldest.has(listedId(handle)) && handle.id !== own);
    const noted = withMissing(handles, missingOf(active, found));
    return { handles: marked(noted, new Set(victims.map(({ id }) => id))), victims };
  }

  /**
   * Finishes what is marked, and drops what is missing still, also of others: keys that were dropped since have left
   * handles behind that are nobody's.
   */
  async #withRoom(user: string, deadline: Deadline): Promise<StoredUserRecord> {
    const { records, sessions } = this.#options;
    const keyIds = await this.#options.keyIds;
    await this.live(user, deadline);
    return records.update(userKey(user), deadline, async ({ handles }) => {
      const others = handles.filter(({ by }) => !keyIds.includes(by));
      const noted = withMissing(handles, missingOf(others, await sessions.look(others, deadline)));
      return noted === handles ? undefined : { handles: noted };
    });
  }

  #until(end: number, idle: number): number {
    return end + CLOCKS_DIFFER + Math.max(idle, MINUTE);
  }
}

/** What stays of a sign-in that is confirmed. */
function keptOf({ since, label, handle, listedAs = handle }: SignIn, confirmed: number) {
  return { since, confirmed, listedAs, ...(label && { label }) };
}

function covers({ expires }: StoredUserRecord, end: number): boolean {
  return expires >= Math.min(end + CLOCKS_DIFFER, END_OF_TIME);
}

export function sessionRevoked(): TokenizerError {
  return new TokenizerError("SESSION_REVOKED", "The user's sessions were ended during this sign-in. Sign in again.");
}

function tooMany(): TokenizerError {
  return new TokenizerError(
    "TOO_MANY_SESSIONS",
    `The user has ${MOST_HANDLES} sessions, more than a user's record can list. End some: npx express-tokenizer revoke --user …`,
  );
}
