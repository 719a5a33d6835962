/** OpenID Connect by passport and openid-client, with a provider of our own; nobody here keeps a password. */
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "@jest/globals";
import { type Application, urlencoded } from "express";
import { createRemoteJWKSet, jwtVerify } from "jose";
import { allowInsecureRequests, buildEndSessionUrl, type Configuration, discovery } from "openid-client";
import { Strategy } from "openid-client/passport";
import passport from "passport";
import type { Browser } from "playwright-core";
import type { Tokenizer } from "../../lib/tokenizer.js";
import { type App, type AppOptions, startApp, type Visitor } from "../support/app.js";
import { connectToChromium, withChromium } from "../support/browser.js";
import { CLIENT, OidcProvider } from "../support/oidc-provider.js";

declare global {
  namespace Express {
    interface User {
      username: string;
      idToken?: string | undefined;
    }
  }
}
declare module "express-session" {
  interface SessionData {
    idToken?: string | undefined;
  }
}

const COOKIE = { secret: "a secret that signs cookies" };

let provider: OidcProvider;
let config: Configuration;

beforeAll(async () => {
  provider = await OidcProvider.start();
  // On loopback alone: elsewhere it is TLS.
  const options = { execute: [allowInsecureRequests] };
  config = await discovery(new URL(provider.issuer), CLIENT.id, CLIENT.secret, undefined, options);
});
afterAll(() => provider.close());

beforeEach(() => {
  provider.subject = "ada-7301";
});

function useProvider(site: string): void {
  passport.use(
    "oidc",
    new Strategy({ config, scope: "openid", callbackURL: `${site}/login/callback` }, (tokens, done) => {
      const subject = tokens.claims()?.sub;
      done(null, subject === undefined ? false : { username: subject, idToken: tokens.id_token });
    }),
  );
}

function addRoutes(app: Application, sessions: Tokenizer): void {
  app.get("/login", passport.authenticate("oidc", { session: false }));

  app.get(
    "/login/callback",
    passport.authenticate("oidc", { session: false, failureRedirect: "/not-signed-in" }),
    (req, res, next) => {
      const { username, idToken } = req.user ?? {};
      if (!username) return next(new Error("The provider named nobody."));
      req.signIn({ username }, { keep: ["basket"] }).then(() => {
        req.session.idToken = idToken;
        res.redirect(303, "/session");
      }, next);
    },
  );

  app.post("/logout", (req, res, next) => {
    const { idToken = "" } = req.session;
    const back = `${req.protocol}://${req.get("host")}/`;
    const there = buildEndSessionUrl(config, { id_token_hint: idToken, post_logout_redirect_uri: back });
    req.signOut().then(() => res.redirect(303, there.href), next);
  });

  const keys = createRemoteJWKSet(new URL(config.serverMetadata().jwks_uri ?? ""));

  /** Whose sessions the provider ends. */
  async function endedUser(token: string): Promise<string> {
    const { issuer } = config.serverMetadata();
    const { payload } = await jwtVerify(token, keys, { issuer, audience: CLIENT.id });
    const events = Object.keys(payload.events ?? {});
    const isLogout = events.includes("http://schemas.openid.net/event/backchannel-logout");
    if (!isLogout || !payload.sub || "nonce" in payload) throw new Error("This is no logout token.");
    return payload.sub;
  }

  app.post("/backchannel-logout", urlencoded({ extended: false }), (req, res, next) => {
    endedUser(String(req.body.logout_token)).then(
      (user) => sessions.users.revoke(user).then(() => res.set("Cache-Control", "no-store").sendStatus(200), next),
      () => res.sendStatus(400),
    );
  });
}

function start(options: AppOptions = {}): Promise<App> {
  const settings = {
    safe_password: undefined,
    ...options.settings,
    cookie: { ...COOKIE, ...options.settings?.cookie },
  };
  return startApp({ authenticator: "none", ...options, settings, routes: addRoutes });
}

/** The way of a browser, from our page to the provider and back; answers the last answer. */
async function signIn(visitor: Visitor) {
  const there = (await visitor.get("/login")).headers.location;
  const answer = await fetch(String(there), { redirect: "manual" });
  const back = new URL(answer.headers.get("location") ?? "");
  return visitor.get(back.pathname + back.search);
}

describe.each([4, 5] as const)("on Express %i", (express) => {
  let app: App;
  let visitor: Visitor;

  beforeAll(async () => {
    app = await start({ express });
  });

  beforeEach(async () => {
    useProvider(app.url);
    visitor = app.visitor();
    await app.sessions.users.revokeEveryone();
  });

  const valuesOf = async (who: Visitor) => (await who.get("/session")).body.values;

  test("signs in under a new id, without a password; of what was there before only what is kept", async () => {
    await visitor.post("/set", { basket: ["tea"], other: 1 });
    const before = app.visitor(visitor.cookie);
    expect((await signIn(visitor)).status).toBe(303);
    expect(visitor.id).not.toBe(before.id);
    expect(await valuesOf(visitor)).toEqual({ username: "ada-7301", basket: ["tea"], idToken: expect.any(String) });
    expect((await before.get("/session")).body).toEqual({ values: {}, ended: true });
    expect(await app.sessions.users.list("ada-7301")).toHaveLength(1);
    expect(app.log).toEqual([]);
  });

  test("whom the provider refuses is nobody; neither is who comes with another's code", async () => {
    provider.subject = undefined;
    expect((await signIn(visitor)).headers.location).toBe("/not-signed-in");
    provider.subject = "ada-7301";
    const there = (await visitor.get("/login")).headers.location;
    const back = new URL((await fetch(String(there), { redirect: "manual" })).headers.get("location") ?? "");
    const thief = app.visitor();
    expect((await thief.get(back.pathname + back.search)).headers.location).toBe("/not-signed-in");
    await thief.get("/login");
    expect((await thief.get(back.pathname + back.search)).status).toBe(400);
    expect([await valuesOf(thief), await app.sessions.users.list("ada-7301")]).toEqual([{}, []]);
  });

  test("sign-out ends the session here, and leads to the provider, which is told whose it was", async () => {
    await signIn(visitor);
    const { idToken } = await valuesOf(visitor);
    const { status, headers } = await visitor.post("/logout");
    expect(status).toBe(303);
    expect((await fetch(String(headers.location), { redirect: "manual" })).headers.get("location")).toBe(`${app.url}/`);
    expect(provider.endings.at(-1)).toEqual({ hint: idToken });
    expect([await valuesOf(visitor), await app.sessions.users.list("ada-7301")]).toEqual([{}, []]);
  });

  test("the provider ends all sessions of a user by its back channel, and nobody else does", async () => {
    await signIn(visitor);
    const ending = (token: string) =>
      fetch(`${app.url}/backchannel-logout`, { method: "POST", body: new URLSearchParams({ logout_token: token }) });
    const { idToken } = await valuesOf(visitor);
    for (const token of ["nonsense", idToken, await provider.logoutToken("ada-7301", { events: {} })]) {
      expect((await ending(token)).status).toBe(400);
    }
    expect((await valuesOf(visitor)).username).toBe("ada-7301");
    const told: unknown[] = [];
    app.sessions.once("ended", ({ user, reason }) => told.push({ user, reason }));
    expect((await ending(await provider.logoutToken("ada-7301"))).status).toBe(200);
    expect((await visitor.get("/session")).body).toEqual({ values: {}, ended: true });
    expect(told).toEqual([{ user: "ada-7301", reason: "revoked" }]);
  });
});

withChromium("in Chromium, where the provider is another site", () => {
  let browser: Browser;

  beforeAll(async () => {
    browser = await connectToChromium();
  });
  afterAll(() => browser?.close());

  afterEach(() => {
    provider.isAsking = false;
  });

  test.each<["lax" | "strict", boolean, string]>([
    ["lax", true, '"username":"ada-7301"'],
    ["lax", false, '"username":"ada-7301"'],
    // The way back begins on the provider's page.
    ["strict", true, "Not signed in"],
  ])("with same_site: %s, where it asks on a page of its own: %s", async (same_site, isAsking, seen) => {
    provider.isAsking = isAsking;
    const app = await start({
      settings: { cookie: { same_site } },
      before: (express) => express.get("/not-signed-in", (_req, res) => res.send("Not signed in")),
    });
    const site = `http://localhost:${app.port}`;
    useProvider(site);
    const context = await browser.newContext();
    const page = await context.newPage();
    await page.goto(`${site}/login`);
    if (isAsking) await page.click("a");
    await page.waitForURL(`${site}/**`);
    expect(await page.textContent("body")).toContain(seen);
    await context.close();
  });
});
