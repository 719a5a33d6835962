/** The sessions that handles stand for: looked at and removed, a few at a time. */
import { setImmediate as yieldToLoop } from "node:timers/promises";
import type { Backend } from "../../backends/backend.js";
import { Deadline } from "../../deadline.js";
import { TokenizerError } from "../../errors.js";
import type { Endings, EndReason } from "../endings.js";
import type { Lifetime } from "../lifetime.js";
import { asTokenizerError } from "../operations.js";
import { inspectHead, type RecordHead } from "../record.js";
import { type Handle, listedIdOf, type SignIn } from "./user-record.js";
import type { UserRecords } from "./user-records.js";

/** A session that a handle stands for. */
export interface FoundSession {
  readonly head: RecordHead;
  /** When it ends if no request comes, in milliseconds since 1970. */
  readonly expires: number;
}

export interface ListedSessionsOptions {
  readonly backend: Backend;
  readonly records: UserRecords;
  readonly lifetime: Lifetime;
  readonly endings: Endings;
  /** For each few that are ended, in milliseconds. */
  readonly storeTimeout: number;
  readonly warn: (message: string) => void;
}

/** How many are read or removed at once. */
const AT_ONCE = 25;

export class ListedSessions {
  readonly #options: ListedSessionsOptions;

  constructor(options: ListedSessionsOptions) {
    this.#options = options;
  }

  /** The live session under a key, or nothing. */
  async find(key: string, deadline: Deadline): Promise<FoundSession | undefined> {
    const found = await this.#read(key, deadline);
    return found && !this.#isOver(found) ? found : undefined;
  }

  /** The sessions that are there, by the ids of their handles. */
  async look(handles: readonly Handle[], deadline: Deadline): Promise<ReadonlyMap<string, FoundSession>> {
    const found = new Map<string, FoundSession>();
    for (const few of fewAtOnce(handles)) {
      const sessions = await Promise.all(few.map(({ key }) => this.find(key, deadline)));
      for (const [index, session] of sessions.entries()) {
        const { id = "" } = few[index] ?? {};
        // Under the same key there may be a session that has gone over to another user.
        if (session?.head.signIn?.handle === id) found.set(id, session);
      }
      await yieldToLoop();
    }
    return found;
  }

  /**
   * Removes the sessions of marked handles, then the handles. A fault does not stop the rest.
   *
   * @param key that of the user's record
   * @param within for all of it; default: `store_timeout` for each few
   * @returns how many sessions there were; one that was just going over to another id counts once
   * @throws TokenizerError the first fault, with `ended` and `failed`
   */
  async finish(key: string, marked: readonly Handle[], reason: EndReason, within?: Deadline): Promise<number> {
    const over = new Set<string>();
    const faults: unknown[] = [];
    const ended = new Set<string>();
    for (const few of fewAtOnce(marked)) {
      const outcomes = await this.#bounded(within, (deadline) =>
        Promise.allSettled(few.map((handle) => this.#end(handle, deadline))),
      );
      for (const [index, outcome] of outcomes.entries()) {
        if (outcome.status === "rejected") faults.push(outcome.reason);
        else {
          over.add(few[index]?.id ?? "");
          if (outcome.value) this.#note(outcome.value, ended, reason);
        }
      }
      await yieldToLoop();
    }
    await this.#drop(key, over, within);
    if (faults.length > 0) throw endingFailed(faults, ended.size);
    return ended.size;
  }

  /** Answers the sign-in of the session that it ended. */
  async #end({ id, key }: Handle, deadline: Deadline): Promise<SignIn | undefined> {
    const session = await this.#read(key, deadline);
    const signIn = session?.head.signIn;
    if (!session || signIn?.handle !== id) return undefined;
    // One that is over is removed, too: with a longer timeout again, it would be there, and no handle would end it.
    const wasThere = await deadline.race(this.#options.backend.remove(key));
    return wasThere && !this.#isOver(session) ? signIn : undefined;
  }

  #note(signIn: SignIn, ended: Set<string>, reason: EndReason): void {
    const id = listedIdOf(signIn);
    if (!ended.has(id)) this.#options.endings.tell(signIn, reason);
    ended.add(id);
  }

  async #read(key: string, deadline: Deadline): Promise<FoundSession | undefined> {
    const stored = await deadline.race(this.#options.backend.read(key));
    const head = stored && inspectHead(stored.value);
    return stored && head && { head, expires: stored.expires };
  }

  #isOver({ head, expires }: FoundSession): boolean {
    return this.#options.lifetime.isOver(head, expires);
  }

  async #drop(key: string, ids: ReadonlySet<string>, within: Deadline | undefined): Promise<void> {
    const { records, warn } = this.#options;
    if (ids.size === 0) return;
    try {
      await this.#bounded(within, (deadline) => records.drop(key, ids, deadline));
    } catch (error) {
      // Their sessions are gone: who meets the handles next drops them.
      warn(`Sessions that were ended are still listed: ${asTokenizerError(error).message}`);
    }
  }

  #bounded<T>(within: Deadline | undefined, work: (deadline: Deadline) => Promise<T>): Promise<T> {
    return within ? work(within) : Deadline.during(this.#options.storeTimeout, work);
  }
}

/**
 * @param faults at least one
 * @param failed how many sessions that means
 */
export function endingFailed(faults: readonly unknown[], ended: number, failed = faults.length): TokenizerError {
  const [first] = faults;
  const reason = first instanceof Error ? first.message : String(first);
  const code = first instanceof TokenizerError ? first.code : "STORE_UNAVAILABLE";
  return new TokenizerError(
    code,
    `Not every session was ended (ended: ${ended}, failed: ${failed}). The first fault: ${reason} ` +
      "What is left ends when you try again, or when it is next used.",
    { cause: first, ended, failed },
  );
}

function* fewAtOnce<T>(all: readonly T[]): Generator<readonly T[]> {
  for (let start = 0; start < all.length; start += AT_ONCE) yield all.slice(start, start + AT_ONCE);
}
