/** Somebody has all that is stored and all of the settings, but no visitor's cookie. */
import { beforeAll, expect, test } from "@jest/globals";
import { sign } from "cookie-signature";
import { open } from "../../lib/credentials/envelope.js";
import { makeKeyring } from "../../lib/credentials/keyring.js";
import { storageKey } from "../../lib/session-id.js";
import { type App, Clock, SAFE_PASSWORD, startApp, type Visitor } from "../support/app.js";
import { everyBackend, onEveryBackend, sealedOnEveryBackend } from "../support/places.js";
import { everythingStored } from "../support/stored.js";

const SALT = "the salt of these specs";
const SECRET = "a secret of ada's";
const keyring = makeKeyring([SAFE_PASSWORD], SALT);

const ENVELOPE = /v1\.[\w-]+\.[\w-]+/g;

onEveryBackend(
  (places) => {
    let app: App;
    let ada: Visitor;
    let loot: string;

    beforeAll(async () => {
      const clock = Object.assign(new Clock(), { time: Date.now() });
      app = await startApp({ settings: { ...(await places.next()), salt: SALT }, clock });
      ada = app.visitor();
      await ada.signIn("ada", SECRET);
      await ada.post("/set", { basket: ["bread"] });
      const { users, store } = app.sessions;
      const told = [await users.list("ada"), await store.all(), app.log];
      loot = [...(await everythingStored(app)), JSON.stringify(told)].join("\n");
    });

    /** Whatever could be taken for a session id, or for the part of one. */
    function candidates(): Set<string> {
      const words = new Set<string>();
      for (const [word] of loot.matchAll(/[\w-]{8,}/g)) {
        words
          .add(word)
          .add(word.slice(0, 24))
          .add(word.slice(0, 32))
          .add(Buffer.from(word, "base64url").toString("hex"));
      }
      return words;
    }

    function openedBy(sessionId: string, keys = new Set([storageKey(sessionId)])): Promise<string[]> {
      const envelopes = new Set([...loot.matchAll(ENVELOPE)].map(([envelope]) => envelope));
      expect(envelopes.size).toBeGreaterThan(0);
      return keyring.then((installation) =>
        [...envelopes].flatMap((envelope) =>
          [...keys].flatMap((key) =>
            (["credentials", "session"] as const).flatMap(
              (purpose) => open(installation, { sessionId, storageKey: key, purpose }, envelope) ?? [],
            ),
          ),
        ),
      );
    }

    test("the keys and the cookie's session id open what is stored: the thief lacks only the cookie", async () => {
      expect((await openedBy(ada.id)).join()).toContain('"username":"ada"');
    });

    test("nothing that is stored, listed or logged opens anything, whatever it is taken for", async () => {
      expect(loot).not.toContain(SECRET);
      expect(loot).not.toContain(ada.id);
      const tried = candidates();
      expect(tried.size).toBeGreaterThan(20);
      const keys = new Set([...loot.matchAll(/session:[\w-]+/g)].map(([key]) => key));
      for (const candidate of [...tried, ""]) {
        expect(await openedBy(candidate, new Set([...keys, storageKey(candidate)]))).toEqual([]);
      }
    });

    test("a cookie signed with the installation's own secret over anything that is stored signs nobody in", async () => {
      const { current } = await keyring;
      for (const candidate of candidates()) {
        const cookie = `token=${encodeURIComponent(`s:${sign(candidate, current.cookieSecret)}`)}`;
        const { status, body } = await app.visitor(cookie).get("/session");
        expect([status, body.opened, Object.keys(body.values)]).toEqual([200, undefined, []]);
      }
      // The secret is the right one: over ada's id, it lets in.
      const cookie = `token=${encodeURIComponent(`s:${sign(ada.id, current.cookieSecret)}`)}`;
      expect((await app.visitor(cookie).get("/session")).body.opened.password).toBe(SECRET);
    });
  },
  [...everyBackend, ...sealedOnEveryBackend],
);
