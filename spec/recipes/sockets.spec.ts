/** Sockets are closed when their session ends: of the package ws, and of Socket.IO. */
import { once } from "node:events";
import { createServer, ServerResponse } from "node:http";
import type { Duplex } from "node:stream";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "@jest/globals";
import type { Request, Response } from "express";
import { Server } from "socket.io";
import { WebSocket, WebSocketServer } from "ws";
import type { Tokenizer } from "../../lib/tokenizer.js";
import { type App, startApp, type Visitor } from "../support/app.js";

const opened: WebSocket[] = [];

afterEach(() => {
  for (const ws of opened.splice(0)) ws.terminate();
});

function open(app: App, { cookie = "" }: Visitor, path = "/"): WebSocket {
  const ws = new WebSocket(app.url.replace("http", "ws") + path, { headers: { cookie } });
  opened.push(ws);
  return ws;
}

async function signedIn(app: App): Promise<Visitor> {
  const visitor = app.visitor();
  await visitor.signIn();
  return visitor;
}

function serveSockets(server: ReturnType<typeof createServer>, sessions: Tokenizer): void {
  const sockets = new WebSocketServer({ noServer: true });
  server.on("upgrade", (req: Request, socket: Duplex, head: Buffer) => {
    const res = new ServerResponse(req) as Response;
    sessions(req, res, () => sockets.handleUpgrade(req, socket, head, (ws) => sockets.emit("connection", ws, req)));
  });

  const socketsOf = new Map<string, Set<WebSocket>>();

  sockets.on("connection", (ws, req: Request) => {
    const handle = sessions.users.handle(req);
    if (handle === undefined) return ws.close(4401, "Please sign in.");
    const own = socketsOf.get(handle) ?? new Set();
    socketsOf.set(handle, own.add(ws));
    ws.on("close", () => {
      own.delete(ws);
      if (own.size === 0) socketsOf.delete(handle);
    });
  });

  sessions.on("ended", ({ handle, reason }) => {
    for (const ws of socketsOf.get(handle) ?? []) ws.close(4401, reason);
  });

  // So that a spec knows when a socket is there.
  sockets.on("connection", (ws) => ws.send("hello"));
}

function serveSocketIo(io: Server, sessions: Tokenizer): void {
  io.engine.use(sessions);

  io.on("connection", (socket) => {
    const handle = sessions.users.handle(socket.request as Request);
    if (handle === undefined) socket.disconnect(true);
    else socket.join(handle);
  });

  sessions.on("ended", ({ handle }) => {
    io.in(handle).disconnectSockets(true);
  });
}

describe("ws", () => {
  let app: App;

  beforeAll(async () => {
    const server = createServer();
    app = await startApp({
      serve: (app) => server.on("request", app),
      routes: (_app, sessions) => serveSockets(server, sessions),
    });
  });

  test("all sockets of a session that ends are closed, and no others", async () => {
    const [visitor, other] = [await signedIn(app), await signedIn(app)];
    const [first, second, third] = [open(app, visitor), open(app, visitor), open(app, other)];
    await Promise.all([first, second, third].map((ws) => once(ws, "message")));
    const closed = Promise.all([first, second].map((ws) => once(ws, "close")));
    await visitor.post("/sign-out");
    expect((await closed).map(([code, reason]) => [code, String(reason)])).toEqual([
      [4401, "sign-out"],
      [4401, "sign-out"],
    ]);
    const revoked = once(third, "close");
    await app.sessions.users.revoke("ada");
    expect((await revoked).map(String)).toEqual(["4401", "revoked"]);
  });

  test("a socket of nobody's is closed at once", async () => {
    expect((await once(open(app, app.visitor()), "close"))[0]).toBe(4401);
  });
});

describe("Socket.IO", () => {
  const PATH = "/socket.io/?EIO=4&transport=websocket";
  const io = new Server({ serveClient: false });
  let app: App;

  beforeAll(async () => {
    app = await startApp({
      serve(app) {
        const server = createServer(app);
        io.attach(server);
        return server;
      },
    });
    serveSocketIo(io, app.sessions);
  });

  afterAll(() => io.close());

  async function connected(visitor: Visitor): Promise<WebSocket> {
    const ws = open(app, visitor, PATH);
    await once(ws, "message");
    ws.send("40");
    await once(ws, "message");
    return ws;
  }

  test("the sockets of a session that ends are disconnected, and no others", async () => {
    const [visitor, other] = [await signedIn(app), await signedIn(app)];
    const [own, others] = [await connected(visitor), await connected(other)];
    const closed = once(own, "close");
    await visitor.post("/sign-out");
    await closed;
    expect(others.readyState).toBe(WebSocket.OPEN);
    const revoked = once(others, "close");
    await app.sessions.users.revoke("ada");
    await revoked;
  });
});
