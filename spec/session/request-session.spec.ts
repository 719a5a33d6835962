import { once } from "node:events";
import { afterAll, afterEach, beforeAll, describe, expect, jest, test } from "@jest/globals";
import type { NextFunction, Request, Response } from "express";
import session, { type SessionData } from "express-session";
import { type App, cookiesOf, startApp, type Visitor } from "../support/app.js";
import { FailingBackend, Gate, refuse } from "../support/failing-backend.js";
import { everythingStored, readStored } from "../support/stored.js";

// What a handler may put into `req.session`, or take out of it, in every way that people do.

const CLEARED = "token=; Path=/; Expires=Thu, 01 Jan 1970 00:00:00 GMT; HttpOnly; SameSite=Lax";
const REFUSED = { code: "STORE_UNAVAILABLE", message: "The session store failed." };

/** For what the types forbid, and people do all the same. */
const put = (req: Request, value: unknown) => Object.assign(req, { session: value });

const ENDINGS: Record<string, (req: Request) => unknown> = {
  null: (req) => put(req, null),
  undefined: (req) => put(req, undefined),
  deleted: (req) => Reflect.deleteProperty(req, "session"),
};

const MISTAKES: Record<string, { found: string; make: (req: Request) => unknown }> = {
  "a plain object": { found: "an object", make: () => ({ username: "grace" }) },
  "the session, spread": { found: "an object", make: (req) => ({ ...req.session }) },
  "a deep copy of it": {
    found: "an object",
    make: (req) => Object.assign(Object.create(session.Session.prototype), req.session),
  },
  "an object without prototype": { found: "an object", make: () => Object.create(null) },
  "a list": { found: "an array", make: () => [] },
  "a text": { found: "a string", make: () => "ada" },
  "an empty text": { found: "a string", make: () => "" },
  false: { found: "a boolean", make: () => false },
  "a function": { found: "a function", make: () => () => {} },
};

const HANDLERS: Record<string, (work: (req: Request, res: Response) => unknown) => Handler> = {
  sync: (work) => (req, res) => void work(req, res),
  async: (work) => async (req, res) => {
    await null;
    work(req, res);
  },
};
type Handler = (req: Request, res: Response, next: NextFunction) => unknown;

const backend = new FailingBackend();

afterAll(() => {
  jest.restoreAllMocks();
});

describe.each([5, 4] as const)("on Express %i", (release) => {
  let app: App;
  /** What `/now` does. */
  let handle: Handler;

  beforeAll(async () => {
    app = await startApp({
      express: release,
      routes(express) {
        express.use("/now", (req, res, next) => {
          Promise.resolve(handle(req, res, next)).catch(next);
        });
      },
    });
  });

  afterEach(async () => {
    backend.reset();
    await app.sessions.users.revokeEveryone();
  });

  const VISITORS: Record<string, () => Promise<Visitor>> = {
    "signed in": async () => {
      const visitor = app.visitor();
      await visitor.post("/set", { basket: ["tea"] });
      await visitor.post("/sign-in?keep=basket", { username: "ada", password: "a secret of ada's" });
      return visitor;
    },
    "with a session": async () => {
      const visitor = app.visitor();
      await visitor.post("/set", { basket: ["tea"] });
      return visitor;
    },
    "with a cookie whose session is over": async () => {
      const visitor = app.visitor();
      await visitor.post("/set", { basket: ["tea"] });
      await new Promise((resolve) => app.sessions.store.destroy(visitor.id, resolve));
      return visitor;
    },
    "with a forged cookie": async () => app.visitor("token=s%3Aforged.signature"),
    "without a cookie": async () => app.visitor(),
  };
  const OF_SESSIONS = ["signed in", "with a session"];

  function visitorOf(kind: string): Promise<Visitor> {
    return VISITORS[kind]?.() ?? Promise.reject(new Error(`there is no visitor ${kind}`));
  }

  /** The visitor comes to a handler that does this, then answers. */
  function answerAfter(visitor: Visitor, work: (req: Request) => unknown): ReturnType<Visitor["get"]> {
    handle = async (req, res) => {
      await work(req);
      res.send("answered");
    };
    return visitor.get("/now");
  }

  async function expectEnded(cookie: string | undefined): Promise<void> {
    const again = app.visitor(cookie);
    expect((await again.get("/session")).body).toEqual({ values: {}, ended: true });
    expect(await readStored(app, again.id)).toBeUndefined();
    expect(await app.sessions.users.list("ada")).toEqual([]);
  }

  async function expectUnharmed({ cookie }: Visitor, kind: string): Promise<void> {
    const { values } = (await app.visitor(cookie).get("/session")).body;
    expect(values).toEqual(kind === "signed in" ? { basket: ["tea"], username: "ada" } : { basket: ["tea"] });
  }

  describe.each<[string, (session: object) => unknown]>([
    ["frozen", Object.freeze],
    ["sealed", Object.seal],
    ["closed to new keys", Object.preventExtensions],
  ])("req.session, %s", (_, close) => {
    test("is saved when it is new, and its cookie sent", async () => {
      const visitor = await visitorOf("without a cookie");
      const answer = await answerAfter(visitor, (req) => close(Object.assign(req.session, { basket: ["tea"] })));
      expect(cookiesOf(answer)).toEqual([expect.stringMatching(/^token=s/)]);
      await expectUnharmed(visitor, "with a session");
    });

    test("is saved again when what it holds was changed after that, and not when it was not", async () => {
      const visitor = await visitorOf("without a cookie");
      const basket = ["coffee"];
      handle = (req, res) => {
        close(Object.assign(req.session, { basket }));
        res.write("half");
        basket[0] = "tea";
        res.end();
      };
      await visitor.get("/now");
      expect(backend.calls.write).toBe(2);
      await expectUnharmed(visitor, "with a session");
    });
  });

  test("an object over the session is none that was loaded: nothing of what is stored is taken away", async () => {
    const visitor = await visitorOf("with a session");
    await answerAfter(visitor, (req) => put(req, Object.create(req.session)));
    await expectUnharmed(visitor, "with a session");
  });

  describe.each(Object.keys(ENDINGS))("req.session %s", (how) => {
    const letGo = ENDINGS[how] as (req: Request) => unknown;

    describe.each(Object.keys(HANDLERS))("in a handler that is %s", (form) => {
      test.each(OF_SESSIONS)("%s: the session is over, and its cookie taken back", async (kind) => {
        const visitor = await visitorOf(kind);
        const { cookie } = visitor;
        backend.reset();
        handle = HANDLERS[form]?.((req, res) => {
          letGo(req);
          res.send("bye");
        }) as Handler;
        const answer = await visitor.get("/now");
        expect([answer.status, answer.text, cookiesOf(answer)]).toEqual([200, "bye", [CLEARED]]);
        expect(backend.calls.remove).toBeGreaterThan(0);
        await expectEnded(cookie);
      });

      test.each(["with a cookie whose session is over", "with a forged cookie", "without a cookie"])(
        "%s: nothing happens in the store",
        async (kind) => {
          const visitor = await visitorOf(kind);
          const isTakenBack = kind === "with a cookie whose session is over";
          const stored = await everythingStored(app);
          backend.reset();
          handle = HANDLERS[form]?.((req, res) => {
            letGo(req);
            res.send("bye");
          }) as Handler;
          const answer = await visitor.get("/now");
          expect([answer.status, answer.text, cookiesOf(answer)]).toEqual([200, "bye", isTakenBack ? [CLEARED] : []]);
          expect(backend.calls).toEqual({ read: isTakenBack ? 1 : 0, write: 0, touch: 0, remove: 0 });
          expect(await everythingStored(app)).toEqual(stored);
        },
      );
    });

    test("the answer waits until the session is over", async () => {
      const visitor = await visitorOf("signed in");
      const gate = new Gate();
      backend.on("remove", gate.trouble);
      let isAnswered = false;
      const asked = answerAfter(visitor, letGo).finally(() => {
        isAnswered = true;
      });
      while (backend.calls.remove === 0) await new Promise(setImmediate);
      // Other requests are answered meanwhile, and this is not.
      for (let times = 0; times < 3; times++) await app.visitor().get("/");
      expect(isAnswered).toBe(false);
      gate.open();
      expect((await asked).text).toBe("answered");
    });

    test("the store refuses: an error page, no cookie taken back, and the session lives", async () => {
      const visitor = await visitorOf("signed in");
      const { cookie } = visitor;
      backend.reset();
      backend.on("remove", refuse);
      const answer = await answerAfter(visitor, letGo);
      expect([answer.status, answer.body, cookiesOf(answer)]).toEqual([503, REFUSED, []]);
      expect(backend.calls.remove).toBe(1);
      backend.reset();
      await expectUnharmed(app.visitor(cookie), "signed in");
      expect((await answerAfter(visitor, letGo)).status).toBe(200);
      await expectEnded(cookie);
    });

    test("after the first byte: it is over before the last", async () => {
      const visitor = await visitorOf("signed in");
      const { cookie } = visitor;
      handle = (req, res) => {
        res.write("first, ");
        letGo(req);
        res.end("last");
      };
      expect((await visitor.get("/now")).text).toBe("first, last");
      await expectEnded(cookie);
    });

    test("the headers sent by hand take the cookie back, and it is over before the end", async () => {
      const visitor = await visitorOf("signed in");
      const { cookie } = visitor;
      handle = (req, res) => {
        letGo(req);
        res.writeHead(200, { "Content-Type": "text/plain" });
        res.write("first, ");
        res.end("last");
      };
      const answer = await visitor.get("/now");
      expect([answer.text, cookiesOf(answer)]).toEqual(["first, last", [CLEARED]]);
      await expectEnded(cookie);
    });

    test("of an error page: as of any other", async () => {
      const visitor = await visitorOf("signed in");
      const { cookie } = visitor;
      const answer = await answerAfter(visitor, (req) => {
        letGo(req);
        throw Object.assign(new Error("of the handler"), { status: 418 });
      });
      expect([answer.status, answer.body, cookiesOf(answer)]).toEqual([418, { message: "of the handler" }, [CLEARED]]);
      await expectEnded(cookie);
    });

    test("credentials are gone with it", async () => {
      let seen: unknown = "not looked";
      await answerAfter(await visitorOf("signed in"), (req) => {
        letGo(req);
        seen = req.credentials;
      });
      expect(seen).toBeUndefined();
    });

    test("then signOut: it is over, and there is a new empty one", async () => {
      const visitor = await visitorOf("signed in");
      const { cookie } = visitor;
      const answer = await answerAfter(visitor, async (req) => {
        letGo(req);
        await req.signOut();
        expect(Object.keys(req.session)).toEqual(["cookie"]);
      });
      expect([answer.status, cookiesOf(answer)]).toEqual([200, [CLEARED]]);
      await expectEnded(cookie);
    });

    test("then signOut, refused: nothing has changed", async () => {
      const visitor = await visitorOf("signed in");
      const { cookie } = visitor;
      backend.on("remove", refuse);
      const answer = await answerAfter(visitor, async (req) => {
        letGo(req);
        await req.signOut();
      });
      expect([answer.status, answer.body, cookiesOf(answer)]).toEqual([503, REFUSED, []]);
      backend.reset();
      await expectUnharmed(app.visitor(cookie), "signed in");
    });

    test("then signIn: the one from before is over, and nothing of it is kept", async () => {
      const visitor = await visitorOf("signed in");
      const { cookie } = visitor;
      await answerAfter(visitor, async (req) => {
        letGo(req);
        await req.signIn({ username: "grace", password: "hers" }, { keep: ["basket"] });
      });
      await expectEnded(cookie);
      expect((await visitor.get("/session")).body.values).toEqual({ username: "grace" });
    });

    test("after signIn: the new one is over", async () => {
      const visitor = await visitorOf("with a session");
      const { cookie } = visitor;
      let id = "";
      const answer = await answerAfter(visitor, async (req) => {
        await req.signIn({ username: "ada", password: "hers" });
        id = req.sessionID;
        letGo(req);
      });
      expect([answer.status, cookiesOf(answer)]).toEqual([200, [CLEARED]]);
      expect(await readStored(app, id)).toBeUndefined();
      await expectEnded(cookie);
    });

    test("after signOut, regenerate or reload: it is over", async () => {
      const ways: Array<(req: Request) => unknown> = [
        (req) => req.signOut(),
        (req) => new Promise((resolve) => req.session.regenerate(resolve)),
        (req) => new Promise((resolve) => req.session.reload(resolve)),
      ];
      for (const way of ways) {
        const visitor = await visitorOf("signed in");
        const { cookie } = visitor;
        let id = "";
        const answer = await answerAfter(visitor, async (req) => {
          await way(req);
          id = req.sessionID;
          letGo(req);
        });
        expect([answer.status, cookiesOf(answer)]).toEqual([200, [CLEARED]]);
        expect(await readStored(app, id)).toBeUndefined();
        await expectEnded(cookie);
      }
    });

    test("after a regenerated one was saved: it is over, too", async () => {
      const visitor = await visitorOf("signed in");
      let id = "";
      await answerAfter(visitor, async (req) => {
        await new Promise((resolve) => req.session.regenerate(resolve));
        req.session.username = "ada";
        await new Promise((resolve) => req.session.save(resolve));
        id = req.sessionID;
        letGo(req);
      });
      expect(await readStored(app, id)).toBeUndefined();
      expect(await app.sessions.users.list("ada")).toEqual([]);
    });

    test("of a new session that was changed, never saved: nothing happens in the store", async () => {
      backend.reset();
      const answer = await answerAfter(app.visitor(), (req) => {
        req.session.username = "ada";
        letGo(req);
      });
      expect([answer.status, cookiesOf(answer)]).toEqual([200, []]);
      expect(backend.calls).toEqual({ read: 0, write: 0, touch: 0, remove: 0 });
    });
  });

  describe("destroy", () => {
    const destroy = (req: Request) =>
      new Promise<void>((resolve, reject) => req.session.destroy((error) => (error ? reject(error) : resolve())));

    test("takes the cookie back, too", async () => {
      const visitor = await visitorOf("signed in");
      const { cookie } = visitor;
      const answer = await answerAfter(visitor, destroy);
      expect([answer.status, cookiesOf(answer)]).toEqual([200, [CLEARED]]);
      await expectEnded(cookie);
    });

    test("refused: the application's own page, no cookie taken back, and the session lives", async () => {
      const visitor = await visitorOf("signed in");
      const { cookie } = visitor;
      backend.on("remove", refuse);
      const answer = await answerAfter(visitor, destroy);
      expect([answer.status, answer.body, cookiesOf(answer)]).toEqual([503, REFUSED, []]);
      backend.reset();
      await expectUnharmed(app.visitor(cookie), "signed in");
    });

    test("then signIn: nothing is kept", async () => {
      const visitor = await visitorOf("with a session");
      const { cookie } = visitor;
      const answer = await answerAfter(visitor, async (req) => {
        await destroy(req);
        await req.signIn({ username: "grace", password: "hers" }, { keep: ["basket"] });
      });
      expect(answer.status).toBe(200);
      await expectEnded(cookie);
      expect((await visitor.get("/session")).body.values).toEqual({ username: "grace" });
    });

    test("then signOut: there is a new empty one", async () => {
      const visitor = await visitorOf("with a session");
      const { cookie } = visitor;
      const answer = await answerAfter(visitor, async (req) => {
        await destroy(req);
        await req.signOut();
        expect(Object.keys(req.session)).toEqual(["cookie"]);
      });
      expect([answer.status, cookiesOf(answer)]).toEqual([200, [CLEARED]]);
      await expectEnded(cookie);
    });
  });

  describe.each(Object.keys(MISTAKES))("req.session = %s", (what) => {
    const { found, make } = MISTAKES[what] as { found: string; make: (req: Request) => unknown };
    const message = expect.stringMatching(
      `^req\\.session was replaced by ${found} that is no session.*req\\.session = null`,
    );
    const INVALID = { code: "SESSION_INVALID", message };

    describe.each(Object.keys(HANDLERS))("in a handler that is %s", (form) => {
      test.each(["signed in", "with a session", "with a cookie whose session is over", "without a cookie"])(
        "%s: is the application's mistake, nothing is saved, and no cookie is sent",
        async (kind) => {
          const visitor = await visitorOf(kind);
          const stored = await everythingStored(app);
          backend.reset();
          handle = HANDLERS[form]?.((req, res) => {
            put(req, make(req));
            res.cookie("own", "1").send("not sent");
          }) as Handler;
          const answer = await visitor.get("/now");
          expect([answer.status, answer.body, cookiesOf(answer)]).toEqual([500, INVALID, []]);
          expect(backend.calls).toMatchObject({ write: 0, remove: 0 });
          expect(await everythingStored(app)).toEqual(stored);
          if (OF_SESSIONS.includes(kind)) await expectUnharmed(visitor, kind);
        },
      );
    });

    test("signIn and signOut refuse, too, and change nothing", async () => {
      const visitor = await visitorOf("signed in");
      const calls: Array<(req: Request) => Promise<void>> = [
        (req) => req.signIn({ username: "grace", password: "hers" }),
        (req) => req.signOut(),
      ];
      for (const call of calls) {
        const answer = await answerAfter(visitor, async (req) => {
          put(req, make(req));
          await call(req);
        });
        expect([answer.status, answer.body, cookiesOf(answer)]).toEqual([500, INVALID, []]);
        await expectUnharmed(visitor, "signed in");
      }
    });

    test("credentials are none", async () => {
      const visitor = await visitorOf("signed in");
      let seen: unknown = "not looked";
      await answerAfter(visitor, (req) => {
        put(req, make(req));
        seen = req.credentials;
      });
      expect(seen).toBeUndefined();
    });

    test("after headers that were sent by hand: the connection is cut", async () => {
      handle = (req, res) => {
        put(req, make(req));
        res.flushHeaders();
        res.end("half");
      };
      await expect(app.visitor().get("/now")).rejects.toThrow(/aborted|hang up/);
      expect(app.errors.at(-1)).toMatchObject({ code: "SESSION_INVALID", status: 500 });
      expect((await app.visitor().get("/")).status).toBe(200);
    });
  });

  describe("req.session = another session", () => {
    const loaded = (id: string) =>
      new Promise<session.Session & SessionData>((resolve, reject) => {
        // What express-session's types leave out of Store's.
        Reflect.apply(Reflect.get(app.sessions.store, "load"), app.sessions.store, [
          id,
          (error: unknown, found?: session.Session & SessionData) => (found ? resolve(found) : reject(error)),
        ]);
      });

    test("one that the store loaded: the visitor goes on in it", async () => {
      const [visitor, other] = [await visitorOf("with a session"), await visitorOf("with a session")];
      const { cookie } = visitor;
      const answer = await answerAfter(visitor, async (req) => {
        put(req, await loaded(other.id));
        Object.assign(req.session, { switched: true });
      });
      expect([answer.status, visitor.id]).toEqual([200, other.id]);
      expect((await visitor.get("/session")).body.values).toEqual({ basket: ["tea"], switched: true });
      expect((await app.visitor(cookie).get("/session")).body.values).toEqual({ basket: ["tea"] });
    });

    test("one made with store.createSession: it is saved, and its cookie sent", async () => {
      const visitor = app.visitor();
      const answer = await answerAfter(visitor, (req) => {
        const data = { cookie: { originalMaxAge: null }, username: "grace" } as SessionData;
        app.sessions.store.createSession(req, data);
      });
      expect([answer.status, cookiesOf(answer)]).toEqual([200, [expect.stringMatching(/^token=s/)]]);
      expect((await visitor.get("/session")).body.values).toEqual({ username: "grace" });
    });

    test("a proxy of its own, as some that watch changes are: it is saved", async () => {
      const visitor = await visitorOf("with a session");
      const answer = await answerAfter(visitor, (req) => {
        put(req, new Proxy(req.session, {}));
        Object.assign(req.session, { watched: true });
      });
      expect(answer.status).toBe(200);
      expect((await visitor.get("/session")).body.values).toEqual({ basket: ["tea"], watched: true });
    });

    test("put back after it was taken out: as if nothing had been", async () => {
      const visitor = await visitorOf("with a session");
      const answer = await answerAfter(visitor, (req) => {
        const { session } = req;
        put(req, null);
        put(req, session);
        Object.assign(req.session, { back: true });
      });
      expect([answer.status, cookiesOf(answer)]).toEqual([200, []]);
      expect((await visitor.get("/session")).body.values).toEqual({ basket: ["tea"], back: true });
    });
  });

  describe("after the answer has begun", () => {
    const BEGINNINGS: Record<string, (res: Response) => unknown> = {
      "res.send": (res) => res.send("answered"),
      "res.write": (res) => res.write("half"),
      "res.writeHead": (res) => res.writeHead(200),
      "res.flushHeaders": (res) => res.flushHeaders(),
    };
    let told: unknown[] = [];
    const note = (event: unknown) => told.push(event);

    beforeAll(() => void app.sessions.store.on("uncommitted", note));
    afterEach(() => {
      told = [];
    });

    test.each(Object.keys(BEGINNINGS))("%s, then signIn: refused, and nothing has changed", async (how) => {
      for (const isChanged of [false, true]) {
        const visitor = await visitorOf("with a session");
        let error: unknown;
        handle = async (req, res) => {
          const { session, sessionID } = req;
          if (isChanged) Object.assign(req.session, { basket: ["tea"], more: 1 });
          BEGINNINGS[how]?.(res);
          error = await req.signIn({ username: "ada", password: "hers" }).catch((error) => error);
          expect([req.session === session, req.sessionID === sessionID]).toEqual([true, true]);
          res.end();
        };
        const answer = await visitor.get("/now");
        expect([answer.status, cookiesOf(answer)]).toEqual([200, []]);
        expect(error).toMatchObject({ code: "SIGN_IN_INVALID", status: 500 });
        expect((error as Error).message).toMatch(/after the answer had begun/);
        const { values } = (await visitor.get("/session")).body;
        expect(values).toEqual(isChanged ? { basket: ["tea"], more: 1 } : { basket: ["tea"] });
        expect(await app.sessions.users.list("ada")).toEqual([]);
      }
    });

    test.each(Object.keys(BEGINNINGS))(
      "%s, then signOut: the session is over, whatever cookie is left",
      async (how) => {
        const visitor = await visitorOf("signed in");
        const { cookie } = visitor;
        handle = async (req, res) => {
          BEGINNINGS[how]?.(res);
          await req.signOut();
          res.end();
        };
        expect((await visitor.get("/now")).status).toBe(200);
        await expectEnded(cookie);
      },
    );

    test.each(["res.write", "res.flushHeaders"])("%s, then a new session: an event tells", async (how) => {
      const changes: Array<(req: Request) => unknown> = [
        (req) => Object.assign(req.session, { basket: ["tea"] }),
        (req) => new Promise((resolve) => req.session.regenerate(resolve)),
      ];
      for (const change of changes) {
        told = [];
        handle = async (req, res) => {
          BEGINNINGS[how]?.(res);
          await change(req);
          res.end();
        };
        const answer = await app.visitor().get("/now");
        expect([answer.status, cookiesOf(answer)]).toEqual([200, []]);
        expect(told).toEqual([{ session: expect.stringMatching(/^[\w-]{12}$/) }]);
      }
    });

    test("a session whose cookie the visitor has, or was sent: no event", async () => {
      const inTwoSteps: Handler = async (req, res) => {
        Object.assign(req.session, { first: 1 });
        if (!res.write("first, ")) await once(res, "drain");
        Object.assign(req.session, { last: 1 });
        res.end("last");
      };
      for (const visitor of [await visitorOf("with a session"), app.visitor()]) {
        handle = inTwoSteps;
        expect((await visitor.get("/now")).text).toBe("first, last");
        expect((await visitor.get("/session")).body.values).toMatchObject({ first: 1, last: 1 });
      }
      expect(told).toEqual([]);
    });
  });
});
