/** Beside csrf-csrf: its tokens belong to a session id, which a sign-in changes; on Express 4 and 5. */
import { beforeAll, beforeEach, describe, expect, test } from "@jest/globals";
import cookieParser from "cookie-parser";
import { doubleCsrf } from "csrf-csrf";
import request from "supertest";
import { type App, startApp } from "../support/app.js";

declare module "express-session" {
  interface SessionData {
    hasForm?: boolean;
  }
}

const CSRF_SECRET = "a secret of csrf-csrf's own";
const ADA = { username: "ada", password: "a secret of ada's" };

const { doubleCsrfProtection } = doubleCsrf({
  getSecret: () => CSRF_SECRET,
  getSessionIdentifier: (req) => req.sessionID,
  cookieName: "csrf", // in production its default, a __Host- name
  cookieOptions: { secure: false }, // in production its default, true
});

describe.each([4, 5] as const)("on Express %i", (release) => {
  let app: App;
  /** Keeps both cookies. */
  let browser: ReturnType<typeof request.agent>;

  beforeAll(async () => {
    app = await startApp({
      express: release,
      before: (app) => app.use(cookieParser()),
      routes(app) {
        app.use(doubleCsrfProtection);
        app.get("/sign-in-form", (req, res) => {
          req.session.hasForm = true; // begins the session, so that its id is the same when the form comes back
          res.json({ token: req.csrfToken?.() });
        });
        app.post("/protected-sign-in", (req, res, next) => {
          const { username, password } = req.body;
          req.signIn({ username, password }).then(() => res.json({ token: req.csrfToken?.() }), next);
        });

        app.get("/form", (req, res) => {
          res.json({ token: req.csrfToken?.() });
        });
        app.post("/form", (_req, res) => {
          res.sendStatus(204);
        });
      },
    });
  });

  beforeEach(() => {
    browser = request.agent(app.url);
  });

  const tokenOn = async (page: string): Promise<string> => (await browser.get(page)).body.token;

  async function statusOf(path: string, token: string | undefined): Promise<number> {
    const asked = browser.post(path).send(ADA);
    return (await (token === undefined ? asked : asked.set("x-csrf-token", token))).status;
  }

  test("a form with its token is taken; without one, or with another session's, it is not", async () => {
    await browser.post("/sign-in").send(ADA);
    const token = await tokenOn("/form");
    expect(await statusOf("/form", token)).toBe(204);
    expect(await statusOf("/form", undefined)).toBe(403);

    const other = request.agent(app.url);
    await other.post("/sign-in").send(ADA);
    const { token: foreign } = (await other.get("/form")).body;
    expect(await statusOf("/form", foreign)).toBe(403);
    expect(await statusOf("/form", token)).toBe(204);
  });

  test("a sign-in changes the id: the token from before fails, and the next page's works", async () => {
    const before = await tokenOn("/sign-in-form");
    expect(await statusOf("/form", before)).toBe(204);
    expect(await statusOf("/sign-in", before)).toBe(204);
    expect(await statusOf("/form", before)).toBe(403);
    const after = await tokenOn("/form");
    expect(after).not.toBe(before);
    expect(await statusOf("/form", after)).toBe(204);
  });

  test("a token made after req.signIn, in the same request, is the new session's", async () => {
    const token = await tokenOn("/sign-in-form");
    const answer = await browser.post("/protected-sign-in").set("x-csrf-token", token).send(ADA);
    expect(answer.status).toBe(200);
    expect(await statusOf("/form", answer.body.token)).toBe(204);
    expect((await browser.get("/inbox")).text).toBe("the mail of ada");
  });

  test("a visitor without a session has another id at each request, so the token of his page fails", async () => {
    expect(await statusOf("/protected-sign-in", await tokenOn("/form"))).toBe(403);
    expect(await statusOf("/protected-sign-in", await tokenOn("/sign-in-form"))).toBe(200);
  });
});
