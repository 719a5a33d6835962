/** Callbacks of what is not sent: whoever waits for one would wait for ever, and never let go of what he holds. */
import type { Response } from "express";
import { nextTick } from "../native.js";

type Callback = (error?: Error) => void;

export class Dropped {
  readonly #res: Response;
  /** Of an answer taken back, until the error page is out. */
  #waiting: Callback[] | undefined;

  constructor(res: Response) {
    this.#res = res;
  }

  /** Tells what is dropped from here on as soon as the response is over: handlers that fail then cut no error page. */
  takeBack(): void {
    const waiting: Callback[] = [];
    this.#waiting = waiting;
    this.#res.once("close", () => {
      this.#waiting = undefined;
      for (const callback of waiting) callback(destroyed());
    });
  }

  /**
   * @param args of a `write` or an `end` of an answer taken back
   * @returns what such a `write` answers
   */
  tell(args: readonly unknown[]): false {
    const callback = callbackIn(args);
    if (callback && this.#waiting) this.#waiting.push(callback);
    else if (callback) nextTick(callback, destroyed());
    return false;
  }

  /**
   * @param args of a `write` or an `end` after the end
   * @returns what such a `write` answers
   */
  tellLate(args: readonly unknown[]): false {
    const callback = callbackIn(args);
    if (!callback) return false;
    if (args[0] !== callback && args[0] !== undefined && args[0] !== null) nextTick(callback, writeAfterEnd());
    else if (this.#res.writableFinished === false) this.#res.once("finish", () => callback());
    else nextTick(callback);
    return false;
  }
}

function callbackIn(args: readonly unknown[]): Callback | undefined {
  return args.find((arg): arg is Callback => typeof arg === "function");
}

/** As Node's own, and the next one, too. */
function writeAfterEnd(): Error {
  return Object.assign(new Error("write after end"), { code: "ERR_STREAM_WRITE_AFTER_END" });
}

function destroyed(): Error {
  return Object.assign(new Error("The answer was taken back, since its session was not saved: nothing more is sent."), {
    code: "ERR_STREAM_DESTROYED",
  });
}
