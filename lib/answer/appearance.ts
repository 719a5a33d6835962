/** What handlers see of an answer that they gave and that is held: it looks sent, for they have answered. */
import type { Request, Response } from "express";

/** A socket that cannot be destroyed. */
const keeping: ProxyHandler<Request["socket"]> = {
  get(socket, name, kept) {
    if (name === "destroy") return () => kept;
    const value: unknown = Reflect.get(socket, name, socket);
    return typeof value === "function" ? value.bind(socket) : value;
  },
  set: (socket, name, value) => Reflect.set(socket, name, value, socket),
};

/** Covers properties of a response and its request until they are to tell again what is on the wire. */
export class Appearance {
  readonly #res: Response;
  #uncover: Array<() => void> = [];

  constructor(res: Response) {
    this.#res = res;
  }

  /**
   * `headersSent` is true. `writableEnded` and `finished` are not: adapters without a server, as those for Lambda, ask
   * them whether the whole answer is there.
   */
  lookSent(): void {
    this.#cover(this.#res, "headersSent", true);
  }

  /**
   * When an error comes after an answer, Express closes the connection. The visitor has the answer by then; but not
   * while it is held, so `req.socket.destroy()` does nothing for that time.
   */
  keepConnection(): void {
    const { req }: { req?: Request } = this.#res;
    if (!req?.socket) return;
    this.#cover(req, "socket", new Proxy(req.socket, keeping));
  }

  /** All is as it is. */
  reset(): void {
    for (const uncover of this.#uncover.reverse()) uncover();
    this.#uncover = [];
  }

  #cover(target: object, name: string, value: unknown): void {
    const own = Object.getOwnPropertyDescriptor(target, name);
    Object.defineProperty(target, name, { value, configurable: true, enumerable: true, writable: true });
    this.#uncover.push(() => {
      if (own) Object.defineProperty(target, name, own);
      else Reflect.deleteProperty(target, name);
    });
  }
}
