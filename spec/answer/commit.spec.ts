import { createReadStream, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import {
  Agent,
  type ClientRequest,
  createServer,
  type IncomingHttpHeaders,
  type IncomingMessage,
  request,
} from "node:http";
import { type AddressInfo, connect, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { PassThrough, pipeline, Readable } from "node:stream";
import { text as textOf } from "node:stream/consumers";
import { setImmediate as nextLoop, setTimeout as sleep } from "node:timers/promises";
import { brotliDecompressSync } from "node:zlib";
import { afterAll, afterEach, beforeAll, describe, expect, jest, test } from "@jest/globals";
import compression from "compression";
import express, { type Express, type NextFunction, type Request, type RequestHandler, type Response } from "express";
import express4 from "express4";
import { TokenizerError } from "../../lib/errors.js";
import { shortName, storageKey } from "../../lib/session-id.js";
import { type Tokenizer, tokenizer } from "../../lib/tokenizer.js";
import { FailingBackend, Gate, hang, refuse } from "../support/failing-backend.js";

// Save first, then answer: over real sockets, on Express 4 and 5, plain and compressed.

declare module "express-session" {
  interface SessionData {
    seen?: string;
  }
}

const FRAMEWORKS = { 4: express4 as unknown as typeof express, 5: express };
type Release = keyof typeof FRAMEWORKS;
type Handler = (req: Request, res: Response, next: NextFunction) => unknown;

const MB = 1024 * 1024;
const HUGE_SIZE = 50 * MB;
/** More than compression passes through as it is. */
const SMALL = linesOf(3000);
/** More than sockets and streams take at once. */
const LARGE = linesOf(5 * MB);
const PAGE = `<h1>Please try again.</h1>${linesOf(3000)}`;

const DRESS = {
  "X-Own": "own",
  "Cache-Control": "private, max-age=60",
  ETag: '"own"',
  "Content-Type": "text/plain; charset=utf-8",
};

const folder = mkdtempSync(join(tmpdir(), "commit-spec-"));
const SMALL_FILE = join(folder, "small.txt");
const LARGE_FILE = join(folder, "large.txt");
const PAGE_FILE = join(folder, "page.html");

interface Kind {
  readonly handle: Handler;
  readonly status?: number;
  readonly body: Buffer | string;
  readonly method?: string;
  readonly headers?: Record<string, string>;
}

/** What applications answer with. Each changes the session, unless it is asked not to. */
const KINDS: Record<string, Kind> = {
  "res.send": { body: SMALL, handle: (req, res) => change(req) && dress(res).send(SMALL) },
  "a long page": { body: LARGE, handle: (req, res) => change(req) && dress(res).send(LARGE) },
  "an empty answer": { body: "", handle: (req, res) => change(req) && dress(res).end() },
  "a redirect": {
    ...{ status: 302, body: "Found. Redirecting to /elsewhere" },
    handle: (req, res) => change(req) && dress(res).redirect("/elsewhere"),
  },
  "a sign-in": {
    ...{ status: 303, body: "See Other. Redirecting to /home" },
    async handle(req, res, next) {
      await req
        .signIn({ username: "ada", password: "a secret of ada's" })
        .then(() => dress(res).redirect(303, "/home"), next);
    },
  },
  "res.json with an ETag": {
    body: JSON.stringify({ lines: SMALL }),
    handle: (req, res) => change(req) && res.set("X-Own", "own").json({ lines: SMALL }),
  },
  "res.sendFile, small": { body: SMALL, handle: (req, res) => change(req) && dress(res).sendFile(SMALL_FILE) },
  "res.sendFile, 5 MB": { body: LARGE, handle: (req, res) => change(req) && dress(res).sendFile(LARGE_FILE) },
  "a part of a file": {
    ...{ status: 206, body: SMALL.slice(10, 2010), headers: { range: "bytes=10-2009" } },
    handle: (req, res) => change(req) && dress(res).sendFile(SMALL_FILE),
  },
  "a piped file": {
    body: LARGE,
    handle: (req, res) => change(req) && createReadStream(LARGE_FILE).pipe(dress(res)),
  },
  "a slow stream, piped": {
    body: SMALL.repeat(5),
    handle: (req, res) => change(req) && Readable.from(slowly(SMALL, 5)).pipe(dress(res)),
  },
  "stream.pipeline": {
    body: LARGE,
    handle: (req, res) => change(req) && pipeline(createReadStream(LARGE_FILE), dress(res), () => {}),
  },
  "write after write, awaiting drain": {
    body: LARGE,
    async handle(req, res) {
      change(req);
      dress(res);
      for (let at = 0; at < LARGE.length; at += 100_000) {
        const isFull = !res.write(LARGE.slice(at, at + 100_000));
        if (isFull) await new Promise<void>((resolve) => res.once("drain", resolve));
      }
      res.end();
    },
  },
  "write after write, awaiting nothing": {
    body: LARGE,
    handle(req, res) {
      change(req);
      dress(res);
      for (let at = 0; at < LARGE.length; at += 100_000) res.write(LARGE.slice(at, at + 100_000));
      res.end();
    },
  },
  "writeHead and end": {
    ...{ status: 201, body: SMALL },
    handle: (req, res) => change(req) && res.writeHead(201, DRESS).end(SMALL),
  },
  "writeHead and a piped file": {
    ...{ status: 201, body: LARGE },
    handle: (req, res) => change(req) && createReadStream(LARGE_FILE).pipe(res.writeHead(201, DRESS)),
  },
  HEAD: { body: "", method: "HEAD", handle: (req, res) => change(req) && dress(res).send(SMALL) },
  "204": { status: 204, body: "", handle: (req, res) => change(req) && dress(res).status(204).end() },
  "304": {
    ...{ status: 304, body: "", headers: { "if-none-match": '"own"' } },
    handle: (req, res) => change(req) && dress(res).send(SMALL),
  },
};
const NAMES = Object.keys(KINDS);

const backend = new FailingBackend();
const servers: Served[] = [];
/** What is put into it is done, as a pool of connections does, outside of the context that it came from. */
const queue: Array<() => unknown> = [];
const queueing = setInterval(() => queue.shift()?.(), 1);
let sessions: Tokenizer;
/** Gives up soon. */
let impatient: Tokenizer;

beforeAll(async () => {
  writeFileSync(SMALL_FILE, SMALL);
  writeFileSync(LARGE_FILE, LARGE);
  writeFileSync(PAGE_FILE, PAGE);
  sessions = openSessions("patient", 5);
  impatient = openSessions("impatient", 0.3);
  await Promise.all([sessions.ready, impatient.ready]);
});

afterEach(async () => {
  // What comes late, an uncaught error above all, belongs to the test that caused it.
  await sleep(5);
  backend.reset();
  for (const event of ["discard", "uncommitted"]) sessions.store.removeAllListeners(event);
  for (const { close } of servers.splice(0)) await close();
});

afterAll(async () => {
  clearInterval(queueing);
  await Promise.all([sessions.close(), impatient.close()]);
  jest.restoreAllMocks();
  rmSync(folder, { recursive: true, force: true });
});

describe.each([
  { release: 4, form: "plain" },
  { release: 4, form: "compressed" },
  { release: 5, form: "plain" },
  { release: 5, form: "compressed" },
] as const)("on Express $release, $form", ({ release, form }) => {
  const before = form === "compressed" ? [compression()] : [];

  function serveKinds(over: Tokenizer): Promise<Client> {
    return serve({ release, over, before }, (app) => {
      for (const [name, { handle }] of Object.entries(KINDS)) app.use(pathOf(name), adapt(handle));
    });
  }

  describe("when the store saves, the answer is whole", () => {
    test.each(NAMES)("%s", async (name) => {
      const kind = kindOf(name);
      const client = await serveKinds(sessions);
      const answer = await client.ask(pathOf(name), kind);

      expect(answer.status).toBe(kind.status ?? 200);
      expectBody(answer, kind.body);
      expect(answer.headers["x-own"]).toBe("own");
      expect(answer.headers["set-cookie"]).toEqual([expect.stringMatching(/^token=s%3A[^;]+; Path=\/; HttpOnly/)]);
      const isLarge = form === "compressed" && name !== "a part of a file" && kind.body.length > 1024;
      if (isLarge) expect(answer.headers["content-encoding"]).toBe("br");
      expect((await client.ask("/seen", { cookie: cookieOf(answer) })).text).toBe(
        name === "a sign-in" ? "ada" : pathOf(name),
      );
      // A sign-in lists the session beside writing it.
      expect(backend.calls.write).toBe(name === "a sign-in" ? 2 : 1);

      // As when nothing is saved, but for the cookie, and that no cache is to keep it.
      const unchanged = await client.ask(`${pathOf(name)}?unchanged`, kind);
      const { "set-cookie": _, ...headers } = answer.headers;
      const { "set-cookie": __, ...expected } = unchanged.headers;
      expect(headers).toEqual({ "cache-control": "no-store", ...expected });
      expectBody(unchanged, kind.body);
      expect(backend.calls.write).toBe(name === "a sign-in" ? 4 : 1);
      expect(client.sockets.size).toBe(1);
    });
  });

  describe("when the store refuses, the answer is an error page", () => {
    test.each(NAMES)("%s", async (name) => {
      const kind = kindOf(name);
      const client = await serveKinds(sessions);
      for (const page of ["default", "custom"] as const) {
        backend.reset();
        client.errors.length = 0;
        backend.on("write", refuse);
        const answer = await client.ask(pathOf(name), { ...kind, page });
        expect(client.errors).toEqual([expect.any(TokenizerError)]);
        expect(client.errors[0]).toMatchObject({ code: "STORE_UNAVAILABLE", status: 503 });
        expect(backend.calls.write).toBe(1);
        await expectErrorPage(client, answer, { ...kind, page });
      }
      backend.reset();
      expect((await client.ask(pathOf(name), kind)).status).toBe(kind.status ?? 200);
      expect(client.sockets.size).toBe(1);
    });
  });

  test("when the store hangs, each of them is an error page after store_timeout", async () => {
    const client = await serveKinds(impatient);
    backend.on("write", hang);
    await Promise.all(
      NAMES.map(async (name) => {
        const own = client.another();
        const answer = await own.ask(pathOf(name), kindOf(name));
        await expectErrorPage(own, answer, kindOf(name));
        expect(own.sockets.size).toBe(1);
      }),
    );
    const codes = client.errors.map((error) => (error as TokenizerError).code);
    expect(codes.filter((code) => code === "STORE_TIMEOUT")).toHaveLength(NAMES.length);
    expect(backend.calls.write).toBe(NAMES.length);
  });

  test("a huge stream is not read while its answer is held, and comes whole", async () => {
    const size = form === "compressed" ? HUGE_SIZE / 5 : HUGE_SIZE;
    const chunk = Buffer.alloc(64 * 1024, "x");
    let produced = 0;
    const client = await answerWith({ release, before }, (req, res) => {
      change(req);
      const source = new Readable({
        read() {
          this.push(produced < size ? chunk : null);
          produced += chunk.length;
        },
      });
      source.pipe(dress(res));
    });
    const gate = holdWrites();
    const asked = client.ask("/");
    await until(() => backend.calls.write === 1);
    await sleep(30);
    expect(produced).toBeGreaterThan(0);
    expect(produced).toBeLessThan(MB / 2);
    gate.open();
    expect((await asked).body.length).toBe(size);
  });

  test("a held write tells its drain: once to a once-listener, and not to one that was taken off", async () => {
    const told: string[] = [];
    const client = await answerWith({ release, before }, (req, res) => {
      change(req);
      dress(res);
      const takenOff = () => told.push("taken off");
      res.on("drain", takenOff);
      told.push(`write answers ${res.write("held, ")}`);
      res.once("drain", () => {
        told.push("once");
        res.write("then written");
      });
      res.on("drain", () => {
        told.push("on");
        res.end();
      });
      res.off("drain", takenOff);
    });
    const gate = holdWrites();
    const asked = client.ask("/");
    await until(() => backend.calls.write === 1);
    expect(told).toEqual(["write answers false"]);
    gate.open();
    expect((await asked).text).toBe("held, then written");
    expect(told).toEqual(["write answers false", "once", "on"]);
  });
});

describe.each([{ release: 4 }, { release: 5 }] as const)("on Express $release", ({ release }) => {
  describe("an answer that is held", () => {
    test("is the one of that moment: what the handler does later is not sent", async () => {
      let answers: unknown[] = [];
      const client = await answerWith({ release }, (req, res) => {
        change(req);
        res.cookie("own", "1").status(201).set("X-Own", "own").type("text/plain").write("one, ");
        res.end("two");
        res.statusMessage = "Late";
        res.cookie("own", "2").status(500).set({ "X-Own": "late", "X-Late": "late" }).removeHeader("Content-Type");
        answers = [res.write("three"), res.end("four") === res, res.writeHead(404, { "X-Late": "late" }) === res];
        res.flushHeaders();
        res.json({ late: true });
      });
      const answer = await client.ask("/");
      expect(answer).toMatchObject({ status: 201, message: "Created", text: "one, two" });
      expect(answer.headers).toMatchObject({ "x-own": "own", "content-type": "text/plain; charset=utf-8" });
      expect(answer.headers).not.toHaveProperty("x-late");
      expect(answer.headers["set-cookie"]).toEqual(["own=1; Path=/", expect.stringMatching(/^token=/)]);
      expect(answers).toEqual([false, true, true]);
      expect(client.errors).toEqual([]);
    });

    test("is the one of that moment: also where the handler adds to a list of cookies", async () => {
      const client = await answerWith({ release }, (req, res) => {
        change(req);
        res.setHeader("Set-Cookie", ["own=1"]);
        res.send("whole");
        res.appendHeader("Set-Cookie", "late=1");
      });
      const { headers } = await client.ask("/");
      expect(headers["set-cookie"]).toEqual(["own=1", expect.stringMatching(/^token=/)]);
    });

    test("takes what the handler does after it went out just as calmly, and saves nothing more", async () => {
      const client = await answerWith({ release }, (req, res) => {
        change(req);
        res.on("finish", () => {
          res.append("X-Own", "late").status(500).set("X-Late", "late").removeHeader("X-Own");
          res.writeHead(500, { "X-Late": "late" });
          req.session.seen = "late";
          res.json({ late: true });
        });
        res.send("one");
      });
      expect(await client.ask("/")).toMatchObject({ status: 200, text: "one" });
      await client.expectReusable();
      expect(backend.calls.write).toBe(1);
    });

    test("and what is changed between its first byte and its end is saved, too", async () => {
      const client = await answerWith({ release }, (req, res) => {
        change(req);
        res.write("first, ");
        req.session.seen = "last";
        res.end("last");
      });
      const answer = await client.ask("/");
      expect(answer.text).toBe("first, last");
      expect((await client.ask("/seen", { cookie: cookieOf(answer) })).text).toBe("last");
      expect(backend.calls.write).toBe(2);
    });

    test("and what is changed between its first byte and its end is refused: an error page", async () => {
      const client = await answerWith({ release }, (req, res) => {
        change(req);
        res.write("first, ");
        req.session.seen = "last";
        res.end("last");
      });
      const first = new Gate();
      backend.on("write", () => (backend.calls.write === 1 ? first.trouble() : refuse()));
      const asked = client.ask("/");
      await until(() => backend.calls.write === 1);
      first.open();
      await expectErrorPage(client, await asked);
      expect(client.errors).toHaveLength(1);
    });

    test("is no event, though the session is changed behind it", async () => {
      const told: unknown[] = [];
      sessions.store.on("uncommitted", (event) => told.push(event));
      const client = await answerWith({ release }, (req, res) => {
        change(req);
        res.send("one");
        req.session.seen = "late";
      });
      const cookie = cookieOf(await client.ask("/"));
      expect((await client.ask("/seen", { cookie })).text).toBe("/");
      expect(told).toEqual([]);
    });

    test("calls the callbacks of write and end, in order", async () => {
      const called: string[] = [];
      const client = await answerWith({ release }, (req, res) => {
        change(req);
        res.write("one, ", () => called.push("first write"));
        res.write("two, ", "utf8", () => called.push("second write"));
        res.end("three", () => called.push("end"));
      });
      expect((await client.ask("/")).text).toBe("one, two, three");
      await until(() => called.length === 3);
      expect(called).toEqual(["first write", "second write", "end"]);
    });

    test("calls the callbacks of what comes after the end, which is not sent", async () => {
      for (const wait of [() => null, () => sleep(20)]) {
        const called: string[] = [];
        const tell = (what: string) => (error?: Error | null) => {
          called.push(error ? `${what}: ${(error as NodeJS.ErrnoException).code}` : what);
        };
        const client = await answerWith({ release }, async (req, res) => {
          change(req);
          res.end("whole");
          await wait();
          res.end(tell("end"));
          res.end("more", tell("end of more"));
          res.write("more", tell("write"));
        });
        expect((await client.ask("/")).text).toBe("whole");
        await until(() => called.length === 3);
        const expected = ["end", "end of more: ERR_STREAM_WRITE_AFTER_END", "write: ERR_STREAM_WRITE_AFTER_END"];
        expect(called.sort()).toEqual(expected);
      }
    });

    test("is saved though the client goes away, and its stream is let go", async () => {
      let source: Readable | undefined;
      const client = await answerWith({ release }, (req, res) => {
        change(req);
        if (req.path === "/new") return res.send("new");
        source = createReadStream(LARGE_FILE);
        return source.pipe(res);
      });
      const cookie = cookieOf(await client.ask("/new"));
      const gate = holdWrites();
      const gone = client.start("/gone", { cookie });
      gone.on("error", () => {});
      await until(() => backend.calls.write === 2);
      gone.destroy();
      await until(() => source?.listenerCount("data") === 0);
      gate.open();
      await until(async () => (await client.ask("/seen", { cookie })).text === "/gone");
      expect(client.errors).toEqual([]);
      source?.destroy();
    });

    test.each(["at once", "in the next tick", "in the next loop"])("stands when the handler fails %s", async (when) => {
      const client = await answerWith({ release }, async (req, res, next) => {
        change(req);
        res.send("answered");
        if (when === "in the next tick") await null;
        if (when === "in the next loop") await nextLoop();
        next(new Error("too late"));
      });
      const asked = client.ask("/");
      if (when !== "in the next loop") expect(await asked).toMatchObject({ status: 200, text: "answered" });
      // Sent by then, so Express cuts the connection as it always does.
      else await asked.catch(() => {});
      expect(client.errors).toEqual([expect.objectContaining({ message: "too late" })]);
    });
  });

  describe("while the request's body is still to come, for which Express's own error page waits", () => {
    test("a handler fails after it answered: its answer stands", async () => {
      const client = await answerWith({ release }, (req, res, next) => {
        change(req);
        res.send("answered");
        next(new Error("too late"));
      });
      const gate = holdWrites();
      const talk = client.talk("POST / HTTP/1.1", "Content-Length: 4");
      await until(() => backend.calls.write === 1 && client.errors.length === 1);
      await sleep(5);
      gate.open();
      await until(() => talk.received.endsWith("answered"));
      talk.socket.write(`body${linesFor("GET /seen HTTP/1.1")}`);
      await until(() => talk.received.endsWith("nothing"));
      expect(talk.received.match(/HTTP\/1.1 \d+/g)).toEqual(["HTTP/1.1 200", "HTTP/1.1 200"]);
    });

    test("a handler goes on with an answer that was taken back: the page is whole", async () => {
      let isOver = false;
      const client = await answerWith({ release }, async (req, res) => {
        change(req);
        dress(res).write("spoilt");
        await sleep(5);
        dress(res).end("spoilt");
        isOver = true;
      });
      backend.on("write", refuse);
      const talk = client.talk("POST / HTTP/1.1", "Content-Length: 4");
      await until(() => isOver);
      expect(talk.received).toBe("");
      talk.socket.write(`body${linesFor("GET /seen HTTP/1.1")}`);
      await until(() => talk.received.endsWith("nothing"));
      expect(talk.received.match(/HTTP\/1.1 \d+/g)).toEqual(["HTTP/1.1 503", "HTTP/1.1 200"]);
      expect(talk.received).toContain("the stack");
      expect(talk.received).not.toMatch(/spoilt|X-Own/);
    });
  });

  describe.each(["held", "not held"])("an answer that Node refuses, %s", (held) => {
    test.each<[string, (res: Response) => unknown]>([
      ["a number to end with", (res) => res.end(123)],
      ["an object to write", (res) => res.write({})],
      ["null to write", (res) => res.write(null)],
      ["a status that is none", (res) => Object.assign(res, { statusCode: 99 }).end("x")],
      ["a line break in the status", (res) => Object.assign(res, { statusMessage: "a\nb" }).end("x")],
    ])("%s: an error page", async (_, answer) => {
      const client = await answerWith({ release }, (req, res) => {
        // Else its headers stay on the page, as they do without sessions.
        if (held === "held") change(req) && dress(res);
        answer(res);
      });
      const page = await client.ask("/");
      expect(client.errors).toEqual([expect.objectContaining({ code: expect.stringMatching(/^ERR_/) })]);
      await expectErrorPage(client, page, { expected: 500 });
      expect(client.sockets.size).toBe(1);
    });

    test("half of it is out: the connection is cut", async () => {
      const client = await answerWith({ release }, (req, res) => {
        if (held === "held") change(req);
        res.write("half");
        res.end(123);
      });
      await expect(client.ask("/")).rejects.toThrow(CUT);
      await client.expectReusable();
    });
  });

  test("a session that the handler saved itself gets its cookie once, though the answer is an error page", async () => {
    const client = await answerWith({ release }, (req, res, next) => {
      change(req);
      req.session.save((error) => {
        if (error) return next(error);
        try {
          Object.assign(res, { statusCode: 99 }).end("x");
        } catch (fault) {
          next(fault);
        }
      });
    });
    const answer = await client.ask("/");
    expect(answer.status).toBe(500);
    expect(answer.headers["set-cookie"]).toEqual([expect.stringMatching(/^token=/)]);
  });

  describe("an answer taken back", () => {
    const PAGES = ["default", "custom", "slow", "file"] as const;

    test.each(PAGES)("the handler goes on writing, and cannot spoil the %s page", async (page) => {
      const client = await answerWith({ release }, async (req, res) => {
        change(req);
        dress(res);
        for (let times = 0; times < 30; times++) {
          res.write("spoilt ");
          await (times % 2 ? null : nextLoop());
        }
        res.end("spoilt");
      });
      backend.on("write", refuse);
      const answer = await client.ask("/", { page });
      expect(client.errors).toHaveLength(1);
      await expectErrorPage(client, answer, { page });
      expect(client.sockets.size).toBe(1);
    });

    test.each(PAGES)("a handler that waits for its bytes is told, once the %s page is out", async (page) => {
      const seen: unknown[] = [];
      const client = await answerWith({ release }, async (req, res) => {
        change(req);
        const write = () =>
          new Promise<void>((resolve, reject) => {
            res.write("spoilt", (error) => (error ? reject(error) : resolve()));
          });
        for (let times = 0; times < 2; times++) {
          await write().catch(({ code }) => seen.push(code, res.writableFinished));
        }
        res.end("spoilt", (error?: NodeJS.ErrnoException) => seen.push(error?.code));
      });
      backend.on("write", refuse);
      await expectErrorPage(client, await client.ask("/", { page }), { page });
      await until(() => seen.length === 5);
      const code = "ERR_STREAM_DESTROYED";
      expect(seen).toEqual([code, true, code, true, code]);
    });

    test.each(PAGES)("the handler fails besides, and there is no good answer (%s page)", async (page) => {
      for (const wait of [() => null, nextTick, nextLoop, () => sleep(3)]) {
        const client = await answerWith({ release }, async (req, res, next) => {
          const gate = holdWrites();
          change(req);
          dress(res).send(SMALL);
          next(new Error("besides"));
          await wait();
          gate.refuse();
        });
        // Of two error pages the later may cut the earlier, as it does without sessions.
        const answer = await client.ask("/", { page }).catch(() => undefined);
        expect(answer?.status ?? 500).toBeGreaterThanOrEqual(500);
        expect(answer?.headers ?? {}).not.toHaveProperty("x-own");
        expect(answer?.headers ?? {}).not.toHaveProperty("set-cookie");
        await client.another().expectReusable();
      }
    });

    test("an error page from a queue that loses the asynchronous context is sent, if the answer was ended", async () => {
      const client = await answerWith({ release }, (req, res) => change(req) && dress(res).send(SMALL));
      backend.on("write", refuse);
      await expectErrorPage(client, await client.ask("/", { page: "queued" }), { page: "queued" });
    });

    test.each(["bare", "slow bare"] as const)("a %s error page, which names no status, is no 200", async (page) => {
      const client = await answerWith({ release }, (req, res) => change(req) && dress(res).send(SMALL));
      backend.on("write", refuse);
      expect(await client.ask("/", { page })).toMatchObject({ status: 503, text: "bare" });
      await client.expectReusable();
    });

    test.each<[string, (res: Response, source: Readable) => unknown]>([
      ["pipe", (res, source) => source.pipe(res)],
      ["pipeline", (res, source) => pipeline(source, res, () => {})],
    ])("closes the file that a %s reads from", async (_, start) => {
      let source: Readable | undefined;
      const client = await answerWith({ release }, (req, res) => {
        change(req);
        source = createReadStream(LARGE_FILE);
        start(res, source);
      });
      backend.on("write", refuse);
      await expectErrorPage(client, await client.ask("/"));
      await until(() => source?.closed);
    });

    test("leaves a source alone that somebody else reads, too", async () => {
      let elsewhere: Promise<string> | undefined;
      const client = await answerWith({ release }, (req, res) => {
        change(req);
        const source = createReadStream(LARGE_FILE);
        elsewhere = textOf(source.pipe(new PassThrough()));
        source.pipe(res);
      });
      backend.on("write", refuse);
      await expectErrorPage(client, await client.ask("/"));
      expect((await elsewhere)?.length).toBe(LARGE.length);
    });

    test("leaves the request alone that was piped back, and with it the connection", async () => {
      const client = await answerWith({ release }, (req, res) => {
        change(req);
        req.pipe(res);
      });
      backend.on("write", refuse);
      const talk = client.talk("POST / HTTP/1.1", "Content-Length: 8", "X-Page: custom");
      talk.socket.write("half");
      await until(() => talk.received.endsWith(PAGE));
      talk.socket.write(`half${linesFor("GET /seen HTTP/1.1")}`);
      await until(() => talk.received.endsWith("nothing"));
      expect(talk.received.match(/HTTP\/1.1 \d+/g)).toEqual(["HTTP/1.1 503", "HTTP/1.1 200"]);
    });

    test("an error page of the application's is none: it stands, though its own session is refused, without a cookie", async () => {
      for (const page of ["custom", "slow", "file"] as const) {
        const client = await answerWith({ release }, (req, _res, next) => {
          change(req);
          next(Object.assign(new Error("of the handler"), { status: 500 }));
        });
        backend.on("write", refuse);
        const answer = await client.ask("/", { page });
        expect(client.errors).toEqual([expect.objectContaining({ message: "of the handler" })]);
        await expectErrorPage(client, answer, { page, expected: 500 });
        expect(client.sockets.size).toBe(1);
      }
    });

    test("a page of another status is one, and so is any where the session is the application's mistake", async () => {
      const failures: Array<[status: number, values: object, expected: number]> = [
        [404, {}, 503],
        [500, { seen: 1n }, 500],
      ];
      for (const [status, values, expected] of failures) {
        const client = await answerWith({ release }, (req, _res, next) => {
          change(req);
          Object.assign(req.session, values);
          next(Object.assign(new Error("of the handler"), { status }));
        });
        backend.on("write", refuse);
        // Express's own: the application's error handler has had its turn.
        expect((await client.ask("/", { page: "custom" })).status).toBe(expected);
        expect(client.errors).toHaveLength(1);
      }
    });

    test("leaves headers alone that stood before the sessions came", async () => {
      const before: RequestHandler = (_req, res, next) => {
        res.cookie("theirs", "1").set({ "X-Theirs": "theirs", Vary: "Origin" });
        next();
      };
      const client = await answerWith({ release, before: [before] }, (req, res) => {
        change(req);
        res.cookie("own", "1").set("X-Theirs", "own").removeHeader("Vary");
        res.append("X-Theirs", "more").redirect("/elsewhere");
      });
      backend.on("write", refuse);
      const answer = await client.ask("/");
      expect(answer.headers).toMatchObject({
        "x-theirs": "theirs",
        vary: "Origin",
        "set-cookie": ["theirs=1; Path=/"],
      });
      await expectErrorPage(client, answer);
    });

    test("leaves a list of cookies alone that stood before, though more was added to it", async () => {
      const before: RequestHandler = (_req, res, next) => {
        res.setHeader("Set-Cookie", ["theirs=1"]);
        next();
      };
      const client = await answerWith({ release, before: [before] }, (req, res) => {
        change(req);
        res.appendHeader("Set-Cookie", "own=1");
        res.send("whole");
      });
      backend.on("write", refuse);
      const answer = await client.ask("/");
      expect(answer.headers["set-cookie"]).toEqual(["theirs=1"]);
      await expectErrorPage(client, answer);
    });
  });

  describe.each<[string, (res: Response) => unknown]>([
    [
      "writeHead and flushHeaders",
      (res) => res.writeHead(200, { "Content-Type": "text/plain", "X-Own": "own" }).flushHeaders(),
    ],
    ["flushHeaders", (res) => dress(res).flushHeaders()],
  ])("headers sent by hand with %s", (_, sendHeaders) => {
    test("go out at once, an event tells, and the session is saved before the end", async () => {
      const told: unknown[] = [];
      sessions.store.on("uncommitted", (event) => told.push(event));
      let id = "";
      const client = await answerWith({ release }, (req, res) => {
        change(req);
        id = req.session.id;
        sendHeaders(res);
        res.end("whole");
      });
      const gate = holdWrites();
      const response = await responseTo(client.start("/"));
      expect(response.statusCode).toBe(200);
      expect(response.headers["x-own"]).toBe("own");
      const body = textOf(response);
      await until(() => backend.calls.write === 1);
      expect(await Promise.race([body, sleep(20, "held")])).toBe("held");
      gate.open();
      expect(await body).toBe("whole");
      expect(told).toEqual([{ session: shortName(storageKey(id)) }]);
      const cookie = cookieOf({ headers: response.headers });
      expect((await client.ask("/seen", { cookie })).text).toBe("/");
    });

    test("are no event when there is nothing to save", async () => {
      const told: unknown[] = [];
      sessions.store.on("uncommitted", (event) => told.push(event));
      const client = await answerWith({ release }, (_req, res) => {
        sendHeaders(res);
        res.end("whole");
      });
      expect((await client.ask("/")).text).toBe("whole");
      await nextLoop();
      expect(told).toEqual([]);
    });

    test("the store refuses: the connection is cut", async () => {
      const client = await answerWith({ release }, (req, res) => {
        change(req);
        sendHeaders(res);
        res.end("whole");
      });
      backend.on("write", refuse);
      // Not all error handlers look whether there is an answer already, and pass the error on to Express, which cuts.
      await expect(client.ask("/", { page: "careless" })).rejects.toThrow(CUT);
      expect(client.errors).toEqual([expect.any(TokenizerError)]);
      expect(backend.calls.write).toBe(1);
      await client.expectReusable();
    });
  });

  test("server-sent events come one by one", async () => {
    let send: (event: string) => void = () => {};
    let end = () => {};
    const client = await answerWith({ release }, (req, res) => {
      change(req);
      res.writeHead(200, { "Content-Type": "text/event-stream" });
      send = (event) => res.write(`data: ${event}\n\n`);
      end = () => res.end();
      send("first");
    });
    const response = await responseTo(client.start("/"));
    const events = response.setEncoding("utf8")[Symbol.asyncIterator]();
    expect((await events.next()).value).toBe("data: first\n\n");
    send("second");
    expect((await events.next()).value).toBe("data: second\n\n");
    end();
    expect((await events.next()).done).toBe(true);
    expect((await client.ask("/seen", { cookie: cookieOf(response) })).text).toBe("/");
  });

  describe("compression mounted behind the sessions, which is not covered", () => {
    const handle: Handler = (req, res) => change(req) && createReadStream(LARGE_FILE).pipe(dress(res));

    test("completes", async () => {
      const client = await answerWith({ release, behind: [compression()] }, handle);
      const answer = await client.ask("/");
      expectBody(answer, LARGE);
      expect((await client.ask("/seen", { cookie: cookieOf(answer) })).text).toBe("/");
    });

    test("is cut when the store refuses", async () => {
      const client = await answerWith({ release, behind: [compression()] }, handle);
      backend.on("write", refuse);
      await expect(client.ask("/")).rejects.toThrow(CUT);
      await client.expectReusable();
    });
  });

  describe("an unchanged session", () => {
    test.each(["anonymous", "known"])("%s: the answer goes out at once", async (who) => {
      const seen: unknown[] = [];
      const client = await answerWith({ release }, (req, res) => {
        if (req.path === "/new") return change(req) && res.send("new");
        res.send("sent");
        return seen.push(res.headersSent, res.writableEnded);
      });
      const cookie = who === "known" ? cookieOf(await client.ask("/new")) : undefined;
      backend.reset();
      const answer = await client.ask("/", { cookie });
      expect(seen).toEqual([true, true]);
      expect(answer.headers).not.toHaveProperty("set-cookie");
      expect(backend.calls).toEqual({ read: who === "known" ? 1 : 0, write: 0, touch: 0, remove: 0 });
    });
  });

  describe("a session that changes while its answer is under way", () => {
    const handle: Handler = (req, res) => {
      if (req.path === "/new") return change(req) && res.send("new");
      res.write("first, ");
      change(req);
      return res.end("last");
    };

    test("is saved before the end", async () => {
      const client = await answerWith({ release }, handle);
      const cookie = cookieOf(await client.ask("/new"));
      const gate = holdWrites();
      const body = textOf(await responseTo(client.start("/changed", { cookie })));
      expect(await Promise.race([body, sleep(20, "held")])).toBe("held");
      gate.open();
      expect(await body).toBe("first, last");
      expect((await client.ask("/seen", { cookie })).text).toBe("/changed");
    });

    test("and is refused: the connection is cut", async () => {
      const client = await answerWith({ release }, handle);
      const cookie = cookieOf(await client.ask("/new"));
      backend.on("write", refuse);
      await expect(client.ask("/changed", { cookie })).rejects.toThrow(CUT);
      await client.expectReusable();
    });
  });

  test("who listens for headers, before the sessions or behind them, is called once, for what is sent", async () => {
    const called: string[] = [];
    const listen =
      (name: string): RequestHandler =>
      (_req, res, next) => {
        const { writeHead } = res;
        // As `on-headers` does, which response-time, morgan and others use.
        res.writeHead = ((...args: unknown[]) => {
          called.push(`${name}: ${res.statusCode}, cookie ${res.hasHeader("Set-Cookie")}`);
          res.setHeader(`X-${name}`, name);
          return Reflect.apply(writeHead, res, args);
        }) as Response["writeHead"];
        next();
      };
    const options = { release, before: [listen("Before")], behind: [listen("Behind")] };
    const client = await answerWith(options, (req, res) => change(req) && res.send("sent"));
    const sent = await client.ask("/");
    expect(sent.headers).toMatchObject({ "x-before": "Before", "x-behind": "Behind" });
    expect(called.splice(0)).toEqual(["Behind: 200, cookie false", "Before: 200, cookie true"]);
    backend.on("write", refuse);
    expect((await client.ask("/")).headers).toMatchObject({ "x-before": "Before", "x-behind": "Behind" });
    expect(called).toEqual(["Behind: 503, cookie false", "Before: 503, cookie false"]);
  });

  test("requests pipelined on one connection are answered in their order", async () => {
    const gate = new Gate();
    const client = await answerWith({ release }, (req, res) => {
      if (req.path !== "/plain") change(req);
      res.send(`answer to ${req.path}`);
    });
    backend.on("write", () => (backend.calls.write === 1 ? gate.trouble() : refuse()));
    const talk = client.talk("GET /held HTTP/1.1");
    talk.socket.write(linesFor("GET /refused HTTP/1.1") + linesFor("GET /plain HTTP/1.1"));
    await until(() => backend.calls.write === 2);
    await sleep(10);
    expect(talk.received).toBe("");
    gate.open();
    await until(() => talk.received.endsWith("answer to /plain"));
    expect(talk.received.match(/HTTP\/1.1 \d+|answer to \/[a-z]+|^Set-Cookie/gm)).toEqual([
      "HTTP/1.1 200",
      "Set-Cookie",
      "answer to /held",
      "HTTP/1.1 503",
      "HTTP/1.1 200",
      "answer to /plain",
    ]);
  });

  test("a request that outlives its session answers as usual, and an event tells", async () => {
    const told: unknown[] = [];
    sessions.store.on("discard", (event) => told.push(event));
    let id = "";
    const leave = new Gate();
    const client = await answerWith({ release }, async (req, res) => {
      if (req.path === "/out") await req.signOut();
      else if (req.path === "/slow") {
        id = req.session.id;
        await leave.trouble();
        req.session.seen = "too late";
      } else change(req);
      res.send("as usual");
    });
    const cookie = cookieOf(await client.ask("/new"));
    const slow = client.another().ask("/slow", { cookie });
    await until(() => id !== "");
    await client.ask("/out", { cookie });
    leave.open();
    const answer = await slow;
    expect(answer).toMatchObject({ status: 200, text: "as usual" });
    expect(answer.headers).not.toHaveProperty("set-cookie");
    await until(() => told.length > 0);
    expect(told).toEqual([{ session: shortName(storageKey(id)) }]);
    expect(JSON.stringify(told)).not.toContain(id);
    expect((await client.ask("/seen", { cookie })).text).toBe("nothing");
    expect(client.errors).toEqual([]);
  });

  describe("a store that cannot be read", () => {
    test("is an error page for who has a session, and nothing to who has none", async () => {
      const client = await answerWith({ release }, (req, res) => {
        if (req.path === "/new") change(req);
        res.send("sent");
      });
      const cookie = cookieOf(await client.ask("/new"));
      backend.reset();
      backend.on("read", refuse);
      const answer = await client.ask("/", { cookie });
      expect(client.errors).toEqual([expect.any(TokenizerError)]);
      await expectErrorPage(client, answer);
      expect(backend.calls.read).toBe(1);
      expect(await client.ask("/")).toMatchObject({ status: 200, text: "sent" });
      expect(await client.ask("/", { cookie: "token=s%3Aforged.signature" })).toMatchObject({ status: 200 });
      expect(backend.calls.read).toBe(1);
      backend.reset();
      expect(await client.ask("/", { cookie })).toMatchObject({ status: 200, text: "sent" });
      expect(client.sockets.size).toBe(1);
    });
  });
});

// --- what handlers do ------------------------------------------------------------------------------

/** Puts the request's path into the session; looks at it, at least. */
function change(req: Request): true {
  const { session } = req;
  if (!("unchanged" in req.query)) session.seen = req.originalUrl;
  return true;
}

function dress(res: Response): Response {
  return res.set(DRESS);
}

async function* slowly(chunk: string, times: number): AsyncGenerator<string> {
  for (let time = 0; time < times; time++) {
    await sleep(2);
    yield chunk;
  }
}

function linesOf(length: number): string {
  let lines = "";
  for (let number = 0; lines.length < length; number++) lines += `line ${number} of a text that compresses\n`;
  return lines.slice(0, length);
}

function pathOf(name: string): string {
  return `/${name.replace(/\W+/g, "-")}`;
}

function kindOf(name: string): Kind {
  const kind = KINDS[name];
  if (!kind) throw new Error(`there is no ${name}`);
  return kind;
}

// --- the server ------------------------------------------------------------------------------------

interface Served {
  readonly port: number;
  /** Each that `next` was given. */
  readonly errors: unknown[];
  readonly close: () => Promise<unknown>;
}

interface ServeOptions {
  readonly release: Release;
  readonly over?: Tokenizer;
  readonly before?: readonly RequestHandler[];
  readonly behind?: readonly RequestHandler[];
}

/** How an error is answered: by Express, or by the application. */
type Page = "default" | "custom" | "slow" | "file" | "queued" | "bare" | "slow bare" | "careless";

function openSessions(name: string, seconds: number): Tokenizer {
  const section = { type: "local", path: join(folder, name), cloud: false, store_timeout: seconds } as const;
  return tokenizer({ tokenizer: { ...section, safe_password: "a safe password for specs" } });
}

/** An application with one answer to everything, and `/seen` and `/control` beside it. */
function answerWith(options: ServeOptions, handle: Handler): Promise<Client> {
  return serve(options, (app) => app.use(adapt(handle)));
}

/** `/seen` tells what is in the session; `/control` is how this application answers an error. */
async function serve(options: ServeOptions, addRoutes: (app: Express) => unknown): Promise<Client> {
  const { release, over = sessions, before = [], behind = [] } = options;
  const errors: unknown[] = [];
  const app = FRAMEWORKS[release]();
  for (const middleware of [...before, over, ...behind]) app.use(middleware);
  app.use("/seen", (req, res) => {
    res.send(req.session.seen ?? req.session.username ?? "nothing");
  });
  app.use("/control", (req, _res, next) => {
    const status = Number(req.query.status ?? 503);
    next(Object.assign(new Error("control"), { status }));
  });
  addRoutes(app);
  app.use((error: Error, req: Request, res: Response, next: NextFunction) => {
    if (!req.originalUrl.startsWith("/control")) errors.push(error);
    // Express prints it, and it must not tell the errors apart.
    error.stack = "the stack";
    if (req.get("x-page") === "careless") return;
    if (res.headersSent) return next(error);
    answerError(error, (req.get("x-page") ?? "default") as Page, res, next).catch(next);
  });
  const server = createServer(app);
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo;
  const client = new Client({
    ...{ port, errors },
    async close() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  });
  servers.push(client.served);
  return client;
}

async function answerError(error: Error & { status?: number }, page: Page, res: Response, next: NextFunction) {
  if (page === "default") return next(error);
  if (page.startsWith("slow")) await sleep(5);
  if (page.endsWith("bare")) return res.end("bare");
  res.status(error.status ?? 500).set({ "X-Page": page, "Cache-Control": "no-store" });
  if (page === "queued") return queue.push(() => res.send(PAGE));
  if (page === "file") return res.sendFile(PAGE_FILE, { cacheControl: false });
  return res.send(PAGE);
}

/** Whatever the handler answers, Express waits for it; Express 4 does not look. */
function adapt(handle: Handler): RequestHandler {
  return async (req, res, next) => {
    try {
      await handle(req, res, next);
    } catch (error) {
      next(error);
    }
  };
}

function holdWrites(): Gate {
  const gate = new Gate();
  backend.on("write", gate.trouble);
  return gate;
}

// --- the client ------------------------------------------------------------------------------------

const CUT = /cut off|socket hang up|ECONNRESET|aborted/;

interface AskOptions {
  readonly method?: string;
  readonly headers?: Record<string, string>;
  readonly cookie?: string | undefined;
  readonly page?: Page;
}

interface Answer {
  readonly status: number | undefined;
  readonly message: string | undefined;
  /** Without the date. */
  readonly headers: IncomingHttpHeaders;
  /** As it was before compression. */
  readonly body: Buffer;
  readonly text: string;
}

/** One connection, kept alive, on which one request follows the other. */
class Client {
  readonly served: Served;
  readonly sockets = new Set<unknown>();
  readonly #agent = new Agent({ keepAlive: true, maxSockets: 1 });

  constructor(served: Served) {
    this.served = served;
  }

  get port(): number {
    return this.served.port;
  }

  get errors(): unknown[] {
    return this.served.errors;
  }

  another(): Client {
    return new Client(this.served);
  }

  start(path: string, { method = "GET", headers = {}, cookie, page = "default" }: AskOptions = {}): ClientRequest {
    const all = { ...headers, "accept-encoding": "br", "x-page": page, ...(cookie === undefined ? {} : { cookie }) };
    const asked = request({ agent: this.#agent, host: "127.0.0.1", port: this.port, path, method, headers: all });
    asked.on("socket", (socket) => this.sockets.add(socket));
    asked.setTimeout(30_000, () => asked.destroy(new Error("no answer came")));
    asked.end();
    return asked;
  }

  /** Rejects when the answer is cut off. */
  async ask(path: string, options: AskOptions = {}): Promise<Answer> {
    const response = await responseTo(this.start(path, options));
    const chunks: Buffer[] = [];
    for await (const chunk of response) chunks.push(chunk);
    if (!response.complete) throw new Error("the answer was cut off");
    const raw = Buffer.concat(chunks);
    const { date: _, ...headers } = response.headers;
    const isCompressed = headers["content-encoding"] === "br" && raw.length > 0;
    const body = isCompressed ? brotliDecompressSync(raw) : raw;
    return { status: response.statusCode, message: response.statusMessage, headers, body, text: body.toString() };
  }

  /** A connection of its own, on which the spec says what is sent and when. */
  talk(...lines: string[]): { readonly socket: Socket; readonly received: string } {
    const socket = connect(this.port, "127.0.0.1")
      .setEncoding("utf8")
      .on("error", () => {});
    const talk = { socket, received: "" };
    socket.on("data", (data) => {
      talk.received += data;
    });
    socket.write(linesFor(...lines));
    return talk;
  }

  /** The server is alive, and nothing is left over on the connection. */
  async expectReusable(): Promise<void> {
    expect(await this.ask("/seen")).toMatchObject({ status: 200, text: "nothing" });
  }
}

function linesFor(...lines: string[]): string {
  return `${[...lines, "Host: here"].join("\r\n")}\r\n\r\n`;
}

function responseTo(asked: ClientRequest): Promise<IncomingMessage> {
  return new Promise((resolve, reject) => asked.on("response", resolve).on("error", reject));
}

function cookieOf({ headers }: { headers: IncomingHttpHeaders }): string {
  return headers["set-cookie"]?.[0]?.split(";")[0] ?? "none";
}

/** The answer to a refused save is the one to any error: nothing more, nothing less. */
async function expectErrorPage(
  client: Client,
  answer: Answer,
  { expected = 503, ...asked }: AskOptions & { expected?: number } = {},
) {
  const control = await client.ask(`/control?status=${expected}`, asked);
  expect(withoutVary(answer)).toEqual(withoutVary(control));
  expect(answer.status).toBe(expected);
}

/** Without the body, and without what is said of the session that the handler looked at before it failed. */
function withoutVary({ body: _, headers: { vary, ...headers }, ...answer }: Answer) {
  const others = vary?.split(", ").filter((name) => name !== "Cookie") ?? [];
  return { ...answer, headers, vary: others };
}

function expectBody({ body }: Answer, expected: Buffer | string): void {
  // Not by toEqual, which would print megabytes.
  expect(body.length).toBe(expected.length);
  expect(body.equals(Buffer.from(expected))).toBe(true);
}

function nextTick(): Promise<void> {
  return new Promise((resolve) => process.nextTick(resolve));
}

async function until(isDone: () => unknown): Promise<void> {
  const giveUp = performance.now() + 30_000;
  while (!(await isDone())) {
    if (performance.now() > giveUp) throw new Error(`in vain: ${isDone}`);
    await sleep(1);
  }
}
