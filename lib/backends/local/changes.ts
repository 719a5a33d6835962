/** The changes that come in one turn of the loop, in one transaction: beginning and committing cost most of a change. */
import { setImmediate } from "../../native.js";
import type { Connection } from "./connection.js";
import { isBusy } from "./sqlite.js";

/** Changes one record, or none. */
export type Work = (connection: Connection) => { changes: number | bigint };

/** What a transaction came to. */
export interface Done {
  readonly connection: Connection;
  /**
   * How many of the changes were made or found nothing to change; the others have not been tried. Nothing where one of
   * several failed: all were rolled back.
   */
  readonly count: number | undefined;
}

/** How long one transaction may hold the loop. What is left of the changes goes into another one. Milliseconds. */
const LONGEST = 5;

class Change {
  readonly key: string;
  readonly work: Work;
  readonly resolve: (isMade: boolean) => void;
  readonly reject: (error: unknown) => void;
  changes: number | bigint = 0;

  constructor(key: string, work: Work, resolve: (isMade: boolean) => void, reject: (error: unknown) => void) {
    this.key = key;
    this.work = work;
    this.resolve = resolve;
    this.reject = reject;
  }
}

export class Changes {
  readonly #commit: (work: (connection: Connection) => Done) => Promise<Done>;
  #waiting: Change[] = [];

  /** @param commit does the work, again where a lock was met; resolves once what was changed is in files that others find */
  constructor(commit: (work: (connection: Connection) => Done) => Promise<Done>) {
    this.#commit = commit;
  }

  /**
   * Answers whether a record was changed, once that is committed.
   *
   * @param key of the record
   */
  add(key: string, work: Work): Promise<boolean> {
    if (this.#waiting.length === 0) setImmediate(() => void this.flush());
    return new Promise((resolve, reject) => {
      this.#waiting.push(new Change(key, work, resolve, reject));
    });
  }

  /** Whether a change of that record waits. */
  isWaiting(key: string): boolean {
    return this.#waiting.some((change) => change.key === key);
  }

  /** Makes what waits now, for whoever looks at it. Never rejects. */
  async flush(): Promise<void> {
    const changes = this.#waiting;
    if (changes.length === 0) return;
    this.#waiting = [];
    await this.#make(changes);
  }

  async #make(changes: readonly Change[]): Promise<void> {
    try {
      const { count } = await this.#commit((connection) => makeAll(connection, changes));
      if (count === undefined) return await this.#makeEach(changes);
      for (const { resolve, changes: made } of changes.slice(0, count)) resolve(Number(made) > 0);
      if (count < changes.length) setImmediate(() => void this.#make(changes.slice(count)));
    } catch (error) {
      for (const { reject } of changes) reject(error);
    }
  }

  /** Each by itself, or what fails one would be everybody's fault. */
  async #makeEach(changes: readonly Change[]): Promise<void> {
    let end = performance.now() + LONGEST;
    for (const change of changes) {
      await this.#make([change]);
      if (performance.now() <= end) continue;
      await new Promise((resolve) => setImmediate(resolve));
      end = performance.now() + LONGEST;
    }
  }
}

function makeAll(connection: Connection, changes: readonly Change[]): Done {
  const [only, ...others] = changes;
  if (only && others.length === 0) {
    only.changes = only.work(connection).changes;
    return { connection, count: 1 };
  }
  const { begin, commit } = connection.statements;
  const end = performance.now() + LONGEST;
  let count = 0;
  begin.run();
  try {
    for (const change of changes) {
      change.changes = change.work(connection).changes;
      count++;
      if (performance.now() > end) break;
    }
  } catch (error) {
    rollBack(connection);
    if (isBusy(error)) throw error;
    return { connection, count: undefined };
  }
  try {
    commit.run();
  } catch (error) {
    rollBack(connection);
    throw error;
  }
  return { connection, count };
}

/** Some failures have ended the transaction already. */
function rollBack(connection: Connection): void {
  try {
    connection.statements.rollback.run();
  } catch {
    // There is none any more.
  }
}
