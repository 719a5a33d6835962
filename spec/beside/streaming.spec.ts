/** Beside answers that take long: server-sent events, pipelines; what is saved when, and what keeps the session alive. */
import { once } from "node:events";
import { createReadStream, writeFileSync } from "node:fs";
import { get, type IncomingMessage } from "node:http";
import { join } from "node:path";
import { pipeline } from "node:stream";
import { text as textOf } from "node:stream/consumers";
import { beforeAll, beforeEach, describe, expect, jest, test } from "@jest/globals";
import type { Request, Response } from "express";
import { LocalBackend } from "../../lib/backends/local/backend.js";
import { SESSION_PREFIX } from "../../lib/session-id.js";
import { type App, MINUTE, startApp, temporaryFolder, type Visitor } from "../support/app.js";

declare module "express-session" {
  interface SessionData {
    seen?: string;
  }
}

const LINES = "A line of a long report.\n".repeat(100_000);
const file = join(temporaryFolder(), "report.txt");
writeFileSync(file, LINES);

describe.each([4, 5] as const)("on Express %i", (release) => {
  let app: App;
  let visitor: Visitor;
  /** The stream that was opened last. */
  let opened: { req: Request; res: Response };
  /** What the stream does every minute; the clock is moved by hand here, so this is, too. */
  let everyMinute: () => void;

  beforeAll(async () => {
    app = await startApp({
      express: release,
      routes(app, sessions) {
        app.get("/events", (req, res) => {
          req.session.seen = "events";
          res.set({ "Content-Type": "text/event-stream", "Cache-Control": "no-cache" });
          res.write("data: hello\n\n");
          opened = { req, res };
        });
        app.get("/live", (req, res) => {
          res.set({ "Content-Type": "text/event-stream", "Cache-Control": "no-cache" }).flushHeaders();
          const look = () =>
            sessions.store.get(req.sessionID, (error, session) => {
              if (!error && !session) res.end("event: ended\ndata:\n\n");
            });
          const looking = setInterval(look, 60_000);
          res.on("close", () => clearInterval(looking));
          everyMinute = look;
          opened = { req, res };
        });
        app.get("/report", (req, res, next) => {
          req.session.seen = "report";
          res.type("text/plain");
          pipeline(createReadStream(file), res, (error) => error && next(error));
        });
      },
    });
  });

  beforeEach(async () => {
    visitor = app.visitor();
    await visitor.signIn();
  });

  const start = (path: string): Promise<IncomingMessage> =>
    new Promise((resolve, reject) => {
      get(app.url + path, { headers: { cookie: visitor.cookie ?? "" }, agent: false }, resolve).on("error", reject);
    });

  const eventsOf = (answer: IncomingMessage) => answer.setEncoding("utf8")[Symbol.asyncIterator]();

  const values = async () => (await visitor.get("/session")).body.values;

  /** That goes on beside the load, which does not wait for it. */
  async function expiryMoved(): Promise<void> {
    const { touch } = LocalBackend.prototype;
    const spy = jest.spyOn(LocalBackend.prototype, "touch");
    await new Promise<void>((resolve) => {
      spy.mockImplementation(async function (this: LocalBackend, key, expires, version) {
        const wasThere = await touch.call(this, key, expires, version);
        if (key.startsWith(SESSION_PREFIX)) resolve();
        return wasThere;
      });
    });
    spy.mockRestore();
  }

  test("what is changed before the first byte is saved when that comes, however long the rest takes", async () => {
    const events = eventsOf(await start("/events"));
    expect((await events.next()).value).toBe("data: hello\n\n");
    expect(await values()).toMatchObject({ seen: "events" });
    opened.res.write("data: again\n\n");
    expect((await events.next()).value).toBe("data: again\n\n");
    opened.res.end();
    expect((await events.next()).done).toBe(true);
  });

  test("a pipeline comes whole, and its change is kept", async () => {
    expect(await textOf(await start("/report"))).toBe(LINES);
    expect(await values()).toMatchObject({ seen: "report" });
  });

  describe("what is changed later", () => {
    test("is saved by req.session.save, or before the end", async () => {
      const events = eventsOf(await start("/events"));
      await events.next();
      opened.req.session.seen = "later";
      expect(await values()).toMatchObject({ seen: "events" });
      await new Promise<void>((resolve, reject) => {
        opened.req.session.save((error) => (error ? reject(error) : resolve()));
      });
      expect(await values()).toMatchObject({ seen: "later" });
      opened.req.session.seen = "last";
      opened.res.end("data: last\n\n");
      expect((await events.next()).value).toBe("data: last\n\n");
      expect((await events.next()).done).toBe(true);
      expect(await values()).toMatchObject({ seen: "last" });
    });

    test("is lost when the browser goes away first", async () => {
      const answer = await start("/events");
      await eventsOf(answer).next();
      opened.req.session.seen = "later";
      answer.destroy();
      await once(opened.res, "close");
      expect(await values()).toMatchObject({ seen: "events" });
    });
  });

  describe("a stream that is longer than timeout", () => {
    test("counts as one request, at its beginning", async () => {
      await start("/events");
      for (let n = 0; n < 3; n++) app.clock.forward(10 * MINUTE);
      expect((await visitor.get("/session")).body).toMatchObject({ values: {}, ended: true });
      opened.res.end();
    });

    test("keeps the session alive, and learns of its end, by looking after it", async () => {
      const events = eventsOf(await start("/live"));
      for (let n = 0; n < 3; n++) {
        app.clock.forward(10 * MINUTE);
        const moved = expiryMoved();
        everyMinute();
        await moved;
      }
      expect(await values()).toMatchObject({ username: "ada" });
      await visitor.post("/sign-out");
      everyMinute();
      expect((await events.next()).value).toBe("event: ended\ndata:\n\n");
      expect((await events.next()).done).toBe(true);
    });
  });
});
