/** What must hold of a user's sessions. The numbers are those of the promises: listed, ended, nothing lost, limited, … */
import { TokenizerError } from "../../../../lib/errors.js";
import { inspectHead } from "../../../../lib/session/record.js";
import { SESSION_PREFIX, storageKey } from "../../../../lib/session-id.js";
import type { Ledger } from "./ledger.js";
import { TIMEOUT } from "./process.js";
import { type Browser, type Revoke, type Seen, type SignedInSession, type Task, USERS, type User } from "./task.js";
import type { World } from "./world.js";

/** A request was served with a session: it must not have been ended as far as the request could see. */
export function judgeServed(ledger: Ledger, { name }: Task, session: SignedInSession, seen: Seen): void {
  const sessionRead = seen.session ?? 0;
  const { over, kind, isLate } = session;
  const served = `${name} serves the session of ${session.name}`;
  if (over !== undefined && kind === "signIn" && sessionRead > over && !isLate)
    ledger.fail("2 signed out", `${served} after its sign-out`);
  for (const revoke of ledger.revokes) {
    const rule = revoke.mustEnd(session) && brokenBy(ledger, session, revoke, seen);
    if (rule) ledger.fail(rule, `${served} after ${revoke.name}`);
  }
}

function brokenBy(ledger: Ledger, session: SignedInSession, revoke: Revoke, seen: Seen): string | undefined {
  const { resolved = Number.POSITIVE_INFINITY, mark } = revoke;
  const { user, entered, written = Number.POSITIVE_INFINITY, rejected, removed = -1, kind } = session;
  const sessionRead = seen.session ?? 0;
  const isAfter = sessionRead > resolved;
  if (revoke.kind === "everyone") return isAfter && written < revoke.start ? "2 everyone" : undefined;
  if (mark === undefined || entered === undefined || entered > mark) return undefined;
  const isRefused = rejected !== undefined && sessionRead > rejected;
  if (isAfter && kind === "inPlace" && written > mark && !seen.hasAsked && isRefused && revoke.kind !== "only")
    return "2 late";
  const wasListed = !ledger.wasEvicted(user, entered, mark);
  // Served because its user's record could not be read: a sign-in in place that was refused, or cut off, may be left.
  const isExcused = seen.hasAsked && seen.user === undefined && !revoke.marked?.has(session.handle ?? "");
  if (isAfter && wasListed && written < mark && !isExcused) return "2 resolved";
  // A request that is under way when its session is removed goes on.
  const isDue = (seen.user ?? 0) > mark && sessionRead >= removed;
  const isLost = ledger.wasEvicted(user, mark, seen.user ?? 0) || (revoke.kind === "only" && !wasListed);
  return isDue && !isLost ? "2 due" : undefined;
}

/** A sign-in was refused: that must have a reason, and must have cost nobody a session. */
export function judgeRefusal(ledger: Ledger, task: Task, session: SignedInSession, error: unknown, step: number): void {
  const { start, user, sid } = session;
  const isRevoked = error instanceof TokenizerError && error.code === "SESSION_REVOKED";
  const wasRevoking = ledger.wasRevoking(start, step);
  if (session.hasEvicted && !task.wasCutOff && !wasRevoking)
    ledger.fail("5 thrown out", `${task.name} was refused, and had others thrown out`);
  if (task.hasReplaced && !task.mayHaveRemoved && !task.wasCutOff)
    ledger.fail("5 thrown out", `${task.name} was refused, and the session that it was to replace is gone`);
  // Signed out or replaced at the same time, or one too many of those that signed in at one moment.
  const isExplained = wasRevoking || ledger.wasRemovedSince(sid, start) || ledger.wasLimiting(user, start, step);
  if (isRevoked && !isExplained) ledger.fail("3 refused", `${task.name} was refused, and nobody revoked`);
}

/** Ada's sessions were listed: all must be there that were signed in before, and that nothing can have ended. */
export function judgeList(
  ledger: Ledger,
  world: World,
  { name }: Task,
  { start, handles }: { start: number; handles: ReadonlySet<string> },
): void {
  const latest = Math.max(...world.processes.map(({ now }) => now));
  for (const session of ledger.sessions) {
    const { user, handle = "", sid, resolved, entered = 0, causes } = session;
    const isIn = user === "ada" && resolved !== undefined && resolved < start && causes.size === 0;
    if (!isIn || handles.has(handle) || ledger.wasEvicted(user, entered, world.step)) continue;
    if (liveHandle(world, sid, latest) === handle)
      ledger.fail("1 unlisted", `${name} does not list the session of ${session.name}`);
  }
}

/** When all is quiet, and everybody has come by. */
export async function judgeEnd(ledger: Ledger, world: World, browsers: readonly Browser[]): Promise<void> {
  judgeEnds(ledger, world);
  for (const user of USERS) await judgeUser(ledger, world, browsers, user);
  for (const { name, resolved, causes, browser, sid, handle, isEvictedUnjustly } of ledger.sessions) {
    if (resolved === undefined || causes.size > 0 || browser.sid !== sid) continue;
    if (liveHandle(world, sid, world.time) === handle) continue;
    ledger.fail(isEvictedUnjustly ? "5 thrown out" : "3 lost", `the session of ${name} was ended for nothing`);
  }
}

/** No session lives longer than the `maxAge` that was stored last says: a late touch brings none back. */
function judgeEnds(ledger: Ledger, world: World): void {
  const latest = Math.max(...world.processes.map(({ now }) => now));
  for (const key of world.store.keys.filter((key) => key.startsWith(SESSION_PREFIX))) {
    const { expires = 0, value = "" } = world.store.read(key, latest) ?? {};
    const { maxAge = TIMEOUT, signIn } = inspectHead(value) ?? {};
    const name = ledger.byHandle(signIn?.handle)?.name ?? "nobody";
    if (expires > latest + maxAge) ledger.fail("2 outlives", `the session of ${name} outlives its maxAge`);
  }
}

/** At last everybody's sessions are ended, and no record of a user is there to help. */
export async function judgeLastRevoke(ledger: Ledger, world: World, browsers: readonly Browser[]): Promise<void> {
  const [process] = world.processes;
  if (!process) return;
  world.evictAll();
  await world.quietly("everyone", process, async (users) => void (await users.revokeEveryone()));
  for (const { sid = "" } of browsers) {
    const session = ledger.byHandle(liveHandle(world, sid, process.now));
    if (session) ledger.fail("2 everyone", `the session of ${session.name} outlives the last revokeEveryone`);
  }
}

async function judgeUser(ledger: Ledger, world: World, browsers: readonly Browser[], user: User): Promise<void> {
  const latest = Math.max(...world.processes.map(({ now }) => now));
  const held = new Set(browsers.flatMap(({ sid }) => (sid === undefined ? [] : [sid])));
  const alive = [...held]
    .map((sid) => ledger.byHandle(liveHandle(world, sid, latest)))
    .filter((session) => session?.user === user);
  if (world.scenario.limit && alive.length > world.limit)
    ledger.fail("4 limit", `${alive.length} of ${user} live, and ${world.limit} may`);
  for (const session of alive) {
    if (session) judgeAlive(ledger, session);
  }
  for (const process of world.processes) {
    const listed = new Set<string>();
    await world.quietly("list", process, async (users) => {
      for (const { id } of await users.list(user)) listed.add(id);
    });
    for (const session of alive) {
      if (session?.handle !== undefined && !listed.has(session.handle))
        ledger.fail(
          "1 unlisted",
          `the session of ${session.name} lives, and process ${process.options.id} does not list it`,
        );
    }
  }
}

function judgeAlive(ledger: Ledger, session: SignedInSession): void {
  const { user, entered = Number.POSITIVE_INFINITY } = session;
  for (const { kind, mark = -1, mustEnd, name } of ledger.revokes) {
    const isMeant = kind !== "everyone" && mustEnd(session) && entered < mark;
    if (isMeant && !ledger.wasEvicted(user, entered, Number.POSITIVE_INFINITY))
      ledger.fail("2 left alive", `the session of ${session.name} lives at the end although ${name} marked it`);
  }
}

function liveHandle(world: World, sid: string, now: number): string | undefined {
  const found = world.store.read(storageKey(sid), now);
  return found && inspectHead(found.value)?.signIn?.handle;
}
