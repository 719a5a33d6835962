/**
 * The connections to DynamoDB, kept for the next request. One that is idle may die unnoticed: a NAT forgets it, or the
 * process is frozen meanwhile, as a function is between two calls. So an old one is not used, and of a request that
 * failed it is known whether anything was sent, and whether its connection had served before.
 */
import { Agent as HttpAgent } from "node:http";
import { Agent as HttpsAgent } from "node:https";
import type { Duplex } from "node:stream";
import { TLSSocket } from "node:tls";

/** DynamoDB ends an idle connection after 60 s or more, a NAT gateway of AWS forgets it after 350 s. Milliseconds. */
const LONGEST_IDLE = 30_000;
const OPTIONS = { keepAlive: true, maxSockets: 50 };

export class Connections {
  readonly httpAgent: HttpAgent;
  readonly httpsAgent: HttpsAgent;
  readonly #now: () => number;
  /** What connecting may take, in milliseconds. */
  readonly #patience: number;
  readonly #idleSince = new WeakMap<object, number>();
  /** Errors. */
  readonly #unsent = new WeakSet<object>();
  readonly #onUsed = new WeakSet<object>();

  constructor(now: () => number, patience: number) {
    this.#now = now;
    this.#patience = patience;
    this.httpAgent = this.#watch(new HttpAgent(OPTIONS));
    this.httpsAgent = this.#watch(new HttpsAgent(OPTIONS));
  }

  /** Whether the request failed before any of it could be sent. */
  wasUnsent(error: unknown): boolean {
    return this.#unsent.has(error as object);
  }

  /** Whether the request failed on a connection that had served before: it may have been dead already. */
  wasOnUsed(error: unknown): boolean {
    return this.#onUsed.has(error as object);
  }

  /**
   * Ends those that are idle for too long. A frozen process does it late, so it is done before each request.
   *
   * @returns whether the next request finds one that has served before
   */
  endOld(): boolean {
    const latest = this.#now() - LONGEST_IDLE;
    let isAnyLeft = false;
    for (const socket of this.#idle()) {
      if ((this.#idleSince.get(socket) ?? 0) < latest) socket.destroy();
      else isAnyLeft = true;
    }
    return isAnyLeft;
  }

  /** Ends all that are idle: when one was dead, so are they, as a rule. */
  endIdle(): void {
    for (const socket of this.#idle()) socket.destroy();
  }

  close(): void {
    this.httpAgent.destroy();
    this.httpsAgent.destroy();
  }

  *#idle(): Iterable<Duplex> {
    for (const { freeSockets } of [this.httpAgent, this.httpsAgent]) {
      for (const sockets of Object.values(freeSockets)) {
        // Those that are ended leave their list later.
        for (const socket of sockets ?? []) if (!socket.destroyed) yield socket;
      }
    }
  }

  #watch<Agent extends HttpAgent>(agent: Agent): Agent {
    const { createConnection, keepSocketAlive, reuseSocket } = agent;
    agent.createConnection = (options, callback) => {
      const socket = createConnection.call(agent, options, callback);
      if (socket) this.#untilConnected(socket);
      return socket;
    };
    agent.keepSocketAlive = (socket) => {
      this.#idleSince.set(socket, this.#now());
      return keepSocketAlive.call(agent, socket);
    };
    agent.reuseSocket = (socket, request) => {
      request.once("error", (error) => this.#onUsed.add(error));
      reuseSocket.call(agent, socket, request);
    };
    return agent;
  }

  #untilConnected(socket: Duplex): void {
    const note = (error: Error) => this.#unsent.add(error);
    const late = () => socket.destroy(Object.assign(new Error("Connecting took too long."), { code: "ETIMEDOUT" }));
    const timer = setTimeout(late, this.#patience).unref();
    socket
      .on("error", note)
      .once("close", () => clearTimeout(timer))
      .once(socket instanceof TLSSocket ? "secureConnect" : "connect", () => {
        clearTimeout(timer);
        socket.off("error", note);
      });
  }
}
