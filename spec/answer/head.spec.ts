import { once } from "node:events";
import { get, type IncomingMessage } from "node:http";
import { text as textOf } from "node:stream/consumers";
import { afterAll, afterEach, beforeAll, describe, expect, jest, test } from "@jest/globals";
import type { NextFunction, Request, RequestHandler, Response } from "express";
import { type App, startApp, type Visitor } from "../support/app.js";
import { FailingBackend, Gate, refuse } from "../support/failing-backend.js";

// `writeHead` in all its forms, as frameworks' adapters use it: the session's cookie is sent beside those that it is given.

type Handler = (req: Request, res: Response, next: NextFunction) => unknown;

const OWN = ["own=1; Path=/", "more=2; Path=/"];

/** How a head with two cookies and a header of the application's own is given. */
const FORMS: Record<string, (res: Response, status: number) => unknown> = {
  "an object, as @hono/node-server and Astro give it": (res, status) =>
    res.writeHead(status, { "set-cookie": OWN, "x-own": "own", "content-type": "text/plain" }),
  "an object in other letters": (res, status) =>
    res.writeHead(status, { "SET-COOKIE": OWN, "X-Own": "own", "Content-Type": "text/plain" }),
  "an object with a reason": (res, status) =>
    res.writeHead(status, "Own", { "Set-Cookie": OWN, "X-Own": "own", "Content-Type": "text/plain" }),
  "a list": (res, status) =>
    res.writeHead(status, ["Set-Cookie", "own=1; Path=/", "X-Own", "own", "set-cookie", "more=2; Path=/"]),
  "a list with a list in it": (res, status) => res.writeHead(status, ["Set-Cookie", OWN, "X-Own", "own"] as string[]),
  "a list with a reason": (res, status) =>
    res.writeHead(status, "Own", ["X-Own", "own", "Set-Cookie", "own=1; Path=/", "Set-Cookie", "more=2; Path=/"]),
  "a list of pairs": (res, status) =>
    // Node takes it where no header was set before; @types/node does not know.
    res.writeHead(status, [
      ["Set-Cookie", "own=1; Path=/"],
      ["X-Own", "own"],
      ["set-cookie", "more=2; Path=/"],
    ] as unknown as string[]),
  "setHeader for each and then the status, as SvelteKit does": (res, status) => {
    res.setHeader("set-cookie", OWN);
    res.setHeader("x-own", "own");
    res.writeHead(status);
  },
  "setHeaders with the web's Headers": (res, status) => {
    const headers = new Headers({ "x-own": "own" });
    for (const cookie of OWN) headers.append("set-cookie", cookie);
    res.setHeaders(headers);
    res.writeHead(status);
  },
  "no headers, and the reason": (res, status) => {
    res.setHeader("Set-Cookie", OWN);
    res.setHeader("X-Own", "own");
    res.writeHead(status, "Own");
  },
  "undefined for a reason": (res, status) => {
    const args = [status, undefined, { "Set-Cookie": OWN, "X-Own": "own" }];
    Reflect.apply(res.writeHead, res, args);
  },
};

/** What gives an answer a session's cookie. */
const CHANGES: Record<string, { change: (req: Request) => unknown; cookie: RegExp }> = {
  "a new session": { change: (req) => Object.assign(req.session, { seen: true }), cookie: /^token=s%3A/ },
  "a sign-in": { change: (req) => req.signIn({ username: "ada", password: "hers" }), cookie: /^token=s%3A/ },
  "a sign-out": { change: (req) => req.signOut(), cookie: /^token=; Path=\/; Expires=Thu, 01 Jan 1970/ },
  "req.session = null": {
    change: (req) => Object.assign(req, { session: null }),
    cookie: /^token=; Path=\/; Expires=Thu, 01 Jan 1970/,
  },
};

const backend = new FailingBackend();
afterEach(() => backend.reset());
afterAll(() => {
  jest.restoreAllMocks();
});

describe.each([5, 4] as const)("on Express %i", (release) => {
  let app: App;
  let visitor: Visitor;
  let handle: Handler;
  /** What stands between the sessions and the handler. */
  let behind: RequestHandler | undefined;
  let told: unknown[] = [];

  beforeAll(async () => {
    app = await startApp({
      express: release,
      before: (express) => void express.disable("x-powered-by"),
      routes(express, sessions) {
        sessions.store.on("uncommitted", (event) => told.push(event));
        express.use("/now", (req, res, next) => (behind ? behind(req, res, next) : next()));
        express.use("/now", (req, res, next) => {
          Promise.resolve(handle(req, res, next)).catch(next);
        });
      },
    });
  });

  afterEach(() => {
    behind = undefined;
    told = [];
  });

  async function answerTo(work: Handler): Promise<IncomingMessage & { text: string }> {
    handle = work;
    const asked = get(`${app.url}/now`, { agent: false, headers: visitor.cookie ? { cookie: visitor.cookie } : {} });
    const [answer] = (await once(asked, "response")) as [IncomingMessage];
    return Object.assign(answer, { text: await textOf(answer) });
  }

  describe.each(Object.keys(CHANGES))("%s", (what) => {
    const { change, cookie } = CHANGES[what] as (typeof CHANGES)[string];

    beforeAll(async () => {
      visitor = app.visitor();
    });

    test.each(Object.keys(FORMS))("writeHead with %s: all cookies are sent", async (form) => {
      const isEnding = what.includes("out") || what.includes("null");
      visitor = app.visitor();
      if (isEnding) await visitor.signIn();
      const answer = await answerTo(async (req, res) => {
        res.cookie("before", "0");
        await change(req);
        FORMS[form]?.(res, 201);
        res.end("whole");
      });
      expect([answer.statusCode, answer.text, answer.headers["x-own"]]).toEqual([201, "whole", "own"]);
      expect(answer.headers["set-cookie"]).toEqual([...OWN, expect.stringMatching(cookie)]);
      if (/reason/.test(form) && !/undefined/.test(form)) expect(answer.statusMessage).toBe("Own");
      expect(told).toEqual([]);
      const sent = answer.headers["set-cookie"]?.at(-1)?.split(";")[0];
      const { values } = (await app.visitor(isEnding ? visitor.cookie : sent).get("/session")).body;
      expect(values).toEqual({ "a new session": { seen: true }, "a sign-in": { username: "ada" } }[what] ?? {});
    });
  });

  describe.each(Object.keys(FORMS))("writeHead with %s", (form) => {
    beforeAll(() => {
      visitor = app.visitor();
    });

    test("of an unchanged session: as without the sessions", async () => {
      const answer = await answerTo((_req, res) => {
        FORMS[form]?.(res, 418);
        res.end("whole");
      });
      expect([answer.statusCode, answer.text, answer.headers["x-own"]]).toEqual([418, "whole", "own"]);
      expect(answer.headers["set-cookie"]).toEqual(OWN);
    });

    test.each(["end", "write"] as const)("then %s: nothing of it is sent when the store refuses", async (first) => {
      backend.on("write", refuse);
      const answer = await answerTo((req, res) => {
        Object.assign(req.session, { seen: true });
        FORMS[form]?.(res, 201);
        if (first === "write") res.write("half");
        res.end("whole");
      });
      expect([answer.statusCode, answer.statusMessage]).toEqual([503, "Service Unavailable"]);
      expect(JSON.parse(answer.text)).toMatchObject({ code: "STORE_UNAVAILABLE" });
      expect(answer.headers).not.toHaveProperty("x-own");
      expect(answer.headers).not.toHaveProperty("set-cookie");
      expect(told).toEqual([]);
    });
  });

  describe("a head that waits for the first byte", () => {
    beforeAll(() => {
      visitor = app.visitor();
    });

    test("a session that is changed after it is saved, and its cookie sent", async () => {
      const answer = await answerTo((req, res) => {
        res.writeHead(200, { "X-Own": "own" });
        Object.assign(req.session, { seen: true });
        res.end("whole");
      });
      const cookie = answer.headers["set-cookie"]?.[0]?.split(";")[0];
      expect((await app.visitor(cookie).get("/session")).body.values).toEqual({ seen: true });
      expect(told).toEqual([]);
    });

    test("looks sent, and takes no more headers, as Node's", async () => {
      const seen: unknown[] = [];
      const answer = await answerTo((_req, res) => {
        seen.push(res.headersSent);
        seen.push(res.writeHead(201, { "X-Own": "own" }) === res, res.headersSent, res.writableEnded);
        const changes = [
          () => res.setHeader("X-Own", "late"),
          () => res.set("X-Own", "late"),
          () => res.removeHeader("X-Own"),
          () => res.appendHeader("X-Own", "late"),
          () => res.writeHead(500),
        ];
        for (const change of changes) {
          try {
            change();
            seen.push("taken");
          } catch (error) {
            seen.push((error as { code: string }).code);
          }
        }
        Object.assign(res, { statusCode: 500, statusMessage: "Late" });
        res.end("whole");
        seen.push(res.headersSent, res.writableEnded);
      });
      expect(seen).toEqual([false, true, true, false, ...Array(5).fill("ERR_HTTP_HEADERS_SENT"), true, true]);
      expect([answer.statusCode, answer.statusMessage, answer.headers["x-own"]]).toEqual([201, "Created", "own"]);
    });

    test.each<[string, unknown[]]>([
      ["a list of odd length", [200, ["X-Own"]]],
      ["a name that is none", [200, { "X Own": "own" }]],
      ["a value with a line break", [200, { "X-Own": "a\r\nb" }]],
      ["a value that is none", [200, { "X-Own": undefined }]],
    ])("%s is refused at once, as by Node", async (_, args) => {
      let fault: unknown;
      await answerTo((_req, res) => {
        try {
          Reflect.apply(res.writeHead, res, args);
        } catch (error) {
          fault = error;
        }
        res.end();
      });
      expect(fault).toMatchObject({ code: expect.stringMatching(/^ERR_(INVALID|HTTP_INVALID)/) });
    });

    test("an empty name is left out, and what is no list or object is nothing, as with Node", async () => {
      for (const given of [{ "": "own" }, ["", "own"], null, "reason"]) {
        const answer = await answerTo((_req, res) => Reflect.apply(res.writeHead, res, [200, given]).end("whole"));
        expect([answer.statusCode, answer.text]).toEqual([200, "whole"]);
      }
    });

    test("a status that is none is an error page, when the first byte comes", async () => {
      const answer = await answerTo((_req, res) => void res.writeHead(99).end("whole"));
      expect(answer.statusCode).toBe(500);
    });

    test("flushHeaders sends it at once: an event tells, and its cookie is sent", async () => {
      const gate = new Gate();
      backend.on("write", gate.trouble);
      handle = (req, res) => {
        Object.assign(req.session, { seen: true });
        res.writeHead(200, { "Set-Cookie": OWN }).flushHeaders();
        res.end("whole");
      };
      const [answer] = (await once(get(`${app.url}/now`, { agent: false }), "response")) as [IncomingMessage];
      expect(answer.headers["set-cookie"]).toEqual([...OWN, expect.stringMatching(/^token=s/)]);
      expect(told).toEqual([{ session: expect.any(String) }]);
      gate.open();
      expect(await textOf(answer)).toBe("whole");
    });

    test("204 and 304 have no body", async () => {
      for (const status of [204, 304]) {
        const answer = await answerTo((req, res) => {
          Object.assign(req.session, { seen: true });
          res.writeHead(status, { "Set-Cookie": OWN }).end();
        });
        expect([answer.statusCode, answer.text]).toEqual([status, ""]);
        expect(answer.headers["set-cookie"]).toHaveLength(3);
      }
    });
  });

  describe("other middleware has put itself over the sessions' answer", () => {
    beforeAll(() => {
      visitor = app.visitor();
    });

    /** As loggers of bodies and compression do. */
    const wrap: RequestHandler = (_req, res, next) => {
      const { write, end } = res;
      res.write = ((...args: unknown[]) => Reflect.apply(write, res, args)) as Response["write"];
      res.end = ((...args: unknown[]) => Reflect.apply(end, res, args)) as Response["end"];
      next();
    };

    test.each(Object.keys(FORMS))("writeHead with %s: all cookies are sent, and an event tells", async (form) => {
      behind = wrap;
      const answer = await answerTo((req, res) => {
        Object.assign(req.session, { seen: true });
        FORMS[form]?.(res, 201);
        res.end("whole");
      });
      expect([answer.statusCode, answer.text]).toEqual([201, "whole"]);
      expect(answer.headers["set-cookie"]).toEqual([...OWN, expect.stringMatching(/^token=s/)]);
      expect(told).toHaveLength(1);
    });
  });
});
