/** What a simulation knows of its sessions: when each was listed, written and removed, and what may have ended it. */
import type { StoredRecord } from "../../../../lib/backends/backend.js";
import { inspectHead } from "../../../../lib/session/record.js";
import { decodeUser, type Handle } from "../../../../lib/session/users/user-record.js";
import { SESSION_PREFIX, storageKey, USER_PREFIX, userKey } from "../../../../lib/session-id.js";
import type { Call, Watcher, Write } from "./process.js";
import { MINUTE } from "./scenarios.js";
import { type Revoke, type SignedInSession, type Task, USERS, type User } from "./task.js";
import type { World } from "./world.js";

/** How many sessions each user had. */
type Counts = Record<User, number> & { readonly step: number };

/** A rule that was broken, and by what. */
export interface Fault {
  readonly rule: string;
  readonly text: string;
}

/** What a task has of its own while it loads a session. */
const NOTHING: Pick<Task, "session" | "revoke"> = { session: undefined, revoke: undefined };

export class Ledger implements Watcher {
  readonly sessions: SignedInSession[] = [];
  readonly revokes: Revoke[] = [];
  readonly faults: Fault[] = [];
  readonly #world: World;
  readonly #byHandle = new Map<string, SignedInSession>();
  readonly #evictions: Array<{ key: string; step: number }> = [];
  readonly #removals = new Map<string, number>();
  /** When the limit marked sessions of a user. */
  readonly #limitings: Array<{ user: User; step: number }> = [];
  readonly #counts: Counts[] = [];

  constructor(world: World) {
    this.#world = world;
  }

  fail(rule: string, text: string): void {
    this.faults.push({ rule, text });
    this.#world.tell(() => `FAULT ${rule}: ${text}`);
  }

  asked(task: Task, { op, key }: Call): void {
    const isSession = key.startsWith(SESSION_PREFIX);
    if (op === "read" && isSession) task.lookedSince ??= this.#world.step;
    else if (op === "read" || (isSession && op !== "touch")) task.lookedSince = undefined;
    if (!isSession || task.loading) return;
    if (op === "remove" && (task.kind === "signIn" || task.kind === "signOut")) {
      for (const session of this.under(key)) if (session !== task.session) session.causes.add("replaced or signed out");
    }
    if (op === "write" && task.kind === "inPlace") {
      for (const session of this.under(key)) if (session !== task.session) session.causes.add("other user");
    }
  }

  read(task: Task, key: string, found: StoredRecord | undefined): void {
    const { step } = this.#world;
    if (key.startsWith(SESSION_PREFIX)) task.sawHandles.set(key, handleOf(found));
    if (!task.loading) return;
    if (key.startsWith(SESSION_PREFIX)) task.loading.session ??= step;
    else if (!task.loading.hasAsked) Object.assign(task.loading, { user: step, hasAsked: true });
  }

  wrote(task: Task, write: Write): void {
    if (write.key.startsWith(USER_PREFIX)) this.#wroteUser(task, write);
    else this.#wroteSession(task, write);
  }

  /** A session's end was moved: its user's record, where it is listed, must last longer. */
  touched(key: string): void {
    const { store, step } = this.#world;
    const record = store.peek(key)?.record;
    const signIn = record && inspectHead(record.value)?.signIn;
    const session = this.byHandle(signIn?.handle);
    const ofUser = session && store.peek(userKey(session.user))?.record;
    if (!record || !ofUser || ofUser.expires >= record.expires || this.wasEvicted(session.user, 0, step)) return;
    const isListed = decodeUser(ofUser).handles.some(({ id, ending }) => id === session.handle && !ending);
    if (isListed) this.fail("1 outlived", `the session of ${session.name} outlives its user's record`);
  }

  removed(task: Task, key: string, before: StoredRecord | undefined, isLate: boolean): void {
    if (!before) return;
    const { replaces } = task.session ?? {};
    if (!task.loading && replaces !== undefined && storageKey(replaces) === key) task.hasReplaced = true;
    this.#removals.set(key, this.#world.step);
    const session = this.#byHandle.get(handleOf(before) ?? "");
    if (session) {
      session.removed = this.#world.step;
      if (isLate) session.causes.add("late removal");
      const saw = task.sawHandles.get(key);
      if (saw !== session.handle) session.causes.add("ended as the user before");
    }
    this.#count();
  }

  evicted(key: string): void {
    this.#evictions.push({ key, step: this.#world.step });
  }

  /** Sessions that are over by some process's clock may be gone. */
  noteEnds(): void {
    const latest = this.#world.time + (this.#world.scenario.skew ? 10 * MINUTE : 0);
    for (const session of this.sessions) {
      if (this.#world.store.peek(storageKey(session.sid), latest)?.isOver) session.causes.add("expired");
    }
  }

  /** Whether the user's record vanished from one step to another. */
  wasEvicted(user: User, from: number, to: number): boolean {
    const key = userKey(user);
    return this.#evictions.some((eviction) => eviction.key === key && eviction.step >= from && eviction.step <= to);
  }

  wasRemovedSince(sid: string, step: number): boolean {
    return (this.#removals.get(storageKey(sid)) ?? -1) > step;
  }

  /** Whether a call of `sessions.users` was under way between two steps that could end a sign-in. */
  wasRevoking(from: number, to: number): boolean {
    return this.revokes.some(({ start, end }) => start <= to && end >= from);
  }

  wasLimiting(user: User, from: number, to: number): boolean {
    return this.#limitings.some((limiting) => limiting.user === user && limiting.step >= from && limiting.step <= to);
  }

  byHandle(handle: string | undefined): SignedInSession | undefined {
    return handle === undefined ? undefined : this.#byHandle.get(handle);
  }

  under(key: string): SignedInSession[] {
    return this.sessions.filter((session) => storageKey(session.sid) === key);
  }

  /** What is stored under the cookie's id, whether it is over or not. */
  sessionOf(sid: string): SignedInSession | undefined {
    return this.byHandle(handleOf(this.#world.store.peek(storageKey(sid))?.record));
  }

  noteRevoked(revoke: Revoke): void {
    for (const session of this.sessions) if (revoke.mayEnd(session)) session.causes.add("revoked");
  }

  #wroteUser(task: Task, { key, record, before, since, isLoading }: Write): void {
    const { step } = this.#world;
    const was = before && decodeUser(before);
    const now = decodeUser(record);
    const { session: own, revoke } = isLoading ? NOTHING : task;
    const isNew = ({ id }: Handle) => !was?.handles.some((handle) => handle.id === id);
    for (const { id } of now.handles.filter(isNew)) {
      if (own && own.handle === undefined && !this.#byHandle.has(id)) this.#name(own, id);
      if (own?.handle === id) own.entered ??= step;
    }
    const wasEnding = new Set((was?.handles ?? []).flatMap(({ id, ending }) => (ending ? [id] : [])));
    const marked = now.handles.filter(({ id, ending }) => ending && !wasEnding.has(id));
    if (revoke && (marked.length > 0 || now.endings > (was?.endings ?? 0))) {
      revoke.mark = step;
      revoke.marked = new Set(now.handles.flatMap(({ id, ending }) => (ending ? [id] : [])));
      revoke.end = revoke.end === Number.POSITIVE_INFINITY ? revoke.end : Math.max(revoke.end, step);
      this.noteRevoked(revoke);
    } else if (marked.length > 0 && task.kind !== "everyone") this.#limited(own, key, marked, since ?? step);
  }

  #wroteSession(task: Task, { key, record, isLate, isCreation }: Write): void {
    const handle = handleOf(record);
    const own = task.session;
    if (own && own.handle === undefined && handle !== undefined && !this.#byHandle.has(handle)) {
      this.#name(own, handle);
      own.entered = this.#world.step;
    }
    const session = this.byHandle(handle);
    if (session) {
      session.written ??= this.#world.step;
      if (isLate && isCreation) session.isLate = true;
    }
    this.#count();
    this.touched(key);
    if (session && storageKey(session.sid) !== key)
      this.fail("6 strange", `the session of ${session.name} is written elsewhere`);
  }

  #name(session: SignedInSession, handle: string): void {
    session.handle = handle;
    this.#byHandle.set(handle, session);
  }

  /** The limit marks sessions. Those that were there must have been more than it allows. */
  #limited(own: SignedInSession | undefined, key: string, marked: readonly Handle[], since: number): void {
    const user = USERS.find((name) => userKey(name) === key) ?? "ada";
    const { step, limit, time, store } = this.#world;
    this.#limitings.push({ user, step });
    // Whatever was there since it began to look was counted: sign-ins that were taken back meanwhile, too.
    const before = this.#counts.findLast((counts) => counts.step < since)?.[user] ?? 0;
    const meanwhile = this.#counts.filter((counts) => counts.step >= since).map((counts) => counts[user]);
    let most = Math.max(this.#countOf(user), before, ...meanwhile);
    if (own && own.resolved === undefined) {
      own.hasEvicted = true;
      // What it takes the place of is about to go.
      const { replaces } = own;
      if (replaces !== undefined && this.sessionOf(replaces)?.user === user) most--;
    }
    for (const { id, key: sessionKey } of marked) {
      const session = this.byHandle(id);
      if (!session) continue;
      if (most > limit || !store.read(sessionKey, time)) session.causes.add("gave way");
      else session.isEvictedUnjustly = true;
    }
  }

  #countOf(user: User): number {
    const { store, time } = this.#world;
    return store.keys.filter(
      (key) => key.startsWith(SESSION_PREFIX) && inspectHead(store.read(key, time)?.value ?? "")?.signIn?.user === user,
    ).length;
  }

  #count(): void {
    if (!this.#world.scenario.limit) return;
    this.#counts.push({ step: this.#world.step, ada: this.#countOf("ada"), eve: this.#countOf("eve") });
  }
}

function handleOf(record: StoredRecord | undefined): string | undefined {
  return record && inspectHead(record.value)?.signIn?.handle;
}
