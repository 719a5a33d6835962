/** Changes to headers after the handler answered: undone before the answer goes out, or not made at all. */
import type { OutgoingHttpHeaders } from "node:http";
import type { Response } from "express";
import { type HeaderChange, headersOf, putBackHeaders } from "./head.js";

export class LateHeaders {
  readonly #res: Response;
  readonly #isAllowed: (change: HeaderChange) => boolean;
  #areGuarded = false;
  #isWatching = false;
  /** As they were before the first change since `watch`. */
  #before: OutgoingHttpHeaders | undefined;

  /** @param isAllowed is asked before each change whether it is to be made; one that is not is ignored */
  constructor(res: Response, isAllowed: (change: HeaderChange) => boolean) {
    this.#res = res;
    this.#isAllowed = isAllowed;
  }

  guard(): void {
    if (this.#areGuarded) return;
    this.#areGuarded = true;
    const res = this.#res;
    const { setHeader, setHeaders, appendHeader, removeHeader } = res;
    // One by one: for most answers that are held this is most of the work.
    res.setHeader = this.#guarded("setHeader", setHeader);
    // HTTP/2's response has no setHeaders, and those of older Nodes no appendHeader.
    if (typeof setHeaders === "function") res.setHeaders = this.#guarded("setHeaders", setHeaders);
    if (typeof appendHeader === "function") res.appendHeader = this.#guarded("appendHeader", appendHeader);
    res.removeHeader = this.#guarded("removeHeader", removeHeader);
  }

  /** Changes from here on are to be undone. */
  watch(): void {
    this.guard();
    this.#isWatching = true;
    this.#before = undefined;
  }

  undo(): void {
    this.#isWatching = false;
    if (this.#before) putBackHeaders(this.#res, this.#before);
    this.#before = undefined;
  }

  #guarded<F extends (...args: never[]) => unknown>(name: HeaderChange, change: F): F {
    const guarded = (...args: never[]) => {
      if (!this.#isAllowed(name)) return this.#res;
      if (this.#isWatching) this.#before ??= headersOf(this.#res);
      return Reflect.apply(change, this.#res, args);
    };
    return guarded as F;
  }
}
