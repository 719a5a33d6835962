/** Beside passport: it may only check the password, or keep its own login in the session; on Express 4 and 5. */
import { beforeAll, beforeEach, describe, expect, test } from "@jest/globals";
import passport from "passport";
import { Strategy } from "passport-local";
import { type App, startApp, type Visitor } from "../support/app.js";
import { Gate } from "../support/gate.js";

declare global {
  namespace Express {
    interface User {
      username: string;
    }
  }
}

const PASSWORDS = new Map([
  ["ada", "a secret of ada's"],
  ["bob", "a secret of bob's"],
]);
const ADA = { username: "ada", password: "a secret of ada's" };
const BOB = { username: "bob", password: "a secret of bob's" };

passport.use(
  new Strategy((username, password, done) => {
    done(null, PASSWORDS.get(username) === password ? { username } : false);
  }),
);
passport.serializeUser((user, done) => done(null, user.username));
passport.deserializeUser((username: string, done) => done(null, PASSWORDS.has(username) ? { username } : false));

/** Signs in while passport is still at it. */
passport.use(
  "too-early",
  new Strategy({ passReqToCallback: true }, (req, username, password, done) => {
    req.signIn({ username, password }).then(() => done(null, { username }), done);
  }),
);

describe.each([4, 5] as const)("on Express %i", (release) => {
  let app: App;
  let gate: Gate;
  let visitor: Visitor;

  beforeAll(async () => {
    app = await startApp({
      express: release,
      routes(app) {
        app.post("/checked", passport.authenticate("local", { session: false }), (req, res, next) => {
          const { username, password } = req.body;
          req.signIn({ username, password }).then(() => res.redirect("/"), next);
        });
        app.post("/checked-too-early", passport.authenticate("too-early", { session: false }), (_req, res) => {
          res.sendStatus(204);
        });

        app.use(passport.session());
        app.post("/login", passport.authenticate("local"), (req, res) => {
          if (req.user) req.session.username = req.user.username;
          res.redirect("/");
        });
        app.post("/login-and-sign-in", passport.authenticate("local"), (req, res, next) => {
          const { username, password } = req.body;
          req.signIn({ username, password }, { keep: ["passport"] }).then(() => res.redirect("/"), next);
        });
        app.post("/logout", (req, res, next) => {
          req.logout((error) => (error ? next(error) : res.redirect("/")));
        });

        app.post("/login-unlisted", passport.authenticate("local"), (_req, res) => {
          res.sendStatus(204);
        });
        app.post("/login-keeping", passport.authenticate("local", { keepSessionInfo: true }), (_req, res) => {
          res.sendStatus(204);
        });
        app.post("/login-too-early", passport.authenticate("too-early"), (_req, res) => {
          res.sendStatus(204);
        });
        app.get("/me", (req, res) => {
          res.json({ user: req.user?.username, named: req.session.username, opened: req.credentials?.password });
        });
        app.post("/slow", async (req, res) => {
          await gate.pass();
          Object.assign(req.session, { late: true });
          res.sendStatus(204);
        });
      },
    });
  });

  beforeEach(async () => {
    gate = new Gate();
    visitor = app.visitor();
    await app.sessions.users.revokeEveryone();
  });

  const me = async (who: Visitor) => (await who.get("/me")).body;
  const namesListed = async (username: string) => (await app.sessions.users.list(username)).length;

  describe("it checks the password, and req.signIn signs in", () => {
    test("the credentials are there in the next request, and the session is listed", async () => {
      expect((await visitor.post("/checked", ADA)).status).toBe(302);
      expect(await me(visitor)).toEqual({ named: "ada", opened: ADA.password });
      expect(await namesListed("ada")).toBe(1);
    });

    test("a wrong password signs nobody in", async () => {
      expect((await visitor.post("/checked", { ...ADA, password: "wrong" })).status).toBe(401);
      expect(visitor.cookie).toBeUndefined();
      expect(await app.sessions.store.length()).toBe(0);
    });

    test("req.signIn in the verify function is as good, with session: false", async () => {
      expect((await visitor.post("/checked-too-early", ADA)).status).toBe(204);
      expect(await me(visitor)).toEqual({ named: "ada", opened: ADA.password });
    });
  });

  describe("it keeps its own login in the session", () => {
    test("under a new id, and the old one is over", async () => {
      await visitor.post("/set", { basket: ["tea"] });
      const before = app.visitor(visitor.cookie);
      expect((await visitor.post("/login", ADA)).status).toBe(302);
      expect(visitor.id).not.toBe(before.id);
      expect(await me(visitor)).toEqual({ user: "ada", named: "ada" });
      expect((await visitor.get("/session")).body.values).not.toHaveProperty("basket");
      expect((await before.get("/session")).body).toEqual({ values: {}, ended: true });
    });

    test("listed, and ended by sessions.users, only when the application sets req.session.username", async () => {
      await visitor.post("/login-unlisted", ADA);
      expect(await me(visitor)).toEqual({ user: "ada" });
      expect(await namesListed("ada")).toBe(0);
      expect(await app.sessions.users.revoke("ada")).toBe(0);

      await visitor.post("/login", ADA);
      expect(await namesListed("ada")).toBe(1);
      expect(await app.sessions.users.revoke("ada")).toBe(1);
      expect(await me(visitor)).toEqual({});
    });

    test("req.signIn afterwards, keeping passport's key: both are signed in", async () => {
      expect((await visitor.post("/login-and-sign-in", ADA)).status).toBe(302);
      expect(await me(visitor)).toEqual({ user: "ada", named: "ada", opened: ADA.password });
      expect(await namesListed("ada")).toBe(1);
      expect(await app.sessions.store.length()).toBe(1);
    });

    test("req.signIn in the verify function is lost: passport makes a new session after it", async () => {
      await visitor.post("/login-too-early", ADA);
      expect(await me(visitor)).toEqual({ user: "ada" });
      expect(await namesListed("ada")).toBe(0);
      expect(await app.sessions.store.length()).toBe(1);
    });

    test("keepSessionInfo copies the sealed credentials and the name: they do not open in the new session", async () => {
      await visitor.signIn();
      expect(await me(visitor)).toMatchObject({ opened: ADA.password });
      await visitor.post("/login-keeping", BOB);
      const { values, sealed, opened } = (await visitor.get("/session")).body;
      expect({ values, opened }).toEqual({ values: { username: "ada", passport: { user: "bob" } }, opened: undefined });
      expect(sealed).toMatch(/^v1\./);
      expect(app.log.filter((line) => line.includes("do not open"))).not.toEqual([]);
      expect((await visitor.get("/inbox")).status).toBe(401);
    });
  });

  describe("req.logout", () => {
    test.each(["/login", "/login-and-sign-in"])("ends the session of %s", async (path) => {
      await visitor.post(path, ADA);
      const before = app.visitor(visitor.cookie);
      expect((await visitor.post("/logout")).status).toBe(302);
      expect(await me(visitor)).toEqual({});
      expect((await before.get("/session")).body).toEqual({ values: {}, ended: true });
      expect(await namesListed("ada")).toBe(0);
    });

    test("a slow request does not bring it back", async () => {
      await visitor.post("/login", ADA);
      const before = app.visitor(visitor.cookie);
      const slow = before.post("/slow");
      await gate.arrived();
      await visitor.post("/logout");
      gate.open();
      expect((await slow).status).toBe(204);
      expect((await before.get("/session")).body).toEqual({ values: {}, ended: true });
    });
  });
});
