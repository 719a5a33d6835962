import { inspect } from "node:util";
import { afterEach, beforeAll, describe, expect, jest, test } from "@jest/globals";
import { sealWith } from "../../lib/credentials/envelope.js";
import { makeKeyring } from "../../lib/credentials/keyring.js";
import { storageKey } from "../../lib/session-id.js";
import { type App, Clock, cookiesOf, MINUTE, startApp, type Visitor } from "../support/app.js";
import { encodings } from "../support/encodings.js";
import { onEveryBackend } from "../support/places.js";
import { changeStored, countBackendCalls, everythingStored, readStored } from "../support/stored.js";
import { expectSigningInAgain, PASSWORD, signedIn } from "./signing-in-again.js";

const NEW = "the safe password of these specs";
const OLD = "the one that it took the place of";
const SALT = "the salt of these specs";
const SECRET = "the secret that signs these cookies";
const TOLD = "The credentials of session NAME do not open: sign in again.";

const keyring = makeKeyring([NEW], SALT);

onEveryBackend((places) => {
  /** One installation, as its settings are changed over time. */
  let before: App;
  let app: App;
  let after: App;
  let ending: App;
  let longer: App;

  beforeAll(async () => {
    const settings = { ...(await places.next()), salt: SALT, cookie: { secret: SECRET } };
    const clock = new Clock();
    [before, app, after, ending, longer] = await Promise.all([
      startApp({ settings: { ...settings, safe_password: OLD } }),
      startApp({
        settings: { ...settings, safe_password: [NEW, OLD] },
        routes(express) {
          express.get("/shown", (req, res) => {
            const { credentials, session } = req;
            const shown = [credentials, session, req].map((value) => inspect(value, { showHidden: true }));
            res.json([...shown, JSON.stringify({ credentials, session }), `${credentials} ${session}`]);
          });
        },
      }),
      startApp({ settings: { ...settings, safe_password: NEW } }),
      startApp({ settings: { ...settings, safe_password: NEW, absolute_timeout: 60 }, clock }),
      startApp({ settings: { ...settings, safe_password: NEW, absolute_timeout: 600 }, clock }),
    ]);
  });

  afterEach(() => {
    jest.restoreAllMocks();
  });

  const opened = async (visitor: Visitor) => (await visitor.get("/session")).body.opened;

  async function sealedOf({ id }: Visitor): Promise<string> {
    return String((await readStored(app, id))?.fields.credentials);
  }

  const putInPlace = (of: App, { id }: Visitor, credentials: unknown) =>
    changeStored(of, id, ({ head, fields }) => ({ head, fields: { ...fields, credentials } }));

  describe("what was changed in the store does not open: sign in again", () => {
    test.each<[string, (sealed: string, sessionId: string) => unknown]>([
      ["13: a byte flipped, of the salt", (sealed) => flip(sealed, 15)],
      ["13: a byte flipped, of the text", (sealed) => flip(sealed, 80)],
      ["13: a byte flipped, of the tag", (sealed) => flip(sealed, sealed.length - 10)],
      ["14: the tag cut to 4 bytes", (sealed) => cut(sealed, 12)],
      ["14: the tag cut to 0 bytes", (sealed) => cut(sealed, 16)],
      ["15: copied from another session", async () => (await (await signedIn(app)).get("/session")).body.sealed],
      ["16: other purpose", async (_, id) => (await otherPurpose(id)).wrong],
      ["17: unknown version", (sealed) => sealed.replace("v1.", "v2.")],
      ["17: unknown key id", (sealed) => sealed.replace(/\.[\w-]{11}\./, ".AAAAAAAAAAA.")],
      ["21: plain credentials planted in the store", () => ({ username: "ada", password: PASSWORD })],
      ["21: plain credentials planted, as JSON text", () => JSON.stringify({ username: "ada", password: PASSWORD })],
      ["21: planted, what does not turn into text", () => ({ toString: 1 })],
      ["21: planted, a list", () => ["v1", "x", "y"]],
      ["21: planted, a number", () => 7],
      ["21: planted, true", () => true],
    ])("%s", async (_, change) => {
      const ada = await signedIn(app);
      await putInPlace(app, ada, await change(await sealedOf(ada), ada.id));
      expect((await ada.get("/")).status).toBe(200);
      await expectSigningInAgain(app, ada, TOLD);
    });

    test("16: the same text opens when it is sealed for the right purpose", async () => {
      const ada = await signedIn(app);
      await putInPlace(app, ada, (await otherPurpose(ada.id)).right);
      expect(await opened(ada)).toEqual({ username: "ada", password: PASSWORD });
    });
  });

  describe("an older sealed text put back", () => {
    test("18: put back, it opens within its session where no absolute end is set", async () => {
      const ada = await signedIn(app);
      const sealed = await sealedOf(ada);
      await ada.post("/set", { credentials: "gone" });
      expect(await opened(ada)).toBeUndefined();
      await putInPlace(app, ada, sealed);
      expect(await opened(ada)).toEqual({ username: "ada", password: PASSWORD });
    });

    test("18: put back into a session whose stored end was moved, it does not open past its own", async () => {
      const ada = await signedIn(ending);
      const later = ending.clock.time + 600 * MINUTE;
      await changeStored(ending, ada.id, ({ head, fields }) => ({ head: { ...head, end: later }, fields }));
      // A touch may still be under way when the time moves on, so it moves by less than half a timeout.
      for (let minutes = 0; minutes < 55; minutes += 5) {
        ending.clock.forward(5 * MINUTE);
        await ada.get("/");
      }
      ending.clock.forward(5 * MINUTE - 1);
      expect(await opened(ada)).toEqual({ username: "ada", password: PASSWORD });
      ending.clock.forward(1);
      // Also where the setting lets sessions live longer.
      await expectSigningInAgain(longer, longer.visitor(ada.cookie), TOLD);
      expect((await ending.visitor(ada.cookie).get("/session")).body).toEqual({ values: {}, ended: true });
    });
  });

  test("19: its password removed from the list: sign in again", async () => {
    const ada = after.visitor((await signedIn(before)).cookie);
    await expectSigningInAgain(after, ada, TOLD);
  });

  test("20: password rotated: opens, sealed anew in that request", async () => {
    const ada = app.visitor((await signedIn(before)).cookie);
    const sealed = await sealedOf(ada);
    const backend = countBackendCalls(places.prototype);
    // A route that looks at neither session nor credentials.
    const answer = await ada.get("/");
    expect([answer.status, cookiesOf(answer), backend.calls.write]).toEqual([200, [], 1]);
    expect(await opened(ada)).toEqual({ username: "ada", password: PASSWORD });
    expect(backend.calls.write).toBe(1);
    expect((await sealedOf(ada)).split(".")[1]).not.toBe(sealed.split(".")[1]);
    // Then the old one can go.
    const logged = after.log.length;
    expect(await opened(after.visitor(ada.cookie))).toEqual({ username: "ada", password: PASSWORD });
    expect(after.log.slice(logged)).toEqual([]);
  });

  describe("a password comes back byte for byte", () => {
    test.each([
      ["22: 10 KB", "0123456789".repeat(1024)],
      ["22: empty", ""],
      ["22: a space", " "],
      ["22: emoji", "🔑👩‍👩‍👧‍👦"],
      ["22: with a NUL", "a\0b"],
      ["22: NUL alone", "\0"],
      ["22: a lone surrogate, high", "a\ud83db"],
      ["22: a lone surrogate, low", "\udd11"],
      ["22: composed", "é"],
      ["22: decomposed", "e\u0301"],
      ["22: line ends and quotes", "\r\n\u2028\"'\\`%s"],
      ["22: a byte order mark", "\ufeffa"],
      ["22: all of Latin-1", String.fromCharCode(...Array(256).keys())],
    ])("%s", async (_, password) => {
      const answered = (await opened(await signedIn(app, "ada", password))).password;
      expect(Buffer.from(answered, "utf16le")).toEqual(Buffer.from(password, "utf16le"));
    });
  });

  describe("a user name is taken as it is", () => {
    test.each(["a@b", "x", "n".repeat(256), "Ünïcode 🔑", "DOMAIN\\user", "__proto__", "a\0b", " ", "\ud83d"])(
      "23: %j",
      async (username) => {
        const { values, opened } = (await (await signedIn(app, username)).get("/session")).body;
        expect([values, opened]).toEqual([{ username }, { username, password: PASSWORD }]);
      },
    );
  });

  test("24: no secret in what is stored, shown, logged or answered in error", async () => {
    const ada = await signedIn(app);
    const { id, cookie = "" } = ada;
    await ada.post("/set", { seen: "something in clear" });
    const stored = (await everythingStored(app)).join("\n");
    expect(stored).toContain("something in clear");
    const shown = (await ada.get("/shown")).body.join("\n");
    expect(shown).toContain("something in clear");

    jest.spyOn(places.prototype, "write").mockRejectedValue(new Error("the engine says no"));
    const errors = app.errors.length;
    const refused = [await ada.signIn("ada", PASSWORD), await ada.post("/set", { late: true })];
    jest.restoreAllMocks();
    expect(refused.map(({ status }) => status)).toEqual([503, 503]);
    const told = inspect(app.errors.slice(errors), { depth: null, showHidden: true });
    expect(told).toContain("the engine says no");

    await putInPlace(app, ada, "v1.x.y");
    const logged = app.log.length;
    expect((await ada.get("/inbox")).status).toBe(401);
    const log = app.log.slice(logged).join("\n");
    expect(log).toContain("sign in again");

    const secrets = [PASSWORD, NEW, OLD, SECRET].flatMap(encodings);
    // A session shows its own id, and a request its cookie; nothing else does.
    const visitors = [...secrets, Buffer.from(id), Buffer.from(cookie)];
    const found = (text: string, sought: Buffer[]) => sought.filter((secret) => Buffer.from(text).includes(secret));
    expect(found(shown, secrets)).toEqual([]);
    for (const text of [stored, told, log, ...refused.map(({ text }) => text)])
      expect(found(text, visitors)).toEqual([]);
  });
});

function flip(sealed: string, index: number): string {
  return sealed.slice(0, index) + (sealed[index] === "A" ? "B" : "A") + sealed.slice(index + 1);
}

function cut(sealed: string, bytes: number): string {
  const [version, id, body = ""] = sealed.split(".");
  return `${version}.${id}.${Buffer.from(body, "base64url").subarray(0, -bytes).toString("base64url")}`;
}

async function otherPurpose(session: string) {
  const { current } = await keyring;
  const text = JSON.stringify({ credentials: { username: "ada", password: PASSWORD }, username: "ada", at: 0 });
  const place = { sessionId: session, storageKey: storageKey(session) };
  // That this opens with the right purpose shows that the row fails for its purpose alone.
  const right = sealWith(current, { ...place, purpose: "credentials" }, text, Buffer.alloc(32, 1));
  const wrong = sealWith(current, { ...place, purpose: "session" }, text, Buffer.alloc(32, 1));
  return { right, wrong };
}
