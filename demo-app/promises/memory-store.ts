/** The other side of each trial: express-session with its MemoryStore, used as its documentation advises. */

import { randomBytes } from "node:crypto";
import { promisify } from "node:util";
import type { RequestHandler } from "express";
import session, { type SessionData } from "express-session";
import type { Disk } from "./disk.js";
import type { Stack } from "./stacks.js";

const LIFETIME = 5 * 60 * 1000; // milliseconds
const BETWEEN_COUNTS = 1000; // milliseconds

export function memoryStoreStack(cookieName: string, now: () => number, disk?: Disk): Stack {
  const store = disk === undefined ? new session.MemoryStore() : new OnDisk(disk);
  const secret = randomBytes(32).toString("base64url");
  const cookie = { maxAge: LIFETIME, sameSite: "lax" } as const;
  const sessions = session({ name: cookieName, store, secret, cookie, resave: false, saveUninitialized: false });
  return {
    cookieName,
    sessions: [droppingExpired(store, now), sessions],
    async signIn(req, username) {
      await promisify((done: Done) => req.session.regenerate(done))();
      req.session.username = username;
      await promisify((done: Done) => req.session.save(done))();
    },
    async signOut(req) {
      await promisify((done: Done) => req.session.destroy(done))();
    },
  };
}

type Done = (error?: unknown) => void;

/** MemoryStore keeps what has expired until somebody asks for it; counting the sessions reads all of them. */
function droppingExpired(store: session.MemoryStore, now: () => number): RequestHandler {
  let last = -Infinity;
  return (_req, _res, next) => {
    if (now() - last < BETWEEN_COUNTS) return next();
    last = now();
    store.length((error) => next(error));
  };
}

/** Refuses what the other side's store refuses, at the same time. */
class OnDisk extends session.MemoryStore {
  readonly #disk: Disk;

  constructor(disk: Disk) {
    super();
    this.#disk = disk;
  }

  override set(id: string, data: SessionData, done?: Done): void {
    if (this.#hasRoom(done)) super.set(id, data, done);
  }

  override touch(id: string, data: SessionData, done?: Done): void {
    if (this.#hasRoom(done)) super.touch(id, data, done);
  }

  override destroy(id: string, done?: Done): void {
    if (this.#hasRoom(done)) super.destroy(id, done);
  }

  #hasRoom(done: Done = () => {}): boolean {
    try {
      this.#disk.write();
      return true;
    } catch (error) {
      setImmediate(done, error);
      return false;
    }
  }
}
