/**
 * A client that the application made, with the package redis. Connecting, signing in and closing stay with it; how long
 * a call may take stays with us.
 */
import { setTimeout as sleep } from "node:timers/promises";
import { within } from "../../deadline.js";
import { TokenizerError } from "../../errors.js";
import { nameOf } from "./address.js";
import { ConnectionFailure, Refusal, timedOut } from "./errors.js";
import type { AnyClient, Master, RedisClient } from "./given-client.js";
import type { Owner, Servers } from "./servers.js";

/** A client that is not connected yet is looked at this often. Milliseconds. */
const LOOK_INTERVAL = 20;
/** Commands that were sent and have had no answer in time: behind so many, no more are sent. */
const MOST_OVERDUE = 1000;
const CLOSED = "it was closed";
/** Of a Cluster. */
const SLOTS = 16_384;
/** The first word of a refusal of Redis: the package's own errors have none, and its classes may be there twice. */
const IS_ANSWER = /^[A-Z][A-Z0-9]+(?: |$)/;

export class GivenServers implements Servers {
  readonly #client: AnyClient;
  /** How long a call may take, in milliseconds. */
  readonly #timeout: number;
  readonly #owner: Owner;
  readonly #masters = new WeakMap<Master, Owner>();
  /** Each ends a call that is under way. */
  readonly #running = new Set<() => void>();
  #hasAnswered = false;
  #overdue = 0;
  #isClosed = false;

  constructor(client: RedisClient, timeout: number) {
    this.#client = client;
    this.#timeout = timeout;
    this.#owner = this.#ownerOf(serverOf(this.#client), async () => this.#client);
    this.#client.on?.("error", ignore);
  }

  send(key: string, args: readonly string[], giveUpAt: number): Promise<unknown> {
    const client = this.#client;
    if (!client.nodeClient) return this.#owner.send(args, giveUpAt);
    return this.#ask(client, this.#owner.server, giveUpAt, (options) => [key, false, args, options], args[0]);
  }

  async owners(giveUpAt: number): Promise<readonly Owner[]> {
    const { nodeClient } = this.#client;
    if (!nodeClient) return [this.#owner];
    await this.#untilThere(giveUpAt);
    const masters = Array.from(this.#client.slots ?? [], (slot) => slot?.master).filter(
      (master) => master !== undefined,
    );
    const [one] = masters;
    if (!one || masters.length < SLOTS || !(await this.#areAll(masters, one, giveUpAt))) {
      const text = "The client that was given as redis.client does not know all servers of its Cluster yet. Try again.";
      throw new TokenizerError("STORE_UNAVAILABLE", text);
    }
    return masters.map((master) => this.#masterOf(master));
  }

  /** Takes away what was attached to the client, no more: it is not ours. */
  close(): void {
    this.#isClosed = true;
    for (const end of this.#running) end();
    this.#client.off?.("error", ignore);
  }

  #masterOf(master: Master): Owner {
    const known = this.#masters.get(master);
    if (known) return known;
    const owner = this.#ownerOf(master.address, async () => (await this.#client.nodeClient?.(master)) ?? this.#client);
    this.#masters.set(master, owner);
    return owner;
  }

  #ownerOf(server: string, clientOf: () => Promise<AnyClient>): Owner {
    let last = this.#client;
    const isSentinels = this.#client.getMasterNode !== undefined;
    return {
      server,
      get generation() {
        const master = last.getMasterNode?.();
        return master ? nameOf(master) : last.socketEpoch;
      },
      send: async (args, giveUpAt) => {
        const late = () => timedOut(server, this.#timeout);
        last = await within(giveUpAt, clientOf(), late);
        return this.#ask(
          last,
          server,
          giveUpAt,
          (options) => [...(isSentinels ? [false] : []), args, options],
          args[0],
        );
      },
    };
  }

  async #ask(
    client: AnyClient,
    server: string,
    giveUpAt: number,
    argumentsWith: (options: object) => readonly unknown[],
    command: string | undefined,
  ): Promise<unknown> {
    if (this.#overdue >= MOST_OVERDUE) throw timedOut(server, this.#timeout);
    await this.#untilThere(giveUpAt);
    const wasConnected = client.isReady !== false;
    // What was not sent by then is taken back: it must not be carried out later.
    const abort = new AbortController();
    const options = { abortSignal: abort.signal, timeout: 0, typeMapping: {} };
    const answering: Promise<unknown> = Reflect.apply(client.sendCommand, client, argumentsWith(options));
    let end = () => {};
    const ending = new Promise<unknown>((resolve, reject) => {
      answering.then(resolve, reject);
      end = () => {
        abort.abort();
        reject(new Error(CLOSED));
      };
    });
    this.#running.add(end);
    try {
      const answer = await within(giveUpAt, ending, () => {
        this.#countUntilOver(answering);
        abort.abort();
        return timedOut(server, this.#timeout);
      });
      this.#hasAnswered = true;
      return answer;
    } catch (error) {
      throw explained(error, { server, wasConnected, command, isCluster: this.#client.nodeClient !== undefined });
    } finally {
      this.#running.delete(end);
    }
  }

  #countUntilOver(answering: Promise<unknown>): void {
    this.#overdue++;
    const over = () => {
      this.#overdue--;
    };
    answering.then(over, over);
  }

  /** Whoever connects it may do so a moment later than we are made. */
  async #untilThere(giveUpAt: number): Promise<void> {
    for (;;) {
      if (this.#isClosed) throw new ConnectionFailure(this.#owner.server, new Error(CLOSED), {});
      if (this.#isThere()) return;
      if (performance.now() + LOOK_INTERVAL > giveUpAt) {
        const reason = "the client that was given as redis.client is not connected; await its connect()";
        throw new ConnectionFailure(this.#owner.server, new Error(reason), {});
      }
      await sleep(LOOK_INTERVAL);
    }
  }

  #isThere(): boolean {
    const { isOpen, isReady } = this.#client;
    return isOpen && (this.#hasAnswered || isReady !== false);
  }

  /** The package asks for a Cluster's map when a command was misplaced, and not before. */
  async #areAll(masters: readonly Master[], asked: Master, giveUpAt: number): Promise<boolean> {
    const answer = await this.#masterOf(asked).send(["CLUSTER", "SLOTS"], giveUpAt);
    const ids = new Set(masters.map(({ id }) => id));
    const isKnown = (range: unknown) => Array.isArray(range) && Array.isArray(range[2]) && ids.has(String(range[2][2]));
    return Array.isArray(answer) && answer.every(isKnown);
  }
}

/** Whose client has no listener for errors must not lose the process by one. They are told by the calls that fail. */
function ignore(): void {}

/** Never with its login. */
function serverOf({ options = {} }: AnyClient): string {
  const { url, socket } = options;
  if (socket?.path !== undefined) return socket.path;
  if (url !== undefined && URL.canParse(url)) return new URL(url).host;
  return socket?.host === undefined
    ? "the servers of redis.client"
    : nameOf({ port: 6379, ...socket, host: socket.host });
}

function explained(
  error: unknown,
  of: { server: string; wasConnected: boolean; command: string | undefined; isCluster: boolean },
): Error {
  const { server, wasConnected, command, isCluster } = of;
  if (error instanceof TokenizerError || !(error instanceof Error)) return error as Error;
  if (!IS_ANSWER.test(error.message) || "code" in error) return new ConnectionFailure(server, error, { wasConnected });
  const refusal = new Refusal(server, error.message, { command });
  if (refusal.word !== "MOVED" || isCluster) return refusal;
  const text = `Redis at ${server} is one of a Cluster: make redis.client by createCluster().`;
  return new TokenizerError("STORE_UNUSABLE", text, { cause: error });
}
