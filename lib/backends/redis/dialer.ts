/** How Redis is reached: signing in, and when the package is to give up. */
import { within } from "../../deadline.js";
import { TokenizerError } from "../../errors.js";
import type { RedisOptions } from "../../settings/settings.js";
import type { Login } from "../login.js";
import { tlsOptions } from "../tls.js";
import { type Address, describe, parseAddress } from "./address.js";
import { ConnectionFailure, Refusal } from "./errors.js";

/** How to sign in, and by TLS or not. */
export interface DialOptions {
  /** Missing: nobody signs in. */
  readonly login?: (() => Promise<Login>) | undefined;
  readonly database?: number | undefined;
  readonly tls?: RedisOptions | undefined;
}

/** What is used of the package's client. */
export interface Client {
  connect(): Promise<unknown>;
  sendCommand(args: readonly string[]): Promise<unknown>;
  on(event: "connect" | "error", listener: (error: Error) => void): unknown;
  destroy(): void;
}

/** What is used of the package. */
export type RedisPackage = Pick<typeof import("redis"), "createClient" | "ErrorReply">;

/** @throws TokenizerError `PACKAGE_MISSING` */
export async function loadPackage(): Promise<RedisPackage> {
  const redis = requirePackage();
  // Since 6.0.0. Its version stands in its package.json alone, which is not there in a bundle.
  if (!("DEFAULT_RESP" in redis)) {
    throw packageMissing("Found is an older one. Install the newer: npm install redis@6");
  }
  return redis;
}

function requirePackage(): RedisPackage {
  try {
    return require("redis");
  } catch (cause) {
    throw packageMissing("Install it: npm install redis", cause);
  }
}

function packageMissing(wayOut: string, cause?: unknown): TokenizerError {
  return new TokenizerError("PACKAGE_MISSING", `tokenizer.type: redis needs the package redis, version 6. ${wayOut}`, {
    cause,
  });
}

/** An idle connection is tried this often, in milliseconds: a firewall may have forgotten it. */
const PING_INTERVAL = 10_000;

/** Makes connections. */
export class Dialer {
  readonly #package: RedisPackage;
  readonly #options: DialOptions;
  readonly #template: ReturnType<typeof templateOf>;
  /** How long a call may take, in milliseconds. */
  readonly timeout: number;

  constructor(redis: RedisPackage, options: DialOptions, timeout: number, template = templateOf(redis)) {
    this.#package = redis;
    this.#options = options;
    this.#template = template;
    this.timeout = timeout;
  }

  get isSecure(): boolean {
    return this.#options.tls?.ssl === true;
  }

  /** Whether somebody signs in. */
  get signsIn(): boolean {
    return this.#options.login !== undefined;
  }

  /** Whether the error is an answer of Redis rather than trouble with the connection. */
  isAnswer(error: unknown): error is Error {
    return error instanceof this.#package.ErrorReply;
  }

  /** For servers that are reached alike, but where another user signs in, or nobody. */
  withUser(options: Omit<DialOptions, "tls">): Dialer {
    return new Dialer(this.#package, { ...options, tls: this.#options.tls }, this.timeout, this.#template);
  }

  /**
   * @param giveUpAt by `performance.now()`
   * @param onLost called when the connection is not to be used any more, perhaps more than once
   */
  async dial(address: Address, giveUpAt: number, onLost: (reason: Error) => void): Promise<Client> {
    const login = await this.#login(giveUpAt);
    const limit = Math.max(Math.ceil(giveUpAt - performance.now()), 1);
    const client = this.#template.duplicate(this.#clientOptions(address, login, limit)) as unknown as Client;
    let isGivenUp = false;
    client.on("error", (error) => {
      // A ping that is refused is an answer. After anything else, answers might be taken for those of other commands.
      // A moment later: what waits is to learn the reason first.
      if (!this.isAnswer(error)) queueMicrotask(() => onLost(error));
    });
    client.on("connect", () => isGivenUp && client.destroy());
    const giveUp = () => {
      isGivenUp = true;
      client.destroy();
    };
    try {
      await within(giveUpAt, client.connect(), () => new Error(`no connection within ${limit / 1000} seconds`));
      return client;
    } catch (error) {
      giveUp();
      if (this.isAnswer(error)) throw new Refusal(describe(address), error.message, { atConnect: true });
      const isAnnounced = address.announcedBy !== undefined;
      throw new ConnectionFailure(describe(address), error as Error, { isSecure: this.isSecure, isAnnounced });
    }
  }

  async #login(giveUpAt: number): Promise<Login> {
    const { login } = this.#options;
    const late = () => new TokenizerError("STORE_TIMEOUT", "The password for Redis was not there in time.");
    return login ? within(giveUpAt, login(), late) : {};
  }

  #clientOptions(address: Address, login: Login, limit: number) {
    const { host, port } = address;
    const { database, tls } = this.#options;
    return {
      ...login,
      ...(database ? { database } : {}),
      disableClientInfo: true,
      disableOfflineQueue: true,
      // Ours covers commands that were sent, too; the package's own would cost a signal each.
      commandOptions: { timeout: 0 },
      pingInterval: PING_INTERVAL,
      socket: {
        ...(host.startsWith("/") ? { path: host } : { host, port }),
        // Ours comes first, and says how long it was.
        connectTimeout: limit + 1000,
        socketTimeout: PING_INTERVAL + this.timeout,
        // A lost connection is made again by us: somewhere else perhaps, and with nothing left in a queue.
        reconnectStrategy: false as const,
        ...(tls?.ssl ? { tls: true as const, ...tlsOptions(host, tls, otherNames(address, tls)) } : {}),
      },
    };
  }
}

/**
 * An address that was only announced may be called what the settings call the servers: many Clusters announce addresses
 * where the certificate names the host.
 */
function otherNames({ announcedBy }: Address, { nodes = [] }: RedisOptions): readonly string[] {
  return announcedBy === undefined ? [] : nodes.map((node) => parseAddress(node).host);
}

/** The package makes a class for each `createClient`, which takes it 20 ms; copies of a client share theirs. */
function templateOf({ createClient }: RedisPackage) {
  // The older protocol needs no HELLO, and no rights but those for the commands that we send.
  const template = createClient({ RESP: 2 });
  template.destroy();
  return template;
}
