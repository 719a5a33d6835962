/** Device Bound Session Credentials in a real Chromium, with keys in software, over TLS. */
import { afterAll, beforeAll, beforeEach, expect, test } from "@jest/globals";
import type { Express, RequestHandler } from "express";
import { type Browser, type BrowserContext, chromium, type Page } from "playwright-core";
import type { SettingsInput } from "../../lib/settings/settings.js";
import type { Tokenizer } from "../../lib/tokenizer.js";
import { type App, Clock, MINUTE, startApp, temporaryFolder } from "../support/app.js";
import { withChromium } from "../support/browser.js";
import { ask, BOUND, certificate, overTls } from "../support/device.js";
import { Gate } from "../support/gate.js";

const ROUTE = "/device-bound/token";

const LAUNCH = {
  executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
  args: [
    ...["--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking", "--disable-sync"],
    "--enable-features=DeviceBoundSessions:RefreshQuota/false,EnableBoundSessionCredentialsSoftwareKeysForManualTesting",
    // For the rest, any mistake with the certificate would switch it off without a word.
    `--ignore-certificate-errors-spki-list=${certificate.spkiHash}`,
    "--host-resolver-rules=MAP *.example 127.0.0.1",
  ],
};

/** Browsers ask for one by themselves, at any moment, and refresh for it. */
const NO_ICON = '<link rel="icon" href="data:,">';

type CookieInput = NonNullable<SettingsInput["tokenizer"]["cookie"]>;

/** A request that reached the application, and what it was answered. */
interface Seen {
  readonly method: string;
  readonly path: string;
  readonly status: number;
  readonly cookies: readonly string[];
}

let clock: Clock;
let app: App;
/** Holds handlers, and requests for our route. */
let gate: Gate | undefined;
let routeGate: Gate | undefined;
let seen: Seen[];
let heard: (() => void)[];
/** How often the browser has stored a binding since the last sign-in. */
let bindings: number;

function recordAll(express: Express): void {
  express.use((req, res, next) => {
    res.on("finish", () => {
      const cookies = (req.headers.cookie ?? "").split("; ").map((pair) => pair.split("=")[0] ?? "");
      seen.push({ method: req.method, path: req.path, status: res.statusCode, cookies });
      tellAll();
    });
    const held = req.path === ROUTE ? routeGate?.pass() : undefined;
    if (held) held.then(() => next(), next);
    else next();
  });
}

function addRoutes(express: Express, sessions: Tokenizer): void {
  const enter: RequestHandler = (req, res, next) => {
    req.signIn({ username: "ada", password: "p" }, { remember: true }).then(() => res.redirect(303, "/page"), next);
  };
  express.get("/callback", enter);
  express.post("/callback", enter);
  express.get(
    "/page",
    (req, res) => void res.type("html").send(`${NO_ICON}<title>${req.session.username ?? "nobody"}</title>`),
  );
  express.get("/elsewhere", (req, res) => {
    const to = `https://shop.example:${app.port}`;
    if (req.query.how === "redirect") return res.redirect(303, `${to}/callback`);
    const links = `<a id=link href="${to}/page">link</a> <a id=redirect href="?how=redirect">redirect</a>`;
    res
      .type("html")
      .send(`${NO_ICON}${links}<form method=post action="${to}/callback"><button id=form>form</button></form>`);
  });
  express.post("/confirm", (req, res, next) => {
    req.confirmSignIn().then(() => res.sendStatus(204), next);
  });
  express.post("/end-others", (req, res, next) => {
    sessions.users.revoke("ada", { except: req }).then(() => res.sendStatus(204), next);
  });
  express.post("/slow", async (req, res) => {
    await gate?.pass();
    Object.assign(req.session, req.body);
    res.sendStatus(204);
  });
}

async function start(cookie: CookieInput = {}): Promise<App> {
  return startApp({
    settings: { remember: {}, cookie: { device_bound: true, ...cookie } },
    ...{ clock, serve: overTls, before: recordAll, routes: addRoutes },
  });
}

const ours = (path: string) => `https://shop.example:${app.port}${path}`;
const elsewhere = () => `https://idp.example:${app.port}/elsewhere`;
const namesOf = (from: number, to: number) => Array.from({ length: to - from }, (_, at) => `of request ${from + at}`);
const routeAnswers = () => seen.filter(({ path }) => path === ROUTE).map(({ status }) => status);

/** Once the application answered something of which that is true. */
async function until(isThere: () => boolean): Promise<void> {
  while (!isThere()) await new Promise<void>((resolve) => heard.push(resolve));
}

function tellAll(): void {
  for (const tell of heard) tell();
}

/** Hears of the bindings that a page makes: our answer is out before the browser has its cookie, and its binding. */
async function watch(page: Page): Promise<void> {
  const devTools = await page.context().newCDPSession(page);
  devTools.on("Network.deviceBoundSessionEventOccurred", ({ succeeded, creationEventDetails }) => {
    if (succeeded && creationEventDetails) bindings++;
    tellAll();
  });
  await devTools.send("Network.enableDeviceBoundSessions", { enable: true });
}

/** Once our answer is out, and the browser has its cookie and its binding: which of them comes first is not said. */
async function registered(page: Page, prefix = BOUND): Promise<void> {
  await until(
    () => bindings > 0 && seen.some(({ path, status }) => path.startsWith("/device-bound/") && status === 200),
  );
  while ((await boundNames(page, prefix)).length === 0);
}

/** From a page of another site. */
async function arriveBy(page: Page, how: string): Promise<void> {
  await page.goto(elsewhere());
  await page.click(`#${how}`);
}

/** From any page of ours. */
const post = (page: Page, path: string, body: object = {}) => {
  return page.evaluate(
    async ([path, body]) => {
      const headers = { "content-type": "application/json" };
      return (await fetch(path, { method: "POST", headers, body })).status;
    },
    [path, JSON.stringify(body)] as const,
  );
};

const statusOf = (page: Page, path = "/session") => page.evaluate(async (path) => (await fetch(path)).status, path);

/** Its time is up, for the browser and the server. */
async function endShortCookie(page: Page, prefix = BOUND): Promise<void> {
  // Before: whatever the browser asks for from here on refreshes it.
  seen.length = 0;
  clock.forward(11 * MINUTE);
  const devTools = await page.context().newCDPSession(page);
  for (const name of await boundNames(page, prefix)) {
    await devTools.send("Network.deleteCookies", { name, url: ours("/") });
  }
  await devTools.detach();
}

async function boundNames(page: Page, prefix: string): Promise<string[]> {
  return [...(await cookiesOf(page.context())).keys()].filter((name) => name.startsWith(prefix));
}

async function cookiesOf(context: BrowserContext): Promise<Map<string, string>> {
  return new Map((await context.cookies(ours("/"))).map(({ name, value }) => [name, `${name}=${value}`]));
}

withChromium("in Chromium", () => {
  let browser: Browser;
  let context: BrowserContext;
  let page: Page;

  beforeAll(async () => {
    browser = await chromium.launch(LAUNCH);
  });
  afterAll(() => browser.close());

  beforeEach(async () => {
    [clock, seen, heard, gate, routeGate, bindings] = [new Clock(), [], [], undefined, undefined, 0];
    app = await start();
    context = await browser.newContext();
    page = await context.newPage();
    await watch(page);
  });

  async function signIn(on = page): Promise<void> {
    [seen.length, bindings] = [0, 0];
    await on.goto(ours("/callback"));
    await registered(on);
  }

  const listed = async () => (await app.sessions.users.list("ada")).map(({ bound }) => bound);

  test("a sign-in is bound, the cookie is refreshed, and a copy of the session's cookie opens nothing", async () => {
    await signIn();
    // Until it has shown what it got, our answer may have been lost.
    expect(await listed()).toEqual([false]);
    expect(await statusOf(page)).toBe(200);
    expect(await listed()).toEqual([true]);
    expect([...(await cookiesOf(context)).keys()].sort()).toEqual(["token", expect.stringMatching(`^${BOUND}`)]);
    await endShortCookie(page);
    const stolen = (await cookiesOf(context)).get("token") ?? "";
    expect((await ask(app.port, "/session", { headers: { cookie: stolen } })).status).toBe(401);
    seen.length = 0;
    expect(await statusOf(page)).toBe(200);
    expect(routeAnswers()).toEqual([403, 200]);
    await page.reload();
    expect(await page.title()).toBe("ada");
    expect(routeAnswers()).toEqual([403, 200]);
  });

  test.each(["redirect", "form"])(
    "a sign-in by another site's %s is bound, though the registration comes without the cookie",
    async (how) => {
      await arriveBy(page, how);
      await registered(page);
      await page.waitForURL("**/page");
      expect(await statusOf(page)).toBe(200);
      expect(await listed()).toEqual([true]);
      expect(seen.find(({ path }) => path === ROUTE)?.cookies).not.toContain("token");
      await endShortCookie(page);
      expect(await statusOf(page)).toBe(200);
      expect(routeAnswers()).toEqual([403, 200]);
    },
  );

  test("a link on another site leads to a session whose short-lived cookie is over: it is refreshed", async () => {
    await signIn();
    await endShortCookie(page);
    await arriveBy(page, "link");
    await page.waitForURL("**/page");
    expect(await page.title()).toBe("ada");
    expect(routeAnswers()).toEqual([403, 200]);
    expect(seen.find(({ path }) => path === ROUTE)?.cookies).not.toContain("token");
  });

  test("30 requests while it is bound: none is refused, all is kept", async () => {
    await page.goto(ours("/page"));
    [gate, routeGate] = [new Gate(), new Gate()];
    expect(await post(page, "/sign-in", { username: "ada", password: "p" })).toBe(204);
    await routeGate.arrived();
    // As many as leave the browser a connection for the registration: they are loaded before it.
    const [before, during] = [namesOf(0, 4), namesOf(4, 30)];
    const slow = before.map((name) => post(page, "/slow", { [name]: true }));
    await gate.arrived(before.length);
    const others = during.map((name) => post(page, "/set", { [name]: true }));
    routeGate.open();
    await registered(page);
    gate.open();
    expect(await Promise.all([...slow, ...others])).toEqual([...before, ...during].map(() => 204));
    clock.forward(MINUTE);
    const { values } = JSON.parse(await page.evaluate(async () => (await fetch("/session")).text()));
    expect(Object.keys(values).sort()).toEqual(["username", ...before, ...during].sort());
    expect(await listed()).toEqual([true]);
  });

  test("20 requests when the short-lived cookie is over: one refresh, and all are served", async () => {
    await signIn();
    await endShortCookie(page);
    const statuses = await page.evaluate(async () => {
      return Promise.all(Array.from({ length: 20 }, async (_, at) => (await fetch(`/session?${at}`)).status));
    });
    expect(statuses).toEqual(Array(20).fill(200));
    expect(routeAnswers()).toEqual([403, 200]);
  });

  test("a form's post that comes when it is over keeps its body", async () => {
    await signIn();
    await endShortCookie(page);
    expect(await post(page, "/set", { theme: "dark" })).toBe(204);
    expect(await page.evaluate(async () => (await fetch("/session")).text())).toContain('"theme":"dark"');
  });

  test("signed out, its binding ends; signed in again, it is bound again", async () => {
    await signIn();
    expect(await post(page, "/sign-out")).toBe(204);
    await endShortCookie(page);
    expect(await statusOf(page)).toBe(200);
    expect(routeAnswers()).toEqual([200]);
    seen.length = 0;
    expect(await statusOf(page)).toBe(200);
    expect(routeAnswers()).toEqual([]);
    await signIn();
    await endShortCookie(page);
    expect(await statusOf(page)).toBe(200);
    expect(routeAnswers()).toEqual([403, 200]);
    expect(await listed()).toEqual([true]);
  });

  test("confirmed, it goes on under a new id, which is bound anew", async () => {
    await signIn();
    [seen.length, bindings] = [0, 0];
    expect(await post(page, "/confirm")).toBe(204);
    await registered(page);
    expect(await statusOf(page)).toBe(200);
    expect(await listed()).toEqual([true]);
    await endShortCookie(page);
    await page.goto(ours("/page"));
    expect(await page.title()).toBe("ada");
    // Beside the new one's 403 and 200, the old one's 200 for its end, if the browser asked for that first.
    expect(routeAnswers()).toContain(403);
    expect(await statusOf(page)).toBe(200);
  });

  test.each<[string, CookieInput]>([
    ["is strict", { same_site: "strict" }],
    ["goes to all sites", { same_site: "none", secure: true }],
    ["has a prefix", { name: "__Host-token" }],
  ])("a cookie that %s is what the browser was told: it refreshes once", async (_, cookie) => {
    await app.close();
    app = await start(cookie);
    const name = cookie.name ?? "token";
    await page.goto(ours("/page"));
    await post(page, "/sign-in", { username: "ada", password: "p" });
    await registered(page, `${name}-bound-`);
    await endShortCookie(page, `${name}-bound-`);
    for (const _ of "123") expect(await statusOf(page)).toBe(200);
    expect(seen.filter(({ path }) => path !== "/session").map(({ status }) => status)).toEqual([403, 200]);
  });

  test("a session of before, whose cookie the browser has lost, does not stand in the way of the new one", async () => {
    // As after a restart: the key stays, the cookie of the browser's session does not.
    for (const _ of "123") {
      await signIn();
      const devTools = await context.newCDPSession(page);
      await devTools.send("Network.deleteCookies", { name: "token", url: ours("/") });
      await devTools.detach();
    }
    await signIn();
    for (const _ of "123") {
      await endShortCookie(page);
      expect(await statusOf(page)).toBe(200);
    }
    expect(await listed()).toEqual([true, true, true, true]);
  });

  test("ended from a second browser, its binding ends", async () => {
    await signIn();
    const second = await browser.newContext();
    const other = await second.newPage();
    await watch(other);
    await signIn(other);
    expect(await post(other, "/end-others")).toBe(204);
    await endShortCookie(page);
    await page.goto(ours("/page"));
    expect(await page.title()).toBe("nobody");
    expect(routeAnswers()).toEqual([200]);
    await endShortCookie(other);
    await other.reload();
    expect(await other.title()).toBe("ada");
    await second.close();
  });
});

withChromium("in Chromium, closed and started again with the same profile", () => {
  test("a remembered session is proven with the same key", async () => {
    [clock, seen, heard, gate, routeGate, bindings] = [new Clock(), [], [], undefined, undefined, 0];
    app = await start();
    const profile = temporaryFolder();
    const before = await chromium.launchPersistentContext(profile, LAUNCH);
    const page = await before.newPage();
    await watch(page);
    await page.goto(ours("/callback"));
    await registered(page);
    await endShortCookie(page);
    expect(await statusOf(page)).toBe(200);
    expect(routeAnswers()).toEqual([403, 200]);
    await before.close();
    const after = await chromium.launchPersistentContext(profile, LAUNCH);
    const later = await after.newPage();
    await later.goto(elsewhere());
    await endShortCookie(later);
    await later.goto(ours("/page"));
    expect(await later.title()).toBe("ada");
    expect(routeAnswers()).toEqual([403, 200]);
    await after.close();
  });
});
