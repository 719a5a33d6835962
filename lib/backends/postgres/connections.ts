/** Statements over a pool of the package pg: each over by its deadline, and tried again where that is safe. */
import { Deadline } from "../../deadline.js";
import { storeClosed, TokenizerError } from "../../errors.js";
import { allBusy, type Place, timedOut } from "./errors.js";
import { ConnectionFailure, failureOf, READ_ONLY, Refusal } from "./failures.js";
import type { Client, Pool, Result } from "./pool.js";
import type { Statement } from "./statements.js";

export interface Question {
  readonly statement: Statement;
  readonly values: readonly (string | number)[];
  /** By `performance.now()`. */
  readonly giveUpAt: number;
  /** Whether it may be asked again while it is not known whether the first try was carried out. Default: yes. */
  readonly isRepeatable?: boolean | undefined;
}

/** How far a question has got. */
interface Way {
  /** Whether it waits for a connection. */
  isConnecting: boolean;
  /** Whether nobody waits for its answer any more. */
  isLate: boolean;
}

/** Of what may be over the next moment. */
const TRIES = 3;
/** The longest pause before another try, in milliseconds; it is a random part of that. */
const PAUSE = 100;
/** Connections that were asked for and were not there in time: behind so many, no more are asked for. */
const MOST_OVERDUE = 1000;

export class Connections {
  readonly #pool: Pool;
  readonly #place: Place;
  /** What a call may take, in milliseconds. */
  readonly #timeout: number;
  readonly #births = new WeakMap<Client, number>();
  readonly #busy = new Set<Client>();
  /** Ends the waiting of each that waits for a connection. */
  readonly #waiting = new Set<(error: Error) => void>();
  #isClosed = false;
  /** Those that are older may be lost, or lead to a server that takes no writes any more. */
  #freshSince = 0;
  /** A pooler that changes servers between transactions may know nothing of what was prepared. */
  #prepares = true;
  #overdue = 0;
  /** The server has had no connection left for us, and we got none since. */
  #full: Refusal | undefined;

  constructor(pool: Pool, place: Place, timeout: number) {
    this.#pool = pool;
    this.#place = place;
    this.#timeout = timeout;
    pool.on("error", ignore);
    pool.on("connect", this.#noteBirth);
  }

  /**
   * The answer to a statement.
   *
   * @throws Refusal, ConnectionFailure; TokenizerError `STORE_TIMEOUT`
   */
  ask(question: Question): Promise<Result> {
    const way: Way = { isConnecting: false, isLate: false };
    const late = () => {
      way.isLate = true;
      if (way.isConnecting) this.#overdue++;
      if (this.#full) return this.#full;
      if (!way.isConnecting) return timedOut(this.#place, this.#timeout);
      if (this.#pool.waitingCount) return this.#allBusy();
      return this.#place.isGiven ? timedOut(this.#place, this.#timeout) : notInTime();
    };
    const milliseconds = question.giveUpAt - performance.now();
    return Deadline.during(milliseconds, (deadline) => this.#askAgain(question, deadline, way), late);
  }

  /** Ends what is under way, and takes away what was attached to the pool. */
  close(): void {
    this.#isClosed = true;
    for (const client of this.#busy) client.end();
    for (const reject of this.#waiting) reject(storeClosed());
    this.#pool.off("connect", this.#noteBirth);
    this.#pool.off("error", ignore);
  }

  #mayTryAgain(error: Error, tries: number, { statement, isRepeatable = true }: Question): boolean {
    if (this.#isClosed) return false;
    if (error instanceof ConnectionFailure) {
      return error.wasConnected && (isRepeatable || NEVER_SENT.test(error.message)) && tries < TRIES;
    }
    if (!(error instanceof Refusal)) return false;
    if (error.isOfPrepared) this.#prepares = false;
    if (error.isFull) {
      this.#full = error;
      // Others that are connected will have done in a moment.
      return this.#pool.totalCount > 0;
    }
    if (error.isUndone) return true;
    const isOfPrepared = statement.name !== undefined && (error.isOfPrepared || error.isOfPlan);
    const isUndone = isOfPrepared || error.isReadOnly || error.isOfParameter || error.isOfTransaction;
    return tries < TRIES && (isUndone || (error.isEnding && isRepeatable));
  }

  async #askAgain(question: Question, deadline: Deadline, way: Way): Promise<Result> {
    for (let tries = 1; ; tries++) {
      try {
        return await this.#askOnce(question, deadline, way);
      } catch (error) {
        if (way.isLate || !this.#mayTryAgain(error as Error, tries, question)) throw error;
        if (error instanceof Refusal && (error.isUndone || error.isFull)) await deadline.pause(PAUSE);
      }
    }
  }

  async #askOnce({ statement, values }: Question, deadline: Deadline, way: Way): Promise<Result> {
    const client = await this.#usable(deadline, way);
    let fault: Error | undefined;
    this.#busy.add(client);
    try {
      const result = await deadline.race(client.query(queryOf(statement, this.#prepares), values));
      if (statement.saysReadOnly) checkSource(result);
      return result;
    } catch (error) {
      const failure = failureOf(error, true);
      if (isOver(failure)) fault = failure;
      // What befell this connection probably befell the others: else a retry would meet one of them after another.
      if (fault && !(fault instanceof TokenizerError)) this.#freshSince = performance.now();
      throw failure;
    } finally {
      this.#busy.delete(client);
      giveBack(client, fault);
    }
  }

  /** A connection that is not known to lead to the wrong server, and is in nobody's transaction. */
  async #usable(deadline: Deadline, way: Way): Promise<Client> {
    for (;;) {
      const client = await this.#checkOut(deadline, way);
      const isStale = (this.#births.get(client) ?? 0) < this.#freshSince;
      // Somebody has begun one and forgotten it. What we save in there, a rollback takes back.
      if (!isStale && !/[TE]/.test(client.getTransactionStatus?.() ?? "")) return client;
      giveBack(client, new Error("it cannot be used"));
    }
  }

  async #checkOut(deadline: Deadline, way: Way): Promise<Client> {
    if (this.#overdue >= MOST_OVERDUE) throw this.#allBusy();
    way.isConnecting = true;
    const connecting = new Promise<Client>((resolve, reject) => {
      this.#waiting.add(reject);
      // By callback: of a promise we would hear a moment later, and an error in that moment ends the process.
      this.#pool.connect((error, client) => {
        way.isConnecting = false;
        this.#waiting.delete(reject);
        client?.on("error", ignore);
        if (client) this.#full = undefined;
        if (way.isLate) this.#overdue--;
        // A moment later: the next that is late would get it within this call, and a thousand of them overflow the stack.
        if (client && (way.isLate || this.#isClosed)) queueMicrotask(() => giveBack(client));
        else if (client) resolve(client);
        else reject(error);
      });
    });
    try {
      return await deadline.race(connecting);
    } catch (error) {
      const { message, cause } = error as Error;
      if (OF_QUEUE.test(message)) throw this.#allBusy();
      if (!AT_CONNECT.test(message)) throw failureOf(error, false);
      // What it waited for may have its own error.
      throw cause instanceof TokenizerError ? cause : notInTime();
    }
  }

  #allBusy(): Error {
    if (this.#full) return this.#full;
    // Of a pool of ours where no statement is under way, all connections are being made still.
    const isConnecting = !this.#place.isGiven && this.#busy.size === 0;
    return isConnecting ? notInTime() : allBusy(this.#place, this.#pool.totalCount);
  }

  readonly #noteBirth = (client: Client): void => {
    this.#births.set(client, performance.now());
  };
}

const notInTime = () => failureOf(new Error("no connection was made in time"), false);

/** As the package says it of a connection that was lost before the statement. */
const NEVER_SENT = /^Client .* is not queryable$/;
/** As the package says it when a connection was waited for in the pool, and when it was being made. */
const OF_QUEUE = /^timeout exceeded when trying to connect/;
const AT_CONNECT = /^Connection terminated due to connection timeout|^timeout expired/;

/**
 * Whether the connection is not to be used any more: an answer may be under way, it leads to the wrong server, or what was
 * prepared there fits the table no more.
 */
function isOver(failure: Error): boolean {
  if (failure instanceof Refusal) {
    return failure.isEnding || failure.isReadOnly || failure.isOfPlan || failure.isOfTransaction;
  }
  return failure instanceof ConnectionFailure || failure instanceof TokenizerError;
}

/**
 * @throws Refusal where it is from a replica, which may not have heard yet that a session was ended; ConnectionFailure where
 *   it is not what was asked for: a session that exists would be told to be absent
 */
function checkSource({ rows }: Result): void {
  const says = rows[0]?.[0];
  if (says === "on") throw new Refusal(READ_ONLY, "it takes no writes");
  if (says !== "off") throw new ConnectionFailure(new Error("it answered something else"), true);
}

/** Answered as text, so that parsers that the application set for all of the package change nothing. */
const AS_TEXT = { rowMode: "array", types: { getTypeParser: () => (text: string) => text } };

/** By statement, what all its queries inherit. */
const common = new WeakMap<Statement, object>();

/** With no properties of its own: the package (8.23) copies those one by one, which takes longer than all that we do. */
function queryOf(statement: Statement, isPrepared: boolean): object {
  const { text, name } = statement;
  if (!isPrepared || name === undefined) return Object.create({ text, ...AS_TEXT });
  const inherited = common.get(statement) ?? { text, name, ...AS_TEXT };
  common.set(statement, inherited);
  return Object.create(inherited);
}

/** @param fault why it is not to be used again */
function giveBack(client: Client, fault?: Error): void {
  client.off("error", ignore);
  // Of one in which an answer is under way the package closes the socket; of any other it waits for the server to do so.
  client.release(fault);
  if (fault) client.connection?.stream.destroy();
}

/** A connection that is lost while nobody listens would end the process. It is told by the calls that fail. */
function ignore(): void {}
