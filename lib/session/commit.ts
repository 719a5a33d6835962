/** Save first, then answer: holds a response until the session that it belongs to is saved. */
import { AsyncLocalStorage } from "node:async_hooks";
import type { OutgoingHttpHeaders } from "node:http";
import type { Readable } from "node:stream";
import type { Response } from "express";
import { TokenizerError } from "../errors.js";

/** The session that an answer belongs to. */
export interface AnsweredSession {
  /** Saves what is to be saved. Nothing when there is nothing to save: then the answer goes out at once. */
  save(): Promise<void> | undefined;
  /** Adds the session's cookie. Called once, right before the headers go out, and not for an answer taken back. */
  announce(): void;
  /** Headers go out before the session is saved, since the handler sends them by hand. */
  expose(): void;
}

/** The save failed. The answer was taken back, and somebody else answers with this error. */
type Refuse = (error: unknown) => void;

/**
 * Puts itself over a response. The first `write` or `end` is held until the session is saved; what the
 * handler does to status and headers after it is not sent, and neither is a second `end`. When the save
 * fails, the response is again what it was when this function was called.
 *
 * Headers that the handler sends by hand (`writeHead`, `flushHeaders`) go out at once, before the save.
 */
export function commitBeforeAnswer(res: Response, session: AnsweredSession, refuse: Refuse): void {
  // An upgrade has no answer: ws's examples give it an empty object, and Socket.IO one that takes no more than headers.
  if (typeof res.getHeaders !== "function") return;
  const answer = new Answer(res, session, refuse);
  const { write, end, writeHead, flushHeaders, on } = res;

  // These have many overloads; the arguments are passed on as they came.
  res.write = ((...args: unknown[]) => answer.write(() => Reflect.apply(write, res, args))) as Response["write"];
  res.end = ((...args: unknown[]) => {
    answer.end(() => Reflect.apply(end, res, args));
    return res;
  }) as Response["end"];
  res.writeHead = ((...args: unknown[]) => {
    answer.head(() => Reflect.apply(writeHead, res, args));
    return res;
  }) as Response["writeHead"];
  res.flushHeaders = () => {
    if (!answer.isDeaf) Reflect.apply(flushHeaders, res, []);
  };
  const flush: unknown = Reflect.get(res, "flush");
  if (typeof flush === "function")
    Object.assign(res, { flush: () => answer.flush(() => Reflect.apply(flush, res, [])) });
  res.on = res.addListener = ((event: string, listener: (...args: unknown[]) => void) => {
    const result = Reflect.apply(on, res, [event, listener]);
    if (event === "drain" && !isListening(res, listener)) answer.strayDrainListeners.push(listener);
    return result;
  }) as Response["on"];
  res.on("pipe", (source: Readable) => answer.sources.add(source));
}

/**
 * - `open`: nothing was answered yet.
 * - `held`: the handler answered, and the save is under way.
 * - `sent`: the answer is on its way; its `end` waits once more if the session was changed meanwhile.
 * - `refused`: the answer was taken back, and the error page takes its place.
 */
type State = "open" | "held" | "sent" | "refused";

interface Head {
  readonly statusCode: number;
  readonly statusMessage: string;
  readonly headers: OutgoingHttpHeaders;
  readonly removals: Readonly<Record<string, unknown>>;
}

/**
 * How Node remembers headers that were removed and that it would add by itself. Express removes Transfer-Encoding
 * for a 304, and an error page in its place must have it.
 */
const REMOVALS = ["_removedConnection", "_removedContLen", "_removedTE", "sendDate"] as const;

/** Whose error page is being made. */
const errorPage = new AsyncLocalStorage<Answer>();

class Answer {
  /** What is piped into the response, to be let go when the answer is taken back. */
  readonly sources = new Set<Readable>();
  /** A held write answers false, so it owes a `drain`, also to listeners that compression keeps for its own stream. */
  readonly strayDrainListeners: Array<() => void> = [];

  readonly #res: Response;
  readonly #session: AnsweredSession;
  readonly #onRefused: Refuse;
  readonly #entry: Head;
  #state: State = "open";
  #isEnded = false;
  #isAnnounced = false;
  #held: Array<() => unknown> = [];
  /** What an error page that names no status has. */
  #refusedStatus = 500;
  /** The handler had not ended the answer that was taken back. */
  #isUnfinished = false;

  constructor(res: Response, session: AnsweredSession, onRefused: Refuse) {
    this.#res = res;
    this.#session = session;
    this.#onRefused = onRefused;
    this.#entry = headOf(res);
  }

  /** Whether what the handler does to the headers now is not to be sent. */
  get isDeaf(): boolean {
    return this.#isHeld || this.#isLeftover();
  }

  write(send: () => boolean): boolean {
    if (this.#isHeld || this.#isEnded) return this.#queue(send);
    if (this.#isLeftover() || (this.#state === "open" && this.#hold(send))) return false;
    this.#nameStatus();
    return send();
  }

  end(send: () => unknown): void {
    if (this.#isEnded || this.#isLeftover()) return;
    this.#nameStatus();
    if (this.#isHeld) this.#queue(send);
    else if (this.#state === "refused" || !this.#hold(send)) send();
    this.#isEnded = true;
  }

  head(send: () => unknown): void {
    if (this.isDeaf) return;
    if (this.#state === "open") this.#session.expose();
    if (this.#state !== "refused" && !this.#isAnnounced) this.#session.announce();
    this.#isAnnounced = true;
    send();
  }

  /** What compression keeps back to press it better goes out, after what is held here. */
  flush(send: () => unknown): void {
    if (this.#isHeld) this.#queue(() => void send());
    else if (!this.#isLeftover()) send();
  }

  get #isHeld(): boolean {
    return this.#state === "held";
  }

  /** Answers false, as a `write` does that has to wait. What comes after the end is dropped. */
  #queue(send: () => unknown): false {
    if (!this.#isEnded) this.#held.push(send);
    return false;
  }

  /** Whether there is a save to wait for. */
  #hold(send: () => unknown): boolean {
    const saving = this.#session.save();
    if (!saving) {
      this.#state = "sent";
      return false;
    }
    const head = headOf(this.#res);
    this.#ignoreLateHeaders();
    this.#state = "held";
    this.#held = [send];
    saving.then(() => this.#release(head)).catch((error) => this.#refuse(error));
    return true;
  }

  #release(head: Head): void {
    restore(this.#res, head);
    this.#state = "sent";
    const results = this.#held.map((send) => send());
    this.#held = [];
    if (!this.#isEnded && !results.includes(false)) this.#drain();
  }

  #drain(): void {
    this.#res.emit("drain");
    for (const listener of this.strayDrainListeners) if (!isListening(this.#res, listener)) listener.call(this.#res);
  }

  #refuse(error: unknown): void {
    const res = this.#res;
    this.#state = "refused";
    this.#isUnfinished = !this.#isEnded;
    this.#refusedStatus = error instanceof TokenizerError ? error.status : 500;
    this.#isEnded = false;
    for (const source of this.sources) this.#letGo(source);
    errorPage.run(this, () => {
      // Half an answer is out already: cut off, it cannot be taken for a whole one.
      if (res.headersSent) res.destroy();
      else restore(res, this.#entry);
      this.#onRefused(error);
    });
  }

  #letGo(source: Readable): void {
    source.unpipe(this.#res);
    // Nobody reads it any more, and an open file for each refused answer would soon be too many.
    const isOurs = source !== this.#res.req && source.readableFlowing === false;
    if (isOurs) this.#res.once("close", () => source.destroy());
  }

  /**
   * Node throws when a header comes after they were sent. For an answer that was held that would depend on how fast
   * the store is; and Express's own error page, which may come long after the error, would end the process.
   */
  #ignoreLateHeaders(): void {
    const res = this.#res;
    for (const name of ["setHeader", "setHeaders", "appendHeader", "removeHeader", "writeHead"] as const) {
      const change: (...args: never[]) => unknown = res[name];
      const isLate = () => res.headersSent || this.#isLeftover();
      Object.assign(res, { [name]: (...args: never[]) => (isLate() ? res : Reflect.apply(change, res, args)) });
    }
  }

  /** An error page that names no status must not look like a good answer. */
  #nameStatus(): void {
    const isNamed = this.#state !== "refused" || this.#res.statusCode !== this.#entry.statusCode;
    if (!isNamed) this.#res.statusCode = this.#refusedStatus;
  }

  /** Whether a handler that had not ended its answer, and cannot know that it was taken back, goes on with it. */
  #isLeftover(): boolean {
    return this.#state === "refused" && this.#isUnfinished && errorPage.getStore() !== this;
  }
}

function isListening(res: Response, listener: unknown): boolean {
  return res.rawListeners("drain").some((other) => other === listener);
}

function headOf(res: Response): Head {
  const removals = Object.fromEntries(REMOVALS.map((name) => [name, Reflect.get(res, name)]));
  return { statusCode: res.statusCode, statusMessage: res.statusMessage, headers: res.getHeaders(), removals };
}

function restore(res: Response, { statusCode, statusMessage, headers, removals }: Head): void {
  if (res.headersSent) return;
  for (const name of res.getHeaderNames()) if (!(name in headers)) res.removeHeader(name);
  for (const [name, value] of Object.entries(headers)) {
    if (value !== undefined && res.getHeader(name) !== value) res.setHeader(name, value);
  }
  Object.assign(res, { statusCode, statusMessage }, removals);
}
