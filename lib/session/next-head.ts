/** The head that a save gives a session's record. */
import type { Lifetime } from "./lifetime.js";
import type { RecordHead } from "./record.js";
import { type SessionState, type Snapshot, userOf, withMaxAge } from "./snapshot.js";

interface Saved {
  readonly state: SessionState;
  readonly remembered?: boolean | undefined;
  /** With what is known of a session that goes on as this one. */
  readonly replaced?: { readonly continued?: Snapshot | undefined } | undefined;
}

interface Before {
  readonly snapshot: Snapshot | undefined;
  /** Somebody else is signed in than before, or nobody. */
  readonly isOther: boolean;
  /** The id of the installation's present key. */
  readonly by: string;
}

export function nextHead({ state, remembered, replaced }: Saved, before: Before, lifetime: Lifetime): RecordHead {
  const { snapshot, isOther, by } = before;
  const head = unbound(replaced?.continued?.head) ?? snapshot?.head ?? { created: lifetime.now };
  const { end: _end, remembered: _remembered, signIn, bound, ...others } = head;
  if (replaced?.continued || (!isOther && snapshot))
    return withMaxAge(signIn ? { ...head, signIn: { ...signIn, by } } : head, state, snapshot);
  // Somebody else, or nobody: the absolute end counts from here.
  const life = remembered ? ({ remembered: true } as const) : {};
  const end = lifetime.absoluteEnd(life);
  const isNobodys = userOf(state.username) === undefined;
  const rest = { ...others, ...life, ...(isNobodys ? { created: lifetime.now } : bound && { bound }) };
  return withMaxAge(end === undefined ? rest : { ...rest, end }, state, snapshot);
}

/** A session that goes on under another id is bound anew. */
function unbound(head: RecordHead | undefined): RecordHead | undefined {
  if (!head) return undefined;
  const { bound: _, ...others } = head;
  return others;
}
