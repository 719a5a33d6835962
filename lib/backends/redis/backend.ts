/**
 * Keeps records in Redis (6 or newer): one server, a Cluster, or a master that Sentinels name.
 *
 * A record is one text under `prefix` and its key: a head with format, expiry and version, then the value. A load is one
 * GET; each change is one script on one key. Redis drops what has expired; until then the expiry in the head counts.
 *
 * The rights that its user needs: ACL SETUSER … ~tokenizer:* +get +getrange +set +setrange +pexpire +del +scan +eval +evalsha +ping,
 * with a `database` other than 0 +select, in a Cluster +cluster|slots +asking. (`entries` names every key, also those of others.)
 * With +info and +time it is warned at start when Redis drops what has not expired, and when its clock is wrong.
 */
import { randomUUID } from "node:crypto";
import { storeClosed, TokenizerError } from "../../errors.js";
import type { RedisOptions } from "../../settings/settings.js";
import type { Backend, BackendContext, Entry, Expected, StoredRecord } from "../backend.js";
import { type Login, type LoginOptions, makeLogin } from "../login.js";
import { parseAddress } from "./address.js";
import { clockWarnings } from "./clock.js";
import { ClusterServers } from "./cluster.js";
import { Dialer, loadPackage, type RedisPackage } from "./dialer.js";
import { ConnectionFailure, explain, Refusal } from "./errors.js";
import { evictionWarning } from "./eviction.js";
import { GivenServers } from "./given.js";
import { checkGiven, type RedisInCode } from "./given-client.js";
import { RecentKeys } from "./recent-keys.js";
import { decode, REMOVE, type Script, TOUCH, TRY, touchArguments, WRITE, writeArguments } from "./record.js";
import { fixed, type Owner, SentinelServers, type Servers, SingleServer } from "./servers.js";

export interface RedisBackendOptions extends Omit<LoginOptions, "credentials">, RedisInCode {
  readonly host: string;
  readonly port: number;
  readonly database: number;
  /** What every key of ours begins with. */
  readonly prefix: string;
  readonly options?: RedisOptions | undefined;
}

/** Keys looked at in one step. */
const PAGE = 256;
/** Records read at once while scanning: requests wait behind them, on the same connection. */
const LUMP = 32;

export class RedisBackend implements Backend {
  readonly expiresByItself = true;
  readonly #options: RedisBackendOptions;
  readonly #context: BackendContext;
  readonly #login: (() => Promise<Login>) | undefined;
  #servers: Promise<Servers> | undefined;
  #isClosed = false;
  #hasReported = false;

  /** @throws TokenizerError `SETTINGS_INVALID` for `credentials` or a `client` that cannot be used */
  constructor(options: RedisBackendOptions, context: BackendContext) {
    this.#options = options;
    this.#context = context;
    checkGiven(options);
    this.#login = options.client ? undefined : makeLogin(options, "redis.credentials");
  }

  async open(): Promise<void> {
    const key = `${this.#options.prefix}try-${randomUUID()}`;
    const tryAll = async (servers: Servers, giveUpAt: number) => {
      await servers.send(key, ["EVAL", TRY.text, "1", key, "0"], giveUpAt);
      await servers.send(key, ["EVALSHA", TRY.sha, "1", key, "0"], giveUpAt);
      await servers.send(key, this.#scan("0", 1), giveUpAt);
      // Needed only while slots move, when it is late to be told that the right is missing.
      if (this.#options.options?.cluster && !this.#options.client) await servers.send(key, ["ASKING"], giveUpAt);
      await this.#warnOfServers(servers, giveUpAt);
    };
    await this.#run(tryAll, { atStart: true });
  }

  async read(key: string): Promise<StoredRecord | undefined> {
    return this.#readAt(this.#options.prefix + key);
  }

  async write(key: string, record: StoredRecord, expected: Expected): Promise<boolean> {
    const args = writeArguments(record, expected, this.#context.now());
    // The first try may be under way still. Where a version is expected, whichever comes second finds another one; a
    // creation would come back after the removal of what it made, and over "any" it would undo what was written since.
    const answer = await this.#change(WRITE, key, args, typeof expected === "object");
    if (answer !== -1) return answer === 1;
    throw new TokenizerError(
      "STORE_UNAVAILABLE",
      `A key that begins with ${this.#options.prefix} is somebody else's, and is left alone. Set another tokenizer.prefix.`,
    );
  }

  async touch(key: string, expires: number, version: string): Promise<boolean> {
    return (await this.#change(TOUCH, key, touchArguments(expires, version, this.#context.now()))) === 1;
  }

  async remove(key: string): Promise<boolean> {
    return (await this.#change(REMOVE, key, [String(this.#context.now())])) === 1;
  }

  async *entries(): AsyncGenerator<Entry> {
    const { prefix } = this.#options;
    const seen = new RecentKeys();
    const owners = await this.#owners();
    for (const connection of new Set(owners)) {
      for await (const page of this.#pages(connection)) {
        const keys = page.filter((key) => seen.add(key));
        while (keys.length > 0) {
          const lump = keys.splice(0, LUMP);
          const records = await Promise.all(lump.map((key) => this.#readUnlessForeign(key)));
          for (const [index, record] of records.entries()) {
            if (record) yield { key: (lump[index] ?? "").slice(prefix.length), ...record };
          }
        }
      }
    }
    // Keys that moved meanwhile may have passed from a server not yet asked to one that was.
    const after = await this.#owners();
    if (owners.some((owner, part) => owner !== after[part])) throw interrupted();
  }

  async prune(): Promise<number> {
    if (this.#isClosed) throw storeClosed();
    return 0;
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    await this.#servers?.then(
      (servers) => servers.close(),
      () => {},
    );
  }

  async #readAt(key: string): Promise<StoredRecord | undefined> {
    const text = await this.#run((servers, giveUpAt) => servers.send(key, ["GET", key], giveUpAt));
    if (typeof text !== "string") return undefined;
    const record = decode(text);
    if (!record) this.#report();
    return record && record.expires > this.#context.now() ? record : undefined;
  }

  #change({ sha, text }: Script, key: string, args: readonly string[], isRepeatable = true): Promise<unknown> {
    const place = this.#options.prefix + key;
    return this.#run(
      async (servers, giveUpAt) => {
        try {
          return await servers.send(place, ["EVALSHA", sha, "1", place, ...args], giveUpAt);
        } catch (error) {
          if (!(error instanceof Refusal) || error.word !== "NOSCRIPT") throw error;
          return servers.send(place, ["EVAL", text, "1", place, ...args], giveUpAt);
        }
      },
      { isRepeatable },
    );
  }

  #owners(): Promise<readonly Owner[]> {
    return this.#run((servers, giveUpAt) => servers.owners(giveUpAt));
  }

  async *#pages(connection: Owner): AsyncGenerator<readonly string[]> {
    let generation: unknown;
    let cursor = "0";
    do {
      const command = this.#scan(cursor, PAGE);
      const answer = await this.#run((_, giveUpAt) => connection.send(command, giveUpAt));
      // A cursor is good for the server that gave it: another one goes on from it, and leaves out keys.
      generation ??= connection.generation;
      if (connection.generation !== generation) throw interrupted();
      const [next, keys] = answer as [string, string[]];
      yield keys;
      cursor = next;
    } while (cursor !== "0");
  }

  #scan(cursor: string, count: number): readonly string[] {
    const match = `${this.#options.prefix.replace(/[*?[\]\\]/g, "\\$&")}*`;
    return ["SCAN", cursor, "MATCH", match, "COUNT", String(count)];
  }

  /** Never fails: it is no reason not to begin. */
  async #warnOfServers(servers: Servers, giveUpAt: number): Promise<void> {
    const owners = new Set(await servers.owners(giveUpAt).catch(() => []));
    const [eviction, clocks] = await Promise.all([
      evictionWarning(owners, giveUpAt),
      clockWarnings(owners, this.#context.now, giveUpAt),
    ]);
    for (const warning of [eviction ?? [], clocks].flat()) this.#context.warn(warning);
  }

  /** Once more where that is safe: by its version, a write that was done already is known. */
  async #run<T>(
    work: (servers: Servers, giveUpAt: number) => Promise<T>,
    { atStart = false, isRepeatable = true } = {},
  ): Promise<T> {
    try {
      if (this.#isClosed) throw storeClosed();
      const servers = await this.#load();
      // At start a little less, so that the reason is there before whoever waits gives up.
      const giveUpAt = performance.now() + this.#context.timeout * (atStart ? 0.95 : 1);
      try {
        return await work(servers, giveUpAt);
      } catch (error) {
        const isLost = error instanceof ConnectionFailure && error.wasConnected && isRepeatable;
        if (!isLost && !(error instanceof Refusal && (error.isMisplaced || error.isSignedOut))) throw error;
        return await work(servers, giveUpAt);
      }
    } catch (error) {
      // What the settings say is not what a client that was given goes by.
      throw this.#isClosed ? storeClosed() : explain(error, { atStart: atStart && !this.#options.client });
    }
  }

  #load(): Promise<Servers> {
    const { client } = this.#options;
    if (client) this.#servers ??= Promise.resolve(new GivenServers(client, this.#context.timeout));
    this.#servers ??= loadPackage()
      .then((redis) => makeServers(redis, this.#options, this.#login, this.#context.timeout))
      .catch((error) => {
        this.#servers = undefined;
        throw error;
      });
    return this.#servers;
  }

  /** One list of somebody else's under the same prefix must not keep all that is ours from being listed. */
  async #readUnlessForeign(key: string): Promise<StoredRecord | undefined> {
    try {
      return await this.#readAt(key);
    } catch (error) {
      const { cause } = error as Error;
      if (!(cause instanceof Refusal) || cause.word !== "WRONGTYPE") throw error;
      this.#report();
      return undefined;
    }
  }

  #report(): void {
    if (!this.#hasReported) {
      this.#context.warn(
        `Redis holds a key that begins with ${this.#options.prefix} and is not a record of ours: passed over.`,
      );
    }
    this.#hasReported = true;
  }
}

function makeServers(
  redis: RedisPackage,
  { host, port, database, options = {} }: RedisBackendOptions,
  login: (() => Promise<Login>) | undefined,
  timeout: number,
): Servers {
  const nodes = (options.nodes ?? []).map(parseAddress);
  const dialer = new Dialer(redis, { login, database, tls: options }, timeout);
  if (options.cluster) return new ClusterServers(dialer, nodes);
  if (options.sentinel !== undefined) {
    return new SentinelServers(dialer, nodes, options.sentinel, login);
  }
  return new SingleServer(dialer, fixed({ host, port }));
}

function interrupted(): TokenizerError {
  return new TokenizerError(
    "STORE_UNAVAILABLE",
    "The listing was interrupted: keys are on another Redis server now, or the connection was lost. Run it again.",
  );
}
