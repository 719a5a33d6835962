/**
 * The service that owns the notes, standing in for what an application has to reach *as the user*: a database
 * login, an IMAP server, somebody else's HTTP service. It has its own accounts, knows nothing of sessions, and
 * wants a name and a password with every request. All of it lives in memory and starts afresh with the demo.
 */

import { randomBytes, randomUUID, scrypt, timingSafeEqual } from "node:crypto";
import { once } from "node:events";
import type { AddressInfo } from "node:net";
import { promisify } from "node:util";
import express, { type Express, type NextFunction, type Request, type Response } from "express";

export interface Account {
  readonly username: string;
  readonly password: string;
  readonly notes: readonly string[];
}

export interface Note {
  readonly id: string;
  readonly text: string;
  /** ISO 8601. */
  readonly writtenAt: string;
}

export interface Upstream {
  readonly url: URL;
  close(): Promise<void>;
}

/** Known to everybody who reads this file, which is why the service listens on the loopback address only. */
export const DEMO_ACCOUNTS: readonly Account[] = [
  {
    username: "ada",
    password: "analytical-engine",
    notes: [
      "The engine weaves algebraic patterns just as the loom weaves flowers and leaves.",
      "Ask Charles about the carry mechanism before Thursday.",
    ],
  },
  { username: "grace", password: "first-compiler", notes: ["Keep the moth. Tape it into the logbook."] },
];

/** In characters; the demo's form says the same number. */
export const LONGEST_NOTE = 2000;

const NOTE_ID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;
const deriveKey = promisify<string, Buffer, number, Buffer>(scrypt);

interface Keeper {
  readonly salt: Buffer;
  readonly hash: Buffer;
  readonly notes: Map<string, Note>;
}

/** Starts the service on a free port of the loopback address, or on `port`. */
export async function startUpstream({ accounts = DEMO_ACCOUNTS, port = 0 } = {}): Promise<Upstream> {
  const server = notesService(await enrol(accounts)).listen(port, "127.0.0.1");
  await once(server, "listening");
  return {
    url: new URL(`http://127.0.0.1:${(server.address() as AddressInfo).port}/`),
    async close() {
      server.close();
      server.closeAllConnections();
      await once(server, "close");
    },
  };
}

function notesService(keepers: ReadonlyMap<string, Keeper>): Express {
  const stranger: Keeper = { salt: randomBytes(16), hash: randomBytes(32), notes: new Map() };
  const service = express();

  service.use(async (req: Request, res: Response, next: NextFunction) => {
    const { username, password } = basicCredentials(req.headers.authorization);
    // A name that does not exist costs the same time as one that does.
    const keeper = keepers.get(username) ?? stranger;
    const right = timingSafeEqual(await deriveKey(password, keeper.salt, 32), keeper.hash);
    if (right) {
      res.locals.notes = keeper.notes;
      return next();
    }
    res.status(401).set("WWW-Authenticate", 'Basic realm="notes", charset="UTF-8"').json({ error: "unauthorized" });
  });

  service.get("/notes", (_req, res) => {
    const notes: Map<string, Note> = res.locals.notes;
    res.json({ notes: [...notes.values()].reverse() });
  });

  // PUT under an id that the caller chose: sending a note twice does not write it twice.
  service.put("/notes/:id", express.json({ limit: "32kb" }), (req, res) => {
    const notes: Map<string, Note> = res.locals.notes;
    const { id } = req.params;
    const text: unknown = req.body?.text;
    if (!NOTE_ID.test(id) || typeof text !== "string" || text === "" || text.length > LONGEST_NOTE) {
      res.status(422).json({ error: "a note has a UUID and some text" });
      return;
    }
    const writtenAt = notes.get(id)?.writtenAt ?? new Date().toISOString();
    notes.set(id, { id, text, writtenAt });
    res.status(204).end();
  });

  return service;
}

async function enrol(accounts: readonly Account[]): Promise<ReadonlyMap<string, Keeper>> {
  const enrolled = accounts.map(async ({ username, password, notes }): Promise<[string, Keeper]> => {
    const salt = randomBytes(16);
    return [username, { salt, hash: await deriveKey(password, salt, 32), notes: new Map(notes.map(yesterdaysNote)) }];
  });
  return new Map(await Promise.all(enrolled));
}

function yesterdaysNote(text: string, index: number): [string, Note] {
  const id = randomUUID();
  const hour = 60 * 60 * 1000;
  return [id, { id, text, writtenAt: new Date(Date.now() - (26 - 3 * index) * hour).toISOString() }];
}

function basicCredentials(header = ""): { username: string; password: string } {
  const [scheme = "", token = ""] = header.split(" ", 2);
  const text = scheme.toLowerCase() === "basic" ? Buffer.from(token, "base64").toString("utf8") : "";
  const colon = text.indexOf(":");
  return { username: text.slice(0, Math.max(colon, 0)), password: text.slice(colon + 1) };
}
