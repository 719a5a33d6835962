/** An answer that waits for a save: what is held, when it goes out, and how it is taken back. */
import { AsyncLocalStorage } from "node:async_hooks";
import type { Readable } from "node:stream";
import type { Response } from "express";
import { TokenizerError } from "../errors.js";
import type { AnsweredSession, Refuse } from "./answered.js";
import { Appearance } from "./appearance.js";
import type { Drains } from "./drains.js";
import { Dropped } from "./dropped.js";
import { GivenHead } from "./given-head.js";
import { Head, type HeaderChange, headersSent, isNodes, Status, setHead } from "./head.js";
import { Held } from "./held.js";
import { LateHeaders } from "./late-headers.js";

/**
 * - `open`: nothing was answered yet, or no more than a head, which waits for the first byte as it does in Node.
 * - `held`: the handler answered, and the save is under way.
 * - `sent`: the answer is on its way; its `end` waits once more if the session was changed meanwhile.
 * - `refused`: the answer was taken back, and the error page takes its place.
 */
type State = "open" | "held" | "sent" | "refused";

/** Whose error page is being made. */
const errorPage = new AsyncLocalStorage<Answer>();

/** One answer, from the handler's first word to the last byte. */
export class Answer {
  /** What is piped into the response, to be let go when the answer is taken back. */
  readonly sources = new Set<Readable>();

  readonly #res: Response;
  readonly #session: AnsweredSession;
  readonly #onRefused: Refuse;
  readonly #drains: Drains;
  readonly #appearance: Appearance;
  readonly #dropped: Dropped;
  readonly #lateHeaders: LateHeaders;
  readonly #entry: Head;
  readonly #given: GivenHead;
  readonly #held = new Held();
  #state: State = "open";
  #isEnded = false;
  #isAnnounced = false;
  #isEndQueued = false;
  /** It goes out without a save, which was tried. */
  #isGivenUp = false;
  #isSendingHead = false;
  /** An answer that was held stands as it was: header changes after it are ignored, however late they come. */
  #wasHeld = false;
  /** What an error page that names no status has. */
  #refusedStatus = 500;
  /** The handler had not ended the answer that was taken back. */
  #isUnfinished = false;

  constructor(res: Response, session: AnsweredSession, onRefused: Refuse, drains: Drains) {
    this.#res = res;
    this.#session = session;
    this.#onRefused = onRefused;
    this.#drains = drains;
    this.#appearance = new Appearance(res);
    this.#dropped = new Dropped(res);
    this.#lateHeaders = new LateHeaders(res, (change) => this.#mayChange(change));
    this.#entry = new Head(res);
    this.#given = new GivenHead(res, this.#appearance, this.#lateHeaders);
  }

  /** @param args what `write` was given, and `send` passes on */
  write(send: () => boolean, args: readonly unknown[]): boolean {
    if (this.#isLeftover()) return this.#dropped.tell(args);
    if (this.#isEnded && (this.#isHeld || this.#isOver)) return this.#dropped.tellLate(args);
    if (this.#isHeld) return this.#queue(send, args);
    if (this.#isEnded) return send();
    if (this.#state === "open" && this.#hold(send, args)) return false;
    this.#nameStatus();
    return send();
  }

  /** @param args what `end` was given, and `send` passes on */
  end(send: () => unknown, args: readonly unknown[]): void {
    if (this.#isLeftover()) {
      this.#dropped.tell(args);
      return;
    }
    if (this.#isEnded) {
      if (this.#isHeld || this.#isOver) this.#dropped.tellLate(args);
      else send();
      return;
    }
    this.#nameStatus();
    this.#isEndQueued = this.#isHeld;
    if (this.#isHeld) this.#queue(send, args);
    else if (this.#state === "refused" || !this.#hold(send, args)) send();
    this.#isEnded = true;
  }

  /** @param isOnTop whether no other middleware has put itself over this */
  head(args: readonly unknown[], isOnTop: boolean, send: (rest: readonly unknown[]) => unknown): void {
    if (this.#isIgnored) return;
    if (this.#given.isWaiting) throw headersSent("writeHead");
    const isOpen = this.#state === "open";
    if (this.#res.headersSent) send(args);
    else if (isOpen && isOnTop && !this.#isSendingHead) this.#given.take(args);
    else {
      const rest = setHead(this.#res, args);
      if (isOpen) this.#session.expose();
      if (this.#state !== "refused" && !this.#isAnnounced) this.#session.announce();
      this.#isAnnounced = true;
      send(rest);
    }
  }

  /** The handler sends the head by hand. */
  sendHead(send: () => void): void {
    if (this.#isHeld || this.#isLeftover()) return;
    this.#given.putBack();
    this.#isSendingHead = true;
    try {
      send();
    } finally {
      this.#isSendingHead = false;
    }
  }

  /** What compression keeps back to press it better goes out, after what is held here. */
  flush(send: () => unknown): void {
    if (this.#isHeld) this.#queue(() => void send());
    else if (!this.#isLeftover()) send();
  }

  get #isHeld(): boolean {
    return this.#state === "held";
  }

  /** Whether the end is on the wire. Middleware below may take its time with the end that it was given, and write then. */
  get #isOver(): boolean {
    return this.#res.writableEnded;
  }

  /** Whether what is done to the head now comes too late to be sent, and is no error either. */
  get #isIgnored(): boolean {
    return this.#isHeld || this.#isLeftover() || (this.#wasHeld && this.#res.headersSent);
  }

  /** Answers false, as a `write` does that has to wait. What comes after the end is dropped. */
  #queue(send: () => unknown, args?: readonly unknown[]): false {
    if (!this.#isEnded) this.#held.add(send, args);
    return false;
  }

  /** Whether there is a save to wait for. */
  #hold(send: () => unknown, args: readonly unknown[]): boolean {
    this.#given.putBack();
    const saving = this.#isGivenUp ? undefined : this.#session.save();
    if (!saving) {
      this.#state = "sent";
      this.#announceByHand();
      return false;
    }
    this.#state = "held";
    this.#wasHeld = true;
    this.#held.add(send, args);
    this.#lateHeaders.watch();
    void this.#whenSaved(saving, new Status(this.#res), this.#res.headersSent);
    this.#appearance.lookSent();
    this.#appearance.keepConnection();
    return true;
  }

  async #whenSaved(saving: Promise<void>, status: Status, isHeadOut: boolean): Promise<void> {
    try {
      await this.#saved(saving).catch((error) => this.#standAnyway(error, status, isHeadOut));
      this.#release(status);
    } catch (error) {
      this.#refuse(error);
    }
  }

  /** With what the handler changed between its first byte and its end. */
  async #saved(saving: Promise<void>): Promise<void> {
    await saving;
    if (this.#isEndQueued) await this.#session.save();
  }

  /** An error page tells of a failure already and claims nothing. In its place would be Express's own. */
  #standAnyway(error: unknown, { code }: Status, isHeadOut: boolean): void {
    const isOutage = error instanceof TokenizerError && error.status === 503;
    if (isHeadOut || !isOutage || code < 500) throw error;
    this.#isAnnounced = true;
    this.#isGivenUp = true;
    this.#session.giveUp(error);
  }

  #release(status: Status): void {
    this.#appearance.reset();
    this.#lateHeaders.undo();
    status.putBack(this.#res);
    this.#state = "sent";
    this.#announceByHand();
    const isFull = this.#held.release();
    if (!this.#isEnded && !isFull) this.#drains.emit();
  }

  /** Node's responses call `writeHead` by themselves, and it announces. Those that tools make (node-mocks-http) do not. */
  #announceByHand(): void {
    if (this.#isAnnounced || isNodes(this.#res)) return;
    this.#isAnnounced = true;
    this.#session.announce();
  }

  #refuse(error: unknown): void {
    const res = this.#res;
    this.#appearance.reset();
    this.#state = "refused";
    this.#isUnfinished = !this.#isEnded;
    this.#refusedStatus = error instanceof TokenizerError ? error.status : 500;
    this.#isEnded = false;
    this.#dropped.takeBack();
    this.#held.drop((args) => this.#dropped.tell(args));
    for (const source of this.sources) this.#letGo(source);
    errorPage.run(this, () => {
      // Half an answer is out already: cut off, it cannot be taken for a whole one.
      if (res.headersSent) res.destroy();
      else this.#entry.putBack(res);
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
  #mayChange(change: HeaderChange): boolean {
    if (this.#given.isWaiting) throw headersSent(change);
    return !this.#isLeftover() && !(this.#wasHeld && !this.#isHeld && this.#res.headersSent);
  }

  /** An error page that names no status must not look like a good answer. */
  #nameStatus(): void {
    const isNamed = this.#state !== "refused" || this.#res.statusCode !== this.#entry.status.code;
    if (!isNamed) this.#res.statusCode = this.#refusedStatus;
  }

  /** Whether a handler that had not ended its answer, and cannot know that it was taken back, goes on with it. */
  #isLeftover(): boolean {
    return this.#state === "refused" && this.#isUnfinished && errorPage.getStore() !== this;
  }
}
