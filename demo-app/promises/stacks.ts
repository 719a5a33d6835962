/** The two session stacks that each trial is run on, side by side in this process, with cookies of their own. */

import { randomBytes } from "node:crypto";
import { dirname, extname, join } from "node:path";
import { fileURLToPath } from "node:url";
import type { Request, RequestHandler } from "express";
import { type Tokenizer, tokenizer } from "express-tokenizer";
import { type SettingsSource, withCookie } from "../cookie-settings.js";
import { Disk } from "./disk.js";
import { memoryStoreStack } from "./memory-store.js";

export interface Stack {
  readonly cookieName: string;
  readonly sessions: RequestHandler[];
  signIn(req: Request, username: string): Promise<void>;
  signOut(req: Request): Promise<void>;
}

/** By the path below `/promises` that they answer on. */
export type Stacks = Readonly<Record<(typeof PLACES)[number], Stack>>;

export const PLACES = ["ours", "memory-store", "failing/ours", "failing/memory-store"] as const;

export interface Trials {
  readonly stacks: Stacks;
  /** What both of the failing ones write to. */
  readonly disk: Disk;
  close(): Promise<void>;
}

interface Surroundings {
  readonly clock?: () => number;
  readonly log?: { warn(message: string): void };
}

/** @param settings the demo's own: the trials are to be run on its store */
export async function startTrials(
  settings: SettingsSource,
  { clock = Date.now, log = console }: Surroundings = {},
): Promise<Trials> {
  const disk = new Disk(clock);
  // Under another cookie, so that the visitor's own session is left alone.
  const cookie = { name: "promises", device_bound: false };
  const ours = withCookie(cookie, settings, (source) => tokenizer(source, { clock, log }));
  const failing = tokenizer(onDisk(disk), { clock, log });
  const both = [ours, failing];
  const close = async () => {
    await Promise.all(both.map((each) => each.close()));
  };
  try {
    await Promise.all(both.map(({ ready }) => ready));
  } catch (error) {
    await close().catch(() => {}); // what is half started may not close; the first error is the one to tell
    throw error;
  }
  const stacks = {
    ours: ourStack("promises", ours),
    "memory-store": memoryStoreStack("promises-memory-store", clock),
    "failing/ours": ourStack("promises-failing", failing),
    "failing/memory-store": memoryStoreStack("promises-failing-memory-store", clock, disk),
  };
  return { stacks, disk, close };
}

function ourStack(cookieName: string, sessions: Tokenizer): Stack {
  return {
    cookieName,
    sessions: [sessions],
    signIn: (req, username) => req.signIn({ username, password: secret() }),
    signOut: (req) => req.signOut(),
  };
}

function onDisk(disk: Disk): SettingsSource {
  // Beside this file, and in the same language: compiled, as it is served, or not, as specs have it.
  const here = fileURLToPath(import.meta.url);
  const module = join(dirname(here), `failing-backend${extname(here)}`);
  const cookie = { name: "promises-failing", secret: secret() };
  return {
    authenticator: { type: "none" },
    tokenizer: { type: "module", module, options: { disk }, timeout: 5, store_timeout: 60, cookie },
  };
}

function secret(): string {
  return randomBytes(32).toString("base64url");
}
