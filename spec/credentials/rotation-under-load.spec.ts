/** `safe_password` is replaced while users work, on every backend, sealed whole or not. */
import { afterEach, beforeEach, expect, test } from "@jest/globals";
import { type App, Clock, startApp, type Visitor } from "../support/app.js";
import { everyBackend, onEveryBackend, type Place, sealedSomewhere } from "../support/places.js";
import { isFull } from "../support/redis-server.js";

const OLD = "the password that is on its way out";
const NEW = "the password that takes its place";
const USERS = isFull ? 4 : 2;
const TABS = isFull ? 3 : 2;
/** Requests of each tab between two steps of a rotation. */
const REQUESTS = isFull ? 50 : 3;

let place: Place;
let apps: App[] = [];
const clock = new Clock();

async function start(safe_password: string | string[] = OLD): Promise<App> {
  const app = await startApp({ settings: { ...place, safe_password }, clock });
  apps.push(app);
  return app;
}

/** One browser: its tabs share the cookie, and ask whichever server there is. */
class Browser {
  cookie: string | undefined;
  /** What was told to be saved. */
  readonly saved = new Set<string>();
  requests = 0;

  constructor(readonly username: string) {}

  async signIn(app: App): Promise<void> {
    await this.ask(app, (visitor) => visitor.signIn(this.username, `a secret of ${this.username}'s`));
  }

  async ask<T>(app: App, work: (visitor: Visitor) => Promise<T>): Promise<T> {
    const visitor = app.visitor(this.cookie);
    const answer = await work(visitor);
    this.cookie = visitor.cookie;
    this.requests++;
    return answer;
  }

  async work(app: App, key: string): Promise<void> {
    expect((await this.ask(app, (visitor) => visitor.post("/set", { [key]: 1 }))).status).toBe(204);
    this.saved.add(key);
    await this.expectSignedIn(app);
  }

  async expectSignedIn(app: App): Promise<void> {
    const { body } = await this.ask(app, (visitor) => visitor.get("/session"));
    expect(body.opened).toEqual({ username: this.username, password: `a secret of ${this.username}'s` });
  }
}

onEveryBackend(
  (places) => {
    beforeEach(async () => {
      place = await places.next();
      clock.time = Date.now();
      apps = [];
    });

    afterEach(() => Promise.all(apps.map((app) => app.close())));

    test(`safe_password is rotated on two servers under the load of ${USERS} users with ${TABS} tabs: nobody is signed out, nothing is lost`, async () => {
      let live: App[] = [await start(), await start()];
      const browsers = Array.from({ length: USERS }, (_, n) => new Browser(`user${n}`));
      await Promise.all(browsers.map((browser) => browser.signIn(live[0] as App)));
      const underWay = new Map<App, Set<Promise<void>>>();
      let failure: unknown;
      let isOver = false;

      const runTab = async (browser: Browser, tab: number) => {
        for (let step = 0; !isOver && failure === undefined; step++) {
          const app = live[(step + tab) % live.length] as App;
          const work = browser.work(app, `tab${tab}-${step}`);
          const inApp = underWay.get(app) ?? new Set();
          underWay.set(app, inApp.add(work));
          await work.catch((error) => {
            failure ??= error;
          });
          inApp.delete(work);
        }
      };
      const load = Promise.all(
        browsers.flatMap((browser) => Array.from({ length: TABS }, (_, n) => runTab(browser, n))),
      );
      const loaded = async () => {
        const before = browsers.map(({ requests }) => requests);
        const isDone = () => browsers.every(({ requests }, n) => requests >= (before[n] ?? 0) + TABS * REQUESTS);
        while (!isDone() && failure === undefined) await new Promise(setImmediate);
      };
      /** As a deployment does: one server after the other, the new one before the old one goes. */
      const roll = async (safe_password: string | string[]) => {
        for (const old of live) {
          const next = await start(safe_password);
          live = live.map((app) => (app === old ? next : app));
          await Promise.all(underWay.get(old) ?? []);
          await old.close();
          await loaded();
          const lists = await Promise.all(browsers.map(({ username }) => next.sessions.users.list(username)));
          expect(lists.map(({ length }) => length)).toEqual(Array(USERS).fill(1));
          await next.sessions.store.prune();
        }
      };

      try {
        await loaded();
        for (const passwords of [[OLD, NEW], [NEW, OLD], NEW]) await roll(passwords);
      } finally {
        isOver = true;
        await load;
      }
      if (failure !== undefined) throw failure;
      const app = live[0] as App;
      for (const browser of browsers) {
        await browser.expectSignedIn(app);
        const { body } = await browser.ask(app, (visitor) => visitor.get("/session"));
        expect(Object.keys(body.values).sort()).toEqual(["username", ...browser.saved].sort());
      }
      expect(await app.sessions.users.revokeEveryone()).toBe(USERS);
      expect(apps.flatMap(({ log }) => log)).toEqual([]);
    });
  },
  [...everyBackend, ...sealedSomewhere],
);
