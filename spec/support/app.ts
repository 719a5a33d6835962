/** A real Express application over sessions in a folder of its own, and visitors with a browser's cookie. */
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll } from "@jest/globals";
import express, { type ErrorRequestHandler, type Express } from "express";
import express4 from "express4";
import expressFirst from "express4-first";
import request, { type Response } from "supertest";
import type { SettingsInput } from "../../lib/settings/settings.js";
import { type Tokenizer, type TokenizerOptions, tokenizer } from "../../lib/tokenizer.js";
import { touchesSettled } from "./settled.js";

export const SAFE_PASSWORD = "a safe password for specs";
export const MINUTE = 60_000;

/** The time, moved by hand. */
export class Clock {
  time = Date.UTC(2026, 0, 1);
  readonly now = () => this.time;

  forward(milliseconds: number): void {
    this.time += milliseconds;
  }
}

export interface AppOptions {
  /**
   * The section `tokenizer` of the settings, over `type: local`, a folder of its own, a `safe_password`, and a
   * `store_timeout` that no busy machine exceeds.
   */
  readonly settings?: Partial<SettingsInput["tokenizer"]>;
  /** Default: `local`, which keeps credentials. */
  readonly authenticator?: "local" | "openldap" | "ldap" | "microsoft" | "none";
  /** Default: 5. `4.18` is the oldest release that we go with, 4.18.0. */
  readonly express?: 4 | 4.18 | 5;
  /** What the application says of the cookie for each request. */
  readonly cookie?: TokenizerOptions["cookie"];
  readonly clock?: Clock;
  /** What stands before the sessions: `trust proxy`, a middleware of somebody else's. */
  readonly before?: (app: Express) => void;
  /** What stands behind them, beside the routes that every application here has. */
  readonly routes?: (app: Express, sessions: Tokenizer) => void;
  /** Default: plain HTTP. */
  readonly serve?: (app: Express) => Server;
}

export interface App {
  readonly sessions: Tokenizer;
  readonly settings: SettingsInput;
  readonly clock: Clock;
  readonly path: string;
  readonly url: string;
  readonly port: number;
  /** Each line that was logged. */
  readonly log: readonly string[];
  /** Each error that reached the error handler. */
  readonly errors: unknown[];
  visitor(cookie?: string): Visitor;
  /** Every byte that the folder holds. */
  bytes(): Buffer;
  /** Done by itself after the file's last spec; earlier where a spec starts the application again on the folder. */
  close(): Promise<void>;
}

const FRAMEWORKS = {
  4: express4 as unknown as typeof express,
  4.18: expressFirst as unknown as typeof express,
  5: express,
};

const running = new Set<App>();
const folders = new Set<string>();

afterAll(async () => {
  await Promise.all([...running].map((app) => app.close()));
  for (const folder of folders) rmSync(folder, { recursive: true, force: true });
});

/** A folder that is removed after the file's last spec. */
export function temporaryFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), "express-tokenizer-spec-"));
  folders.add(folder);
  return folder;
}

/**
 * Starts an application with these routes:
 *
 * - `GET /` does not look at the session; `GET /session` tells what is in it.
 * - `GET /inbox` needs credentials; without them it asks to sign in, with status 401.
 * - `POST /set` puts the body's keys into it.
 * - `POST /sign-in` takes the body's credentials, and `?keep=a,b`; `POST /sign-out`; `POST /regenerate`.
 *
 * An error is answered with its status, code and message.
 */
export async function startApp(options: AppOptions = {}): Promise<App> {
  const { settings = {}, authenticator = "local", clock = new Clock(), before, routes, serve = createServer } = options;
  const path = settings.path ?? join(temporaryFolder(), "tokens");
  const log: string[] = [];
  const errors: unknown[] = [];
  const section = { type: "local", safe_password: SAFE_PASSWORD, store_timeout: 60, ...settings, path } as const;
  const input = { authenticator: { type: authenticator }, tokenizer: section };
  const { cookie } = options;
  const sessions = tokenizer(input, { log: { warn: (line) => log.push(line) }, clock, ...(cookie && { cookie }) });

  const framework = FRAMEWORKS[options.express ?? 5];
  const app = framework();
  before?.(app);
  app.use(sessions, framework.json({ limit: "1mb" }));
  addRoutes(app);
  routes?.(app, sessions);
  app.use(answerError(errors));

  const server = serve(app);
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo;
  const url = `http://127.0.0.1:${port}`;
  const started: App = {
    ...{ sessions, settings: input, clock, path, url, port, log, errors },
    visitor: (cookie) => new Visitor(url, cookie),
    bytes: () => Buffer.concat(readdirSync(path).map((file) => readFileSync(join(path, file)))),
    async close() {
      running.delete(started);
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
      await sessions.close();
    },
  };
  running.add(started);
  await sessions.ready;
  return started;
}

function addRoutes(app: Express): void {
  app.get("/", (_req, res) => {
    res.send("hello");
  });
  app.get("/session", (req, res) => {
    const { cookie: _, credentials: sealed, ...values } = req.session;
    const { username, password } = req.credentials ?? {};
    res.json({ values, sealed, ended: req.sessionEnded, ...(req.credentials && { opened: { username, password } }) });
  });
  app.get("/inbox", (req, res) => {
    if (req.credentials) res.send(`the mail of ${req.credentials.username}`);
    else res.status(401).send("Please sign in.");
  });
  app.post("/set", (req, res) => {
    Object.assign(req.session, req.body);
    res.sendStatus(204);
  });
  app.post("/sign-in", (req, res, next) => {
    const keep = typeof req.query.keep === "string" ? req.query.keep.split(",") : [];
    req.signIn(req.body, { keep }).then(() => res.sendStatus(204), next);
  });
  app.post("/sign-out", (req, res, next) => {
    req.signOut().then(() => res.sendStatus(204), next);
  });
  app.post("/regenerate", (req, res, next) => {
    req.session.regenerate((error) => (error ? next(error) : res.sendStatus(204)));
  });
}

function answerError(errors: unknown[]): ErrorRequestHandler {
  return (error, _req, res, next) => {
    errors.push(error);
    if (res.headersSent) return next(error);
    res.status(error.status ?? 500).json({ code: error.code, message: error.message });
  };
}

/** Keeps the session's cookie from answer to answer, as a browser does. */
export class Visitor {
  readonly #url: string;
  /** As it is sent: `name=value`. */
  cookie: string | undefined;

  constructor(url: string, cookie?: string) {
    this.#url = url;
    this.cookie = cookie;
  }

  /** The raw session id. */
  get id(): string {
    return decodeURIComponent(this.cookie ?? "")
      .replace(/^[^=]*=s:/, "")
      .replace(/\.[^.]*$/, "");
  }

  get(path: string, headers: Record<string, string> = {}): Promise<Response> {
    return this.#keep(request(this.#url).get(path).set(this.#headers(headers)));
  }

  post(path: string, body: object = {}, headers: Record<string, string> = {}): Promise<Response> {
    return this.#keep(request(this.#url).post(path).set(this.#headers(headers)).send(body));
  }

  signIn(username = "ada", password = "a secret of ada's"): Promise<Response> {
    return this.post("/sign-in", { username, password });
  }

  #headers(headers: Record<string, string>): Record<string, string> {
    return this.cookie === undefined ? headers : { cookie: this.cookie, ...headers };
  }

  async #keep(asked: PromiseLike<Response>): Promise<Response> {
    const response = await asked;
    // It goes on behind the answer. Over several connections, a request that the clock has moved away from could overtake it.
    await touchesSettled();
    const [line] = cookiesOf(response);
    if (line !== undefined) this.cookie = line.includes("Expires=Thu, 01 Jan 1970") ? undefined : line.split(";")[0];
    return response;
  }
}

/** The answer's `Set-Cookie` lines. */
export function cookiesOf(response: Response): string[] {
  return [response.headers["set-cookie"] ?? []].flat();
}
