/** A Redis Cluster: which of its servers keeps a key. */
import { within } from "../../deadline.js";
import { answersOf } from "./answers.js";
import { Connection } from "./connection.js";
import { type Address, type Dialer, nameOf, parseAddress } from "./dialer.js";
import { Refusal, timedOut } from "./errors.js";
import { fixed, type Servers } from "./servers.js";

const SLOTS = 16_384;
/** How often a command follows the servers' hints before it is refused. */
const MOST_HINTS = 5;
/** How often the map is asked for, at most. Milliseconds. */
const MAP_INTERVAL = 200;

/** Slots from the first to the last, and who keeps them: of its master, all that is used. */
type Range = readonly [first: number, last: number, master: readonly [host: string | null, port: number]];

/**
 * A Cluster's servers. Kept by us rather than by the package's own client: there, commands for a server that is away
 * wait without an end, and one that does not answer cannot be given up alone.
 */
export class ClusterServers implements Servers {
  readonly #dialer: Dialer;
  readonly #seeds: readonly Connection[];
  readonly #connections = new Map<string, Connection>();
  /** By slot. */
  #map: readonly (Connection | undefined)[] = [];
  #mapping: Promise<void> | undefined;
  #isStale = true;
  #mappedAt = Number.NEGATIVE_INFINITY;
  #isClosed = false;

  constructor(dialer: Dialer, seeds: readonly Address[]) {
    this.#dialer = dialer;
    this.#seeds = seeds.map((address) => this.#connectionTo(address));
  }

  async send(key: string, args: readonly string[], giveUpAt: number): Promise<unknown> {
    await this.#refreshMap(giveUpAt);
    const slot = slotOf(key);
    let connection = this.#map[slot] ?? this.#unserved(slot);
    let asking = false;
    for (let hints = 0; ; hints++) {
      try {
        return await connection.send(args, giveUpAt, { asking });
      } catch (error) {
        if (!(error instanceof Refusal) || error.word === "CLUSTERDOWN" || error.isMisplaced) this.#isStale = true;
        const hint = hints < MOST_HINTS && error instanceof Refusal && /^(MOVED|ASK) \d+ (\S+)$/.exec(error.message);
        if (!hint) throw error;
        asking = hint[1] === "ASK";
        if (!asking) this.#isStale = true;
        connection = this.#connectionTo(parseAddress(hint[2] ?? ""), connection.address);
      }
    }
  }

  async owners(giveUpAt: number): Promise<readonly Connection[]> {
    await this.#askForMap(giveUpAt);
    return this.#map.map((connection, slot) => connection ?? this.#unserved(slot));
  }

  close(): void {
    this.#isClosed = true;
    for (const connection of this.#connections.values()) connection.close();
  }

  /** The map is asked for again after whatever makes it doubtful, but the old one is used when no server has a new one. */
  async #refreshMap(giveUpAt: number): Promise<void> {
    const hasMap = this.#map.length > 0;
    if (!this.#isStale || (hasMap && performance.now() - this.#mappedAt < MAP_INTERVAL)) return;
    const { timeout } = this.#dialer;
    // By a time of its own, as calls that come later wait for it, too.
    this.#mapping ??= this.#askForMap(performance.now() + timeout * 0.75).finally(() => {
      this.#mapping = undefined;
      this.#mappedAt = performance.now();
    });
    try {
      await within(giveUpAt, this.#mapping, () => timedOut(this.#name(), timeout));
    } catch (error) {
      if (!hasMap || performance.now() >= giveUpAt) throw error;
    }
  }

  async #askForMap(giveUpAt: number): Promise<void> {
    const ask = async (asked: Connection) => {
      const ranges = (await asked.send(["CLUSTER", "SLOTS"], giveUpAt)) as readonly Range[];
      // One that has lost what it knew, or that was taken out.
      if (ranges.length === 0) throw new Refusal(asked.server, "CLUSTERDOWN It knows of no server that keeps a slot");
      return { asked, ranges, count: ranges.reduce((sum, [first, last]) => sum + last + 1 - first, 0) };
    };
    const answers = await answersOf([...this.#connections.values()], giveUpAt, ask, (so) => so.at(-1)?.count === SLOTS);
    const { asked, ranges } = answers.reduce((best, answer) => (answer.count > best.count ? answer : best));
    const map = new Array<Connection | undefined>(SLOTS).fill(undefined);
    for (const [first, last, [host, port]] of ranges) {
      map.fill(this.#connectionTo({ host: host ?? "", port }, asked.address), first, last + 1);
    }
    this.#map = map;
    this.#isStale = false;
    this.#letGo(new Set([...map, ...this.#seeds]));
  }

  #letGo(used: ReadonlySet<Connection | undefined>): void {
    for (const [name, connection] of this.#connections) {
      if (used.has(connection)) continue;
      this.#connections.delete(name);
      connection.close();
    }
  }

  /** @param told whose word the address is: a server that does not know its own name leaves it out */
  #connectionTo({ host, port }: Address, told?: Address): Connection {
    const address = { host: host === "" || host === "?" ? (told?.host ?? host) : host, port };
    const name = nameOf(address);
    const connection = this.#connections.get(name) ?? new Connection(this.#dialer, fixed(address));
    if (this.#isClosed) connection.close();
    this.#connections.set(name, connection);
    return connection;
  }

  #unserved(slot: number): never {
    this.#isStale = true;
    throw new Refusal(this.#name(), `CLUSTERDOWN No server keeps slot ${slot}`);
  }

  #name(): string {
    return this.#seeds.map(({ server }) => server).join(", ");
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
