import { once } from "node:events";
import { mkdirSync, writeFileSync } from "node:fs";
import { type ClientRequest, get, type IncomingMessage, request } from "node:http";
import { join } from "node:path";
import { text as textOf } from "node:stream/consumers";
import { afterAll, afterEach, beforeAll, describe, expect, jest, test } from "@jest/globals";
import express, { type NextFunction, type Request, type RequestHandler, type Response } from "express";
import { type App, cookiesOf, startApp, temporaryFolder, type Visitor } from "../support/app.js";
import { FailingBackend, refuse } from "../support/failing-backend.js";

// What answers say to caches: none keeps one that carries the session's cookie, nor hands one to a visitor with another.

type Handler = (req: Request, res: Response, next: NextFunction) => unknown;

const backend = new FailingBackend();
afterEach(() => backend.reset());
afterAll(() => {
  jest.restoreAllMocks();
});

const folder = temporaryFolder();
mkdirSync(folder, { recursive: true });
writeFileSync(join(folder, "page.txt"), "a page");

const WARNING = expect.stringMatching(
  /An answer that sets the session's cookie says "Cache-Control: .*private or no-store/,
);

describe.each([5, 4] as const)("on Express %i", (release) => {
  let app: App;
  let visitor: Visitor;
  let handle: Handler;
  let before: RequestHandler | undefined;

  beforeAll(start);

  async function start(): Promise<void> {
    app = await startApp({
      express: release,
      before(framework) {
        framework.use((req, res, next) => (before ? before(req, res, next) : next()));
      },
      routes(framework) {
        framework.use("/static", express.static(folder));
        framework.use("/now", (req, res, next) => {
          Promise.resolve(handle(req, res, next)).catch(next);
        });
      },
    });
    visitor = app.visitor();
  }

  afterEach(() => {
    before = undefined;
  });

  function answerTo(work: Handler, headers: Record<string, string> = {}): ReturnType<Visitor["get"]> {
    handle = work;
    return visitor.get("/now", headers);
  }

  const change = (req: Request) => Object.assign(req.session, { seen: Math.random() });
  const said = ({ headers }: { headers: Record<string, string> }) => [headers["cache-control"], headers.vary];

  describe("an answer that carries the session's cookie", () => {
    beforeAll(() => {
      visitor = app.visitor();
    });

    test.each<[string, (req: Request) => unknown, boolean]>([
      ["of a new session", change, false],
      ["of a sign-in", (req) => req.signIn({ username: "ada", password: "hers" }), false],
      ["taken back by a sign-out", (req) => req.signOut(), true],
      ["taken back by req.session = null", (req) => Object.assign(req, { session: null }), true],
      ["of a regenerated session", (req) => new Promise((done) => req.session.regenerate(done)), true],
    ])("%s is kept by no cache", async (_, work, isKnown) => {
      visitor = app.visitor();
      if (isKnown) await visitor.signIn();
      const answer = await answerTo(async (req, res) => {
        await work(req);
        res.send("whole");
      });
      expect(cookiesOf(answer)).toHaveLength(1);
      expect(answer.headers["cache-control"]).toBe("no-store");
    });

    test.each<[string, Handler]>([
      ["of a stream", (_req, res) => res.write("first") || res.end("last")],
      ["of writeHead", (_req, res) => res.writeHead(200, { "X-Own": "own" }).end()],
      [
        "of flushHeaders",
        (_req, res) => {
          res.flushHeaders();
          res.end();
        },
      ],
      ["of an error page", (_req, _res, next) => next(new Error("of the handler"))],
      ["of a page that nobody made", (_req, _res, next) => next()],
    ])("%s is kept by no cache, and depends on the cookie", async (_, work) => {
      visitor = app.visitor();
      const answer = await answerTo((req, res, next) => {
        change(req);
        work(req, res, next);
      });
      expect(cookiesOf(answer)).toHaveLength(1);
      expect(said(answer)).toEqual(["no-store", "Cookie"]);
    });

    test("304, HEAD and a redirect say the same", async () => {
      const page: Handler = (req, res) => {
        change(req);
        res.set("ETag", '"own"').send("whole");
      };
      visitor = app.visitor();
      const unmodified = await answerTo(page, { "if-none-match": '"own"' });
      expect([unmodified.status, ...said(unmodified)]).toEqual([304, "no-store", "Cookie"]);
      const head = request(`${app.url}/now`, { method: "HEAD", agent: false });
      expect((await responseTo(head)).headers).toMatchObject({ "cache-control": "no-store", vary: "Cookie" });
      handle = (req, res) => {
        change(req);
        res.redirect("/elsewhere");
      };
      const redirect = await responseTo(get(`${app.url}/now`, { agent: false }));
      expect(redirect.statusCode).toBe(302);
      expect(redirect.headers).toMatchObject({ "cache-control": "no-store", vary: "Accept, Cookie" });
    });

    test.each(["private, max-age=60", "no-cache", "no-store", "max-age=0", "public, private", 'private="set-cookie"'])(
      "says what the handler said: %s",
      async (own) => {
        await start();
        const answer = await answerTo((req, res) => {
          change(req);
          res.set("Cache-Control", own).send("whole");
        });
        expect([answer.headers["cache-control"], app.log]).toEqual([own, []]);
      },
    );

    test("says nothing where the handler said Expires", async () => {
      visitor = app.visitor();
      const answer = await answerTo((req, res) => {
        change(req);
        res.set("Expires", "0").send("whole");
      });
      expect([cookiesOf(answer).length, answer.headers["cache-control"]]).toEqual([1, undefined]);
    });

    test.each(["public", "public, max-age=60", "PUBLIC", "s-maxage=60", "max-age=60", "max-age=0, s-maxage=1"])(
      "is warned of, once, where the handler lets caches share it: %s",
      async (own) => {
        await start();
        for (let times = 0; times < 2; times++) {
          visitor = app.visitor();
          const answer = await answerTo((req, res) => {
            change(req);
            res.set("Cache-Control", own).send("whole");
          });
          expect([cookiesOf(answer).length, answer.headers["cache-control"]]).toEqual([1, own]);
        }
        expect(app.log).toEqual([WARNING]);
        expect(app.log[0]).toContain(own);
      },
    );

    test("is warned of where Express says public by itself", async () => {
      await start();
      await answerTo((req, res) => {
        change(req);
        res.sendFile(join(folder, "page.txt"));
      });
      expect(app.log).toEqual([WARNING]);
    });

    test("is no matter where it has no cookie of ours", async () => {
      await start();
      const answer = await answerTo((_req, res) => void res.set("Cache-Control", "public, max-age=60").send("whole"));
      expect([said(answer), app.log]).toEqual([["public, max-age=60", undefined], []]);
    });
  });

  describe("an answer of a handler that looked at the session", () => {
    beforeAll(() => {
      visitor = app.visitor();
    });

    test.each<[string, (req: Request) => unknown]>([
      ["req.session", (req) => req.session],
      ["a key of it", (req) => req.session.username],
      ["req.credentials", (req) => req.credentials],
      ["whether it is there", (req) => Object.entries(req).length],
    ])("%s: depends on the cookie", async (_, look) => {
      for (const visits of [app.visitor(), await signedIn()]) {
        visitor = visits;
        const answer = await answerTo((req, res) => {
          look(req);
          res.send("whole");
        });
        expect([cookiesOf(answer), said(answer)]).toEqual([[], [undefined, "Cookie"]]);
      }
    });

    test("not at all: does not", async () => {
      for (const visits of [app.visitor(), await signedIn()]) {
        visitor = visits;
        expect(said(await answerTo((_req, res) => void res.send("whole")))).toEqual([undefined, undefined]);
        expect(said(await visitor.get("/static/page.txt"))).toEqual(["public, max-age=0", undefined]);
      }
    });

    test("after the first byte: too late to say, and not needed by the head that is out", async () => {
      const answer = await answerTo((req, res) => {
        res.write("first");
        void req.session;
        res.end("last");
      });
      expect(said(answer)).toEqual([undefined, undefined]);
    });

    test.each([
      ["Accept-Encoding", "Accept-Encoding, Cookie"],
      ["accept, cookie", "accept, cookie"],
      ["Cookie", "Cookie"],
      ["*", "*"],
      ["X-Cookie", "X-Cookie, Cookie"],
    ])("beside what the handler said of it: %s", async (own, expected) => {
      const answer = await answerTo((req, res) => {
        void req.session;
        res.set("Vary", own).send("whole");
      });
      expect(answer.headers.vary).toBe(expected);
    });

    test("and that was refused: the error page says what stood before", async () => {
      before = (_req, res, next) => {
        res.set("Vary", "Origin");
        next();
      };
      backend.on("write", refuse);
      visitor = app.visitor();
      const answer = await answerTo((req, res) => {
        change(req);
        res.send("whole");
      });
      expect([answer.status, said(answer)]).toEqual([503, [undefined, "Origin"]]);
    });
  });

  describe("req.session is a property like any other", () => {
    beforeAll(() => {
      visitor = app.visitor();
    });

    test("it can be set, deleted, set again and defined anew, and a request made of this one has its own", async () => {
      const seen: unknown[] = [];
      await answerTo((req, res) => {
        const { session } = req;
        const derived = Object.create(req);
        Object.assign(derived, { session: null });
        seen.push(req.session === session, derived.session, "session" in req, Object.keys(req).includes("session"));
        Reflect.deleteProperty(req, "session");
        seen.push(req.session, "session" in req);
        Object.assign(req, { session });
        seen.push(req.session === session);
        Object.defineProperty(req, "session", { value: session, configurable: true, writable: true });
        Object.assign(req.session, { seen: "yes" });
        res.send("whole");
      });
      expect(seen).toEqual([true, null, true, true, undefined, false, true]);
      expect((await visitor.get("/session")).body.values).toEqual({ seen: "yes" });
    });
  });

  async function signedIn(): Promise<Visitor> {
    const visitor = app.visitor();
    await visitor.signIn();
    return visitor;
  }
});

async function responseTo(asked: ClientRequest): Promise<IncomingMessage> {
  asked.end();
  const [answer] = (await once(asked, "response")) as [IncomingMessage];
  answer.resume();
  return answer;
}

test("a stream of events that looked at the session says so with its first byte", async () => {
  const app = await startApp({
    routes(framework) {
      framework.get("/events", (req, res) => {
        res.writeHead(200, { "Content-Type": "text/event-stream", "Cache-Control": "no-cache" });
        res.write(`data: ${req.session.username}\n\n`);
        res.end();
      });
    },
  });
  const [answer] = (await once(get(`${app.url}/events`, { agent: false }), "response")) as [IncomingMessage];
  expect(answer.headers).toMatchObject({ vary: "Cookie", "cache-control": "no-cache" });
  expect(await textOf(answer)).toBe("data: undefined\n\n");
});
