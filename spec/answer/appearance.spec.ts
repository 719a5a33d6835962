import { once } from "node:events";
import { IncomingMessage, ServerResponse } from "node:http";
import { Socket } from "node:net";
import { PassThrough } from "node:stream";
import { afterAll, afterEach, beforeAll, describe, expect, jest, test } from "@jest/globals";
import type { Express, NextFunction, Request, Response } from "express";
import { type App, cookiesOf, startApp } from "../support/app.js";
import { FailingBackend, Gate, refuse } from "../support/failing-backend.js";

// What a handler sees of its answer once it has answered, while the store is asked: that it has.

const backend = new FailingBackend();
afterEach(() => backend.reset());
afterAll(() => {
  jest.restoreAllMocks();
});

describe.each([5, 4] as const)("on Express %i", (release) => {
  let app: App;
  let application: Express;
  let handle: (req: Request, res: Response, next: NextFunction) => unknown;
  let isSecondReached = false;

  beforeAll(async () => {
    app = await startApp({
      express: release,
      routes(express) {
        application = express;
        express.get("/now", (req, res, next) => {
          Promise.resolve(handle(req, res, next)).catch(next);
        });
        express.get("/now", (_req, res) => {
          isSecondReached = true;
          res.send("second");
        });
      },
    });
  });

  afterEach(() => {
    isSecondReached = false;
  });

  const change = (req: Request) => Object.assign(req.session, { seen: true });
  const look = ({ headersSent, writableEnded }: Response) => [headersSent, writableEnded];

  test.each<[string, (res: Response) => unknown, ends: boolean]>([
    ["res.json", (res) => res.json({}), true],
    ["res.send", (res) => res.send("whole"), true],
    ["res.redirect", (res) => res.redirect("/"), true],
    ["res.end", (res) => res.end(), true],
    ["res.write", (res) => res.write("half"), false],
    ["res.writeHead", (res) => res.writeHead(200), false],
  ])("after %s its headers are sent; it has ended when it is on its way", async (_, answer, ends) => {
    for (const isChanged of [true, false]) {
      const seen: unknown[] = [];
      handle = (req, res) => {
        if (isChanged) change(req);
        seen.push(look(res));
        answer(res);
        seen.push(look(res));
        res.on("finish", () => seen.push(look(res)));
        res.end();
      };
      await app.visitor().get("/now");
      expect(seen).toEqual([
        [false, false],
        [true, ends && !isChanged],
        [true, true],
      ]);
    }
  });

  test("an adapter that asks at once whether it has ended, as those for Lambda do, gets it whole", async () => {
    handle = (req, res) => change(req) && res.status(201).send("whole");
    const req = Object.assign(new IncomingMessage(new Socket()), { method: "GET", url: "/now" });
    const res = new ServerResponse(req);
    const sent: Buffer[] = [];
    const pipe = new PassThrough().on("data", (chunk) => sent.push(chunk));
    res.assignSocket(pipe as unknown as Socket);
    application(req, res);
    if (!res.writableEnded) await once(res, "finish");
    expect(Buffer.concat(sent).toString()).toMatch(/^HTTP\/1.1 201 [\s\S]*\r\nSet-Cookie: token=[\s\S]*\r\n\r\nwhole$/);
  });

  test("a tool's response, with headersSent of its own, looks sent while it is held, and has its own again", async () => {
    const seen: unknown[] = [];
    handle = (req, res) => {
      seen.push(res.headersSent);
      change(req);
      res.send("whole");
      seen.push(res.headersSent);
    };
    const req = Object.assign(new IncomingMessage(new Socket()), { method: "GET", url: "/now" });
    const res = new ServerResponse(req);
    const own = { value: false, writable: true, configurable: true, enumerable: true };
    Object.defineProperty(res, "headersSent", own);
    res.assignSocket(new PassThrough() as unknown as Socket);
    application(req, res);
    await once(res, "finish");
    expect(seen).toEqual([false, true]);
    expect(Object.getOwnPropertyDescriptor(res, "headersSent")).toEqual(own);
  });

  test("who looks before going on runs no second handler", async () => {
    handle = async (req, res, next) => {
      change(req);
      res.json({ first: true });
      await null;
      if (!res.headersSent) next();
    };
    expect((await app.visitor().get("/now")).body).toEqual({ first: true });
    expect(isSecondReached).toBe(false);
  });

  test("an answer taken back looks it: the error page can be sent", async () => {
    backend.on("write", refuse);
    let response: Response | undefined;
    handle = (req, res) => {
      response = res;
      change(req);
      res.json({ first: true });
    };
    const answer = await app.visitor().get("/now");
    // The error handler of this application asks whether headers were sent.
    expect([answer.status, answer.body.code, cookiesOf(answer)]).toEqual([503, "STORE_UNAVAILABLE", []]);
    expect(response && look(response)).toEqual([true, true]);
  });

  describe("a handler that fails after it answered", () => {
    test("the answer stands, though Express closes connections for that", async () => {
      const gate = new Gate();
      backend.on("write", gate.trouble);
      handle = (req, res, next) => {
        change(req);
        res.send("answered");
        next(new Error("too late"));
        // Express closes the connection in the loop's next turn.
        setImmediate(() => setImmediate(() => gate.open()));
      };
      expect(await app.visitor().get("/now")).toMatchObject({ status: 200, text: "answered" });
      expect(app.errors.at(-1)).toMatchObject({ message: "too late" });
    });

    test("the answer is refused besides: the error page is sent", async () => {
      const gate = new Gate();
      backend.on("write", gate.trouble);
      handle = (req, res, next) => {
        change(req);
        res.send("answered");
        next(new Error("too late"));
        setImmediate(() => setImmediate(() => gate.refuse()));
      };
      expect((await app.visitor().get("/now")).status).toBe(503);
    });

    test("what else is done to the request's socket is done, and it is the same again afterwards", async () => {
      const seen: unknown[] = [];
      handle = (req, res) => {
        const { socket, ip } = req;
        change(req);
        res.send("answered");
        req.socket.setTimeout(1234);
        Object.assign(req.socket, { marked: "by the handler" });
        seen.push(req.ip === ip, req.socket.remoteAddress === socket.remoteAddress, socket.timeout);
        seen.push(Reflect.get(socket, "marked"), req.socket.destroy() === req.socket, socket.destroyed);
        res.on("finish", () => seen.push(req.socket === socket));
      };
      expect((await app.visitor().get("/now")).text).toBe("answered");
      expect(seen).toEqual([true, true, 1234, "by the handler", true, false, true]);
    });
  });
});
