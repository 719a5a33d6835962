/** What handlers see of an answer that they gave and that is held: it looks sent, for they have answered. */
import type { Request, Response } from "express";
import { isHttp2 } from "./head.js";

/** A socket that cannot be destroyed. */
const keeping: ProxyHandler<Request["socket"]> = {
  get(socket, name, kept) {
    if (name === "destroy") return () => kept;
    const value: unknown = Reflect.get(socket, name, socket);
    return typeof value === "function" ? value.bind(socket) : value;
  },
  set: (socket, name, value) => Reflect.set(socket, name, value, socket),
};

const KEPT = Symbol("kept");
const LOOKS_SENT = Symbol("looks sent");

interface Marked {
  [KEPT]?: Request["socket"];
  [LOOKS_SENT]?: boolean;
}

/** One for all responses, and never taken off Node's: that would turn each into a slow object. */
const headersSent: PropertyDescriptor & ThisType<Marked> = {
  configurable: true,
  enumerable: true,
  get() {
    return this[LOOKS_SENT] === true || Reflect.get(Reflect.getPrototypeOf(this) ?? this, "headersSent", this);
  },
};

/** Covers properties of a response and its request until they are to tell again what is on the wire. */
export class Appearance {
  readonly #res: Response & Marked;
  /** What a response that a tool made has of its own. The tool sets it, so it is put back. */
  #own: PropertyDescriptor | undefined;
  #uncover: (() => void) | undefined;

  constructor(res: Response) {
    this.#res = res;
  }

  /**
   * `headersSent` is true. `writableEnded` and `finished` are not: adapters without a server, as those for Lambda, ask
   * them whether the whole answer is there.
   */
  lookSent(): void {
    const res = this.#res;
    if (!(LOOKS_SENT in res)) {
      this.#own = Object.getOwnPropertyDescriptor(res, "headersSent");
      Object.defineProperty(res, "headersSent", headersSent);
    }
    res[LOOKS_SENT] = true;
  }

  /**
   * When an error comes after an answer, Express closes the connection. The visitor has the answer by then; but not
   * while it is held, so `req.socket.destroy()` does nothing for that time.
   */
  keepConnection(): void {
    const { req }: { req?: Request } = this.#res;
    const socket: (Request["socket"] & Marked) | undefined = req?.socket;
    if (!req || !socket) return;
    const own = Object.getOwnPropertyDescriptor(req, "socket");
    const value = keptOf(socket, isHttp2(this.#res));
    Object.defineProperty(req, "socket", { value, configurable: true, enumerable: true, writable: true });
    this.#uncover = () => {
      if (own) Object.defineProperty(req, "socket", own);
      else Reflect.deleteProperty(req, "socket");
    };
  }

  /** All is as it is. */
  reset(): void {
    const res = this.#res;
    if (this.#own) {
      Object.defineProperty(res, "headersSent", this.#own);
      Reflect.deleteProperty(res, LOOKS_SENT);
      this.#own = undefined;
    } else if (LOOKS_SENT in res) res[LOOKS_SENT] = false;
    this.#uncover?.();
    this.#uncover = undefined;
  }
}

/** One for all requests of a connection. Those of HTTP/2 each have a socket of their own that gives itself out for it. */
function keptOf(socket: Request["socket"] & Marked, isOwn: boolean): Request["socket"] {
  if (isOwn) return new Proxy(socket, keeping);
  socket[KEPT] ??= new Proxy(socket, keeping);
  return socket[KEPT];
}
