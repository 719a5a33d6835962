/** After sign-out the back button shows no page of the user's, in Chromium. */
import { afterAll, afterEach, beforeAll, expect, test } from "@jest/globals";
import { type Browser, type BrowserContext, chromium, type Page } from "playwright-core";
import { type App, startApp } from "../support/app.js";
import { withChromium } from "../support/browser.js";

withChromium("the back button after sign-out", () => {
  let browser: Browser;
  let context: BrowserContext;
  let page: Page;
  /** Whom the page was made for, each time that the server was asked for it. */
  let askedBy: (string | undefined)[];

  beforeAll(async () => {
    // The specs' own Chromium has none of the pages ready that people's browsers show at once.
    browser = await chromium.launch({
      executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
      args: ["--no-sandbox", "--disable-gpu"],
      ignoreDefaultArgs: ["--disable-back-forward-cache"],
    });
  });
  afterAll(() => browser?.close());
  afterEach(() => context?.close());

  function start(isKept: boolean): Promise<App> {
    return startApp({
      routes(app) {
        if (!isKept) {
          app.use((req, res, next) => {
            if (req.session.username) res.set("Cache-Control", "no-store");
            next();
          });
        }

        app.get("/private", (req, res) => {
          const { username } = req.session;
          askedBy.push(username);
          if (username) res.send(`<p>the mail of ${username}</p><form method="post" action="/leave"><button>Sign out`);
          else res.send("<p>Please sign in.");
        });
        app.get("/enter", (req, res, next) => {
          req.signIn({ username: "ada", password: "p" }).then(() => res.redirect(303, "/private"), next);
        });
        app.post("/leave", (req, res, next) => {
          req.signOut().then(() => res.redirect(303, "/"), next);
        });
      },
    });
  }

  async function goBackAfterSignOut(app: App): Promise<void> {
    askedBy = [];
    context = await browser.newContext();
    page = await context.newPage();
    await page.goto(`${app.url}/enter`);
    expect(await page.textContent("p")).toBe("the mail of ada");
    await page.click("button");
    await page.waitForURL(`${app.url}/`);
    // A page that was kept ready is not loaded.
    await page.goBack({ waitUntil: "commit" });
    expect(page.url()).toBe(`${app.url}/private`);
  }

  test("shows nothing of the user's where pages say no-store", async () => {
    await goBackAfterSignOut(await start(false));
    expect(await page.textContent("p")).toBe("Please sign in.");
    expect(askedBy).toEqual(["ada", undefined]);
  });

  test("shows the user's page where they do not: the server is not asked", async () => {
    await goBackAfterSignOut(await start(true));
    expect(askedBy).toEqual(["ada"]);
  });
});
