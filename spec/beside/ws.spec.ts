/** Beside WebSockets, by the package ws: an upgrade request has its session, and a socket changes it by hand. */
import { once } from "node:events";
import { createServer, ServerResponse } from "node:http";
import type { Duplex } from "node:stream";
import { afterEach, beforeAll, beforeEach, expect, jest, test } from "@jest/globals";
import type { Request, RequestHandler, Response } from "express";
import type { SessionData } from "express-session";
import { WebSocket, WebSocketServer } from "ws";
import { LocalBackend } from "../../lib/backends/local/backend.js";
import type { Tokenizer } from "../../lib/tokenizer.js";
import { type App, startApp, type Visitor } from "../support/app.js";

declare module "express-session" {
  interface SessionData {
    drawn?: number;
  }
}

const ADA = { username: "ada", password: "a secret of ada's" };

let app: App;
let visitor: Visitor;
/** Whether the next upgrade is given `{}` for a response, as others' examples do. */
let isBare = false;
/** What the next `change` waits for between its load and its save. */
let pause: Promise<unknown>;
let loaded: () => void;
const opened: WebSocket[] = [];

/** Loads the session as it is now, and saves what is done to it; answers whether it is still there. */
async function change(sessions: Tokenizer, id: string, work: (session: SessionData) => unknown): Promise<boolean> {
  const session = await new Promise<SessionData | null | undefined>((resolve, reject) => {
    sessions.store.get(id, (error, session) => (error ? reject(error) : resolve(session)));
  });
  if (!session) return false;
  await work(session);
  await new Promise<void>((resolve, reject) => {
    sessions.store.set(id, session, (error) => (error ? reject(error) : resolve()));
  });
  return true;
}

async function draw(session: SessionData, value: number): Promise<void> {
  session.drawn = value;
  loaded();
  await pause;
}

function serveSockets(server: ReturnType<typeof createServer>, sessions: Tokenizer): void {
  const sockets = new WebSocketServer({ noServer: true });

  server.on("upgrade", (req: Request, socket: Duplex, head: Buffer) => {
    socket.on("error", () => socket.destroy());
    const res = new ServerResponse(req) as Response; // there is no answer, but a middleware wants one
    sessions(req, res, (error) => {
      if (error) socket.end("HTTP/1.1 503 Service Unavailable\r\n\r\n");
      else if (!req.session.username) socket.end("HTTP/1.1 401 Unauthorized\r\n\r\n");
      else sockets.handleUpgrade(req, socket, head, (ws) => sockets.emit("connection", ws, req));
    });
  });

  sockets.on("connection", (ws, req: Request) => {
    ws.on("message", (message) => {
      change(sessions, req.sessionID, (session) => draw(session, Number(message))).then(
        (isThere) => (isThere ? ws.send("drawn") : ws.close(4401, "Your session has ended.")),
        () => ws.close(1011, "Please try again."),
      );
    });

    const { username, password } = req.credentials ?? {};
    ws.send(JSON.stringify({ named: req.session.username, username, password, ended: req.sessionEnded }));
  });
}

beforeAll(async () => {
  const server = createServer();
  app = await startApp({
    serve: (app) => server.on("request", app),
    routes(_app, sessions) {
      const load: RequestHandler = (req, res, next) => sessions(req, isBare ? ({} as Response) : res, next);
      serveSockets(server, Object.assign(load, sessions));
    },
  });
});

beforeEach(async () => {
  isBare = false;
  pause = Promise.resolve();
  loaded = () => {};
  await app.sessions.users.revokeEveryone();
  visitor = app.visitor();
  await visitor.post("/sign-in", ADA);
});

afterEach(() => {
  for (const ws of opened.splice(0)) ws.terminate();
});

function open(cookie = visitor.cookie, headers: Record<string, string> = {}): WebSocket {
  const ws = new WebSocket(app.url.replace("http", "ws"), { headers: { ...headers, ...(cookie && { cookie }) } });
  opened.push(ws);
  return ws;
}

async function nextMessage(ws: WebSocket): Promise<string> {
  const [message] = await once(ws, "message");
  return String(message);
}

/** What it is told first. */
async function greeting(ws = open()): Promise<unknown> {
  return JSON.parse(await nextMessage(ws));
}

/** A socket that has been greeted. */
async function connected(): Promise<WebSocket> {
  const ws = open();
  await nextMessage(ws);
  return ws;
}

async function statusOf(ws: WebSocket): Promise<number> {
  ws.on("error", () => {});
  const [, answer] = await once(ws, "unexpected-response");
  return answer.statusCode;
}

const drawn = async (who = visitor) => (await who.get("/session")).body.values.drawn;

const SIGNED_IN = { named: "ada", username: "ada", password: ADA.password, ended: false };

test("an upgrade has req.session and req.credentials; without a session it is refused", async () => {
  expect(await greeting()).toEqual(SIGNED_IN);
  expect(await statusOf(open(""))).toBe(401);
  expect(await statusOf(open(app.visitor("token=s%3Aforged.forged").cookie))).toBe(401);
  const before = visitor.cookie;
  await visitor.post("/sign-out");
  expect(await statusOf(open(before))).toBe(401);
});

test("an empty object for a response, as ws's own example has it, will do", async () => {
  isBare = true;
  expect(await greeting()).toEqual(SIGNED_IN);
  expect(await statusOf(open(""))).toBe(401);
});

test("what a socket changes is saved, and merged with what a request changes meanwhile", async () => {
  const ws = await connected();
  const isLoaded = new Promise<void>((resolve) => {
    loaded = resolve;
  });
  let goOn = () => {};
  pause = new Promise<void>((resolve) => {
    goOn = resolve;
  });
  ws.send("7");
  await isLoaded;
  await visitor.post("/set", { basket: ["tea"] });
  goOn();
  expect(await nextMessage(ws)).toBe("drawn");
  expect((await visitor.get("/session")).body.values).toEqual({ username: "ada", drawn: 7, basket: ["tea"] });
  expect((await visitor.get("/session")).body.opened).toEqual(ADA);
});

test("a save that the store refuses is told, and the process lives", async () => {
  const ws = await connected();
  const write = jest.spyOn(LocalBackend.prototype, "write").mockRejectedValueOnce(new Error("The disk is full."));
  ws.send("7");
  const [code] = await once(ws, "close");
  expect(code).toBe(1011);
  write.mockRestore();
  expect(await drawn()).toBeUndefined();
  expect(await greeting()).toEqual(SIGNED_IN);
});

test("a socket that is still open learns of the sign-out at its next message", async () => {
  const ws = await connected();
  await visitor.post("/sign-out");
  ws.send("7");
  const [code, reason] = await once(ws, "close");
  expect([code, String(reason)]).toEqual([4401, "Your session has ended."]);
});

test("a save that meets a sign-out is discarded: the session is not brought back", async () => {
  const ws = await connected();
  const before = app.visitor(visitor.cookie);
  const isLoaded = new Promise<void>((resolve) => {
    loaded = resolve;
  });
  let goOn = () => {};
  pause = new Promise<void>((resolve) => {
    goOn = resolve;
  });
  const discarded = once(app.sessions.store, "discard");
  ws.send("7");
  await isLoaded;
  await visitor.post("/sign-out");
  goOn();
  await discarded;
  expect((await before.get("/session")).body).toEqual({ values: {}, ended: true });
  expect(await app.sessions.users.list("ada")).toEqual([]);
});

test("each message that loads the session counts as a request: it does not end while the socket is used", async () => {
  const ws = await connected();
  for (let n = 0; n < 4; n++) {
    app.clock.forward(15 * 60_000);
    ws.send(String(n));
    expect(await nextMessage(ws)).toBe("drawn");
  }
  expect(await drawn()).toBe(3);
});

test("behind a proxy that says https an upgrade warns of nothing: whether it is secure Express was not asked", async () => {
  expect(await greeting(open(visitor.cookie, { "x-forwarded-proto": "https" }))).toEqual(SIGNED_IN);
  expect(app.log).toEqual([]);
});
