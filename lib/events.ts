/**
 * What is going on, for whoever listens: each event is a channel of `node:diagnostics_channel` and a name of the package
 * debug, both called `tokenizer:` and its name. Nothing is made of an event that nobody listens to.
 */
import { type Channel, channel } from "node:diagnostics_channel";
import createDebug, { type Debugger } from "debug";
import type { TokenizerErrorCode } from "./errors.js";

/**
 * What goes on, for logs and metrics: each event is a channel of `node:diagnostics_channel` and a name of the package debug,
 * both called `tokenizer:` and its name, as in `tokenizer:load`. No event holds a secret, a session id or a session's
 * contents: its `session` is the beginning of the hashed id, as in the log. `docs/operation.md` shows how to listen.
 *
 * @example
 * import { subscribe } from "node:diagnostics_channel";
 *
 * subscribe("tokenizer:refuse", ({ code }) => console.error(`A request was refused: ${code}`));
 */
export interface TokenizerEvents {
  /**
   * Somebody asked for a `session`. `found` is false when it is missing, over or damaged; it took so many `milliseconds`.
   */
  load: { readonly session: string; readonly found: boolean; readonly milliseconds: number };
  /** The backend acknowledged that a `session` is saved, after so many `milliseconds`. */
  save: { readonly session: string; readonly milliseconds: number };
  /** A save of the `session` met another writer's, and tries again. */
  conflict: { readonly session: string };
  /** What another writer saved of the `session`, and what is to be saved, become one. */
  merge: { readonly session: string };
  /** A request outlived its `session`; what it changed was discarded. */
  discard: { readonly session: string };
  /** An unchanged `session` got a later end. */
  touch: { readonly session: string };
  /** A user signed in: by `req.signIn`, or because your application set `req.session.username`. */
  "sign-in": {
    /** The beginning of the hashed id of the new session. */
    readonly session: string;
    /** The name of the user. */
    readonly user: string;
    /** The session's handle: its `id` in `sessions.users.list`. */
    readonly handle: string;
    /** The label that `req.signIn` got; `undefined` without one. */
    readonly label: string | undefined;
  };
  /** `req.signOut` ended a `session` of this `user`; `undefined` when nobody was signed in. */
  "sign-out": { readonly session: string; readonly user: string | undefined };
  /** A signed-in `session` was bound to the device that it is used on (`cookie.device_bound`). */
  bind: { readonly session: string };
  /** A request with the cookie of a bound `session` came without what its device is given: it was refused. */
  unproven: { readonly session: string };
  /**
   * `sessions.users.revoke` ended so many sessions (`count`) of this `user`; without a user it was
   * `sessions.users.revokeEveryone`, for all of them.
   */
  revoke: { readonly user: string | undefined; readonly count: number };
  /**
   * A session could not be loaded, proven or saved. Its request was refused with `next(error)`, unless an error page was answering
   * it already. `code` is that of the error; `undefined` when it is no `TokenizerError`.
   */
  refuse: { readonly code: TokenizerErrorCode | undefined };
}

/** The name of an event. */
export type TokenizerEvent = keyof TokenizerEvents;

interface Source {
  readonly channel: Channel;
  readonly debug: Debugger;
}

const sources: Readonly<Record<TokenizerEvent, Source>> = {
  load: source("load"),
  save: source("save"),
  conflict: source("conflict"),
  merge: source("merge"),
  discard: source("discard"),
  touch: source("touch"),
  "sign-in": source("sign-in"),
  "sign-out": source("sign-out"),
  bind: source("bind"),
  unproven: source("unproven"),
  revoke: source("revoke"),
  refuse: source("refuse"),
};

/** Publishes an event; `message` is called only where somebody listens. */
export function emit<Event extends TokenizerEvent>(event: Event, message: () => TokenizerEvents[Event]): void {
  const { channel, debug } = sources[event];
  if (!channel.hasSubscribers && !debug.enabled) return;
  const content = message();
  debug("%o", content);
  channel.publish(content);
}

function source(event: TokenizerEvent): Source {
  const name = `tokenizer:${event}`;
  return { channel: channel(name), debug: createDebug(name) };
}
