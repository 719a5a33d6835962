/** An administrator acts for a user, under his own name. */
import { beforeEach, describe, expect, test } from "@jest/globals";
import type { Express, Request } from "express";
import { type App, startApp, type Visitor } from "../support/app.js";

declare module "express-session" {
  interface SessionData {
    actingFor?: string;
  }
}

const ADMINISTRATORS = new Set(["grace"]);
let audit: { by: string | undefined; user: string | undefined; did: string }[];

/** For whom a request acts, and who does it. */
function actorOf(req: Request): { user: string | undefined; by: string | undefined } {
  const { username: by, actingFor } = req.session;
  const isAllowed = by !== undefined && ADMINISTRATORS.has(by);
  return { user: isAllowed ? (actingFor ?? by) : by, by };
}

function addRoutes(app: Express): void {
  app.post("/act-for", (req, res) => {
    const { username: by } = req.session;
    const user = String(req.body.user);
    if (!by || !ADMINISTRATORS.has(by) || ADMINISTRATORS.has(user)) return void res.sendStatus(403);
    req.session.actingFor = user;
    audit.push({ by, user, did: "begin" });
    res.redirect(303, "/");
  });

  app.post("/act-for-myself", (req, res) => {
    audit.push({ ...actorOf(req), did: "end" });
    delete req.session.actingFor;
    res.redirect(303, "/");
  });

  app.post("/orders", (req, res) => {
    const { user, by } = actorOf(req);
    if (!user) return void res.sendStatus(401);
    audit.push({ by, user, did: "order" });
    res.json({ orderedFor: user, by });
  });

  app.get("/upstream", (req, res) => {
    res.json({ name: req.credentials?.username });
  });
}

describe.each([4, 5] as const)("on Express %i", (express) => {
  let app: App;
  let grace: Visitor;

  beforeEach(async () => {
    audit = [];
    ADMINISTRATORS.add("grace");
    app = await startApp({ express, routes: addRoutes });
    grace = app.visitor();
    await grace.signIn("grace");
  });

  const order = async (visitor = grace) => (await visitor.post("/orders")).body;

  test("acts for a user, and again as herself; each step is kept under her own name", async () => {
    await grace.post("/act-for", { user: "ada" });
    expect(await order()).toEqual({ orderedFor: "ada", by: "grace" });
    await grace.post("/act-for-myself");
    expect(await order()).toEqual({ orderedFor: "grace", by: "grace" });
    expect(audit).toEqual([
      { by: "grace", user: "ada", did: "begin" },
      { by: "grace", user: "ada", did: "order" },
      { by: "grace", user: "ada", did: "end" },
      { by: "grace", user: "grace", did: "order" },
    ]);
  });

  test("the session stays hers: it is in her list, ends with hers, and no session of the user's gives way", async () => {
    await grace.post("/act-for", { user: "ada" });
    expect(await app.sessions.users.list("ada")).toEqual([]);
    expect(await app.sessions.users.revoke("grace")).toBe(1);
    expect((await grace.post("/orders")).status).toBe(401);
  });

  test("who is no administrator acts for nobody; who is none any more acts as himself", async () => {
    const ada = app.visitor();
    await ada.signIn("ada");
    expect((await ada.post("/act-for", { user: "bob" })).status).toBe(403);
    expect((await grace.post("/act-for", { user: "grace" })).status).toBe(403);
    await grace.post("/act-for", { user: "ada" });
    ADMINISTRATORS.delete("grace");
    expect(await order()).toEqual({ orderedFor: "grace", by: "grace" });
  });

  test("a sign-in ends it, and credentials are those of the administrator alone", async () => {
    await grace.post("/act-for", { user: "ada" });
    expect((await grace.get("/upstream")).body).toEqual({ name: "grace" });
    await grace.signIn("grace");
    expect(await order()).toEqual({ orderedFor: "grace", by: "grace" });
  });
});
