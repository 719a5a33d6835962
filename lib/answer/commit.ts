/** Save first, then answer: puts itself over a response, which is held until the session that it belongs to is saved. */
import type { Readable } from "node:stream";
import type { Response } from "express";
import { Answer } from "./answer.js";
import type { AnsweredSession, Refuse } from "./answered.js";
import { Drains } from "./drains.js";

/**
 * Puts itself over a response. The first `write` or `end` is held until the session is saved; what the
 * handler does to status and headers after it is not sent, and neither is a second `end`. When the save
 * fails, the response is again what it was when this function was called.
 *
 * `writeHead` sends nothing by itself, here as in Node. Headers that the handler sends by hand (`flushHeaders`) go out at
 * once, before the save; so do those of `writeHead` where other middleware has put itself over this.
 */
export function commitBeforeAnswer(res: Response, session: AnsweredSession, refuse: Refuse): void {
  // An upgrade has no answer: ws's examples give it an empty object, and Socket.IO one that takes no more than headers.
  if (typeof res.getHeaders !== "function") return;
  const { write, end, writeHead, flushHeaders, on } = res;
  const drains = new Drains(res, on);
  const answer = new Answer(res, session, refuse, drains);

  // These have many overloads; the arguments are passed on as they came.
  const ourWrite = (...args: unknown[]) => answer.write(() => Reflect.apply(write, res, args), args);
  const ourEnd = (...args: unknown[]) => {
    answer.end(() => Reflect.apply(end, res, args), args);
    return res;
  };
  res.write = ourWrite as Response["write"];
  res.end = ourEnd as Response["end"];
  res.writeHead = ((...args: unknown[]) => {
    // Middleware that wraps the body has decided by now how it goes out, and could not take that back.
    const isOnTop = Object.is(res.write, ourWrite) && Object.is(res.end, ourEnd);
    answer.head(args, isOnTop, (rest) => Reflect.apply(writeHead, res, rest));
    return res;
  }) as Response["writeHead"];
  res.flushHeaders = () => answer.sendHead(() => Reflect.apply(flushHeaders, res, []));
  const flush: unknown = Reflect.get(res, "flush");
  if (typeof flush === "function")
    Object.assign(res, { flush: () => answer.flush(() => Reflect.apply(flush, res, [])) });
  res.on = res.addListener = ((event: string, listener: (...args: unknown[]) => void) => {
    if (event === "drain") drains.add(listener);
    else Reflect.apply(on, res, [event, listener]);
    return res;
  }) as Response["on"];
  res.on("pipe", (source: Readable) => answer.sources.add(source));
}
