import { join } from "node:path";
import { afterAll, describe, expect, test } from "@jest/globals";
import express, { type Express, type Request, type Response } from "express";
import express4 from "express4";
import request from "supertest";
import type { SettingsInput } from "../../lib/settings/settings.js";
import { type Tokenizer, tokenizer } from "../../lib/tokenizer.js";
import { cookiesOf, SAFE_PASSWORD, temporaryFolder } from "../support/app.js";

type Section = Partial<SettingsInput["tokenizer"]>;

const FRAMEWORKS = { 4: express4 as unknown as typeof express, 5: express };
const started: Tokenizer[] = [];

afterAll(() => Promise.all(started.map((sessions) => sessions.close())));

/** A middleware over a store of its own. */
function instance(settings: Section, log: string[] = [], type: "local" | "ldap" = "local"): Tokenizer {
  const section = { safe_password: SAFE_PASSWORD, path: join(temporaryFolder(), "tokens"), ...settings };
  const input = { authenticator: { type }, tokenizer: { type: "local", ...section } } as const;
  const sessions = tokenizer(input, { log: { warn: (line) => log.push(line) } });
  started.push(sessions);
  return sessions;
}

/** Signs in as whom the query names, adds to the session, tells of it, signs out; anywhere. */
function addRoutes(app: Express): void {
  app.use((req: Request, res: Response, next) => {
    const { as, add, out } = req.query;
    const tell = () => {
      const { cookie: _, credentials: __, ...values } = req.session;
      res.json({ ...values, password: req.credentials?.password });
    };
    if (typeof as === "string") req.signIn({ username: as, password: `${as}'s` }).then(tell, next);
    else if (out !== undefined) req.signOut().then(tell, next);
    else {
      if (typeof add === "string") Object.assign(req.session, { [add]: true });
      tell();
    }
  });
  app.use((error: { status?: number; code?: string }, _req: Request, res: Response, _next: () => void) => {
    res.status(error.status ?? 500).json({ code: error.code });
  });
}

const admin = instance({ cookie: { name: "admin" } });
const shop = instance({ cookie: { name: "shop" } });
const adminByPath = instance({ cookie: { name: "admin", path: "/admin" } });
const shopByPath = instance({ cookie: { name: "shop", path: "/shop" } });

describe.each([4, 5] as const)("several middlewares, each its own session, on Express %i", (release) => {
  const framework = FRAMEWORKS[release];

  function start(mount: (app: Express) => void) {
    const app = framework();
    mount(app);
    addRoutes(app);
    const agent = request.agent(app);
    return { app, agent, ask: async (path: string) => (await agent.get(path)).body };
  }

  test.each<[string, (app: Express) => void]>([
    ["mounted at /admin and /shop", (app) => app.use("/admin", admin).use("/shop", shop)],
    [
      "mounted at /admin within /",
      (app) => {
        app.use(shop);
        app.use("/admin", admin);
      },
    ],
    ["mounted at /admin before /", (app) => app.use("/admin", admin).use(shop)],
    ["mounted at /admin by a router", (app) => app.use(shop).use("/admin", framework.Router().use(admin))],
    ["mounted at /admin by an application of its own", (app) => app.use(shop).use("/admin", framework().use(admin))],
    ["with the cookie paths /admin and /shop", (app) => app.use(adminByPath).use(shopByPath)],
    ["with the cookie paths /shop and /admin", (app) => app.use(shopByPath, adminByPath)],
    ["with the cookie path /admin within /", (app) => app.use(shop).use(adminByPath)],
    ["with the cookie path /admin before /", (app) => app.use(adminByPath).use(shop)],
    ["with the cookie path, and mounted there", (app) => app.use(shop).use("/admin", adminByPath)],
  ])("%s", async (_, mount) => {
    const { ask } = start(mount);
    expect(await ask("/admin/x?as=ada")).toEqual({ username: "ada", password: "ada's" });
    expect(await ask("/shop/x")).toEqual({});
    expect(await ask("/shop/x?as=grace")).toEqual({ username: "grace", password: "grace's" });
    expect(await ask("/admin?add=basket")).toEqual({ username: "ada", password: "ada's", basket: true });
    expect(await ask("/shop?out")).toEqual({});
    expect(await ask("/admin")).toEqual({ username: "ada", password: "ada's", basket: true });
    expect(await ask("/admin?out")).toEqual({});
    expect([await ask("/admin"), await ask("/shop")]).toEqual([{}, {}]);
  });

  test("by whole segments, and by capitals as Express's mounts", async () => {
    const mount = (app: Express) => app.use(shop, adminByPath);
    const { ask } = start(mount);
    await ask("/shop?as=grace");
    for (const path of ["/administration", "/adm", "/x/admin", "/"])
      expect(await ask(path)).toMatchObject({ username: "grace" });
    for (const path of ["/admin", "/admin/", "/admin?x", "/admin/x", "/Admin/x"]) expect(await ask(path)).toEqual({});
    const sensitive = start((app) => mount(app.enable("case sensitive routing")));
    await sensitive.ask("/shop?as=grace");
    expect(await sensitive.ask("/Admin/x")).toMatchObject({ username: "grace" });
    expect(await sensitive.ask("/admin/x")).toEqual({});
  });

  test("of two at one place the later one serves, which is nearer to the handler", async () => {
    const { ask } = start((app) => app.use(shop, framework.Router().get("/desk", admin)));
    expect(await ask("/desk?as=ada")).toMatchObject({ username: "ada" });
    expect(await ask("/")).toEqual({});
    await ask("/?as=grace");
    expect(await ask("/desk")).toMatchObject({ username: "ada" });
  });

  test("what the outer one's session was given before the inner one took over is saved, and its cookie sent", async () => {
    const count = (req: Request, _res: Response, next: () => void) => {
      Object.assign(req.session, { visits: Number(Reflect.get(req.session, "visits") ?? 0) + 1 });
      next();
    };
    const { agent, ask } = start((app) => app.use(shop, count).use("/admin", admin));
    const first = await agent.get("/admin?as=ada");
    expect(
      cookiesOf(first)
        .map((line) => line.split("=")[0])
        .sort(),
    ).toEqual(["admin", "shop"]);
    expect(first.body).toEqual({ username: "ada", password: "ada's" });
    expect(await ask("/admin?out")).toEqual({});
    expect(await ask("/")).toEqual({ visits: 3 });
  });

  test("the inner one has no credentials of the outer one, also where it keeps none", async () => {
    const log: string[] = [];
    const outer = instance({ cookie: { name: "shop" } }, log);
    const inner = instance({ cookie: { name: "admin" } }, log, "ldap");
    const { ask } = start((app) => app.use(outer).use("/admin", inner));
    await ask("/?as=grace");
    expect(await ask("/admin?add=credentials")).toEqual({});
    expect(await ask("/admin?as=ada")).toEqual({ username: "ada" });
    expect(await ask("/")).toEqual({ username: "grace", password: "grace's" });
    expect(log).toEqual([]);
  });

  test("where the inner one's store fails, its requests are refused, and others answered", async () => {
    const inner = instance({ cookie: { name: "admin" } });
    const { agent, ask } = start((app) => app.use(shop).use("/admin", inner));
    await ask("/admin?as=ada");
    await inner.close();
    const answer = await agent.get("/admin");
    expect([answer.status, answer.body]).toEqual([503, { code: "STORE_CLOSED" }]);
    expect((await agent.get("/?as=grace")).body).toMatchObject({ username: "grace" });
  });

  test("two that call their cookies the same are warned of, once", async () => {
    const log: string[] = [];
    const { ask } = start((app) => app.use(instance({}), framework.Router().use("/admin", instance({}, log))));
    await ask("/");
    expect(log).toEqual([]);
    for (const _ of [1, 2]) await ask("/admin");
    expect(log).toEqual([
      "express-tokenizer: A request goes through two session middlewares whose cookies are both called token: each takes " +
        "the other's for its own, so that a sign-in with one may sign out of the other. Give each a name: " +
        "tokenizer.cookie.name.",
    ]);
  });

  test.each<[string, (app: Express, one: Tokenizer) => void]>([
    ["behind itself", (app, one) => app.use(one, one)],
    ["behind itself and another one", (app, one) => app.use(one).use("/admin", admin, one)],
    ["behind itself, in an application of its own", (app, one) => app.use(one).use("/admin", framework().use(one))],
    [
      "behind itself, where there is no session any more",
      (app, one) =>
        app.use(
          one,
          (req, _res, next) => {
            Object.assign(req, { session: null });
            next();
          },
          one,
        ),
    ],
  ])("one and the same %s is a mistake", async (_, mount) => {
    const { agent } = start((app) => mount(app, shop));
    const answer = await agent.get("/admin");
    expect([answer.status, answer.body]).toEqual([500, { code: "MOUNTED_TWICE" }]);
  });
});
