/** A Redis Cluster: which of its servers keeps a key. */
import { within } from "../../deadline.js";
import { TokenizerError } from "../../errors.js";
import { type Address, nameOf, parseAddress } from "./address.js";
import { answersOf } from "./answers.js";
import { Connection } from "./connection.js";
import type { Dialer } from "./dialer.js";
import { Refusal, timedOut } from "./errors.js";
import { fixed, type Servers } from "./servers.js";

const SLOTS = 16_384;
/** How often a command follows the servers' hints before it is refused. */
const MOST_HINTS = 5;
/** How often the map is asked for, at most. Milliseconds. */
const MAP_INTERVAL = 200;

type Node = readonly [host: string | null, port: number, id?: string];
/** Slots from the first to the last, and who keeps them: the master, then its replicas. */
type Range = readonly [first: number, last: number, master: Node, ...replicas: Node[]];

/** What a server says of its Cluster. */
interface View {
  readonly by: Connection;
  readonly ranges: readonly Range[];
  /** How many slots have a keeper. */
  readonly count: number;
  /** Of masters and replicas; empty for what names none, unlike Redis itself. */
  readonly ids: ReadonlySet<string>;
}

/**
 * A Cluster's servers. Kept by us: the package's own client was tried in its place, on our specs. In @redis/client 6.3.1
 *
 * - calls for a node that was never connected wait, and are sent when it comes (dist/lib/cluster/cluster-slots.js:607);
 * - the map is not asked for again then (:570, redis/node-redis#2806);
 * - an empty map is believed (:185);
 * - no timeout covers a command that was sent (dist/lib/client/commands-queue.js:428, redis/node-redis#3008).
 *
 * Try again when those change.
 */
export class ClusterServers implements Servers {
  readonly #dialer: Dialer;
  readonly #seeds: readonly Connection[];
  readonly #connections = new Map<string, Connection>();
  /** By slot. */
  #map: readonly (Connection | undefined)[] = [];
  /** Of the servers in the map. */
  #ids: ReadonlySet<string> = new Set();
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
    const { by, ranges, ids } = await this.#currentView(giveUpAt);
    const map = new Array<Connection | undefined>(SLOTS).fill(undefined);
    for (const [first, last, [host, port]] of ranges) {
      map.fill(this.#connectionTo({ host: host ?? "", port }, by.address), first, last + 1);
    }
    this.#map = map;
    this.#ids = ids;
    this.#isStale = false;
    this.#letGo(new Set([...map, ...this.#seeds]));
  }

  /** Of the servers in the map. The settings' own are asked when none answers: by now, an address may be another Cluster's. */
  async #currentView(giveUpAt: number): Promise<View> {
    const members = [...new Set(this.#map)].filter((member) => member !== undefined);
    if (members.length === 0) return this.#viewOf(this.#seeds, giveUpAt);
    const fromMembers = this.#viewOf(members, giveUpAt, { isKnown: true });
    const now = performance.now();
    try {
      return await within(now + (giveUpAt - now) / 2, fromMembers, () => timedOut(this.#name(), this.#dialer.timeout));
    } catch {
      // Members that are only slow may answer yet.
      const fromAny = Promise.any([this.#viewOf(this.#seeds, giveUpAt), fromMembers]);
      return fromAny.catch(({ errors: [reason] }: AggregateError) => Promise.reject(reason));
    }
  }

  /** @param isKnown whether it must be the Cluster of the map in force, rather than one that took its place */
  async #viewOf(asked: readonly Connection[], giveUpAt: number, { isKnown = false } = {}): Promise<View> {
    const isOurs = ({ ids }: View) => this.#map.length > 0 && areOfOne(ids, this.#ids);
    const isEnough = (views: readonly View[]) => views.some((view) => view.count === SLOTS && isOurs(view));
    const views = await answersOf(asked, giveUpAt, (one) => ask(one, giveUpAt), isEnough);
    const ours = views.filter(isOurs);
    if (ours.length > 0) return widest(ours);
    const view = widest(views);
    if (isKnown) throw new Refusal(view.by.server, "CLUSTERDOWN It is in another Cluster now");
    const other = views.find(({ ids }) => !areOfOne(ids, view.ids));
    if (other) throw twoClusters(view, other);
    return view;
  }

  #letGo(used: ReadonlySet<Connection | undefined>): void {
    for (const [name, connection] of this.#connections) {
      if (used.has(connection)) continue;
      this.#connections.delete(name);
      connection.close();
    }
  }

  /** @param teller whose word the address is: a server that does not know its own name leaves it out */
  #connectionTo({ host, port }: Address, teller?: Address): Connection {
    const announcedBy = teller && `the Cluster's server at ${nameOf(teller)}`;
    const address = { host: host === "" || host === "?" ? (teller?.host ?? host) : host, port, announcedBy };
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

async function ask(by: Connection, giveUpAt: number): Promise<View> {
  const ranges = (await by.send(["CLUSTER", "SLOTS"], giveUpAt)) as readonly Range[];
  // One that has lost what it knew, or that was taken out.
  if (ranges.length === 0) throw new Refusal(by.server, "CLUSTERDOWN It knows of no server that keeps a slot");
  const ids = ranges.flatMap(([, , ...nodes]) => nodes.map(([, , id]) => id));
  return {
    by,
    ranges,
    count: ranges.reduce((sum, [first, last]) => sum + last + 1 - first, 0),
    ids: new Set(ids.filter((id) => id !== undefined)),
  };
}

function widest(views: readonly View[]): View {
  return views.reduce((best, view) => (view.count > best.count ? view : best));
}

/** Whether the servers are those of one Cluster, as far as is known. */
function areOfOne(ids: ReadonlySet<string>, others: ReadonlySet<string>): boolean {
  return ids.size === 0 || others.size === 0 || [...ids].some((id) => others.has(id));
}

function twoClusters(...[one, other]: readonly [View, View]): TokenizerError {
  return new TokenizerError(
    "STORE_UNUSABLE",
    `tokenizer.options.nodes names servers of two Redis Clusters: ${one.by.server} and ${other.by.server}. Take out what is not yours.`,
  );
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
