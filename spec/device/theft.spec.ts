/** The theft, played: what opens with what was copied from a browser, on every backend. */
import { afterEach, beforeEach, expect, test } from "@jest/globals";
import { type App, Clock, MINUTE, SAFE_PASSWORD, startApp } from "../support/app.js";
import { type Answer, ask, DeviceKeys, HandBrowser, overTls, registrationIn } from "../support/device.js";
import { lastingFolder } from "../support/lasting-folder.js";
import { everyBackend, onEveryBackend, type Place, sealedSomewhere } from "../support/places.js";

let clock: Clock;
let app: App;
let ada: HandBrowser;

/** The time that the short-lived cookie lives, and servers accept it after that. */
const LIFE = 10 * MINUTE;
const GRACE = MINUTE / 2;

async function start(place: Place, safePassword?: string): Promise<App> {
  return startApp({
    settings: {
      path: lastingFolder(),
      ...place,
      ...(safePassword && { safe_password: safePassword }),
      cookie: { device_bound: true },
    },
    clock,
    serve: overTls,
  });
}

/** A thief has no key and no jar: this cookie, and these headers. */
const steal = (cookie: string, path = "/session"): Promise<Answer> => ask(app.port, path, { headers: { cookie } });
const only = (name: string) => `${name}=${ada.cookies.get(name)}`;
const opened = ({ text }: Answer) => JSON.parse(text).values?.username;
const codeOf = ({ text }: Answer) => JSON.parse(text).code;

onEveryBackend(
  ({ next }) => {
    let place: Place;

    beforeEach(async () => {
      clock = new Clock();
      clock.time = Date.now();
      place = await next();
      app = await start(place);
      ada = new HandBrowser(app);
      expect((await ada.signIn()).status).toBe(200);
      clock.forward(GRACE);
      expect(opened(await ada.get("/session"))).toBe("ada");
    });

    afterEach(() => app.close());

    test("the session's cookie alone: 401, and the browser's own is not touched", async () => {
      const answer = await steal(only("token"));
      expect([answer.status, codeOf(answer)]).toEqual([401, "SESSION_UNPROVEN"]);
      expect(answer.headers["set-cookie"]).toBeUndefined();
      expect(opened(await ada.get("/session"))).toBe("ada");
    });

    test("the short-lived cookie alone: a visitor whom nobody knows", async () => {
      const answer = await steal(only(ada.bound));
      expect([answer.status, opened(answer)]).toEqual([200, undefined]);
    });

    test("both cookies at once: 200 until the short-lived one ends, then 401, for good", async () => {
      const both = ada.cookie;
      expect((await steal(both)).status).toBe(200);
      clock.forward(LIFE - 1);
      expect((await steal(both)).status).toBe(200);
      clock.forward(1);
      // The browser itself goes on.
      ada.dropBound();
      expect((await ada.refresh()).status).toBe(200);
      expect(opened(await ada.get("/session"))).toBe("ada");
      expect((await steal(both)).status).toBe(401);
    });

    test("Secure-Session-Skipped, forged: 401", async () => {
      for (const skipped of [
        "quota_exceeded",
        "unreachable",
        `"server_error";session_identifier="${ada.session?.id}"`,
      ]) {
        const headers = { cookie: only("token"), "secure-session-skipped": skipped };
        expect((await ask(app.port, "/session", { headers })).status).toBe(401);
      }
    });

    test("a refresh without the key: 403, without a cookie", async () => {
      for (const headers of [{}, { cookie: ada.cookie }]) {
        const answer = await new Thief(ada).askRoute(headers);
        expect([answer.status, answer.headers["set-cookie"]]).toEqual([403, undefined]);
      }
    });

    test("a refresh with a key of one's own: 400, also where the proof brings it", async () => {
      const thief = new Thief(ada);
      expect((await thief.refresh()).status).toBe(400);
      const { challenge } = await thief.challenge();
      const brought = await thief.askRoute({ "secure-session-response": thief.keys.registration(challenge) });
      expect([brought.status, brought.headers["set-cookie"]]).toEqual([400, undefined]);
    });

    test("another key, registered: 400, with the sign-in's own challenge, too", async () => {
      const thief = new Thief(ada);
      const place = { path: ada.session?.path ?? "" };
      const { challenge } = await thief.challenge();
      expect((await thief.register({ ...place, challenge })).status).toBe(400);
      // Of the answer to another sign-in of hers.
      const other = new HandBrowser(app);
      const signedIn = await other.post("/sign-in", { username: "ada", password: "p" });
      const registration = registrationIn(signedIn);
      expect((await other.register(registration)).status).toBe(200);
      expect((await thief.register(registration)).status).toBe(400);
      // The browser that asks again, for its answer was lost, gets it.
      expect((await other.register(registration)).status).toBe(200);
    });

    test("a proof, played again: good for two minutes, then 403", async () => {
      const { challenge } = await ada.challenge();
      const proof = { "secure-session-response": ada.keys.refresh(challenge) };
      expect((await ada.askRoute(proof)).status).toBe(200);
      clock.forward(2 * MINUTE - 1);
      expect((await new Thief(ada).askRoute(proof)).status).toBe(200);
      clock.forward(1);
      const late = await new Thief(ada).askRoute(proof);
      expect([late.status, late.headers["set-cookie"]]).toEqual([403, undefined]);
    });

    test("a registration's challenge, after its end: 400", async () => {
      const other = new HandBrowser(app);
      const registration = registrationIn(await other.post("/sign-in", { username: "ada", password: "p" }));
      clock.forward(2 * MINUTE);
      expect((await other.register(registration)).status).toBe(400);
      // Nothing is bound: that browser goes on as it was.
      expect(opened(await other.get("/session"))).toBe("ada");
    });

    test("a challenge, or a cookie, of another session: 403 and 401", async () => {
      const grace = new HandBrowser(app, ada.keys);
      await grace.signIn("/sign-in", { username: "grace", password: "p" });
      clock.forward(GRACE);
      const { challenge } = await grace.challenge();
      const answer = await ada.askRoute({ "secure-session-response": ada.keys.refresh(challenge) });
      expect([answer.status, answer.headers["set-cookie"]]).toEqual([403, undefined]);
      expect((await steal(`${only("token")}; ${ada.bound}=${grace.cookies.get(grace.bound)}`)).status).toBe(401);
    });

    test("a challenge of another server, with another password: 403", async () => {
      const other = await start({ ...place, path: lastingFolder() }, `another ${SAFE_PASSWORD}`);
      const elsewhere = new HandBrowser(other);
      await elsewhere.signIn();
      const { challenge } = await elsewhere.challenge();
      const answer = await ada.askRoute({ "secure-session-response": ada.keys.refresh(challenge) });
      expect([answer.status, answer.headers["set-cookie"]]).toEqual([403, undefined]);
      expect((await steal(`${only("token")}; ${ada.bound}=${elsewhere.cookies.get(elsewhere.bound)}`)).status).toBe(
        401,
      );
      await other.close();
    });
  },
  [...everyBackend, ...sealedSomewhere],
);

/** Knows all that was ever sent, but has another key. */
class Thief extends HandBrowser {
  constructor(victim: HandBrowser) {
    super(app, new DeviceKeys());
    this.session = victim.session;
  }
}
