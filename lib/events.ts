/**
 * What is going on, for whoever listens: each event is a channel of `node:diagnostics_channel` and a name of the package
 * debug, both called `tokenizer:` and its name. Nothing is made of an event that nobody listens to.
 */
import { type Channel, channel } from "node:diagnostics_channel";
import createDebug, { type Debugger } from "debug";
import type { TokenizerErrorCode } from "./errors.js";

/** No secret, no session id and nothing that a session contains: `session` is the beginning of the hashed id, as in the log. */
export interface TokenizerEvents {
  /** A session was asked for. `found` is false when it is missing, over or damaged. */
  load: { readonly session: string; readonly found: boolean; readonly milliseconds: number };
  /** A session was saved: acknowledged by the backend. */
  save: { readonly session: string; readonly milliseconds: number };
  /** A save met another writer's, and tries again. */
  conflict: { readonly session: string };
  /** What another writer saved and what is to be saved become one. */
  merge: { readonly session: string };
  /** A request outlived its session; what it changed was discarded. */
  discard: { readonly session: string };
  /** An unchanged session's expiry was moved. */
  touch: { readonly session: string };
  /** A session was signed in: by `req.signIn`, or because its `username` was set. */
  "sign-in": {
    readonly session: string;
    readonly user: string;
    /** As `sessions.users.list` shows it (`id`). */
    readonly handle: string;
    /** What `req.signIn` was given to call it. */
    readonly label: string | undefined;
  };
  /** `req.signOut` ended a session. */
  "sign-out": { readonly session: string; readonly user: string | undefined };
  /** A user's sessions were ended by `sessions.users`; without `user` those of all. */
  revoke: { readonly user: string | undefined; readonly count: number };
  /**
   * A session was not loaded, or not saved, and its request was refused by `next(error)`; or it was being answered by an
   * error page already.
   */
  refuse: { readonly code: TokenizerErrorCode | undefined };
}

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
