/** Which Redis server to ask: the only one, or the one that Sentinels name. For a Cluster there is `cluster.ts`. */
import { type Address, describe, nameOf } from "./address.js";
import { answersOf } from "./answers.js";
import { Connection, type Place } from "./connection.js";
import type { Dialer, DialOptions } from "./dialer.js";
import { Refusal } from "./errors.js";

/** A deployment of Redis. `giveUpAt` is by `performance.now()`. */
export interface Servers {
  /** Sends a command to where the key is. */
  send(key: string, args: readonly string[], giveUpAt: number): Promise<unknown>;
  /** Who keeps each part of the keys, as it is known this moment. */
  owners(giveUpAt: number): Promise<readonly Owner[]>;
  close(): void;
}

/** One server, to be asked by itself. */
export interface Owner {
  /** `host:port`. */
  readonly server: string;
  /** Another one for each server that took the place: what one said of itself means nothing to the next. */
  readonly generation: unknown;
  send(args: readonly string[], giveUpAt: number): Promise<unknown>;
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

  async owners(): Promise<readonly Connection[]> {
    return [this.#connection];
  }

  close(): void {
    this.#connection.close();
  }
}

/** A place that does not move. */
export function fixed(address: Address): Place {
  return { name: describe(address), isFollowed: false, find: async () => address };
}

/**
 * The master that Sentinels name. Found by us: the package's own client believes the first Sentinel (@redis/client 6.3.1,
 * dist/lib/sentinel/index.js:1134), and what `cluster.ts` says of commands that were sent holds there, too.
 */
export class SentinelServers extends SingleServer {
  readonly #sentinels: readonly Connection[];

  /** @param login for Sentinels that ask for a password */
  constructor(dialer: Dialer, addresses: readonly Address[], master: string, login: DialOptions["login"]) {
    const connectAs = (user: Omit<DialOptions, "tls">) => {
      const toSentinels = dialer.withUser(user);
      return addresses.map((address) => new Connection(toSentinels, fixed(address)));
    };
    const [asNobody, asUser] = [connectAs({}), connectAs({ login })];
    const ask = async (sentinel: Connection, giveUpAt: number): Promise<Address> => {
      const found = await sentinel.send(["SENTINEL", "GET-MASTER-ADDR-BY-NAME", master], giveUpAt);
      if (!Array.isArray(found)) throw new Refusal(sentinel.server, `NOMASTER It knows no master named ${master}`);
      return { host: String(found[0]), port: Number(found[1]), announcedBy: `the Sentinel at ${sentinel.server}` };
    };
    const askAny = async (sentinel: Connection, index: number, giveUpAt: number): Promise<Address> => {
      try {
        return await ask(sentinel, giveUpAt);
      } catch (error) {
        if (!(error instanceof Refusal && error.word === "NOAUTH")) throw error;
        return await ask(asUser[index] as Connection, giveUpAt);
      }
    };
    super(dialer, {
      name: `the master ${master}`,
      isFollowed: true,
      // All at once, as one may not answer; and more than one, as one that was away may name who was master before.
      find: async (giveUpAt) => {
        const isMost = (named: readonly Address[]) => votesFor(mostNamed(named), named) > addresses.length / 2;
        return mostNamed(await answersOf(asNobody, giveUpAt, (one, index) => askAny(one, index, giveUpAt), isMost));
      },
    });
    this.#sentinels = [...asNobody, ...asUser];
  }

  override close(): void {
    super.close();
    for (const sentinel of this.#sentinels) sentinel.close();
  }
}

function votesFor(address: Address, named: readonly Address[]): number {
  return named.filter((other) => nameOf(other) === nameOf(address)).length;
}

function mostNamed(named: readonly Address[]): Address {
  return named.reduce((best, address) => (votesFor(address, named) > votesFor(best, named) ? address : best));
}
