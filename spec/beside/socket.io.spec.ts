/** Beside Socket.IO: io.engine.use(sessions) gives a socket its session, over polling and over WebSockets. */
import { on } from "node:events";
import { createServer } from "node:http";
import { afterAll, beforeAll, beforeEach, expect, test } from "@jest/globals";
import type { Request, RequestHandler } from "express";
import { Server } from "socket.io";
import { WebSocket } from "ws";
import { tokenizer } from "../../lib/tokenizer.js";
import { type App, SAFE_PASSWORD, startApp, type Visitor } from "../support/app.js";

declare module "express-session" {
  interface SessionData {
    drawn?: number;
  }
}

const ADA = { username: "ada", password: "a secret of ada's" };
const POLLING = "/socket.io/?EIO=4&transport=polling";
/** Of Engine.IO and of Socket.IO: connect to the main namespace; an event. */
const CONNECT = "40";
const eventOf = (...parts: unknown[]) => `42${JSON.stringify(parts)}`;
const HELLO = eventOf("hello", "ada", ADA.password);
/** Between packets of one answer. */
const SEPARATOR = "\u001e";

const io = new Server({ serveClient: false });
/** What io.engine uses. */
let inUse: RequestHandler;
let app: App;
let visitor: Visitor;

function serveSockets(io: Server, sessions: RequestHandler): void {
  io.engine.use(sessions);

  io.use((socket, next) => {
    const { session } = socket.request as Request;
    next(session.username ? undefined : new Error("Please sign in."));
  });

  io.on("connection", (socket) => {
    const req = socket.request as Request;
    socket.emit("hello", req.session.username, req.credentials?.password);

    socket.on("draw", (value) => {
      req.session.reload((error) => {
        if (error) return void socket.disconnect();
        req.session.drawn = value;
        req.session.save((error) => socket.emit("drawn", !error));
      });
    });
  });
}

beforeAll(async () => {
  app = await startApp({
    serve(app) {
      const server = createServer(app);
      io.attach(server);
      return server;
    },
  });
  inUse = app.sessions;
  serveSockets(io, (...request) => inUse(...request));
});

afterAll(() => io.close());

beforeEach(async () => {
  visitor = app.visitor();
  await visitor.post("/sign-in", ADA);
});

/** Over a WebSocket from the start; rejects when it is refused. Messages are kept until they are asked for. */
async function connect(cookie = visitor.cookie): Promise<{ ws: WebSocket; next(): Promise<string | undefined> }> {
  const url = `${app.url.replace("http", "ws")}${POLLING.replace("polling", "websocket")}`;
  const ws = new WebSocket(url, { headers: cookie ? { cookie } : {} });
  const ended = new AbortController();
  ws.once("close", () => ended.abort());
  const messages = on(ws, "message", { signal: ended.signal });
  const next = async () => {
    const message = await messages.next().catch(() => undefined);
    return message && String(message.value[0]);
  };
  await next(); // Engine.IO's own greeting
  ws.send(CONNECT);
  return { ws, next };
}

/** Over polling: the answer to the connection, and all cookies that came. */
async function poll(cookie = visitor.cookie): Promise<{ packets: string[]; cookies: string[] }> {
  const headers = { cookie: cookie ?? "" };
  const cookies: string[] = [];
  const ask = async (path: string, body?: string) => {
    const answer = await fetch(app.url + path, { headers, ...(body && { method: "POST", body }) });
    cookies.push(...answer.headers.getSetCookie());
    return answer.text();
  };
  const { sid } = JSON.parse((await ask(POLLING)).slice(1));
  await ask(`${POLLING}&sid=${sid}`, CONNECT);
  const packets = (await ask(`${POLLING}&sid=${sid}`)).split(SEPARATOR);
  return { packets, cookies };
}

const REFUSED = '44{"message":"Please sign in."}';

test("a WebSocket has req.session and req.credentials; without a session it is refused", async () => {
  const { ws, next } = await connect();
  expect(await next()).toMatch(/^40/);
  expect(await next()).toBe(HELLO);
  ws.terminate();
  const stranger = await connect("");
  expect(await stranger.next()).toBe(REFUSED);
  stranger.ws.terminate();
});

test("polling has them, too", async () => {
  const { packets, cookies } = await poll();
  expect(packets).toEqual([expect.stringMatching(/^40/), HELLO]);
  expect(cookies).toEqual([]);
  expect((await poll("")).packets).toEqual([REFUSED]);
});

test("what a socket changes is saved over what requests changed meanwhile; after a sign-out it is disconnected", async () => {
  const { ws, next } = await connect();
  await next();
  await next();
  await visitor.post("/set", { basket: ["tea"] });
  ws.send(eventOf("draw", 7));
  expect(await next()).toBe(eventOf("drawn", true));
  const { values } = (await visitor.get("/session")).body;
  expect(values).toEqual({ username: "ada", drawn: 7, basket: ["tea"] });

  await visitor.post("/sign-out");
  ws.send(eventOf("draw", 8));
  expect(await next()).toBe("41");
  ws.terminate();
});

test("while safe_password is rotated, polling goes on; the cookie signed anew comes with Express's next answer", async () => {
  const log: string[] = [];
  const settings = { type: "local", path: app.path, safe_password: ["a new safe password", SAFE_PASSWORD] } as const;
  const rotated = tokenizer({ tokenizer: settings }, { clock: app.clock, log: { warn: (line) => log.push(line) } });
  await rotated.ready;
  inUse = rotated;
  const { packets, cookies } = await poll();
  expect(packets).toEqual([expect.stringMatching(/^40/), HELLO]);
  expect(cookies).toEqual([]);
  expect(log).toEqual([expect.stringContaining("not sent with an answer that is not Express's")]);
  inUse = app.sessions;
  await rotated.close();
});
