/** `encrypt: session` on every backend: what the store holds, and what can be done without opening it. */
import { afterEach, beforeEach, expect, test } from "@jest/globals";
import { type App, Clock, startApp, type Visitor } from "../support/app.js";
import { onEveryBackend, type Place, sealedOnEveryBackend } from "../support/places.js";
import { everythingStored } from "../support/stored.js";

let place: Place;
let apps: App[] = [];
const clock = new Clock();

async function start(): Promise<App> {
  const app = await startApp({ settings: place, clock });
  apps.push(app);
  return app;
}

onEveryBackend((places) => {
  beforeEach(async () => {
    place = await places.next();
    clock.time = Date.now();
    apps = [];
  });

  afterEach(() => Promise.all(apps.map((app) => app.close())));

  test("nothing of a session is in the store, nor is what it is called; all() answers metadata", async () => {
    const app = await start();
    const visitor = app.visitor();
    await visitor.signIn("ada", "ada's own secret");
    await visitor.post("/set", { secretive: "a very private thing" });
    const stored = (await everythingStored(app)).join("\n");
    for (const word of ["secretive", "private", "own secret", "credentials", visitor.id]) {
      expect(stored).not.toContain(word);
    }
    const [all] = await app.sessions.store.all();
    expect(Object.keys(all ?? {}).sort()).toEqual(["cookie", "createdAt", "expiresAt", "id"]);
    expect((await visitor.get("/session")).body.values).toEqual({ username: "ada", secretive: "a very private thing" });
  });

  test("sessions are listed, ended, counted and pruned without being opened", async () => {
    const app = await start();
    const [one, two, bob, nobody] = [app.visitor(), app.visitor(), app.visitor(), app.visitor()];
    await one.signIn("ada");
    await two.signIn("ada");
    await bob.signIn("bob");
    await nobody.post("/set", { basket: 1 });
    const { users, store } = app.sessions;
    expect(await store.length()).toBe(4);
    const [older] = await users.list("ada");
    expect(await users.list("ada")).toHaveLength(2);
    expect(await users.revoke("ada", { only: older?.id as string })).toBe(1);
    const opened = async (visitor: Visitor) => (await visitor.get("/session")).body.opened?.username;
    expect([await opened(one), await opened(two), await opened(bob)].filter(Boolean)).toEqual(["ada", "bob"]);
    expect(await users.revokeEveryone()).toBe(2);
    expect(await store.length()).toBe(1);
    clock.forward(3_600_000);
    await store.prune();
    expect(await store.length()).toBe(0);
    expect(app.log).toEqual([]);
  });
}, sealedOnEveryBackend);
