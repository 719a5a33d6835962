import { once } from "node:events";
import { get, type IncomingMessage } from "node:http";
import { text as textOf } from "node:stream/consumers";
import { afterAll, afterEach, beforeAll, describe, expect, jest, test } from "@jest/globals";
import type { NextFunction, Request, Response } from "express";
import type { Session } from "express-session";
import type { TokenizerError } from "../../lib/errors.js";
import type { Tokenizer } from "../../lib/tokenizer.js";
import { type App, startApp, Visitor } from "../support/app.js";
import { FailingBackend, Gate, refuse } from "../support/failing-backend.js";
import { onEveryBackend } from "../support/places.js";

// What a handler begins with the store and does not wait for, before it answers: the answer waits in its place.

type Handler = (req: Request, res: Response, next: NextFunction) => unknown;
type Begin = (req: Request, sessions: Tokenizer) => unknown;

/** As JavaScript may leave out a callback that the types ask for. */
const withoutCallback = (session: Session, method: "destroy" | "save") => Reflect.apply(session[method], session, []);
const ignore = () => {};

interface Kind {
  readonly begin: Begin;
  /** The backend's call that does it. */
  readonly call: "remove" | "write";
  /** What is in the session of a visitor afterwards who was signed in as ada. */
  readonly left: object;
  /** Who gave a callback was told of a failure; but the session that is gone from the request must be over. */
  readonly isTold?: boolean;
}

const KINDS: Record<string, Kind> = {
  "req.session.destroy()": { call: "remove", left: {}, begin: (req) => withoutCallback(req.session, "destroy") },
  "req.session.destroy(callback)": { call: "remove", left: {}, begin: (req) => req.session.destroy(ignore) },
  "store.destroy(req.sessionID)": {
    ...{ call: "remove", left: {} },
    begin: (req, { store }) => store.destroy(req.sessionID),
  },
  "store.destroy(req.sessionID, callback)": {
    ...{ call: "remove", left: {}, isTold: true },
    begin: (req, { store }) => store.destroy(req.sessionID, ignore),
  },
  "req.sessionStore.destroy": {
    ...{ call: "remove", left: {} },
    begin: (req) => Reflect.apply(req.sessionStore.destroy, req.sessionStore, [req.sessionID]),
  },
  "req.session.regenerate(callback)": {
    ...{ call: "remove", left: {}, isTold: true },
    begin: (req) => req.session.regenerate(ignore),
  },
  "regenerate, and what its callback puts into the new session": {
    ...{ call: "remove", left: { seen: "grace" }, isTold: true },
    begin: (req) =>
      req.session.regenerate((error) => {
        if (!error) Object.assign(req.session, { seen: "grace" });
      }),
  },
  "req.signOut()": { call: "remove", left: {}, begin: (req) => void req.signOut() },
  "req.signIn(…)": {
    ...{ call: "write", left: { username: "grace" } },
    begin: (req) => void req.signIn({ username: "grace", password: "hers" }),
  },
  "signOut, and what is put into the new session": {
    ...{ call: "remove", left: { seen: "bye" } },
    begin(req) {
      void req.signOut();
      Object.assign(req.session, { seen: "bye" });
    },
  },
  "req.session.save()": {
    ...{ call: "write", left: { username: "ada", seen: "saved" } },
    begin(req) {
      Object.assign(req.session, { seen: "saved" });
      withoutCallback(req.session, "save");
    },
  },
};

onEveryBackend((places) => {
  const releases = places.name === "local" ? ([5, 4] as const) : ([5] as const);

  describe.each(releases)("on Express %i", (release) => {
    let app: App;
    let backend: FailingBackend;
    let handle: Handler;
    let visitor: Visitor;

    beforeAll(async () => {
      backend = new FailingBackend(places.prototype);
      app = await startApp({
        express: release,
        settings: await places.next(),
        routes(express) {
          express.get("/now", (req, res, next) => {
            Promise.resolve(handle(req, res, next)).catch(next);
          });
        },
      });
    });

    afterEach(async () => {
      backend.reset();
      await app.sessions.users.revokeEveryone();
    });

    afterAll(() => {
      jest.restoreAllMocks();
    });

    async function signedIn(): Promise<Visitor> {
      const visitor = app.visitor();
      expect((await visitor.signIn()).status).toBe(204);
      backend.reset();
      return visitor;
    }

    async function ask(cookie: string | undefined): Promise<IncomingMessage & { text: string }> {
      const asked = get(`${app.url}/now`, { agent: false, headers: cookie === undefined ? {} : { cookie } });
      const [answer] = (await once(asked, "response")) as [IncomingMessage];
      return Object.assign(answer, { text: await textOf(answer) });
    }

    async function seenWith(cookie: string | undefined): Promise<object> {
      return (await new Visitor(app.url, cookie).get("/session")).body.values;
    }

    /** The cookie that the browser has after an answer: what the answer set, or what it had. */
    function cookieAfter({ headers }: IncomingMessage, before: string | undefined): string | undefined {
      const line = headers["set-cookie"]?.at(-1);
      if (line === undefined) return before;
      return line.includes("Expires=Thu, 01 Jan 1970") ? undefined : line.split(";")[0];
    }

    /** Until the backend was asked, and what it answered has come to whoever asked. */
    async function settled(call: "remove" | "write"): Promise<void> {
      while (backend.calls[call] === 0) await new Promise(setImmediate);
      for (let times = 0; times < 5; times++) await new Promise(setImmediate);
    }

    describe.each(Object.keys(KINDS))("%s", (name) => {
      const { begin, call, left, isTold } = KINDS[name] as Kind;

      test.each<[string, (res: Response) => unknown]>([
        ["a redirect", (res) => res.redirect("/elsewhere")],
        ["res.send", (res) => res.send("bye")],
      ])("%s waits until it is done, and the next page knows", async (_, answer) => {
        visitor = await signedIn();
        const gate = new Gate();
        backend.on(call, gate.trouble);
        handle = (req, res) => {
          begin(req, app.sessions);
          answer(res);
        };
        let isAnswered = false;
        const asked = ask(visitor.cookie).finally(() => {
          isAnswered = true;
        });
        await settled(call);
        // Other requests are answered meanwhile.
        for (let times = 0; times < 3; times++) expect((await app.visitor().get("/")).status).toBe(200);
        expect(isAnswered).toBe(false);
        gate.open();
        const answered = await asked;
        expect(answered.statusCode).toBeLessThan(400);
        expect(await seenWith(cookieAfter(answered, visitor.cookie))).toEqual(left);
        if (call === "remove") expect(await seenWith(visitor.cookie)).toEqual({});
      });

      test("refused: an error page, no cookie, and nothing has changed", async () => {
        visitor = await signedIn();
        backend.on(call, refuse);
        handle = (req, res) => {
          begin(req, app.sessions);
          res.cookie("own", "1").redirect("/elsewhere");
        };
        const answer = await ask(visitor.cookie);
        expect([answer.statusCode, JSON.parse(answer.text).code]).toEqual([503, "STORE_UNAVAILABLE"]);
        expect(answer.headers).not.toHaveProperty("location");
        expect(answer.headers).not.toHaveProperty("set-cookie");
        backend.reset();
        expect(await seenWith(visitor.cookie)).toEqual({ username: "ada" });
      });

      test("refused before the answer: the same, unless a callback was told", async () => {
        visitor = await signedIn();
        backend.on(call, refuse);
        handle = async (req, res) => {
          begin(req, app.sessions);
          await settled(call);
          res.send("as if nothing were");
        };
        const answer = await ask(visitor.cookie);
        expect(answer.statusCode).toBe(isTold ? 200 : 503);
        expect(answer.headers).not.toHaveProperty("set-cookie");
        backend.reset();
        expect(await seenWith(visitor.cookie)).toEqual({ username: "ada" });
      });
    });

    test("what was begun is not done twice", async () => {
      const kinds = [
        "req.session.destroy()",
        "req.session.destroy(callback)",
        "req.signOut()",
        "req.session.regenerate(callback)",
      ];
      for (const name of kinds) {
        visitor = await signedIn();
        handle = (req, res) => {
          KINDS[name]?.begin(req, app.sessions);
          res.redirect("/elsewhere");
        };
        await ask(visitor.cookie);
        expect([name, backend.calls.remove]).toEqual([name, 1]);
      }
    });
  });
});

describe.each([5, 4] as const)("on Express %i", (release) => {
  let app: App;
  let backend: FailingBackend;
  let handle: Handler;
  let visitor: Visitor;

  beforeAll(async () => {
    backend = new FailingBackend();
    app = await startApp({
      express: release,
      routes(express) {
        express.get("/now", (req, res, next) => {
          Promise.resolve(handle(req, res, next)).catch(next);
        });
      },
    });
    visitor = app.visitor();
    await visitor.signIn();
  });

  afterEach(() => {
    backend.reset();
    app.errors.length = 0;
  });
  afterAll(() => {
    jest.restoreAllMocks();
  });

  const calls: Record<string, { call: (req: Request) => Promise<void>; on: "remove" | "write" }> = {
    signOut: { on: "remove", call: (req) => req.signOut() },
    signIn: { on: "write", call: (req) => req.signIn({ username: "grace", password: "hers" }) },
  };

  describe.each(Object.keys(calls))("%s refused, and somebody knows", (name) => {
    const { call, on } = calls[name] as (typeof calls)[string];

    test.each<[string, (work: Promise<void>) => Promise<unknown>]>([
      ["by await", async (work) => await work],
      ["by then", (work) => work.then(() => {})],
      ["among others", (work) => Promise.all([work, null])],
      ["from another function", (work) => (async () => work)()],
    ])("%s: what the handler answers stands", async (_, wait) => {
      backend.on(on, refuse);
      handle = async (req, res) => {
        const error = await wait(call(req)).catch((error) => error);
        res.send(`could not: ${(error as TokenizerError).code}`);
      };
      const answer = await visitor.get("/now");
      expect([answer.status, answer.text]).toEqual([200, "could not: STORE_UNAVAILABLE"]);
    });

    test("and passes it on: the application's own page", async () => {
      backend.on(on, refuse);
      handle = (req, res, next) => {
        call(req).then(() => res.send("done"), next);
      };
      const answer = await visitor.get("/now");
      expect([answer.status, answer.body.code]).toEqual([503, "STORE_UNAVAILABLE"]);
      expect(app.errors).toHaveLength(1);
    });

    test("only after it answered: an error page", async () => {
      backend.on(on, refuse);
      let error: unknown;
      handle = async (req, res) => {
        const work = call(req);
        res.send("done");
        error = await work.catch((error) => error);
      };
      const answer = await visitor.get("/now");
      expect([answer.status, answer.body.code]).toEqual([503, "STORE_UNAVAILABLE"]);
      expect(error).toMatchObject({ code: "STORE_UNAVAILABLE" });
    });
  });

  test("a sign-in after the answer that nobody waits for ends no process: one line is logged", async () => {
    handle = (req, res) => {
      res.send("answered");
      void req.signIn({ username: "grace", password: "hers" });
    };
    expect((await visitor.get("/now")).text).toBe("answered");
    while (app.log.length === 0) await new Promise(setImmediate);
    expect(app.log).toEqual([expect.stringMatching(/sign-in or sign-out failed after the answer.*Await it/)]);
  });

  test("a destroy whose callback passes its failure on: the application's own page, and not tried again", async () => {
    backend.on("remove", refuse);
    handle = (req, res, next) => {
      req.session.destroy((error) => (error ? next(error) : res.redirect("/")));
    };
    const answer = await visitor.get("/now");
    expect([answer.status, answer.body.code, backend.calls.remove]).toEqual([503, "STORE_UNAVAILABLE", 1]);
    expect(app.errors).toHaveLength(1);
  });

  test("a destroy that somebody else asked for before is no matter of this request", async () => {
    backend.on("remove", refuse);
    await new Promise((resolve) => app.sessions.store.destroy(visitor.id, resolve));
    app.sessions.store.destroy(visitor.id);
    while (backend.calls.remove < 2) await new Promise(setImmediate);
    for (let times = 0; times < 5; times++) await new Promise(setImmediate);
    handle = (_req, res) => res.send("as ever");
    expect((await visitor.get("/now")).status).toBe(200);
  });

  test("a body that is under way waits with its end, and is cut where that is refused", async () => {
    const out: Handler = (req, res) => {
      res.write("first, ");
      void req.signOut();
      res.end("last");
    };
    backend.on("remove", refuse);
    handle = out;
    await expect(visitor.get("/now")).rejects.toThrow(/aborted|hang up/);
    expect((await visitor.get("/session")).body.values).toEqual({ username: "ada" });
    backend.reset();
    const { cookie } = visitor;
    expect((await visitor.get("/now")).text).toBe("first, last");
    expect((await app.visitor(cookie).get("/session")).body.values).toEqual({});
  });
});
