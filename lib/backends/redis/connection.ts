/** A connection to one Redis server that is made again whenever it is needed, and given up when an answer stays out. */

import { within } from "../../deadline.js";
import { TokenizerError } from "../../errors.js";
import { type Address, describe, nameOf } from "./address.js";
import type { Client, Dialer } from "./dialer.js";
import { ConnectionFailure, Refusal, timedOut } from "./errors.js";

/** The shortest pause after a connection that could not be made or had no answer, in milliseconds, with as much again at random. */
const PAUSE = 150;
/** A server that was only just found and is a replica, or knows nobody, will be the same when it is found again. Milliseconds. */
const FRESH = 1000;
/** By the backend's end, or because the server left its Cluster. */
const CLOSED = "it was closed";

/** Where a server is at the moment. */
export interface Place {
  /** What it is called until it is found. */
  readonly name: string;
  /** Whether it is looked for while connected, too: it may move, and the old one still answer. */
  readonly isFollowed: boolean;
  find(giveUpAt: number): Promise<Address>;
}

/** A server, wherever it is at the moment. Never gives up: each command may make a new connection. */
export class Connection {
  readonly #dialer: Dialer;
  readonly #place: Place;
  #address: Address | undefined;
  #client: Client | undefined;
  #generation = 0;
  /** The last client that had an answer other than a refusal. */
  #answered: Client | undefined;
  /** What clients were refused that had no other answer. */
  readonly #refusals = new WeakMap<Client, Refusal>();
  /** Why connections were dropped. */
  readonly #reasons = new WeakMap<Client, Error>();
  #connectedAt = 0;
  #foundAt = 0;
  #attempt: Promise<Client> | undefined;
  #failure: { readonly error: unknown; readonly until: number } | undefined;
  #isClosed = false;

  constructor(dialer: Dialer, place: Place) {
    this.#dialer = dialer;
    this.#place = place;
  }

  /** Where it was found last. */
  get address(): Address | undefined {
    return this.#address;
  }

  /** `host:port`. */
  get server(): string {
    return this.#address ? nameOf(this.#address) : this.#place.name;
  }

  /** Another number for each time that it was made: what one server said of itself means nothing to the next. */
  get generation(): number {
    return this.#generation;
  }

  /**
   * The answer to a command.
   *
   * @param giveUpAt by `performance.now()`
   * @param asking whether an importing server of a Cluster is to answer for its new slot already
   * @throws Refusal, ConnectionFailure; TokenizerError `STORE_TIMEOUT`
   */
  async send(args: readonly string[], giveUpAt: number, { asking = false } = {}): Promise<unknown> {
    const { timeout } = this.#dialer;
    const unconnected = () => timedOut(this.#address ? describe(this.#address) : this.#place.name, timeout);
    const client = this.#client ?? (await within(giveUpAt, this.#connected(), unconnected));
    if (this.#place.isFollowed && performance.now() - this.#foundAt > FRESH) void this.#follow(client);
    try {
      const answered = asking ? afterAsking(client, args) : client.sendCommand(args);
      const answer = await within(giveUpAt, answered, () => timedOut(this.server, timeout));
      this.#answered = client;
      return answer;
    } catch (error) {
      if (error instanceof TokenizerError) {
        // An answer that is late makes the connection suspect: whatever waits behind it is let go, too.
        this.#drop(client, new Error("an answer was not there in time"));
        throw error;
      }
      if (!this.#dialer.isAnswer(error)) {
        this.#drop(client, error as Error);
        const hasAnswered = this.#answered === client;
        throw this.#failed(this.#reasons.get(client) ?? (error as Error), hasAnswered ? args[0] : undefined);
      }
      const refusal = new Refusal(this.server, error.message, { command: args[0] });
      if (this.#answered !== client) this.#refusals.set(client, refusal);
      const isInVain = refusal.isMisplaced || (refusal.isSignedOut && this.#dialer.signsIn);
      if (isInVain && performance.now() - this.#connectedAt > FRESH) this.#drop(client, refusal);
      throw refusal;
    }
  }

  /** Lets go of the socket; what waits for an answer is rejected. */
  close(): void {
    this.#isClosed = true;
    if (this.#client) this.#drop(this.#client, new Error(CLOSED));
  }

  #connected(): Promise<Client> {
    if (this.#isClosed) return Promise.reject(this.#failed(new Error(CLOSED)));
    if (this.#attempt) return this.#attempt;
    if (this.#failure && performance.now() < this.#failure.until) return Promise.reject(this.#failure.error);
    this.#attempt = this.#connect().finally(() => {
      this.#attempt = undefined;
    });
    return this.#attempt;
  }

  async #connect(): Promise<Client> {
    try {
      // A part of what a call may take, so that the reason is there before the deadline.
      const giveUpAt = performance.now() + this.#dialer.timeout * 0.75;
      const address = await this.#place.find(giveUpAt);
      this.#foundAt = performance.now();
      this.#address = address;
      let lost: Error | undefined;
      let client: Client | undefined;
      client = await this.#dialer.dial(address, giveUpAt, (reason) => {
        lost ??= reason;
        if (client) this.#drop(client, reason);
      });
      if (this.#isClosed) lost ??= new Error(CLOSED);
      if (lost) {
        client.destroy();
        throw this.#failed(lost);
      }
      this.#client = client;
      this.#generation++;
      this.#connectedAt = performance.now();
      return client;
    } catch (error) {
      this.#pause(error);
      throw error;
    }
  }

  #pause(error: unknown): void {
    this.#failure = { error, until: performance.now() + PAUSE * (1 + Math.random()) };
  }

  #failed(reason: Error, refused?: string): ConnectionFailure {
    return new ConnectionFailure(this.server, reason, { wasConnected: true, isSecure: this.#dialer.isSecure, refused });
  }

  /** A master that was replaced may take writes for a while yet: they would be lost. */
  async #follow(client: Client): Promise<void> {
    this.#foundAt = performance.now();
    try {
      const address = await this.#place.find(this.#foundAt + this.#dialer.timeout);
      if (nameOf(address) !== this.server) this.#drop(client, new Error(`${nameOf(address)} took its place`));
    } catch {
      // Nobody knows of another one.
    }
  }

  /** What still waits for an answer is rejected; why is remembered. */
  #drop(client: Client, reason: Error): void {
    const hasAnswered = this.#answered === client;
    // Who takes no more clients says so, and then ends the connection.
    const why = (hasAnswered ? undefined : this.#refusals.get(client)) ?? reason;
    if (!this.#reasons.has(client)) this.#reasons.set(client, why);
    if (this.#client === client) {
      this.#client = undefined;
      // A load balancer with nothing behind it takes every connection, and ends it.
      if (!hasAnswered) this.#pause(this.#failed(why));
    }
    client.destroy();
  }
}

/** The package sends them together, so that no other command is between them. */
async function afterAsking(client: Client, args: readonly string[]): Promise<unknown> {
  const [, answer] = await Promise.all([client.sendCommand(["ASKING"]), client.sendCommand(args)]);
  return answer;
}
