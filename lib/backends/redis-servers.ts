/** Which Redis server to ask: the only one, the one that Sentinels name, or the one that keeps the key in a Cluster. */
import { Connection, type Place } from "./redis-connection.js";
import { type Address, type Dialer, nameOf, parseAddress } from "./redis-dialer.js";
import { Refusal } from "./redis-errors.js";

/** A name and a password. */
export interface Login {
  readonly username?: string | undefined;
  readonly password?: string | undefined;
}

/** A deployment of Redis. `giveUpAt` is by `performance.now()`. */
export interface Servers {
  /** Sends a command to where the key is. */
  send(key: string, args: readonly string[], giveUpAt: number): Promise<unknown>;
  /** One connection for each server that has keys of its own. */
  all(giveUpAt: number): Promise<readonly Connection[]>;
  close(): void;
}

/** One server, perhaps one that moves. */
export class SingleServer implements Servers {
  readonly #connection: Connection;

  constructor(dialer: Dialer, place: Place) {
    this.#connection = new Connection(dialer, place);
  }

  send(_key: string, args: readonly string[], giveUpAt: number): Promise<unknown> {
    return this.#connection.send(args, giveUpAt);
  }

  async all(): Promise<readonly Connection[]> {
    return [this.#connection];
  }

  close(): void {
    this.#connection.close();
  }
}

/** A place that does not move. */
export function fixed(address: Address): Place {
  return { name: nameOf(address), moves: false, find: async () => address };
}

/** The master that Sentinels name. */
export class SentinelServers extends SingleServer {
  readonly #sentinels: readonly Connection[];

  /** @param login for Sentinels that ask for a password */
  constructor(dialer: Dialer, addresses: readonly Address[], master: string, login: Login) {
    const [asNobody, asUser] = [{}, login].map((user) => {
      const toSentinels = dialer.withUser(user);
      return addresses.map((address) => new Connection(toSentinels, fixed(address)));
    }) as [Connection[], Connection[]];
    const ask = async (sentinel: Connection, giveUpAt: number): Promise<Address> => {
      const found = await sentinel.send(["SENTINEL", "GET-MASTER-ADDR-BY-NAME", master], giveUpAt);
      if (!Array.isArray(found)) throw new Refusal(sentinel.server, `NOMASTER It knows no master named ${master}`);
      return { host: String(found[0]), port: Number(found[1]) };
    };
    super(dialer, {
      name: `the master ${master}`,
      moves: true,
      // All at once: one that does not answer holds up nothing.
      find: (giveUpAt) =>
        firstOf(asNobody, async (sentinel, index) => {
          try {
            return await ask(sentinel, giveUpAt);
          } catch (error) {
            if (!(error instanceof Refusal && error.word === "NOAUTH")) throw error;
            return await ask(asUser[index] as Connection, giveUpAt);
          }
        }),
    });
    this.#sentinels = [...asNobody, ...asUser];
  }

  override close(): void {
    super.close();
    for (const sentinel of this.#sentinels) sentinel.close();
  }
}

const SLOTS = 16_384;
/** How often a command follows the servers' hints before it is refused. */
const MOST_HINTS = 5;
/** How often the map is asked for, at most. Milliseconds. */
const MAP_INTERVAL = 200;

/**
 * A Cluster's servers. Kept by us rather than by the package's own client: there, commands for a server that is away
 * wait without an end, and one that does not answer cannot be given up alone.
 */
export class ClusterServers implements Servers {
  readonly #dialer: Dialer;
  readonly #seeds: readonly Address[];
  readonly #connections = new Map<string, Connection>();
  /** By slot. */
  #map: readonly (Connection | undefined)[] = [];
  #mapping: Promise<void> | undefined;
  #isStale = true;
  #mappedAt = Number.NEGATIVE_INFINITY;
  #isClosed = false;

  constructor(dialer: Dialer, seeds: readonly Address[]) {
    this.#dialer = dialer;
    this.#seeds = seeds;
  }

  async send(key: string, args: readonly string[], giveUpAt: number): Promise<unknown> {
    await this.#fresh(giveUpAt);
    const slot = slotOf(key);
    let connection = this.#map[slot];
    if (!connection) {
      this.#isStale = true;
      throw new Refusal(this.#name(), `CLUSTERDOWN No server keeps slot ${slot}`);
    }
    let asking = false;
    for (let hints = 0; ; hints++) {
      try {
        return await connection.send(args, giveUpAt, { asking });
      } catch (error) {
        if (!(error instanceof Refusal) || error.word === "CLUSTERDOWN" || error.word === "READONLY")
          this.#isStale = true;
        const hint = hints < MOST_HINTS && error instanceof Refusal && /^(MOVED|ASK) \d+ (\S+)$/.exec(error.message);
        if (!hint) throw error;
        asking = hint[1] === "ASK";
        if (!asking) this.#isStale = true;
        connection = this.#connectionTo(parseAddress(hint[2] ?? ""), parseAddress(connection.server));
      }
    }
  }

  async all(giveUpAt: number): Promise<readonly Connection[]> {
    this.#isStale = true;
    await this.#fresh(giveUpAt);
    return [...new Set(this.#map)].filter((connection) => connection !== undefined);
  }

  close(): void {
    this.#isClosed = true;
    for (const connection of this.#connections.values()) connection.close();
  }

  /** The map is asked for again after whatever makes it doubtful, but the old one is used when no server has a new one. */
  async #fresh(giveUpAt: number): Promise<void> {
    const hasMap = this.#map.length > 0;
    if (!this.#isStale || (hasMap && performance.now() - this.#mappedAt < MAP_INTERVAL)) return;
    this.#mapping ??= this.#askForMap(giveUpAt).finally(() => {
      this.#mapping = undefined;
      this.#mappedAt = performance.now();
    });
    try {
      await this.#mapping;
    } catch (error) {
      if (!hasMap) throw error;
    }
  }

  async #askForMap(giveUpAt: number): Promise<void> {
    const known = [...this.#connections.values()].map(({ server }) => parseAddress(server));
    const addresses = new Map([...this.#seeds, ...known].map((address) => [nameOf(address), address]));
    const { asked, ranges } = await firstOf([...addresses.values()], async (address) => ({
      asked: address,
      ranges: await this.#connectionTo(address).send(["CLUSTER", "SLOTS"], giveUpAt),
    }));
    const map: (Connection | undefined)[] = new Array(SLOTS);
    for (const [first, last, [host, port]] of ranges as [number, number, [string | null, number]][]) {
      map.fill(this.#connectionTo({ host: host ?? "", port }, asked), first, last + 1);
    }
    this.#map = map;
    this.#isStale = false;
    this.#letGo(new Set(map));
  }

  #letGo(used: ReadonlySet<Connection | undefined>): void {
    const seeds = new Set(this.#seeds.map(nameOf));
    for (const [name, connection] of this.#connections) {
      if (used.has(connection) || seeds.has(name)) continue;
      this.#connections.delete(name);
      connection.close();
    }
  }

  /** @param told whose word the address is: a server that does not know its own name leaves it out */
  #connectionTo({ host, port }: Address, told?: Address): Connection {
    const address = { host: host || (told?.host ?? ""), port };
    const name = nameOf(address);
    const connection = this.#connections.get(name) ?? new Connection(this.#dialer, fixed(address));
    if (this.#isClosed) connection.close();
    this.#connections.set(name, connection);
    return connection;
  }

  #name(): string {
    return this.#seeds.map(nameOf).join(", ");
  }
}

/** The first success; when there is none, the first failure. */
async function firstOf<T, R>(items: readonly T[], work: (item: T, index: number) => Promise<R>): Promise<R> {
  try {
    return await Promise.any(items.map(work));
  } catch (error) {
    throw error instanceof AggregateError ? error.errors[0] : error;
  }
}

/** CRC-16/XMODEM of the key, or of what stands in its first braces (redis.io/docs/latest/operate/oss_and_stack/reference/cluster-spec). */
export function slotOf(key: string): number {
  const open = key.indexOf("{");
  const close = key.indexOf("}", open + 1);
  let crc = 0;
  for (const byte of Buffer.from(open >= 0 && close > open + 1 ? key.slice(open + 1, close) : key)) {
    crc ^= byte << 8;
    for (let bit = 0; bit < 8; bit++) crc = crc & 0x8000 ? (crc << 1) ^ 0x1021 : crc << 1;
  }
  return (crc & 0xffff) % SLOTS;
}
