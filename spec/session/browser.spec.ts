/** What only a real browser shows: which cookies it keeps, which it sends, and in what order. */
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "@jest/globals";
import type { Browser, BrowserContext, Page } from "playwright-core";
import { loadSettings } from "../../lib/settings/load.js";
import { type App, type AppOptions, MINUTE, SAFE_PASSWORD, startApp, temporaryFolder } from "../support/app.js";
import { connectToChromium, withChromium } from "../support/browser.js";
import { Gate } from "../support/gate.js";
import { startProxy } from "../support/stripping-proxy.js";

type Cookie = NonNullable<NonNullable<AppOptions["settings"]>["cookie"]>;

/** A name of this machine's that browsers resolve by themselves. Cookies know no ports. */
const HOST = "app.example.localhost";
const DOMAIN = "example.localhost";
const ADA = { values: { username: "ada" }, ended: false };
const NOBODY = { values: {}, ended: false };
const ENDED = { values: {}, ended: true };

withChromium("in Chromium", () => {
  let browser: Browser;
  let context: BrowserContext;
  let page: Page;
  let gate: Gate;

  beforeAll(async () => {
    browser = await connectToChromium();
  });
  afterAll(() => browser?.close());
  afterEach(() => context?.close());

  async function visit(): Promise<void> {
    context = await browser.newContext();
    page = await context.newPage();
  }

  /** An application whose pages are below `/` and below `/app`. */
  function start(settings: AppOptions["settings"] = {}, folder = join(temporaryFolder(), "tokens")): Promise<App> {
    return startApp({
      settings: { ...settings, path: folder },
      before(express) {
        // To the browser this host is as good as TLS; a cookie that is always secure wants the application to think so, too.
        if (settings.cookie?.secure === true) {
          express.set("trust proxy", 1).use((req, _res, next) => {
            req.headers["x-forwarded-proto"] = "https";
            next();
          });
        }
        express.get("/favicon.ico", (_req, res) => res.sendStatus(204));
        express.get("/without-session", (_req, res) => res.send("nothing here looks at a cookie"));
        express.use((req, _res, next) => {
          req.url = req.url.replace(/^\/app\//, "/");
          next();
        });
      },
      routes(express) {
        express.get("/form", (_req, res) => res.send('<form method="post" action="signing-in"><button>Sign in'));
        express.post("/signing-in", (req, res, next) => {
          req.signIn({ username: "ada", password: "p" }).then(() => res.redirect(303, "session"), next);
        });
        express.get("/slow", async (req, res) => {
          await gate.pass();
          res.json({ ended: req.sessionEnded });
        });
        express.get("/members", (_req, res) => res.redirect(303, "session"));
      },
    });
  }

  /** What the session's page says. */
  async function told(app: App, path = "session"): Promise<unknown> {
    await page.goto(`http://${HOST}:${app.port}/app/${path}`);
    const { values, ended } = JSON.parse((await page.textContent("body")) ?? "");
    return { values: { username: values.username }, ended };
  }

  async function signIn(app: App): Promise<void> {
    await page.goto(`http://${HOST}:${app.port}/app/form`);
    await page.click("button");
    await page.waitForURL("**/session");
  }

  /** By a script, so that no page comes before that could put the browser's cookies right. */
  async function signInByScript(app: App): Promise<void> {
    await page.goto(`http://${HOST}:${app.port}/without-session`);
    await page.evaluate(async () => {
      const headers = { "content-type": "application/json" };
      await fetch("/app/sign-in", { method: "POST", headers, body: '{"username":"ada","password":"p"}' });
    });
  }

  /** The browser's session cookies, by domain and path. */
  async function kept(): Promise<string[]> {
    const cookies = await context.cookies();
    return cookies.map(({ domain, path }) => domain + path).sort();
  }

  describe("a dead cookie of the same name that comes first is no sign-in loop", () => {
    test.each<[string, AppOptions["settings"], AppOptions["settings"], string[]]>([
      ["after a domain was added", {}, { cookie: { domain: DOMAIN } }, [`.${DOMAIN}/`, `${HOST}/`]],
      ["after the path was changed", { cookie: { path: "/app" } }, {}, [`${HOST}/`, `${HOST}/app`]],
      [
        "of another secret, of a longer path",
        { safe_password: "another installation's safe password", cookie: { path: "/app" } },
        {},
        [`${HOST}/`, `${HOST}/app`],
      ],
    ])("%s", async (_, before, after, cookies) => {
      await visit();
      const [first, second] = [await start(before), await start(after)];
      await signIn(first);
      expect(await told(first)).toEqual(ADA);
      await signInByScript(second);
      expect(await kept()).toEqual(cookies);
      for (const _ of [1, 2]) expect(await told(second)).toEqual(ADA);
    });
  });

  describe("the cookie of a session that is over", () => {
    let app: App;

    beforeAll(async () => {
      app = await start();
    });

    async function whoseSessionEnded(): Promise<void> {
      await visit();
      await signIn(app);
      app.clock.forward(20 * MINUTE);
    }

    test("is taken back by the first page, which tells of the end", async () => {
      await whoseSessionEnded();
      expect(await told(app)).toEqual(ENDED);
      expect(await kept()).toEqual([]);
      expect(await told(app)).toEqual(NOBODY);
    });

    test("is taken back by the page behind a redirect, so that this one can tell of the end, too", async () => {
      await whoseSessionEnded();
      expect(await told(app, "members")).toEqual(ENDED);
      expect(await kept()).toEqual([]);
    });

    test("is taken back in both forms after a domain was added", async () => {
      await whoseSessionEnded();
      const after = await start({ cookie: { domain: DOMAIN } });
      expect(await told(after)).toEqual(ENDED);
      expect(await kept()).toEqual([]);
    });

    test.each(["page", "script"])("is not taken back by a %s that is answered after a sign-in", async (asker) => {
      await whoseSessionEnded();
      gate = new Gate();
      const other = await context.newPage();
      await other.goto(`http://${HOST}:${app.port}/without-session`);
      const slow =
        asker === "page"
          ? other.goto(`http://${HOST}:${app.port}/app/slow`)
          : other.evaluate(async () => (await fetch("/app/slow")).text());
      await gate.arrived();
      await signInByScript(app);
      gate.open();
      await slow;
      expect(await told(app)).toEqual(ADA);
    });
  });

  test("changed settings reach who has a cookie, and leave one", async () => {
    await visit();
    const before = await start();
    await signIn(before);
    await before.close();
    const after = await start({ cookie: { domain: DOMAIN, same_site: "strict" } }, before.path);
    expect(await told(after)).toEqual(ADA);
    expect((await context.cookies()).map(({ domain, path, sameSite }) => [domain, path, sameSite])).toEqual([
      [`.${DOMAIN}`, "/", "Strict"],
    ]);
    expect(await told(after)).toEqual(ADA);
  });

  describe("a partitioned cookie, where other sites embed the application", () => {
    const EMBEDDED = { same_site: "none", secure: true } as const;
    const PARTITIONED = { cookie: { ...EMBEDDED, partitioned: true } };

    /** Signs in in the frame of a page of that site's, and tells whom the frame has then. */
    async function inFrameOf(site: string, app: App, isSigningIn: boolean): Promise<unknown> {
      const frame = `<iframe src="http://${HOST}:${app.port}/app/${isSigningIn ? "form" : "session"}"></iframe>`;
      const embedder = createServer((_req, res) => res.setHeader("Content-Type", "text/html").end(frame));
      await new Promise<void>((resolve) => embedder.listen(0, "127.0.0.1", resolve));
      await page.goto(`http://${site}:${(embedder.address() as AddressInfo).port}/`);
      const inside = page.frameLocator("iframe");
      if (isSigningIn) await inside.locator("button").click();
      const text = (await inside.getByText("values").textContent()) ?? "";
      embedder.close();
      return JSON.parse(text).values.username;
    }

    async function whomItFinds(app: App): Promise<unknown[]> {
      await visit();
      const first = await inFrameOf("one.localhost", app, true);
      const again = await inFrameOf("one.localhost", app, false);
      return [first, again, await inFrameOf("other.localhost", app, false), await told(app)];
    }

    test("is kept, and kept apart for each of them", async () => {
      expect(await whomItFinds(await start(PARTITIONED))).toEqual(["ada", "ada", undefined, NOBODY]);
    });

    test("one that is not partitioned is one for all of them, or is kept for none: that is the browser's choice", async () => {
      const found = await whomItFinds(await start({ cookie: EMBEDDED }));
      const [ofAll, ofNone] = [
        ["ada", "ada", "ada", ADA],
        [undefined, undefined, undefined, NOBODY],
      ];
      expect([ofAll, ofNone]).toContainEqual(found);
    });

    test.each<[string, AppOptions["settings"], AppOptions["settings"]]>([
      ["on", { cookie: EMBEDDED }, PARTITIONED],
      ["off", PARTITIONED, { cookie: { ...EMBEDDED, partitioned: false } }],
    ])("leaves one when it is turned %s, which sign-out takes back", async (_, from, to) => {
      await visit();
      const before = await start(from);
      await signIn(before);
      await before.close();
      const after = await start(to, before.path);
      expect(await told(after)).toEqual(ADA);
      expect(await kept()).toEqual([`${HOST}/`]);
      expect(await told(after)).toEqual(ADA);
      await page.evaluate(() => fetch("/app/sign-out", { method: "POST" }));
      expect(await kept()).toEqual([]);
    });

    test("of a session that is over is taken back in both forms", async () => {
      await visit();
      const before = await start(PARTITIONED);
      await signIn(before);
      await before.close();
      const after = await start({ cookie: { ...EMBEDDED, partitioned: false } });
      expect(await told(after)).toEqual(ENDED);
      expect(await kept()).toEqual([]);
    });
  });

  test("behind a proxy that takes the cookie's path off", async () => {
    await visit();
    const app = await start({ cookie: { path: "/intranet" } });
    const proxy = await startProxy(app.port, "/intranet");
    await page.goto(`http://${HOST}:${proxy.port}/intranet/app/form`);
    await page.click("button");
    await page.waitForURL("**/intranet/app/session");
    expect(await kept()).toEqual([`${HOST}/intranet`]);
    await page.reload();
    expect(await page.textContent("body")).toContain('"username":"ada"');
    await proxy.close();
  });

  test("sign-in and sign-out leave no cookie behind that has no domain, once there is one", async () => {
    await visit();
    const [first, second] = [await start(), await start({ cookie: { domain: DOMAIN } })];
    await signIn(first);
    await signInByScript(second);
    expect(await kept()).toHaveLength(2);
    await signInByScript(second);
    expect(await kept()).toEqual([`.${DOMAIN}/`]);
  });

  test("a name with a prefix is refused at start just where the browser would drop it", async () => {
    let line = "";
    const server = createServer((_req, res) => res.setHeader("Set-Cookie", line).end("a page"));
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    const { port } = server.address() as AddressInfo;
    const names = ["__Host-t", "__Secure-t", "__Http-t", "__Host-Http-t", "__hOST-t", "__HTTP-t", "__HostHttp-t"];
    const cases = names.flatMap((name) => [
      { name },
      { name, secure: false },
      { name, path: "/app" },
      { name, domain: DOMAIN },
    ]);
    await visit();
    const verdicts = [];
    for (const cookie of cases) {
      const { name, secure = true, path = "/", domain }: Cookie = cookie;
      line = `${name}=x; Path=${path}; HttpOnly${secure ? "; Secure" : ""}${domain ? `; Domain=${domain}` : ""}`;
      await context.clearCookies();
      // To the browser this host is as good as TLS.
      await page.goto(`http://${HOST}:${port}/app/`);
      verdicts.push({ cookie, isDropped: (await kept()).length === 0 });
    }
    server.close();
    expect(verdicts).toEqual(cases.map((cookie) => ({ cookie, isDropped: isRefused(cookie) })));
    expect(verdicts.filter(({ isDropped }) => isDropped)).toHaveLength(12);
  });
});

function isRefused(cookie: Cookie): boolean {
  const section = { safe_password: SAFE_PASSWORD, cookie };
  try {
    loadSettings({ tokenizer: section }, { log: { warn() {} }, env: {} });
    return false;
  } catch {
    return true;
  }
}
