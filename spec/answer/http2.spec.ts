import { once } from "node:events";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import {
  type ClientHttp2Session,
  connect,
  createServer,
  Http2ServerRequest,
  Http2ServerResponse,
  type IncomingHttpHeaders,
} from "node:http2";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Readable } from "node:stream";
import { afterAll, afterEach, beforeAll, describe, expect, jest, test } from "@jest/globals";
import compression from "compression";
import express, { type Express, type NextFunction, type Request, type Response } from "express";
import express4 from "express4";
import { type Tokenizer, tokenizer } from "../../lib/tokenizer.js";
import { SAFE_PASSWORD } from "../support/app.js";
import { FailingBackend, Gate, refuse } from "../support/failing-backend.js";

// Over HTTP/2, where Node's response ends by writing: Express on the prototypes of node:http2, as its bridges put it.

const PAGE = "A line that compresses well.\n".repeat(10_000);
const folder = mkdtempSync(join(tmpdir(), "http2-spec-"));
const FILE = join(folder, "page.txt");

type Handler = (req: Request, res: Response) => unknown;

interface Kind {
  readonly handle: Handler;
  readonly status?: number;
  readonly body: string;
  readonly method?: string;
}

const KINDS: Record<string, Kind> = {
  "res.send": { body: PAGE, handle: (_req, res) => res.send(PAGE) },
  "res.json": { body: '{"page":1}', handle: (_req, res) => res.json({ page: 1 }) },
  "res.redirect": {
    ...{ status: 302, body: "Found. Redirecting to /elsewhere" },
    handle: (_req, res) => res.redirect("/elsewhere"),
  },
  "res.end with a chunk": { body: PAGE, handle: (_req, res) => res.end(PAGE) },
  "res.end with a chunk and its encoding": { body: "whole", handle: (_req, res) => res.end("d2hvbGU=", "base64") },
  "res.end without": { body: "", handle: (_req, res) => res.end() },
  "res.write and res.end": {
    body: "first, last",
    handle(_req, res) {
      res.write("first, ");
      res.end("last");
    },
  },
  "res.write and res.end with nothing": {
    body: "first",
    handle(_req, res) {
      res.write("first");
      res.end();
    },
  },
  "res.writeHead and res.end": {
    ...{ status: 201, body: "whole" },
    handle: (_req, res) => res.writeHead(201, { "content-type": "text/plain" }).end("whole"),
  },
  "a piped stream": {
    body: PAGE,
    handle: (_req, res) => Readable.from([PAGE.slice(0, 100_000), PAGE.slice(100_000)]).pipe(res),
  },
  "res.sendFile": { body: PAGE, handle: (_req, res) => res.sendFile(FILE) },
  "204": { status: 204, body: "", handle: (_req, res) => res.sendStatus(204) },
  // What a response has no method for it has none for, also when its headers are guarded.
  "whatever methods there are": {
    body: JSON.stringify(["setHeaders" in Http2ServerResponse.prototype, "function"]),
    handle(_req, res) {
      res.writeHead(200, { "content-type": "application/json" });
      setImmediate(() => res.end(JSON.stringify(["setHeaders" in res, typeof res.removeHeader])));
    },
  },
  HEAD: { body: "", method: "HEAD", handle: (_req, res) => res.send(PAGE) },
};

/** A framework's request and response, made of HTTP/2's. */
function onHttp2(framework: typeof express): Express {
  const app = framework();
  const over = (base: object, own: object) => Object.create(base, Object.getOwnPropertyDescriptors(own));
  Object.setPrototypeOf(app.request, over(Http2ServerRequest.prototype, framework.request));
  Object.setPrototypeOf(app.response, over(Http2ServerResponse.prototype, framework.response));
  return app;
}

const backend = new FailingBackend();
/** HTTP/2 has none, and Node warns of whoever asks for one. */
const statusMessage = jest.spyOn(Http2ServerResponse.prototype, "statusMessage", "get");
let sessions: Tokenizer;

beforeAll(async () => {
  writeFileSync(FILE, PAGE);
  const section = { type: "local", path: join(folder, "tokens"), cloud: false, safe_password: SAFE_PASSWORD } as const;
  // res.sendFile says that caches may share what it sends.
  sessions = tokenizer({ tokenizer: section }, { log: { warn: () => {} } });
  await sessions.ready;
});

afterEach(() => backend.reset());

afterAll(async () => {
  await sessions.close();
  jest.restoreAllMocks();
  rmSync(folder, { recursive: true, force: true });
});

describe.each([
  { release: 5, form: "plain" },
  { release: 5, form: "compressed" },
  { release: 4, form: "plain" },
  { release: 4, form: "compressed" },
] as const)("on Express $release, $form", ({ release, form }) => {
  const framework = release === 4 ? (express4 as unknown as typeof express) : express;
  let server: ReturnType<typeof createServer>;
  let client: ClientHttp2Session;
  const errors: unknown[] = [];
  /** At a request that was answered. */
  let look: ((req: Request) => unknown) | undefined;

  beforeAll(async () => {
    const app = onHttp2(framework);
    if (form === "compressed") app.use(compression());
    app.use(sessions);
    app.get("/seen", (req, res) => {
      res.send(Reflect.get(req.session, "seen") ?? "nothing");
    });
    app.use("/:what/:name", (req, res, next) => {
      const { what, name = "" } = req.params;
      if (what === "changed" || what === "failed") Object.assign(req.session, { seen: name });
      if (what === "read") void req.session;
      void KINDS[name]?.handle(req, res);
      look?.(req);
      if (what === "failed") next(new Error("too late"));
    });
    app.use((error: Error & { status?: number }, _req: Request, res: Response, next: NextFunction) => {
      errors.push(error);
      if (res.headersSent) return next(error);
      return res.status(error.status ?? 500).send("the error page");
    });
    server = createServer(app as unknown as Parameters<typeof createServer>[1]);
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
    client = connect(`http://127.0.0.1:${(server.address() as AddressInfo).port}`);
    await once(client, "connect");
  });

  afterEach(() => {
    errors.length = 0;
  });

  afterAll(async () => {
    client.destroy();
    server.close();
    await once(server, "close");
  });

  async function ask(path: string, { cookie = "", method = "GET" } = {}) {
    const stream = client.request({ ":path": encodeURI(path), ":method": method, ...(cookie && { cookie }) });
    const answered = once(stream, "response") as Promise<[IncomingHttpHeaders]>;
    stream.end();
    const [headers] = await answered;
    const chunks: Buffer[] = [];
    for await (const chunk of stream) chunks.push(chunk);
    const { ":status": status, "set-cookie": cookies = [], date: _, ...others } = headers;
    return { status, cookies, headers: others, text: Buffer.concat(chunks).toString() };
  }

  test.each(Object.keys(KINDS))("%s: the answer is whole, as of an unchanged session", async (name) => {
    const { status = 200, body, method = "GET" } = KINDS[name] as Kind;
    const unchanged = await ask(`/read/${name}`, { method });
    expect(unchanged).toMatchObject({ status, cookies: [] });
    const answer = await ask(`/changed/${name}`, { method });
    expect(answer).toMatchObject({ status, cookies: [expect.stringMatching(/^token=s/)] });
    expect(answer.text.length).toBe(body.length);
    expect(answer.text === body && unchanged.text === body).toBe(true);
    const { "cache-control": said, ...headers } = answer.headers;
    const { "cache-control": saidElse, ...expected } = unchanged.headers;
    expect(said).toBe(saidElse ?? "no-store");
    expect(headers).toEqual(expected);
    const cookie = answer.cookies[0]?.split(";")[0] ?? "";
    expect((await ask("/seen", { cookie })).text).toBe(name);
  });

  test.each(Object.keys(KINDS))("%s: the store refuses, and the answer is an error page", async (name) => {
    const { method = "GET" } = KINDS[name] as Kind;
    backend.on("write", refuse);
    const answer = await ask(`/changed/${name}`, { method });
    expect(answer).toMatchObject({ status: 503, cookies: [], text: method === "HEAD" ? "" : "the error page" });
    expect(answer.headers).not.toHaveProperty("location");
    expect(errors).toEqual([expect.objectContaining({ code: "STORE_UNAVAILABLE" })]);
  });

  test("a handler that fails after it answered: the answer stands, and so does the connection", async () => {
    const gate = new Gate();
    backend.on("write", gate.trouble);
    const asked = ask("/failed/res.json");
    while (errors.length === 0) await new Promise(setImmediate);
    // Express closes the connection in the loop's next turn.
    for (let times = 0; times < 3; times++) await new Promise(setImmediate);
    gate.open();
    expect(await asked).toMatchObject({ status: 200, text: '{"page":1}' });
    expect(errors).toEqual([expect.objectContaining({ message: "too late" })]);
    expect(await ask("/seen")).toMatchObject({ status: 200, text: "nothing" });
  });

  test("an answer that is held shows its own connection's state, and not that of an earlier one's", async () => {
    await ask("/changed/res.json");
    const seen: unknown[] = [];
    look = ({ socket }) => seen.push(socket.destroyed, socket.writable);
    await ask("/changed/res.json");
    look = undefined;
    expect(seen).toEqual([false, true]);
  });

  test("who asks without Host, as browsers do, is no other host's: the cookie's domain is nothing to warn of", async () => {
    const log: string[] = [];
    const path = join(folder, "of-a-domain");
    const section = { type: "local", path, cloud: false, safe_password: SAFE_PASSWORD } as const;
    const cookie = { domain: "example.com" };
    const own = tokenizer({ tokenizer: { ...section, cookie } }, { log: { warn: (line) => log.push(line) } });
    const app = onHttp2(framework).use(own);
    app.use((req, res) => {
      Object.assign(req.session, { seen: "it" });
      res.send("whole");
    });
    const other = createServer(app as unknown as Parameters<typeof createServer>[1]).listen(0, "127.0.0.1");
    await once(other, "listening");
    const visitor = connect(`http://127.0.0.1:${(other.address() as AddressInfo).port}`);
    const [headers] = await once(visitor.request({ ":authority": "www.example.com" }), "response");
    expect([headers["set-cookie"]?.length, log]).toEqual([1, []]);
    visitor.destroy();
    other.close();
    await own.close();
  });

  test("nobody asked for a status message", () => {
    expect(statusMessage).not.toHaveBeenCalled();
  });
});
