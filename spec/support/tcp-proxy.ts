/** Stands between a client and a server, and makes trouble on the way. */
import { once } from "node:events";
import { type AddressInfo, connect, createServer, type Socket } from "node:net";

export class TcpProxy {
  /** How long answers are held back, in milliseconds. */
  delay = 0;
  /** Answers are lost: they are read, and never passed on. */
  loses = false;
  /** So many times a connection is ended in place of an answer. */
  cuts = 0;
  /** Called with what the client sends, before it is passed on. */
  onRequest: (chunk: Buffer) => void = () => {};
  /** How many connections there were. */
  connections = 0;
  /** A port of 127.0.0.1, for connections that come from now on. */
  target: number;
  /** How many times a client sent something over a connection that was forgotten. */
  sentInVain = 0;

  readonly #open = new Set<Socket>();
  readonly #clients = new Set<Socket>();
  readonly #forgotten = new Map<Socket, "reset" | "silence">();
  readonly #server = createServer((socket) => this.#join(socket));

  private constructor(target: number) {
    this.target = target;
  }

  /** @param target a port of 127.0.0.1 */
  static async start(target: number): Promise<TcpProxy> {
    const proxy = new TcpProxy(target);
    proxy.#server.listen(0, "127.0.0.1");
    await once(proxy.#server, "listening");
    return proxy;
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  /** Ends all connections. */
  cut(): void {
    for (const socket of this.#open) socket.destroy();
  }

  /**
   * Forgets the connections that are open now, as a NAT does, without a word: whoever sends something over one of them
   * later gets a reset, or nothing. New ones work.
   */
  forget(answer: "reset" | "silence"): void {
    for (const client of this.#clients) this.#forgotten.set(client, answer);
  }

  async stop(): Promise<void> {
    this.cut();
    this.#server.close();
    await once(this.#server, "close");
  }

  #join(client: Socket): void {
    this.connections++;
    const server = connect(this.target, "127.0.0.1");
    for (const socket of [client, server]) {
      this.#open.add(socket);
      const other = socket === client ? server : client;
      socket
        .on("error", () => {})
        .once("close", () => {
          this.#open.delete(socket);
          other.destroy();
        });
    }
    this.#clients.add(client);
    client.once("close", () => this.#clients.delete(client));
    client.on("data", (chunk) => {
      const answer = this.#forgotten.get(client);
      if (answer !== undefined) {
        this.sentInVain++;
        if (answer === "reset") client.resetAndDestroy();
        return;
      }
      this.onRequest(chunk);
      server.write(chunk);
    });
    server.on("data", (chunk) => {
      if (this.loses) return;
      if (this.cuts > 0) {
        this.cuts--;
        client.destroy();
      } else if (this.delay > 0) setTimeout(() => client.write(chunk), this.delay).unref();
      else client.write(chunk);
    });
  }
}
