/** Who waits for a response's `drain`: an answer that is held owes them one. */
import { EventEmitter } from "node:events";
import type { Response } from "express";

type Listener = (...args: unknown[]) => void;

/**
 * Puts itself over a response's listeners for `drain`. Middleware below may take them for a stream of its own and never
 * let them go, as compression does: there it gets one that tells all others.
 */
export class Drains {
  readonly #res: Response;
  readonly #on: Response["on"];
  /** Those that wait for what is below; nothing where they wait for the response itself. */
  #diverted: EventEmitter | undefined;
  #isAsked = false;

  /** @param on adds a listener to the response as what is below does */
  constructor(res: Response, on: Response["on"]) {
    this.#res = res;
    this.#on = on;
  }

  add(listener: Listener): void {
    if (!this.#isAsked) this.#askBelow();
    if (this.#diverted) this.#diverted.on("drain", listener);
    else Reflect.apply(this.#on, this.#res, ["drain", listener]);
  }

  /** What was held went out. */
  emit(): void {
    (this.#diverted ?? this.#res).emit("drain");
  }

  #askBelow(): void {
    this.#isAsked = true;
    const res = this.#res;
    const forward = () => this.#diverted?.emit("drain");
    Reflect.apply(this.#on, res, ["drain", forward]);
    if (res.rawListeners("drain").includes(forward)) res.off("drain", forward);
    else this.#divert();
  }

  #divert(): void {
    const res = this.#res;
    const diverted = new EventEmitter();
    const { removeListener } = res;
    this.#diverted = diverted;
    res.off = res.removeListener = ((event: string, listener: Listener) => {
      if (event === "drain") diverted.off(event, listener);
      return Reflect.apply(removeListener, res, [event, listener]);
    }) as Response["off"];
  }
}
