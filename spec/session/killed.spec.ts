import { beforeAll, describe, expect, test } from "@jest/globals";
import type { Request } from "express";
import { type App, Clock, SAFE_PASSWORD, startApp, type Visitor } from "../support/app.js";
import { startApp as startProcess } from "../support/app-process.js";
import { onEveryBackend, type Place } from "../support/places.js";
import { isFull } from "../support/redis-server.js";

const LIMIT = 2;
/** Far more calls than any of the operations makes. */
const END = 100;
/** Not every one in an ordinary run: each is a process. The code is the same on all backends. */
const stepsOf = (name: string) => (isFull ? 1 : name === "local" ? 3 : 8);
/** Keeps no credentials, so no process has keys to make, which takes a while. */
const authenticator = "ldap";

onEveryBackend((places) => {
  let place: Place;
  let app: App;

  beforeAll(async () => {
    const settings = { safe_password: SAFE_PASSWORD, sessions_per_user: LIMIT, touch_interval: 1 };
    place = { ...(await places.next()), ...settings, cookie: { secret: "a cookie secret for specs" } };
    app = await startApp({
      settings: place,
      authenticator,
      clock: Object.assign(new Clock(), { time: Date.now() }),
    });
  });

  /** Has a process do it and die at this call of its backend; answers its cookie, or nothing when it died first. */
  async function dieDuring(path: string, call: number): Promise<{ hasDied: boolean; cookie?: string | undefined }> {
    const { get, stop } = await startProcess(place, authenticator);
    await get(`/die-at/${call}`);
    const answer = await get(path).catch(() => undefined);
    await stop();
    if (answer) expect(answer.status).toBe(200);
    return { hasDied: !answer, cookie: answer?.cookie };
  }

  async function signedIn(username: string): Promise<Visitor> {
    const visitor = app.visitor();
    expect((await visitor.signIn(username)).status).toBe(204);
    return visitor;
  }

  const isIn = async (visitor: Visitor, username: string) =>
    (await visitor.get("/session")).body.values.username === username;

  async function isListed({ id }: Visitor, username: string): Promise<boolean> {
    const listed = await app.sessions.users.list(username, { current: { sessionID: id } as Request });
    return listed.some(({ current }) => current);
  }

  describe.each(["/in", "/revoke"])("a process that is killed during GET %s", (path) => {
    test("at any of its steps: whoever is in is listed, nobody over the limit is, and an ending ends all", async () => {
      let calls = 0;
      for (let hasDied = true; hasDied; calls += stepsOf(places.name)) {
        expect(calls).toBeLessThan(END);
        const username = `user ${path} ${calls}`;
        const visitors = [await signedIn(username), await signedIn(username)];
        const outcome = await dieDuring(`${path}?username=${encodeURIComponent(username)}`, calls + 1);
        hasDied = outcome.hasDied;
        if (outcome.cookie !== undefined) visitors.push(app.visitor(outcome.cookie));
        // A sign-in that died may have left one too many, until the next request that is due.
        app.clock.forward(1001);
        for (const visitor of visitors) await isIn(visitor, username);
        // What was marked when the process died is finished by whoever looks next.
        const listed = await app.sessions.users.list(username);
        for (const visitor of visitors) {
          if (await isIn(visitor, username)) expect(await isListed(visitor, username)).toBe(true);
        }
        expect(listed.length).toBeLessThanOrEqual(LIMIT);
        expect(await app.sessions.users.revoke(username)).toBe(listed.length);
        for (const visitor of visitors) expect(await isIn(visitor, username)).toBe(false);
        expect((await app.sessions.store.all()).filter((session) => session.username === username)).toEqual([]);
      }
      // A sign-in at the limit ends the oldest, so there is more to it.
      expect(calls).toBeGreaterThan(path === "/in" ? 8 : 5);
    });
  });
});
