/** Save first, then answer: holds a response until the session that it belongs to is saved. */
import type { OutgoingHttpHeaders } from "node:http";
import type { Response } from "express";

export interface CommitHooks {
  /** Saves what is to be saved. Nothing when there is nothing to save: then the answer goes out at once. */
  save(): Promise<void> | undefined;
  /** Adds the session's cookie. Called once, right before the headers go out, and not for an answer taken back. */
  announce(): void;
  /** Headers go out before the session is saved, since the handler sends them by hand. */
  exposed(): void;
  /** The save failed. The answer was taken back, and somebody else answers with this error. */
  refuse(error: unknown): void;
}

/**
 * Puts itself over a response. The first `write` or `end` is held until the session is saved; what the
 * handler does to status and headers after it is not sent, and neither is a second `end`. When the save
 * fails, the response is again what it was when this function was called.
 *
 * Headers that the handler sends by hand (`writeHead`, `flushHeaders`) go out at once, before the save.
 */
export function commitBeforeAnswer(res: Response, hooks: CommitHooks): void {
  const answer = new Answer(res, hooks);
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
    if (!answer.isHeld) Reflect.apply(flushHeaders, res, []);
  };
  res.on = res.addListener = ((event: string, listener: (...args: unknown[]) => void) => {
    if (event === "drain") answer.drainListeners.push(listener);
    return Reflect.apply(on, res, [event, listener]);
  }) as Response["on"];
  res.on("pipe", (source) => answer.sources.add(source));
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
}

class Answer {
  /** What is piped into the response, to be let go when the answer is taken back. */
  readonly sources = new Set<{ unpipe(destination: Response): unknown }>();
  /** A held write answers false, so it owes a `drain`; compression keeps such listeners from us. */
  readonly drainListeners: Array<() => void> = [];

  readonly #res: Response;
  readonly #hooks: CommitHooks;
  readonly #entry: Head;
  #state: State = "open";
  #isEnded = false;
  #held: Array<() => unknown> = [];

  constructor(res: Response, hooks: CommitHooks) {
    this.#res = res;
    this.#hooks = hooks;
    this.#entry = headOf(res);
  }

  get isHeld(): boolean {
    return this.#state === "held";
  }

  write(send: () => boolean): boolean {
    if (this.isHeld || this.#isEnded) return this.#queue(send);
    if (this.#state === "open" && this.#hold(send)) return false;
    return send();
  }

  end(send: () => unknown): void {
    if (this.#isEnded) return;
    if (this.isHeld) this.#queue(send);
    else if (this.#state === "refused" || !this.#hold(send)) send();
    this.#isEnded = true;
  }

  head(send: () => unknown): void {
    if (this.isHeld) return;
    if (this.#state === "open") this.#hooks.exposed();
    if (this.#state !== "refused") this.#hooks.announce();
    send();
  }

  /** Answers false, as a `write` does that has to wait. What comes after the end is dropped. */
  #queue(send: () => unknown): false {
    if (!this.#isEnded) this.#held.push(send);
    return false;
  }

  /** Whether there is a save to wait for. */
  #hold(send: () => unknown): boolean {
    const saving = this.#hooks.save();
    if (!saving) {
      this.#state = "sent";
      return false;
    }
    const head = headOf(this.#res);
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
    if (!this.#isEnded && results.at(-1) !== false)
      for (const listener of this.drainListeners) listener.call(this.#res);
  }

  #refuse(error: unknown): void {
    this.#state = "refused";
    this.#isEnded = false;
    this.#held = [];
    for (const source of this.sources) source.unpipe(this.#res);
    // Half an answer is out already: cut off, it cannot be taken for a whole one.
    if (this.#res.headersSent) this.#res.destroy();
    else restore(this.#res, this.#entry);
    this.#hooks.refuse(error);
  }
}

function headOf(res: Response): Head {
  return { statusCode: res.statusCode, statusMessage: res.statusMessage, headers: { ...res.getHeaders() } };
}

function restore(res: Response, { statusCode, statusMessage, headers }: Head): void {
  if (res.headersSent) return;
  for (const name of res.getHeaderNames()) if (!(name in headers)) res.removeHeader(name);
  for (const [name, value] of Object.entries(headers)) {
    if (value !== undefined && res.getHeader(name) !== value) res.setHeader(name, value);
  }
  res.statusCode = statusCode;
  res.statusMessage = statusMessage;
}
