/** A connection to one Redis server that is made again whenever it is needed, and given up when an answer stays out. */
import { TokenizerError } from "../errors.js";
import { type Address, type Client, type Dialer, nameOf } from "./redis-dialer.js";
import { ConnectionFailure, Refusal, timedOut } from "./redis-errors.js";

/** The shortest pause after a connection that could not be made, in milliseconds, with as much again at random. */
const PAUSE = 150;
/** A server that was only just found and is a replica will not have changed when it is found again. Milliseconds. */
const FRESH = 1000;
/** By the backend's end, or because the server left its Cluster. */
const CLOSED = "it was closed";

/** Where a server is at the moment. */
export interface Place {
  /** What it is called until it is found. */
  readonly name: string;
  /** Whether it may move while the connection to it stays. */
  readonly moves: boolean;
  find(giveUpAt: number): Promise<Address>;
}

/** A server, wherever it is at the moment. Never gives up: each command may make a new connection. */
export class Connection {
  readonly #dialer: Dialer;
  readonly #place: Place;
  #server: string;
  #client: Client | undefined;
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
    this.#server = place.name;
  }

  /** `host:port`. */
  get server(): string {
    return this.#server;
  }

  /**
   * The answer to a command.
   *
   * @param giveUpAt by `performance.now()`
   * @param asking whether an importing server of a Cluster is to answer for its new slot already
   * @throws Refusal, ConnectionFailure; TokenizerError `STORE_TIMEOUT`
   */
  async send(args: readonly string[], giveUpAt: number, { asking = false } = {}): Promise<unknown> {
    const client = this.#client ?? (await this.#within(giveUpAt, this.#connected()));
    if (this.#place.moves && performance.now() - this.#foundAt > FRESH) void this.#follow(client);
    if (asking) client.sendCommand(["ASKING"]).catch(() => {});
    try {
      // An answer that is late makes the connection suspect: whatever waits behind it is let go, too.
      const late = () => this.#drop(client, new Error("an answer was not there in time"));
      return await this.#within(giveUpAt, client.sendCommand(args), late);
    } catch (error) {
      if (error instanceof TokenizerError) throw error;
      if (!this.#dialer.isAnswer(error)) {
        this.#drop(client, error as Error);
        throw this.#failed(this.#reasons.get(client) ?? (error as Error));
      }
      const refusal = new Refusal(this.#server, error.message);
      if (refusal.word === "READONLY" && performance.now() - this.#connectedAt > FRESH) this.#drop(client, refusal);
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
      this.#server = nameOf(address);
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
      this.#connectedAt = performance.now();
      this.#failure = undefined;
      return client;
    } catch (error) {
      this.#failure = { error, until: performance.now() + PAUSE * (1 + Math.random()) };
      throw error;
    }
  }

  #failed(reason: Error): ConnectionFailure {
    return new ConnectionFailure(this.#server, reason, true, this.#dialer.isSecure);
  }

  /** A master that was replaced may take writes for a while yet: they would be lost. */
  async #follow(client: Client): Promise<void> {
    this.#foundAt = performance.now();
    try {
      const address = await this.#place.find(this.#foundAt + this.#dialer.timeout);
      if (nameOf(address) !== this.#server) this.#drop(client, new Error(`${nameOf(address)} took its place`));
    } catch {
      // Nobody knows of another one.
    }
  }

  /** What still waits for an answer is rejected; why is remembered. */
  #drop(client: Client, reason: Error): void {
    if (this.#client === client) this.#client = undefined;
    if (!this.#reasons.has(client)) this.#reasons.set(client, reason);
    client.destroy();
  }

  #within<T>(giveUpAt: number, work: Promise<T>, onLate = () => {}): Promise<T> {
    return new Promise((resolve, reject) => {
      const late = () => {
        reject(timedOut(this.#server, this.#dialer.timeout));
        onLate();
      };
      // Where our own loop was held up, the answer may be there already: it is read before `setImmediate`.
      let turn: NodeJS.Immediate | undefined;
      const timer = setTimeout(
        () => {
          turn = setImmediate(late);
        },
        Math.max(giveUpAt - performance.now(), 1),
      );
      const stop = () => {
        clearTimeout(timer);
        if (turn) clearImmediate(turn);
      };
      work.then(
        (answer) => {
          stop();
          resolve(answer);
        },
        (error) => {
          stop();
          reject(error);
        },
      );
    });
  }
}
