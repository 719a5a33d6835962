/** Beside compression, mounted before the sessions: pages and streams of events, whose change is saved before the first byte. */
import { get, type IncomingMessage } from "node:http";
import { text as textOf } from "node:stream/consumers";
import { createBrotliDecompress } from "node:zlib";
import { beforeAll, describe, expect, test } from "@jest/globals";
import compression from "compression";
import type { Response } from "express";
import { type App, startApp, type Visitor } from "../support/app.js";

declare module "express-session" {
  interface SessionData {
    seen?: string;
  }
}

const PAGE = "A line that compresses well.\n".repeat(1000);

describe.each([4, 5] as const)("on Express %i", (release) => {
  let app: App;
  let visitor: Visitor;
  /** The stream that was opened last. */
  let stream: Response;

  beforeAll(async () => {
    app = await startApp({
      express: release,
      before(app) {
        app.use(compression()); // before sessions
      },
      routes(app) {
        app.get("/page", (req, res) => {
          req.session.seen = "page";
          res.type("text/plain").send(PAGE);
        });
        app.get("/events", (req, res) => {
          req.session.seen = "events";
          res.set({ "Content-Type": "text/event-stream", "Cache-Control": "no-cache" });
          res.write("data: hello\n\n");
          res.flush();
          stream = res;
        });
      },
    });
    visitor = app.visitor();
    await visitor.signIn();
  });

  async function compressed(path: string): Promise<IncomingMessage> {
    const headers = { "accept-encoding": "br", cookie: visitor.cookie ?? "" };
    return new Promise((resolve, reject) => {
      get(app.url + path, { headers, agent: false }, resolve).on("error", reject);
    });
  }

  const seen = async () => (await visitor.get("/session")).body.values.seen;

  test("a page comes compressed and whole, and its change is kept", async () => {
    const answer = await compressed("/page");
    expect(answer.headers["content-encoding"]).toBe("br");
    expect(await textOf(answer.pipe(createBrotliDecompress()))).toBe(PAGE);
    expect(await seen()).toBe("page");
  });

  test("each event comes when it is flushed, the first when its change is saved", async () => {
    const answer = await compressed("/events");
    expect(answer.headers["content-encoding"]).toBe("br");
    const events = answer.pipe(createBrotliDecompress()).setEncoding("utf8")[Symbol.asyncIterator]();
    expect((await events.next()).value).toBe("data: hello\n\n");
    expect(await seen()).toBe("events");
    stream.write("data: again\n\n");
    stream.flush();
    expect((await events.next()).value).toBe("data: again\n\n");
    stream.end();
    expect((await events.next()).done).toBe(true);
  });
});
