/** The demo, running: the notes service, sessions in a folder of their own, and visitors with forms to send. */

import { once } from "node:events";
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll } from "@jest/globals";
import { type Tokenizer, tokenizer } from "express-tokenizer";
import supertest from "supertest";
import { createApp } from "../../demo-app/app.js";
import { startTrials } from "../../demo-app/promises/stacks.js";
import { type Account, DEMO_ACCOUNTS, startUpstream, type Upstream } from "../../demo-app/upstream.js";
import type { Place } from "../support/places.js";

export const ADA = { username: "ada", password: passwordOf("ada") };
export const GRACE = { username: "grace", password: passwordOf("grace") };
export const MINUTE = 60_000;

export const FIREFOX = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0";
export const SAFARI =
  "Mozilla/5.0 (iPhone; CPU iPhone OS 18_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.5 Mobile/15E148 Safari/604.1";

export interface Demo {
  readonly url: string;
  /** The sessions' folder. */
  readonly path: string;
  readonly sessions: Tokenizer;
  readonly upstream: Upstream;
  /** Each line that the demo or the sessions logged. */
  readonly log: readonly string[];
  /** The time of the sessions and of the pages. */
  now(): number;
  forward(milliseconds: number): void;
  /** A browser of its own, which calls itself `userAgent`. */
  visitor(userAgent?: string): Visitor;
  /** Every byte that the sessions' folder holds. */
  bytes(): Buffer;
}

const endings: Array<() => unknown> = [];

afterAll(async () => {
  while (endings.length > 0) await endings.pop()?.();
});

export function temporaryFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), "express-tokenizer-demo-"));
  endings.push(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

interface DemoOptions {
  readonly accounts?: readonly Account[];
  /** What the demo takes for the notes service. Default: a real one. */
  readonly service?: URL;
  /** Of a demo that was there before. */
  readonly path?: string;
  readonly safePassword?: string;
  /** Where the sessions are, if not in a folder. */
  readonly place?: Place;
  /** As `npm start` serves it: the accounts on the sign-in page, and the trials. Default: as in production. */
  readonly tryout?: boolean;
}

export async function startDemo({
  accounts = DEMO_ACCOUNTS,
  service,
  path = join(temporaryFolder(), "tokens"),
  safePassword = "a safe password for specs",
  place = { type: "local", cloud: false, path },
  tryout = false,
}: DemoOptions = {}): Promise<Demo> {
  const log: string[] = [];
  let time = Date.now();
  const cookie = { secret: "a cookie secret for specs" };
  const settings = {
    tokenizer: { store_timeout: 60, ...place, timeout: 20, remember: {}, safe_password: safePassword, cookie },
  };
  const surroundings = { log: { warn: (line: string) => void log.push(line) }, clock: () => time };
  const sessions = tokenizer(settings, surroundings);
  endings.push(() => sessions.close());
  await sessions.ready;
  const trials = tryout ? await startTrials(settings, surroundings) : undefined;
  endings.push(() => trials?.close());
  const upstream = await startUpstream({ accounts });
  endings.push(() => upstream.close());
  const app = createApp({
    sessions,
    upstream: service ?? upstream.url,
    tryout: trials && { accounts, trials },
    log: (line) => log.push(line),
    now: () => time,
  });
  const server = createServer(app).listen(0, "127.0.0.1");
  endings.push(() => {
    server.close();
    server.closeAllConnections();
  });
  await once(server, "listening");
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  return {
    ...{ url, path, sessions, upstream, log },
    now: () => time,
    forward(milliseconds) {
      time += milliseconds;
    },
    visitor: (userAgent) => new Visitor(url, userAgent),
    bytes: () => Buffer.concat(readdirSync(path).map((file) => readFileSync(join(path, file)))),
  };
}

/** A browser without JavaScript: keeps cookies, fills in forms with the fields that the page gave them. */
export class Visitor {
  readonly #agent: ReturnType<typeof supertest.agent>;

  constructor(url: string, userAgent = "") {
    this.#agent = supertest.agent(url).set("User-Agent", userAgent);
  }

  /** One answer, redirects included. */
  get(path: string) {
    return this.#agent.get(path);
  }

  /** The page that one ends up on. */
  open(path: string) {
    return this.#agent.get(path).redirects(3);
  }

  post(path: string, fields: Record<string, string | string[]> = {}, headers: Record<string, string> = {}) {
    return this.#agent.post(path).set(headers).type("form").send(fields);
  }

  async signIn(login = ADA) {
    await this.post("/sign-in", login).redirects(1);
    return this.open("/notes");
  }

  /** Sends the note form of a page that is open, as it stands there. */
  addNote(page: { text: string }, text: string) {
    return this.post("/notes", { ...hiddenFields(page.text), text });
  }
}

export function hiddenFields(markup: string): Record<string, string> {
  const inputs = markup.matchAll(/<input type="hidden" name="([^"]+)" value="([^"]*)">/g);
  return Object.fromEntries([...inputs].map(([, name = "", value = ""]) => [name, value]));
}

/** Asks the notes service itself. */
export async function notesOf(upstream: Upstream, { username, password } = ADA): Promise<string[]> {
  const authorization = `Basic ${Buffer.from(`${username}:${password}`).toString("base64")}`;
  const response = await fetch(new URL("notes", upstream.url), { headers: { authorization } });
  const { notes } = (await response.json()) as { notes: { text: string }[] };
  return notes.map(({ text }) => text);
}

function passwordOf(username: string): string {
  const account = DEMO_ACCOUNTS.find((each) => each.username === username);
  if (account === undefined) throw new Error(`the demo has no account ${username}`);
  return account.password;
}
