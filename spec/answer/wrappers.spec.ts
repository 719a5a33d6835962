import { EventEmitter, once } from "node:events";
import { get, IncomingMessage } from "node:http";
import { Socket } from "node:net";
import { text as textOf } from "node:stream/consumers";
import { afterAll, afterEach, beforeAll, describe, expect, jest, test } from "@jest/globals";
import type { Request, RequestHandler, Response } from "express";
import { type App, startApp } from "../support/app.js";
import { FailingBackend, refuse } from "../support/failing-backend.js";

// Middleware mounted before the sessions that puts itself over `write` and `end`, in the ways that people do.

type Any = (...args: unknown[]) => unknown;
const set = (res: Response, own: Record<string, Any>) => Object.assign(res, own);
const textFrom = (chunk: unknown) => (chunk === undefined || typeof chunk === "function" ? "" : String(chunk));

/** Each sends what it is given in capitals. */
const WRAPPERS: Record<string, RequestHandler> = {
  "whose end writes by the response's write": (_req, res, next) => {
    const { end } = res;
    set(res, {
      end(this: Response, chunk) {
        if (chunk !== undefined) this.write(textFrom(chunk).toUpperCase());
        return Reflect.apply(end, this, []);
      },
    });
    next();
  },
  "whose end writes by it later": (_req, res, next) => {
    const { end } = res;
    set(res, {
      end(this: Response, chunk) {
        setImmediate(() => {
          if (chunk !== undefined) this.write(textFrom(chunk).toUpperCase());
          Reflect.apply(end, this, []);
        });
        return this;
      },
    });
    next();
  },
  // As express-modify-response and express-mung.
  "that gathers all, and puts back what it found before it sends": (_req, res, next) => {
    const { write, end } = res;
    let body = "";
    set(res, {
      write(chunk) {
        body += textFrom(chunk);
        return true;
      },
      end(chunk) {
        body += textFrom(chunk);
        Promise.resolve().then(() => {
          set(res, { write: write as Any, end: end as Any });
          res.removeHeader("Content-Length");
          res.write(body.toUpperCase());
          res.end();
        });
        return res;
      },
    });
    next();
  },
  // As connect-livereload.
  "that ends by the response's end, once it has let go of it": (_req, res, next) => {
    const { write, end } = res;
    let isOver = false;
    set(res, {
      write: (chunk) => Reflect.apply(write, res, [textFrom(chunk).toUpperCase()]),
      end(this: Response, chunk) {
        if (isOver) return Reflect.apply(end, this, [chunk]);
        isOver = true;
        return this.end(chunk === undefined ? undefined : textFrom(chunk).toUpperCase());
      },
    });
    next();
  },
  "that looks whether headers were sent": (_req, res, next) => {
    const { write, end } = res;
    const name = () => {
      if (!res.headersSent) res.setHeader("X-Wrapped", "yes");
    };
    set(res, {
      write(chunk) {
        name();
        return Reflect.apply(write, res, [textFrom(chunk).toUpperCase()]);
      },
      end(chunk) {
        name();
        return Reflect.apply(end, res, chunk === undefined ? [] : [textFrom(chunk).toUpperCase()]);
      },
    });
    next();
  },
  "that sends headers by hand": (_req, res, next) => {
    const { end } = res;
    set(res, {
      end(this: Response, chunk) {
        this.writeHead(this.statusCode, { "X-Wrapped": "yes" });
        if (chunk !== undefined) this.write(textFrom(chunk).toUpperCase());
        return Reflect.apply(end, this, []);
      },
    });
    next();
  },
};

const ANSWERS: Record<string, { handle: (res: Response) => unknown; body: string }> = {
  "res.send": { body: "WHOLE", handle: (res) => res.send("whole") },
  "res.end with a chunk": { body: "WHOLE", handle: (res) => res.end("whole") },
  "res.end without": { body: "", handle: (res) => res.end() },
  "a redirect": { body: "FOUND. REDIRECTING TO /ELSEWHERE", handle: (res) => res.redirect("/elsewhere") },
};

const backend = new FailingBackend();
afterEach(() => backend.reset());
afterAll(() => {
  jest.restoreAllMocks();
});

describe.each([5, 4] as const)("on Express %i", (release) => {
  describe.each(Object.keys(WRAPPERS))("middleware %s", (which) => {
    let app: App;
    let change: (req: Request) => unknown;

    beforeAll(async () => {
      app = await startApp({
        express: release,
        before: (express) => void express.use(WRAPPERS[which] as RequestHandler),
        routes(express) {
          for (const [name, { handle }] of Object.entries(ANSWERS)) {
            express.get(`/${encodeURIComponent(name)}`, (req, res) => {
              change(req);
              handle(res);
            });
          }
        },
      });
    });

    async function ask(path: string): Promise<IncomingMessage & { text: string }> {
      const asked = get(`${app.url}/${encodeURIComponent(path)}`, { agent: false });
      const [answer] = (await once(asked, "response")) as [IncomingMessage];
      return Object.assign(answer, { text: await textOf(answer) });
    }

    /** What is in the session, in capitals. */
    async function seenBy(cookie: string): Promise<string> {
      const [answer] = await once(get(`${app.url}/session`, { agent: false, headers: { cookie } }), "response");
      return textOf(answer);
    }

    test.each(Object.keys(ANSWERS))("%s of a changed session is as of an unchanged one", async (name) => {
      change = () => {};
      const unchanged = await ask(name);
      expect(unchanged.text).toBe(ANSWERS[name]?.body);
      change = (req) => Object.assign(req.session, { seen: true });
      const answer = await ask(name);
      expect(answer.text).toBe(ANSWERS[name]?.body);
      const { "set-cookie": cookies, "cache-control": said, vary, date: _, ...headers } = answer.headers;
      const { date: __, vary: ___, ...expected } = unchanged.headers;
      expect(headers).toEqual(expected);
      expect([said, vary, cookies]).toEqual([
        "no-store",
        expect.stringMatching(/Cookie$/),
        [expect.stringMatching(/^token=s/)],
      ]);
      expect(await seenBy(cookies?.[0]?.split(";")[0] ?? "")).toContain('"SEEN":TRUE');
    });

    test.each(Object.keys(ANSWERS))("%s that the store refuses is an error page", async (name) => {
      backend.on("write", refuse);
      change = (req) => Object.assign(req.session, { seen: true });
      const answer = await ask(name);
      expect(answer.statusCode).toBe(503);
      expect(answer.text.toUpperCase()).toContain("STORE_UNAVAILABLE");
      expect(answer.headers).not.toHaveProperty("set-cookie");
    });
  });

  test.each(["send", "write"] as const)(
    "a response that a tool made, as node-mocks-http does, which never calls writeHead by itself: %s",
    async (how) => {
      let application: RequestHandler | undefined;
      await startApp({
        express: release,
        routes(express) {
          application = express;
          express.get("/made", (req, res) => {
            if (req.headers["x-changed"]) Object.assign(req.session, { seen: true });
            if (how === "send") return res.send("whole");
            res.write("who");
            return res.end("le");
          });
        },
      });
      for (const headers of [{}, { "x-changed": "yes" }]) {
        const made = madeResponse();
        const req = Object.assign(new IncomingMessage(new Socket()), { method: "GET", url: "/made", headers });
        const ended = once(made, "end");
        application?.(req as Request, made as unknown as Response, () => {});
        const [cookie] = await ended;
        expect(cookie).toEqual("x-changed" in headers ? expect.stringMatching(/^token=s/) : undefined);
        expect(made.body).toBe("whole");
      }
    },
  );
});

/** All that Express asks of a response; with its end it tells the cookie that was set by then. */
function madeResponse() {
  const headers = new Map<string, unknown>();
  const made = Object.assign(new EventEmitter(), {
    statusCode: 200,
    headersSent: false,
    writableEnded: false,
    body: "",
    getHeader: (name: string) => headers.get(name.toLowerCase()),
    hasHeader: (name: string) => headers.has(name.toLowerCase()),
    getHeaderNames: () => [...headers.keys()],
    getHeaders: () => Object.fromEntries(headers),
    setHeader: (name: string, value: unknown) => headers.set(name.toLowerCase(), value),
    removeHeader: (name: string) => headers.delete(name.toLowerCase()),
    writeHead: () => made,
    write(chunk: unknown) {
      made.body += chunk;
      made.headersSent = true;
      return true;
    },
    end(chunk: unknown = "") {
      made.body += chunk;
      Object.assign(made, { headersSent: true, writableEnded: true });
      made.emit("end", headers.get("set-cookie"));
      return made;
    },
  });
  return made;
}
