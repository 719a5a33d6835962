/** Ending a user's sessions, or everybody's: marked in one write, then finished by whoever meets the marks. */
import { setImmediate as yieldToLoop } from "node:timers/promises";
import type { Backend, Entry } from "../../backends/backend.js";
import { Deadline } from "../../deadline.js";
import { TokenizerError } from "../../errors.js";
import { SESSION_PREFIX, USER_PREFIX, userKey } from "../../session-id.js";
import type { Endings } from "../endings.js";
import type { Lifetime } from "../lifetime.js";
import { inspectHead } from "../record.js";
import { endingFailed, type ListedSessions } from "./listed-sessions.js";
import {
  activeBy,
  endingBy,
  type Handle,
  type KeyIds,
  marked,
  type SignedIn,
  type SignIn,
  standingOf,
  type UserRecord,
  withOwn,
} from "./user-record.js";
import type { UserChange, UserRecords } from "./user-records.js";

/** Which of a user's sessions are to be ended. */
export interface Choice {
  /** All but what is not meant: then those that no record lists end, too, when they are next due. */
  readonly isAll: boolean;
  isMeant(handle: Handle): boolean;
  /** The key of a session that is meant by itself, whether it is listed or not. */
  readonly only?: string | undefined;
  /** The key of a session that is excepted, whether it is listed or not. */
  readonly except?: string | undefined;
}

const EVERY_ONE: Choice = { isAll: true, isMeant: () => true };

export interface RevocationOptions {
  readonly backend: Backend;
  readonly records: UserRecords;
  readonly sessions: ListedSessions;
  readonly lifetime: Lifetime;
  readonly endings: Endings;
  readonly keyIds: Promise<KeyIds>;
  /** For each step, in milliseconds. */
  readonly storeTimeout: number;
}

/** How long a record lives at least that tells of an ending: whoever was not listed learns of it. 30 days, or the longest timeout. */
const REMEMBERED = 30 * 24 * 60 * 60_000;
/** Records of a scan looked at before the loop has a turn. */
const AT_ONCE = 25;

export class Revocation {
  readonly #options: RevocationOptions;

  constructor(options: RevocationOptions) {
    this.#options = options;
  }

  /**
   * Ends those of a user's sessions that are meant; answers how many there were.
   *
   * @throws TokenizerError the first fault, with `ended` and `failed`
   */
  revoke(user: string, choice: Choice): Promise<number> {
    return this.#revoke(userKey(user), choice);
  }

  /**
   * Ends the sessions of all users; answers how many there were. Goes on past faults.
   *
   * @throws TokenizerError the first fault, with `ended` and `failed`
   */
  async revokeEveryone(): Promise<number> {
    const keyIds = await this.#options.keyIds;
    const faults: unknown[] = [];
    let [ended, failed, looked] = [0, 0, 0];
    const note = (error: unknown) => {
      faults.push(error);
      const counts = error instanceof TokenizerError ? error : undefined;
      ended += counts?.ended ?? 0;
      failed += counts?.failed ?? 1;
    };
    try {
      for await (const entry of this.#options.backend.entries()) {
        if (++looked % AT_ONCE === 0) await yieldToLoop();
        ended += await this.#endEntry(entry, keyIds).catch((error) => {
          note(error);
          return 0;
        });
      }
    } catch (error) {
      note(error);
    }
    if (faults.length > 0) throw endingFailed(faults, ended, failed);
    return ended;
  }

  async #endEntry({ key, value }: Entry, keyIds: KeyIds): Promise<number> {
    if (key.startsWith(USER_PREFIX)) return this.#revoke(key, EVERY_ONE);
    const signIn = key.startsWith(SESSION_PREFIX) ? inspectHead(value)?.signIn : undefined;
    if (signIn === undefined || !keyIds.includes(signIn.by)) return 0;
    return Number(await this.#bounded((deadline) => this.#end(key, signIn, deadline)));
  }

  async #revoke(key: string, choice: Choice): Promise<number> {
    const { records, sessions } = this.#options;
    const keyIds = await this.#options.keyIds;
    const record = await this.#bounded(async (deadline) => {
      const except = choice.except && (await this.#signedIn(choice.except, key, deadline));
      return records.update(key, deadline, (now) => this.#mark(now, choice, keyIds, except || undefined));
    });
    const ended = await sessions.finish(key, record.handles.filter(endingBy(keyIds)), "revoked");
    const { only } = choice;
    if (only === undefined || record.handles.some((handle) => handle.key === only)) return ended;
    return ended + Number(await this.#bounded((deadline) => this.#endUnlisted(only, key, deadline)));
  }

  #mark(now: UserRecord, { isAll, isMeant }: Choice, keyIds: KeyIds, except: SignedIn | undefined): UserChange {
    const isActive = activeBy(keyIds);
    const isLost = except && standingOf(now, except.signIn) === "unlisted";
    const handles = isLost ? withOwn(now.handles, except, keyIds[0]) : now.handles;
    const meant = new Set(handles.flatMap((handle) => (isActive(handle) && isMeant(handle) ? [handle.id] : [])));
    if (!isAll && meant.size === 0) return undefined;
    const { lifetime } = this.#options;
    const until = lifetime.now + Math.max(REMEMBERED, lifetime.longestIdle);
    return { endings: now.endings + Number(isAll), handles: marked(handles, meant), until };
  }

  /** Ends a session of the user that no record lists. */
  async #endUnlisted(sessionKey: string, key: string, deadline: Deadline): Promise<boolean> {
    const theirs = await this.#signedIn(sessionKey, key, deadline);
    return theirs !== undefined && this.#end(sessionKey, theirs.signIn, deadline);
  }

  async #end(sessionKey: string, signIn: SignIn, deadline: Deadline): Promise<boolean> {
    const { backend, endings } = this.#options;
    const wasThere = await deadline.race(backend.remove(sessionKey));
    if (wasThere) endings.tell(signIn, "revoked");
    return wasThere;
  }

  /** The session under a key, if it is signed in as that user. */
  async #signedIn(sessionKey: string, key: string, deadline: Deadline): Promise<SignedIn | undefined> {
    const { sessions, lifetime } = this.#options;
    const head = (await sessions.find(sessionKey, deadline))?.head;
    const signIn = head?.signIn;
    return signIn && userKey(signIn.user) === key ? { key: sessionKey, signIn, idle: lifetime.idle(head) } : undefined;
  }

  #bounded<T>(work: (deadline: Deadline) => Promise<T>): Promise<T> {
    return Deadline.during(this.#options.storeTimeout, work);
  }
}
