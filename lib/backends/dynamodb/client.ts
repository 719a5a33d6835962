/** The way to DynamoDB: what is tried again, and every call over by its deadline. */
import { setTimeout as sleep } from "node:timers/promises";
import type { AttributeValue, DynamoDB } from "@aws-sdk/client-dynamodb";
import { within } from "../../deadline.js";
import { storeClosed } from "../../errors.js";
import { Connections } from "./connections.js";
import { explain, isAnswer, isNotAccepted, isTransient, type Place, timedOut } from "./errors.js";
import { type DynamodbOptions, DynamodbSdk } from "./sdk.js";

export type Item = Record<string, AttributeValue>;

/**
 * One request, tried again where that can help.
 *
 * @param action its name as permissions have it: `GetItem`
 * @param isRepeatable whether a try that is late does no harm, when others have been carried out meanwhile. If it does,
 *   there is another only when the one before is known to be over. Default: true
 */
export type Ask = <T>(action: string, request: Request<T>, isRepeatable?: boolean) => Promise<T>;

type Request<T> = (client: DynamoDB, options: RequestOptions) => Promise<T>;

interface RequestOptions {
  readonly abortSignal: AbortSignal;
  /** Milliseconds; 0: until the deadline. */
  readonly requestTimeout: number;
}

/** One `run`. */
interface Call {
  readonly abort: AbortController;
  /** What the last try met, if it met anything. */
  failure: unknown;
}

const ATTEMPTS = 3;
/** A little less than a call may take, so that the reason is there before whoever waits gives up. */
const PATIENCE = 0.95;
/**
 * Of the time for a call: what connecting may take; what an answer may take, on a new connection and on one that may be
 * dead; and the longest first pause before a retry.
 */
const PARTS = { connection: 1 / 4, answer: 1 / 2, answerOnUsed: 1 / 4, pause: 1 / 20 };

export class DynamodbConnection {
  readonly #timeout: number;
  readonly #connections: Connections;
  readonly #sdk: DynamodbSdk;
  readonly #running = new Set<AbortController>();

  /**
   * @param timeout what one `run` may take, in milliseconds
   * @param now milliseconds since 1970
   */
  constructor(options: DynamodbOptions, timeout: number, now: () => number = Date.now) {
    this.#timeout = timeout;
    this.#connections = new Connections(now, timeout * PARTS.connection);
    const transport = { connections: this.#connections, answerTimeout: timeout * PARTS.answer };
    this.#sdk = new DynamodbSdk(options, transport, now);
  }

  /** Known when the first `run` is over. */
  get place(): Place {
    return this.#sdk.place;
  }

  /** How far the clock of who answered last was ahead of ours, in milliseconds. */
  get clockLead(): number | undefined {
    return this.#sdk.clockLead;
  }

  /**
   * Runs requests under one deadline.
   *
   * @throws TokenizerError, and `Conflict` where a condition did not hold
   */
  async run<T>(work: (ask: Ask) => Promise<T>): Promise<T> {
    const call: Call = { abort: new AbortController(), failure: undefined };
    const ask: Ask = (action, request, isRepeatable = true) => this.#ask(call, action, request, isRepeatable);
    const late = () => {
      call.abort.abort();
      return timedOut(this.#timeout, this.#sdk.place, call.failure);
    };
    this.#running.add(call.abort);
    try {
      return await within(performance.now() + this.#timeout * PATIENCE, work(ask), late);
    } finally {
      this.#running.delete(call.abort);
    }
  }

  /** Ends what is under way, too. */
  close(): void {
    for (const abort of this.#running) abort.abort();
    this.#sdk.close();
    this.#connections.close();
  }

  async #ask<T>(call: Call, action: string, request: Request<T>, isRepeatable: boolean): Promise<T> {
    const client = await this.#sdk.connect();
    const { signal } = call.abort;
    const fail = (error: unknown) => explain(error, action, this.#sdk.place);
    let hasRenewed = false;
    for (let tries = 1, attempts = 1; ; tries++) {
      if (signal.aborted) throw storeClosed();
      const { renewals } = this.#sdk;
      try {
        return await request(client, { abortSignal: signal, requestTimeout: this.#patience(isRepeatable) });
      } catch (error) {
        if (isConflict(error)) throw new Conflict(error.Item, tries > 1);
        if (signal.aborted) throw storeClosed();
        call.failure = error;
        if (isNotAccepted(error) && !hasRenewed) {
          hasRenewed = await this.#sdk.renewCredentials(renewals);
          if (hasRenewed) continue;
        }
        if (!isTransient(error)) throw fail(error);
        if (!this.#isOver(error)) {
          // One connection was dead, or what answers there is: the others are no better.
          this.#connections.endIdle();
          if (!isRepeatable) throw fail(error);
          // It may have died long ago, which tells nothing of DynamoDB: not counted.
          if (this.#connections.wasOnUsed(error)) continue;
        }
        if (attempts === ATTEMPTS) throw fail(error);
        await sleep(Math.random() * this.#timeout * PARTS.pause * 2 ** (attempts - 1));
        attempts++;
      }
    }
  }

  /** How long to wait for an answer, in milliseconds. */
  #patience(isRepeatable: boolean): number {
    const isOnUsed = this.#connections.endOld();
    if (!isRepeatable) return 0;
    return this.#timeout * (isOnUsed ? PARTS.answerOnUsed : PARTS.answer);
  }

  /** Whether a request that failed cannot be carried out later. */
  #isOver(error: unknown): boolean {
    return isAnswer(error) || this.#connections.wasUnsent(error);
  }
}

/** What is stored is not what was expected. */
export class Conflict extends Error {
  /**
   * @param item what is stored: DynamoDB tells, when asked; not every emulator does
   * @param isRetry whether an earlier try failed, and may have been carried out all the same
   */
  constructor(
    readonly item: Item | undefined,
    readonly isRetry: boolean,
  ) {
    super("A condition did not hold.");
  }
}

function isConflict(error: unknown): error is { readonly Item?: Item } {
  return error instanceof Error && error.name === "ConditionalCheckFailedException";
}
