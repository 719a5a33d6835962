import { afterEach, beforeAll, describe, expect, jest, test } from "@jest/globals";
import { LocalBackend } from "../../lib/backends/local/backend.js";
import { TokenizerError } from "../../lib/errors.js";
import { storageKey, userKey } from "../../lib/session-id.js";
import { type App, cookiesOf, MINUTE, startApp, type Visitor } from "../support/app.js";
import { Gate } from "../support/gate.js";
import { countBackendCalls, readStored } from "../support/stored.js";

const PASSWORD = "ada's own secret";
const REFUSAL = { code: "STORE_UNAVAILABLE", message: "The session store failed." };
const CLEARED = "token=; Path=/; Expires=Thu, 01 Jan 1970 00:00:00 GMT; HttpOnly; SameSite=Lax";

afterEach(() => {
  jest.restoreAllMocks();
});

/** The backend's next call of this method fails, and later ones work again. */
function breakBackend(method: "write" | "remove") {
  return jest.spyOn(LocalBackend.prototype, method).mockRejectedValueOnce(new Error("the disk is gone"));
}

describe.each([5, 4] as const)("on Express %i", (release) => {
  let app: App;
  let gate: Gate;

  beforeAll(async () => {
    app = await startApp({
      express: release,
      routes(express) {
        express.post("/slow", async (req, res) => {
          Object.assign(req.session, { late: true });
          await gate.pass();
          res.send("slow");
        });
        express.post("/regenerate-slowly", async (req, res, next) => {
          await gate.pass();
          req.session.regenerate((error) => (error ? next(error) : res.send(req.sessionID)));
        });
        express.post("/sign-in-slowly", async (req, res, next) => {
          await gate.pass();
          req.signIn(req.body).then(() => res.send(req.sessionID), next);
        });
        express.post("/sign-out-with-notice", (req, res, next) => {
          req.signOut().then(() => {
            const { cookie: _, ...values } = req.session;
            Object.assign(req.session, { notice: "goodbye" });
            res.json({ values, id: req.sessionID, same: req.session.id === req.sessionID, has: !!req.credentials });
          }, next);
        });
        express.post("/sign-out-anyway", async (req, res) => {
          const { session, sessionID } = req;
          const error = await req.signOut().catch((error) => error);
          res.json({ code: error?.code, isSame: req.session === session && req.sessionID === sessionID });
        });
        express.post("/sign-in-anyway", async (req, res) => {
          const { session, sessionID } = req;
          const error = await req.signIn(req.body, { keep: ["basket"] }).catch((error) => error);
          const isSame = req.session === session && req.sessionID === sessionID;
          res.json({ code: error?.code, isSame, password: req.credentials?.password });
        });
        express.post("/sign-in-with", (req, res, next) => {
          const ada = { username: "ada", password: PASSWORD };
          req.signIn(ada, req.body.options).then(() => res.sendStatus(204), next);
        });
        express.post("/sign-in-twice", async (req, res) => {
          const seen = [req.credentials?.password];
          await req.signIn({ username: "first", password: "of the first" });
          const { sessionID } = req;
          seen.push(req.credentials?.password);
          await req.signIn({ username: "second", password: "of the second" });
          seen.push(req.credentials?.password);
          res.json({ first: sessionID, seen });
        });
        express.post("/max-age", (req, res) => {
          req.session.cookie.maxAge = 5 * MINUTE;
          res.sendStatus(204);
        });
        express.post("/out-and-in", async (req, res) => {
          await req.signOut();
          await req.signIn(req.body);
          res.sendStatus(204);
        });
        express.post("/as-passport-does", (req, res, next) => {
          req.session.regenerate((error) => {
            if (error) return next(error);
            req.session.username = req.body.username;
            req.session.save((error) => (error ? next(error) : res.sendStatus(204)));
          });
        });
        express.post("/in-and-out", async (req, res) => {
          await req.signIn(req.body);
          await req.signOut();
          res.sendStatus(204);
        });
      },
    });
  });

  async function signedIn(values: object = {}): Promise<Visitor> {
    const visitor = app.visitor();
    await visitor.post("/set", values);
    expect((await visitor.post("/sign-in?keep=basket", { username: "ada", password: PASSWORD })).status).toBe(204);
    return visitor;
  }

  describe("signIn", () => {
    test("row 10: changes the id, and the one from before is dead", async () => {
      const visitor = app.visitor();
      await visitor.post("/set", { basket: [1] });
      const before = app.visitor(visitor.cookie);
      await visitor.signIn("ada", PASSWORD);
      expect(visitor.id).not.toBe(before.id);
      expect(await readStored(app, before.id)).toBeUndefined();
      expect((await before.get("/session")).body).toEqual({ values: {}, ended: true });
      expect((await visitor.get("/session")).body).toMatchObject({ values: { username: "ada" }, ended: false });
    });

    test("row 10: a session that somebody signed in already is changed for another, too", async () => {
      const ada = await signedIn();
      const before = app.visitor(ada.cookie);
      await ada.signIn("grace", "grace's own secret");
      expect((await before.get("/session")).body).toEqual({ values: {}, ended: true });
      const { values, opened } = (await ada.get("/session")).body;
      expect([values, opened]).toEqual([{ username: "grace" }, { username: "grace", password: "grace's own secret" }]);
    });

    test("what is put under the dead id makes a new session, under a new id", async () => {
      const visitor = app.visitor();
      await visitor.post("/set", { basket: [1] });
      const before = app.visitor(visitor.cookie);
      await visitor.signIn("ada", PASSWORD);
      const dead = before.id;
      await before.post("/set", { late: true });
      expect(before.id).not.toBe(dead);
      expect(await readStored(app, dead)).toBeUndefined();
    });

    test("takes over what is in `keep`, and nothing else", async () => {
      const visitor = app.visitor();
      await visitor.post("/set", { basket: [{ id: 1 }], theme: "dark", role: "admin", credentials: "planted" });
      await visitor.post("/sign-in?keep=basket,theme,username,credentials,cookie,id,missing,toString,__proto__", {
        username: "ada",
        password: PASSWORD,
      });
      const { values, opened } = (await visitor.get("/session")).body;
      expect(values).toEqual({ basket: [{ id: 1 }], theme: "dark", username: "ada" });
      expect(opened).toEqual({ username: "ada", password: PASSWORD });
    });

    test("does not take over the old session's cookie.maxAge, whatever is said", async () => {
      const ada = await signedIn();
      await ada.post("/max-age");
      expect((await readStored(app, ada.id))?.head).toHaveProperty("maxAge");
      await ada.post("/sign-in?keep=cookie", { username: "ada", password: PASSWORD });
      const stored = await readStored(app, ada.id);
      expect(stored?.fields.username).toBe("ada");
      expect(stored?.head).not.toHaveProperty("maxAge");
    });

    test("takes over nothing where nothing is said", async () => {
      const visitor = app.visitor();
      await visitor.post("/set", { basket: [1] });
      await visitor.signIn("ada", PASSWORD);
      expect((await visitor.get("/session")).body.values).toEqual({ username: "ada" });
    });

    test("writes the new session first, and then removes the old one", async () => {
      const visitor = app.visitor();
      await visitor.post("/set", { basket: [1] });
      const before = storageKey(visitor.id);
      const write = jest.spyOn(LocalBackend.prototype, "write");
      const remove = jest.spyOn(LocalBackend.prototype, "remove");
      await visitor.signIn("ada", PASSWORD);
      expect(write.mock.calls.map(([key]) => key)).toEqual([userKey("ada"), storageKey(visitor.id)]);
      expect(remove.mock.calls).toEqual([[before]]);
      expect(write.mock.invocationCallOrder[0]).toBeLessThan(remove.mock.invocationCallOrder[0] ?? 0);
    });

    test("of somebody without a session removes nothing", async () => {
      const backend = countBackendCalls();
      const visitor = app.visitor();
      const answer = await visitor.signIn("ada", PASSWORD);
      expect(cookiesOf(answer)).toHaveLength(1);
      // The user's record is read, written, and looked at again.
      expect(backend.calls).toEqual({ read: 2, write: 2, touch: 0, remove: 0 });
    });

    test("twice in one request leaves the second session alone", async () => {
      const visitor = await signedIn();
      const before = visitor.id;
      const { first, seen } = (await visitor.post("/sign-in-twice")).body;
      expect(seen).toEqual([PASSWORD, "of the first", "of the second"]);
      expect(await readStored(app, before)).toBeUndefined();
      expect(await readStored(app, first)).toBeUndefined();
      expect((await visitor.get("/session")).body.values).toEqual({ username: "second" });
    });

    test.each([
      ["the new session cannot be written", "write"],
      ["the old session cannot be removed", "remove"],
    ] as const)("changes nothing when %s", async (_, method) => {
      const ada = await signedIn({ basket: [1] });
      const stored = await readStored(app, ada.id);
      const [cookie, length, errors] = [ada.cookie, await app.sessions.store.length(), app.errors.length];

      const broken = breakBackend(method);
      const answer = await ada.signIn("grace", "grace's own secret");
      broken.mockRestore();

      expect(answer.status).toBe(503);
      expect(answer.body).toEqual(REFUSAL);
      expect(cookiesOf(answer)).toEqual([]);
      expect(app.errors.slice(errors)).toEqual([expect.any(TokenizerError)]);
      expect(ada.cookie).toBe(cookie);
      expect(await readStored(app, ada.id)).toEqual(stored);
      // The new session, which had been written before the old one could not be removed, is not left behind.
      expect(await app.sessions.store.length()).toBe(length);
      const { values, opened, ended } = (await ada.get("/session")).body;
      expect(values).toEqual({ basket: [1], username: "ada" });
      expect(opened).toEqual({ username: "ada", password: PASSWORD });
      expect(ended).toBe(false);
    });

    test("that was refused leaves the request its old session, for a handler that goes on", async () => {
      const ada = await signedIn({ basket: [1] });
      const broken = breakBackend("write");
      const answer = await ada.post("/sign-in-anyway", { username: "grace", password: "grace's own secret" });
      broken.mockRestore();
      expect(answer.status).toBe(200);
      expect(answer.body).toEqual({ code: "STORE_UNAVAILABLE", isSame: true, password: PASSWORD });
      expect(cookiesOf(answer)).toEqual([]);
      expect((await ada.get("/session")).body.values).toEqual({ basket: [1], username: "ada" });
    });

    test("with bad credentials leaves the session as it is", async () => {
      const ada = await signedIn();
      const answer = await ada.post("/sign-in", { username: "" });
      expect(answer.status).toBe(500);
      expect(answer.body).toEqual({
        code: "SIGN_IN_INVALID",
        message:
          "req.signIn needs a username: a text that is not empty. It got an empty text. Write req.signIn({ username, password }).",
      });
      expect((await ada.get("/session")).body.opened).toEqual({ username: "ada", password: PASSWORD });
    });

    test.each<[unknown, RegExp]>([
      [{ rememberMe: true }, /takes \{ keep, label, remember \} behind the credentials\. It got rememberMe\.$/],
      [{ lable: "phone" }, /It got lable\.$/],
      ["remember", /It got a text\.$/],
      [["basket"], /It got a value of type array\.$/],
      [{ keep: "basket" }, /takes keep: a list of keys, as in keep: \["basket"\]\. It got a text\.$/],
      [{ keep: ["basket", 1] }, /It got a list of something else\.$/],
    ])(
      "with the options %j is refused rather than done otherwise than meant, and changes nothing",
      async (options, message) => {
        const ada = await signedIn({ basket: [1] });
        const answer = await ada.post("/sign-in-with", { options });
        expect([answer.status, answer.body.code]).toEqual([500, "SIGN_IN_INVALID"]);
        expect(answer.body.message).toMatch(message);
        expect((await ada.get("/session")).body.values).toEqual({ basket: [1], username: "ada" });
      },
    );
  });

  describe("signOut", () => {
    test("removes the session and takes the cookie back", async () => {
      const ada = await signedIn();
      const before = app.visitor(ada.cookie);
      const answer = await ada.post("/sign-out");
      expect(answer.status).toBe(204);
      expect(cookiesOf(answer)).toEqual([CLEARED]);
      expect(ada.cookie).toBeUndefined();
      expect(await readStored(app, before.id)).toBeUndefined();
      expect((await before.get("/session")).body).toEqual({ values: {}, ended: true });
    });

    test("leaves an empty session, which gets a cookie when something is put into it", async () => {
      const ada = await signedIn({ basket: [1] });
      const before = ada.id;
      const answer = await ada.post("/sign-out-with-notice");
      expect(answer.body).toEqual({ values: {}, id: ada.id, same: true, has: false });
      expect(ada.id).not.toBe(before);
      expect(cookiesOf(answer)).toHaveLength(1);
      expect((await ada.get("/session")).body).toEqual({ values: { notice: "goodbye" }, ended: false });
      expect(await readStored(app, before)).toBeUndefined();
    });

    test("of somebody without a session asks nothing of the store", async () => {
      const backend = countBackendCalls();
      const answer = await app.visitor().post("/sign-out");
      expect(answer.status).toBe(204);
      expect(cookiesOf(answer)).toEqual([CLEARED]);
      expect(backend.calls).toEqual({ read: 0, write: 0, touch: 0, remove: 0 });
    });

    test("changes nothing when the store fails", async () => {
      const ada = await signedIn();
      const stored = await readStored(app, ada.id);
      const broken = breakBackend("remove");
      const answer = await ada.post("/sign-out");
      broken.mockRestore();
      expect(answer.status).toBe(503);
      expect(answer.body).toEqual(REFUSAL);
      expect(cookiesOf(answer)).toEqual([]);
      expect(await readStored(app, ada.id)).toEqual(stored);
      expect((await ada.get("/session")).body.opened).toEqual({ username: "ada", password: PASSWORD });
    });

    test("that was refused leaves the request its session, for a handler that goes on", async () => {
      const ada = await signedIn();
      const broken = breakBackend("remove");
      const answer = await ada.post("/sign-out-anyway");
      broken.mockRestore();
      expect(answer.body).toEqual({ code: "STORE_UNAVAILABLE", isSame: true });
      expect(cookiesOf(answer)).toEqual([]);
    });

    test("and a sign-in in one request: signed in, under a new id", async () => {
      const ada = await signedIn();
      const before = ada.id;
      const answer = await ada.post("/out-and-in", { username: "grace", password: "grace's own secret" });
      expect(cookiesOf(answer)).toHaveLength(1);
      expect(await readStored(app, before)).toBeUndefined();
      expect((await ada.get("/session")).body.values).toEqual({ username: "grace" });
    });

    test("after a sign-in in one request: signed out, and nothing is left", async () => {
      const ada = await signedIn();
      const length = await app.sessions.store.length();
      const answer = await ada.post("/in-and-out", { username: "grace", password: "grace's own secret" });
      expect(cookiesOf(answer)).toEqual([CLEARED]);
      expect(await app.sessions.store.length()).toBe(length - 1);
    });
  });

  describe("regenerate, username and save, as passport does", () => {
    test("signs in, and is listed", async () => {
      const grace = app.visitor();
      expect((await grace.post("/as-passport-does", { username: "grace hopper" })).status).toBe(204);
      expect(await app.sessions.users.list("grace hopper")).toHaveLength(1);
    });

    test("refused since the user's sessions are ended meanwhile: the error page saves nothing and sets no cookie", async () => {
      const grace = await signedIn({ basket: [1] });
      const length = await app.sessions.store.length();
      const { write } = LocalBackend.prototype;
      const meeting = jest.spyOn(LocalBackend.prototype, "write").mockImplementation(async function meet(
        this: LocalBackend,
        key,
        ...args
      ) {
        if (key.startsWith("session:")) await app.sessions.users.revoke("alan");
        return write.call(this, key, ...args);
      });
      const answer = await grace.post("/as-passport-does", { username: "alan" });
      meeting.mockRestore();
      expect([answer.status, answer.body.code, cookiesOf(answer)]).toEqual([503, "SESSION_REVOKED", []]);
      expect(await app.sessions.store.length()).toBe(length - 1);
      expect(await app.sessions.users.list("alan")).toEqual([]);
      expect((await grace.get("/session")).body).toEqual({ values: {}, ended: true });
    });
  });

  describe("regenerate", () => {
    test("changes the id, drops what was in the session, and the old one is dead", async () => {
      const ada = await signedIn();
      const before = app.visitor(ada.cookie);
      const answer = await ada.post("/regenerate");
      expect(cookiesOf(answer)).toHaveLength(1);
      expect(ada.id).not.toBe(before.id);
      expect((await ada.get("/session")).body).toEqual({ values: {}, ended: false });
      expect((await before.get("/session")).body).toEqual({ values: {}, ended: true });
    });

    test("changes nothing when the store fails", async () => {
      const ada = await signedIn();
      const broken = breakBackend("remove");
      const answer = await ada.post("/regenerate");
      broken.mockRestore();
      expect(answer.status).toBe(503);
      expect(answer.body).toEqual(REFUSAL);
      expect(cookiesOf(answer)).toEqual([]);
      expect((await ada.get("/session")).body.opened).toEqual({ username: "ada", password: PASSWORD });
    });
  });

  describe("requests that meet", () => {
    test("row 11: a session that was signed out during a slow request stays out, 20 times of 20", async () => {
      const length = await app.sessions.store.length();
      const outcomes = [];
      for (let round = 0; round < 20; round++) {
        gate = new Gate();
        const ada = await signedIn();
        const tab = app.visitor(ada.cookie);
        const slow = tab.post("/slow");
        await gate.arrived();
        await ada.post("/sign-out");
        gate.open();
        const { status, text, headers } = await slow;
        outcomes.push({ status, text, cookie: headers["set-cookie"], stored: await readStored(app, tab.id) });
      }
      expect(outcomes).toEqual(Array(20).fill({ status: 200, text: "slow", cookie: undefined, stored: undefined }));
      expect(await app.sessions.store.length()).toBe(length);
    });

    test.each([
      ["a regenerate", "/regenerate"],
      ["a sign-in", "/sign-in"],
    ])("a slow answer of the old id sets no cookie after %s", async (_, path) => {
      gate = new Gate();
      const ada = await signedIn();
      const tab = app.visitor(ada.cookie);
      const slow = tab.post("/slow");
      await gate.arrived();
      await ada.post(path, { username: "ada", password: PASSWORD });
      gate.open();
      const answer = await slow;
      expect([answer.status, answer.text, cookiesOf(answer)]).toEqual([200, "slow", []]);
      expect(await readStored(app, tab.id)).toBeUndefined();
      expect((await ada.get("/session")).body.ended).toBe(false);
    });

    test.each([
      ["regenerates", "/regenerate-slowly"],
      ["sign-ins", "/sign-in-slowly"],
    ])("row 12: two %s at once: no 500, the old id is dead, and the cookie of each answer works", async (_, path) => {
      gate = new Gate();
      const ada = await signedIn();
      const before = app.visitor(ada.cookie);
      const tabs = [app.visitor(ada.cookie), app.visitor(ada.cookie)];
      const answering = tabs.map((tab) => tab.post(path, { username: "ada", password: PASSWORD }));
      await gate.arrived(2);
      gate.open();
      const answers = await Promise.all(answering);
      expect(answers.map(({ status }) => status)).toEqual([200, 200]);
      expect(answers.map((answer) => cookiesOf(answer).length)).toEqual([1, 1]);
      expect(answers.map(({ text }) => text)).toEqual(tabs.map(({ id }) => id));
      expect(new Set([before.id, ...tabs.map(({ id }) => id)]).size).toBe(3);
      for (const tab of tabs) expect((await tab.get("/session")).body.ended).toBe(false);
      expect((await before.get("/session")).body).toEqual({ values: {}, ended: true });
    });
  });

  describe("sessionEnded", () => {
    const endings: Array<[string, (app: App, visitor: Visitor) => unknown]> = [
      ["signed out elsewhere", (app, visitor) => app.visitor(visitor.cookie).post("/sign-out")],
      ["regenerated elsewhere", (app, visitor) => app.visitor(visitor.cookie).post("/regenerate")],
      ["destroyed through the store", (app, { id }) => new Promise((done) => app.sessions.store.destroy(id, done))],
      ["ended with everybody's", (app) => app.sessions.store.clear()],
      ["expired", (app) => app.clock.forward(20 * MINUTE)],
    ];

    test.each(endings)("is true for a session that was %s", async (_, end) => {
      const ada = await signedIn();
      expect((await ada.get("/session")).body.ended).toBe(false);
      await end(app, ada);
      expect((await ada.get("/session")).body).toEqual({ values: {}, ended: true });
    });

    test.each<[string, (cookie: string) => string | undefined]>([
      ["no cookie", () => undefined],
      ["an empty cookie", () => "token="],
      ["an unsigned one", (cookie) => cookie.replace("s%3A", "").replace(/\..*$/, "")],
      ["one with a bad signature", (cookie) => cookie.replace(/.$/, (last) => (last === "A" ? "B" : "A"))],
      ["one that is signed by nobody", (cookie) => cookie.replace(/\..*$/, ".")],
      ["another cookie's name", (cookie) => cookie.replace("token=", "tokens=")],
    ])("is false for %s", async (_, change) => {
      const ada = await signedIn();
      const cookie = ada.cookie ?? "";
      await ada.post("/sign-out");
      // The cookie as it was would tell that the session is over.
      expect((await app.visitor(cookie).get("/session")).body.ended).toBe(true);
      expect((await app.visitor(change(cookie)).get("/session")).body).toEqual({ values: {}, ended: false });
    });
  });
});

test("a backend that does not answer is a refusal by the deadline, and nothing has changed", async () => {
  const app = await startApp({ settings: { store_timeout: 0.5 } });
  const ada = app.visitor();
  await ada.signIn("ada", PASSWORD);
  const hanging = jest.spyOn(LocalBackend.prototype, "write").mockReturnValue(new Promise(() => {}));
  const answer = await ada.signIn("grace", "grace's own secret");
  hanging.mockRestore();
  expect(answer.status).toBe(503);
  expect(answer.body).toEqual({
    code: "STORE_TIMEOUT",
    message: "The session store did not answer within 0.5 seconds.",
  });
  expect(cookiesOf(answer)).toEqual([]);
  expect((await ada.get("/session")).body.opened).toEqual({ username: "ada", password: PASSWORD });
});
