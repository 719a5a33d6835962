/** What is known of each session object: what was loaded of it, or acknowledged last. */
import type { Snapshot } from "./snapshot.js";
import { listedIdOf } from "./users/user-record.js";

export class KnownSessions {
  /**
   * The object's property of this name. In a WeakMap it would be kept for longer than the request; and what is copied from a
   * session is another one, so it is not enumerable.
   */
  readonly #known = Symbol("known");
  /** Of objects that take no new property: frozen, say. */
  #ofClosed: WeakMap<object, Snapshot> | undefined;

  /** Takes what was loaded for what is known of an object that was made from it. */
  remember(session: object, snapshot: Snapshot): void {
    const isKept = Object.hasOwn(session, this.#known)
      ? Reflect.set(session, this.#known, snapshot)
      : Reflect.defineProperty(session, this.#known, { value: snapshot, writable: true });
    if (isKept) return;
    this.#ofClosed ??= new WeakMap();
    this.#ofClosed.set(session, snapshot);
  }

  snapshotOf(session: object): Snapshot | undefined {
    const ofClosed = this.#ofClosed?.get(session);
    if (ofClosed) return ofClosed;
    // Its own: what was made over a session is another one.
    return Object.hasOwn(session, this.#known) ? Reflect.get(session, this.#known) : undefined;
  }

  /** Whether the store acknowledged this session object, or answered it, and knows of no end. */
  isStored(session: object): boolean {
    return this.snapshotOf(session)?.isGone === false;
  }

  /** What its user's list calls the session; nothing where nobody is signed in to it, as far as the store knows. */
  handleOf(session: object): string | undefined {
    const snapshot = this.snapshotOf(session);
    const signIn = snapshot?.isGone === false ? snapshot.head.signIn : undefined;
    return signIn && listedIdOf(signIn);
  }
}
