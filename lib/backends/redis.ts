/**
 * Keeps records in Redis (6 or newer): one server, a Cluster, or a master that Sentinels name.
 *
 * A record is one text under `prefix` and its key: a head with format, expiry and version, then the value. A load is one
 * GET; each change is one script on one key. Redis drops what has expired; until then the expiry in the head counts.
 *
 * The rights that its user needs: ACL SETUSER … ~tokenizer:* +get +getrange +set +setrange +pexpire +del +scan +eval +evalsha +ping,
 * with a `database` other than 0 +select, in a Cluster +cluster|slots. (`entries` names every key, also those of others.)
 */
import { randomUUID } from "node:crypto";
import { TokenizerError } from "../errors.js";
import type { RedisOptions } from "../settings/settings.js";
import type { Backend, BackendContext, Entry, Expected, StoredRecord } from "./backend.js";
import type { Connection } from "./redis-connection.js";
import { Dialer, parseAddress, type RedisPackage } from "./redis-dialer.js";
import { ConnectionFailure, explain, Refusal } from "./redis-errors.js";
import { decode, REMOVE, type Script, TOUCH, TRY, touchArguments, WRITE, writeArguments } from "./redis-record.js";
import { ClusterServers, fixed, SentinelServers, type Servers, SingleServer } from "./redis-servers.js";

export interface RedisBackendOptions {
  readonly host: string;
  readonly port: number;
  readonly username?: string | undefined;
  readonly password?: string | undefined;
  readonly database: number;
  /** What every key of ours begins with. */
  readonly prefix: string;
  readonly options?: RedisOptions | undefined;
}

/** Keys looked at in one step. */
const PAGE = 256;
/** Keys remembered while scanning. Redis names a key twice only when a table shrinks, and then soon after. */
const REMEMBERED = 4096;
export class RedisBackend implements Backend {
  readonly expiresByItself = true;
  readonly #options: RedisBackendOptions;
  readonly #context: BackendContext;
  #loading: Promise<Servers> | undefined;
  #servers: Servers | undefined;
  #isClosed = false;
  #hasReported = false;

  constructor(options: RedisBackendOptions, context: BackendContext) {
    this.#options = options;
    this.#context = context;
  }

  async open(): Promise<void> {
    const key = `${this.#options.prefix}try-${randomUUID()}`;
    const tryAll = async (servers: Servers, giveUpAt: number) => {
      await servers.send(key, ["EVAL", TRY.text, "1", key, "0"], giveUpAt);
      await servers.send(key, ["EVALSHA", TRY.sha, "1", key, "0"], giveUpAt);
    };
    await this.#run(tryAll, { atStart: true });
  }

  async read(key: string): Promise<StoredRecord | undefined> {
    return this.#readAt(this.#options.prefix + key);
  }

  async write(key: string, record: StoredRecord, expected: Expected): Promise<boolean> {
    const answer = await this.#change(WRITE, key, writeArguments(record, expected, this.#context.now()));
    if (answer !== -1) return answer === 1;
    throw new TokenizerError(
      "STORE_UNAVAILABLE",
      `A key that begins with ${this.#options.prefix} is somebody else's, and is left alone. Set another tokenizer.prefix.`,
    );
  }

  async touch(key: string, expires: number): Promise<boolean> {
    const touched = this.#change(TOUCH, key, touchArguments(expires, this.#context.now()));
    return (await this.#passOver(touched, 0)) === 1;
  }

  async remove(key: string): Promise<boolean> {
    const removed = this.#change(REMOVE, key, [String(this.#context.now())]);
    return (await this.#passOver(removed, 0)) === 1;
  }

  async *entries(): AsyncGenerator<Entry> {
    const { prefix } = this.#options;
    const match = `${prefix.replace(/[*?[\]\\]/g, "\\$&")}*`;
    const seen = new RecentKeys();
    for (const connection of await this.#run((servers, giveUpAt) => servers.all(giveUpAt))) {
      let cursor = "0";
      do {
        const page = await this.#page(connection, cursor, match);
        cursor = page.cursor;
        const keys = page.keys.filter((key) => seen.add(key));
        const records = await Promise.all(keys.map((key) => this.#readAt(key)));
        for (const [index, record] of records.entries()) {
          if (record) yield { key: (keys[index] ?? "").slice(prefix.length), ...record };
        }
      } while (cursor !== "0");
    }
  }

  async prune(): Promise<number> {
    if (this.#isClosed) throw closed();
    return 0;
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    this.#servers?.close();
  }

  async #readAt(key: string): Promise<StoredRecord | undefined> {
    const text = await this.#passOver(
      this.#run((servers, giveUpAt) => servers.send(key, ["GET", key], giveUpAt)),
      null,
    );
    if (typeof text !== "string") return undefined;
    const record = decode(text);
    if (!record) this.#report();
    return record && record.expires > this.#context.now() ? record : undefined;
  }

  #change(change: Script, key: string, args: readonly string[]): Promise<unknown> {
    return this.#run((servers, giveUpAt) =>
      this.#evaluate(servers, change, this.#options.prefix + key, args, giveUpAt),
    );
  }

  async #evaluate(
    servers: Servers,
    { sha, text }: Script,
    key: string,
    args: readonly string[],
    giveUpAt: number,
  ): Promise<unknown> {
    try {
      return await servers.send(key, ["EVALSHA", sha, "1", key, ...args], giveUpAt);
    } catch (error) {
      if (!(error instanceof Refusal) || error.word !== "NOSCRIPT") throw error;
      return servers.send(key, ["EVAL", text, "1", key, ...args], giveUpAt);
    }
  }

  async #page(connection: Connection, cursor: string, match: string) {
    const command = ["SCAN", cursor, "MATCH", match, "COUNT", String(PAGE)];
    const answer = await this.#run((_, giveUpAt) => connection.send(command, giveUpAt));
    const [next, keys] = answer as [string, string[]];
    return { cursor: next, keys };
  }

  /** Once more when the connection was lost: what was done already is known by its version. */
  async #run<T>(work: (servers: Servers, giveUpAt: number) => Promise<T>, { atStart = false } = {}): Promise<T> {
    try {
      const servers = this.#servers ?? (await this.#load());
      // At start a little less, so that the reason is there before whoever waits gives up.
      const giveUpAt = performance.now() + this.#context.timeout * (atStart ? 0.95 : 1);
      try {
        return await work(servers, giveUpAt);
      } catch (error) {
        if (!(error instanceof ConnectionFailure && error.wasConnected)) throw error;
        return await work(servers, giveUpAt);
      }
    } catch (error) {
      throw this.#isClosed ? closed() : explain(error, { atStart });
    }
  }

  async #load(): Promise<Servers> {
    if (this.#isClosed) throw closed();
    this.#loading ??= loadPackage().then((redis) => makeServers(redis, this.#options, this.#context.timeout));
    try {
      this.#servers = await this.#loading;
    } finally {
      this.#loading = undefined;
    }
    if (this.#isClosed) throw closed();
    return this.#servers;
  }

  /** A key of another type is not a record of ours. */
  async #passOver<T>(work: Promise<T>, absent: T): Promise<T> {
    try {
      return await work;
    } catch (error) {
      const { cause } = error as Error;
      if (!(cause instanceof Refusal) || cause.word !== "WRONGTYPE") throw error;
      this.#report();
      return absent;
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

/** The last few thousand keys. */
class RecentKeys {
  #recent = new Set<string>();
  #older = new Set<string>();

  /** Whether the key is not among them. It is from now on. */
  add(key: string): boolean {
    if (this.#recent.has(key) || this.#older.has(key)) return false;
    if (this.#recent.size >= REMEMBERED) [this.#older, this.#recent] = [this.#recent, new Set()];
    this.#recent.add(key);
    return true;
  }
}

async function loadPackage(): Promise<RedisPackage> {
  try {
    return await import("redis");
  } catch (cause) {
    throw new TokenizerError(
      "PACKAGE_MISSING",
      "tokenizer.type: redis needs the package redis, version 6. Install it: npm install redis",
      { cause },
    );
  }
}

function makeServers(redis: RedisPackage, settings: RedisBackendOptions, timeout: number): Servers {
  const { host, port, username, password, database, options = {} } = settings;
  const nodes = (options.nodes ?? []).map(parseAddress);
  const dialer = new Dialer(redis, { username, password, database, tls: options }, timeout);
  if (options.cluster) return new ClusterServers(dialer, nodes);
  if (options.sentinel !== undefined) {
    return new SentinelServers(dialer, nodes, options.sentinel, { username, password });
  }
  return new SingleServer(dialer, fixed({ host, port }));
}

function closed(): TokenizerError {
  return new TokenizerError("STORE_CLOSED", "The session store was closed.");
}
