/** What docs/migration.md says of a move from another store of express-session: what visitors notice, and what is copied. */
import { once } from "node:events";
import { readFileSync } from "node:fs";
import type { Server } from "node:http";
import type { AddressInfo } from "node:net";
import { afterAll, beforeAll, expect, test } from "@jest/globals";
import express from "express";
import session, { MemoryStore, type SessionData } from "express-session";
import pg from "pg";
import type { Tokenizer } from "../lib/tokenizer.js";
import { type App, cookiesOf, startApp, Visitor } from "./support/app.js";
import { startPostgres, withPostgres } from "./support/postgres-server.js";

const OLD_SECRET = "what signed cookies before";

function copySession(sessions: Tokenizer, id: string, { cookie: _, ...fields }: SessionData): Promise<void> {
  const session = { ...fields, cookie: { originalMaxAge: null } };
  return new Promise((resolve, reject) => {
    sessions.store.set(id, session, (error) => (error ? reject(error) : resolve()));
  });
}

async function copyAll(sessions: Tokenizer, pool: pg.Pool): Promise<void> {
  const { rows } = await pool.query("SELECT sid, sess FROM session WHERE expire > now()");
  for (const { sid, sess } of rows) await copySession(sessions, sid, sess);
}

const oldStore = new MemoryStore();
let before: Server;
let oldUrl: string;
/** As before: the cookie's name and secret. */
let app: App;

beforeAll(async () => {
  const old = express();
  old.use(session({ store: oldStore, secret: OLD_SECRET, resave: false, saveUninitialized: false }), express.json());
  old.post("/set", (req, res) => {
    Object.assign(req.session, req.body);
    res.sendStatus(204);
  });
  before = old.listen(0, "127.0.0.1");
  await once(before, "listening");
  oldUrl = `http://127.0.0.1:${(before.address() as AddressInfo).port}`;
  app = await startApp({ settings: { cookie: { name: "connect.sid", secret: OLD_SECRET } } });
});

afterAll(() => {
  before.closeAllConnections();
  before.close();
});

/** Somebody with a session of before. */
async function oldVisitor(): Promise<Visitor> {
  const visitor = new Visitor(oldUrl);
  expect((await visitor.post("/set", { username: "ada", basket: ["tea"] })).status).toBe(204);
  expect(visitor.cookie).toMatch(/^connect\.sid=/);
  return visitor;
}

test("with the old cookie's name and secret, visitors are told that their session has ended, and sign in over it", async () => {
  const visitor = app.visitor((await oldVisitor()).cookie);
  expect((await visitor.get("/session")).body).toEqual({ values: {}, ended: true });
  const old = visitor.id;
  const answer = await visitor.signIn();
  expect(cookiesOf(answer)).toEqual([expect.stringMatching(/^connect\.sid=/)]);
  expect(visitor.id).not.toBe(old);
  expect((await visitor.get("/session")).body.values).toEqual({ username: "ada" });
});

test("with another name, the old cookie is nothing to us", async () => {
  const other = await startApp();
  const answer = await other.visitor((await oldVisitor()).cookie).get("/session");
  expect(answer.body).toEqual({ values: {}, ended: false });
  expect(cookiesOf(answer)).toEqual([]);
});

test("sessions that are copied go on under the old cookie, with our timeout, and are listed; they have no credentials", async () => {
  const visitor = await oldVisitor();
  const stored = await new Promise<SessionData>((resolve, reject) => {
    oldStore.get(visitor.id, (error, found) => (found ? resolve(found) : reject(error)));
  });
  await copySession(app.sessions, visitor.id, stored);

  const ours = app.visitor(visitor.cookie);
  const { values, ended, opened } = (await ours.get("/session")).body;
  expect({ values, ended, opened }).toEqual({ values: { username: "ada", basket: ["tea"] }, ended: false });
  const [listed] = (await app.sessions.users.list("ada")).slice(-1);
  expect(listed?.expiresAt).toEqual(new Date(app.clock.time + 20 * 60_000));
  expect((await ours.get("/inbox")).status).toBe(401);
  await ours.signIn();
  expect((await ours.get("/inbox")).status).toBe(200);
});

withPostgres("from a table of PostgreSQL", () => {
  const TABLES = {
    "connect-pg-simple":
      "CREATE TABLE session (sid varchar PRIMARY KEY, sess json NOT NULL, expire timestamp(6) NOT NULL)",
    "connect-session-knex":
      "CREATE TABLE sessions (sid varchar(255) PRIMARY KEY, sess json NOT NULL, expired timestamptz NOT NULL)",
  };
  let pool: pg.Pool;

  beforeAll(async () => {
    const { host, port, admin } = await startPostgres();
    const { username: user, password } = admin;
    pool = new pg.Pool({ host, port, user, password, database: "postgres", ssl: false });
    for (const statement of Object.values(TABLES)) await pool.query(statement);
  });

  afterAll(() => pool.end());

  /** Its session of before, as a row with that key and a time to come, and one that is over. */
  async function oldRow(table: string): Promise<Visitor> {
    const visitor = await oldVisitor();
    const stored = JSON.stringify({ cookie: { originalMaxAge: null }, username: "ada", basket: ["tea"] });
    const insert = `INSERT INTO ${table} VALUES ($1, $2, now() + $3::interval)`;
    await pool.query(insert, [visitor.id, stored, "1 day"]);
    await pool.query(insert, [`over ${visitor.id}`, stored, "-1 day"]);
    return visitor;
  }

  const expectCopied = async ({ cookie }: Visitor) =>
    expect((await app.visitor(cookie).get("/session")).body.values).toEqual({ username: "ada", basket: ["tea"] });

  test("connect-pg-simple's", async () => {
    const visitor = await oldRow("session");
    await copyAll(app.sessions, pool);
    await expectCopied(visitor);
  });

  test("connect-session-knex's", async () => {
    const visitor = await oldRow("sessions");
    const document = readFileSync(new URL("../docs/migration.md", import.meta.url), "utf8");
    const [, statement = ""] = /```sql\n(SELECT sid[\s\S]*?)```/.exec(document) ?? [];
    const { rows } = await pool.query(statement);
    expect(rows).toHaveLength(1);
    for (const { sid, sess } of rows) await copySession(app.sessions, sid, sess);
    await expectCopied(visitor);
  });
});
