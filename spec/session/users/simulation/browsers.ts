/** What browsers and administrators do in a simulation, by the real classes, and what they are told. */
import type { Request } from "express";
import type { SessionData } from "express-session";
import { TokenizerError } from "../../../../lib/errors.js";
import { signIn, signOut } from "../../../../lib/session/sign-in.js";
import { storageKey } from "../../../../lib/session-id.js";
import type { Ledger } from "./ledger.js";
import type { Process } from "./process.js";
import { judgeList, judgeRefusal, judgeServed } from "./rules.js";
import { type Act, MINUTE } from "./scenarios.js";
import { type Browser, type Revoke, type SignedInSession, Task, USERS, type User } from "./task.js";
import type { World } from "./world.js";

const NEEDS_SESSION: ReadonlySet<Act> = new Set<Act>([
  ...(["request", "save", "maxAge", "inPlace", "signOut", "except", "only"] as const),
]);
const LONG = 30 * 24 * 60 * MINUTE;

export class Browsers {
  readonly all: readonly Browser[];
  readonly #world: World;
  readonly #ledger: Ledger;
  #count = 0;

  constructor(world: World, ledger: Ledger) {
    this.#world = world;
    this.#ledger = ledger;
    this.all = Array.from({ length: 2 + world.random.below(3) }, (_, id) => ({ id, sid: undefined }));
  }

  /** Somebody does something that the scenario has. */
  act(): Promise<void> {
    const { random, processes, scenario } = this.#world;
    const browser = random.pick(this.all);
    const possible = scenario.acts.filter((act) => browser.sid !== undefined || !NEEDS_SESSION.has(act));
    return this.do(random.pick(possible), browser, random.pick(processes));
  }

  async do(kind: Act, browser: Browser, process: Process): Promise<void> {
    const task = new Task(`${kind}#${++this.#count}`, kind, process);
    this.#world.step++;
    this.#world.tell(() => `--- ${task.name}: browser ${browser.id}, process ${process.options.id}`);
    if (kind === "anonymous") return this.#anonymous(task, browser);
    if (kind === "list") return this.#list(task);
    if (kind === "revoke" || kind === "everyone") return this.#revokeAll(task);
    if (kind === "signIn") return this.#signIn(task, browser);
    if (kind === "inPlace") return this.#signInInPlace(task, browser);
    if (kind === "signOut") return this.#signOut(task, browser);
    if (kind === "except" || kind === "only") return this.#revokeBy(task, browser);
    return this.#start(task, () => this.#request(task, browser));
  }

  async #request(task: Task, { sid }: Browser): Promise<void> {
    const req = await this.#load(task, sid);
    if (!req) return;
    if (task.kind === "save") Object.assign(req.session, { count: ++this.#count });
    if (task.kind === "maxAge")
      req.session.cookie.originalMaxAge = req.session.cookie.originalMaxAge === null ? LONG : null;
    await task.process.assembly.engine.commit(req.session);
  }

  #list(task: Task): Promise<void> {
    const start = this.#world.step;
    const list = async () => (await task.process.assembly.users.list("ada")).map(({ id }) => id);
    return this.#start(task, list, (error, handles) => {
      if (!error) judgeList(this.#ledger, this.#world, task, { start, handles: new Set(handles) });
    });
  }

  #anonymous(task: Task, browser: Browser): Promise<void> {
    if (browser.sid !== undefined) return Promise.resolve();
    const { store, engine } = task.process.assembly;
    const begin = async () => {
      const req = requestOf(task.process, "");
      store.generate(req);
      Object.assign(req.session, { count: 1 });
      await engine.commit(req.session);
      return req.sessionID;
    };
    return this.#start(task, begin, (_, sid) => {
      browser.sid ??= sid;
    });
  }

  #signIn(task: Task, browser: Browser): Promise<void> {
    const { sid } = browser;
    const session = this.#newSession(task, browser, sid);
    const work = async () => {
      const req = (await this.#load(task, sid)) ?? newRequest(task.process);
      const { store, engine, lifetime } = task.process.assembly;
      const signedIn = signIn(req, { store, engine, lifetime, sealer: undefined }, req.session, {
        username: session.user,
      });
      session.sid = req.sessionID;
      await signedIn;
      return true;
    };
    return this.#start(task, work, (error, isSignedIn) => {
      if (!this.#isAccepted(task, session, error, isSignedIn)) return;
      // The browser took another answer's cookie meanwhile.
      if (browser.sid !== sid) session.causes.add("lost cookie");
      else browser.sid = session.sid;
    });
  }

  #signInInPlace(task: Task, browser: Browser): Promise<void> {
    const { sid } = browser;
    const session = this.#newSession(task, browser);
    const work = async () => {
      const req = await this.#load(task, sid);
      if (!req || req.session.username === session.user) return false;
      session.sid = req.sessionID;
      req.session.username = session.user;
      const { engine } = task.process.assembly;
      await engine.commit(req.session);
      if (!engine.known.isStored(req.session)) session.causes.add("gone");
      return true;
    };
    return this.#start(task, work, (error, isSignedIn) => void this.#isAccepted(task, session, error, isSignedIn));
  }

  #signOut(task: Task, browser: Browser): Promise<void> {
    const { sid } = browser;
    const work = async () => {
      const req = await this.#load(task, sid);
      if (!req) return undefined;
      const { store, engine, lifetime } = task.process.assembly;
      await signOut(req, { store, engine, lifetime, sealer: undefined }, req.session);
      return storageKey(sid ?? "");
    };
    return this.#start(task, work, (error, key) => {
      if (error || key === undefined) return;
      for (const session of this.#ledger.under(key)) {
        if (session.written !== undefined) session.over = this.#world.step;
      }
      if (browser.sid === sid) browser.sid = undefined;
    });
  }

  #revokeAll(task: Task): Promise<void> {
    const isEverybody = task.kind === "everyone";
    const covers = ({ user }: SignedInSession) => isEverybody || user === "ada";
    const revoke = this.#newRevoke(task, covers, covers);
    // What it marks of each user's is judged when all is over.
    if (!isEverybody) task.revoke = revoke;
    const { users } = task.process.assembly;
    return this.#startRevoke(task, revoke, () => (isEverybody ? users.revokeEveryone() : users.revoke("ada")));
  }

  /** All sessions of the user but the one of the request, or that one alone. */
  #revokeBy(task: Task, { sid = "" }: Browser): Promise<void> {
    const { kind } = task;
    let own: string | undefined;
    const isOwn = (session: SignedInSession) => session.sid === sid;
    const mayEnd = (session: SignedInSession) => session.user === "ada" && isOwn(session) === (kind === "only");
    const mustEnd = (session: SignedInSession) => mayEnd(session) && (kind !== "only" || session.handle === own);
    const revoke = this.#newRevoke(task, mustEnd, mayEnd);
    task.revoke = revoke;
    return this.#startRevoke(task, revoke, async () => {
      const req = await this.#load(task, sid);
      if (req?.session.username !== "ada") return undefined;
      const { users, engine } = task.process.assembly;
      own = engine.known.snapshotOf(req.session)?.head.signIn?.handle;
      return users.revoke("ada", kind === "only" ? { only: req } : { except: req });
    });
  }

  #newRevoke({ name, kind }: Task, mustEnd: Revoke["mustEnd"], mayEnd: Revoke["mayEnd"]): Revoke {
    const revoke = { name, kind, start: this.#world.step, mustEnd, mayEnd, end: Number.POSITIVE_INFINITY };
    this.#ledger.revokes.push(revoke);
    this.#ledger.noteRevoked(revoke);
    return revoke;
  }

  #startRevoke(task: Task, revoke: Revoke, work: () => Promise<number | undefined>): Promise<void> {
    return this.#start(task, work, (error, count) => {
      const { step } = this.#world;
      revoke.end = Math.max(step, revoke.mark ?? 0);
      this.#ledger.noteRevoked(revoke);
      if (error || count === undefined) return;
      revoke.resolved = step;
      if (revoke.kind !== "only" || count > 0) revoke.mark ??= step;
    });
  }

  /** The request with its session, or nothing where there is none. Who is served is judged at once. */
  async #load(task: Task, sid: string | undefined): Promise<Request | undefined> {
    if (sid === undefined) return undefined;
    const { store, engine } = task.process.assembly;
    const seen = { hasAsked: false };
    task.loading = seen;
    try {
      const data = await new Promise<SessionData | undefined>((resolve, reject) =>
        store.get(sid, (error, found) => (error ? reject(error) : resolve(found ?? undefined))),
      );
      if (!data) return undefined;
      const req = requestOf(task.process, sid);
      store.createSession(req, data);
      const session = this.#ledger.byHandle(engine.known.snapshotOf(req.session)?.head.signIn?.handle);
      if (session) judgeServed(this.#ledger, task, session, seen);
      return req;
    } finally {
      task.loading = undefined;
    }
  }

  #newSession(task: Task, browser: Browser, replaces?: string): SignedInSession {
    const user: User = this.#world.scenario.users ? this.#world.random.pick(USERS) : "ada";
    const { name, kind } = task;
    const causes = new Set<string>();
    const { step } = this.#world;
    const session = { name, kind, user, browser, start: step, sid: "", replaces, handle: undefined, causes };
    this.#ledger.sessions.push(session);
    task.session = session;
    return session;
  }

  #isAccepted(task: Task, session: SignedInSession, error: unknown, isSignedIn: boolean | undefined): boolean {
    if (error) {
      session.rejected = this.#world.step;
      session.causes.add("refused");
      judgeRefusal(this.#ledger, task, session, error, this.#world.step);
    } else if (isSignedIn) session.resolved = this.#world.step;
    return isSignedIn === true;
  }

  #start<T>(task: Task, work: () => Promise<T>, done: (error: unknown, answer?: T) => void = () => {}): Promise<void> {
    return this.#world.start(task, work, (error, answer) => {
      const isRefusal = error instanceof TokenizerError && error.code === "SESSION_REVOKED";
      if (error && !isRefusal && !task.hadTrouble && !task.wasCutOff) {
        this.#ledger.fail("6 error", `${task.name} rejects although nothing failed: ${error}`);
      }
      done(error, answer);
    });
  }
}

function newRequest(process: Process): Request {
  const req = requestOf(process, "");
  process.assembly.store.generate(req);
  return req;
}

/** As much of a request as the store and sign-ins look at. */
function requestOf({ assembly }: Process, sessionID: string): Request {
  return { sessionID, sessionStore: assembly.store } as unknown as Request;
}
