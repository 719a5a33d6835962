/** The head that a handler gave with `writeHead`: it waits for the first byte, as in Node, but looks sent. */
import type { Response } from "express";
import type { Appearance } from "./appearance.js";
import { Head, setHead } from "./head.js";
import type { LateHeaders } from "./late-headers.js";

export class GivenHead {
  readonly #res: Response;
  readonly #appearance: Appearance;
  readonly #lateHeaders: LateHeaders;
  #head: Head | undefined;

  constructor(res: Response, appearance: Appearance, lateHeaders: LateHeaders) {
    this.#res = res;
    this.#appearance = appearance;
    this.#lateHeaders = lateHeaders;
  }

  get isWaiting(): boolean {
    return this.#head !== undefined;
  }

  /** @param args what `writeHead` was given */
  take(args: readonly unknown[]): void {
    setHead(this.#res, args);
    this.#head = new Head(this.#res);
    this.#lateHeaders.guard();
    this.#appearance.lookSent();
  }

  /** It is the response's again. */
  putBack(): void {
    if (!this.#head) return;
    const head = this.#head;
    this.#head = undefined;
    this.#appearance.reset();
    head.putBack(this.#res);
  }
}
