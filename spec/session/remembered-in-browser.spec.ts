/** What only a real browser shows: a remembered cookie is there after the browser was closed, any other is gone. */
import { describe, expect, test } from "@jest/globals";
import { type BrowserContext, chromium, type Page } from "playwright-core";
import { type App, Clock, MINUTE, startApp, temporaryFolder } from "../support/app.js";
import { withChromium } from "../support/browser.js";
import { onEveryBackend } from "../support/places.js";

const DAY = 24 * 60 * MINUTE;

/** A browser of its own, that keeps its cookies in the folder. */
function startBrowser(profile: string): Promise<BrowserContext> {
  return chromium.launchPersistentContext(profile, {
    executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
    args: ["--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking", "--disable-sync"],
  });
}

async function open(context: BrowserContext, app: App): Promise<Page> {
  const page = await context.newPage();
  await page.goto(`${app.url}/session`);
  return page;
}

async function valuesOn(page: Page): Promise<unknown> {
  await page.reload();
  return JSON.parse((await page.textContent("body")) ?? "").values;
}

async function post(page: Page, path: string, body: object): Promise<void> {
  await page.evaluate(
    async ([path, body]) => {
      await fetch(path, { method: "POST", headers: { "content-type": "application/json" }, body });
    },
    [path, JSON.stringify(body)] as const,
  );
}

withChromium("in Chromium, closed and started again with the same profile", () => {
  onEveryBackend(({ next }) => {
    describe("a sign-in", () => {
      test.each([
        ["that is remembered, and confirmed on the way, goes on", true, { username: "ada" }],
        ["that is not is over", false, {}],
      ])("%s", async (_, remember, values) => {
        const clock = new Clock();
        clock.time = Date.now();
        const app = await startApp({
          settings: { ...(await next()), remember: {} },
          clock,
          routes(express) {
            express.post("/enter", (req, res, next) => {
              req.signIn({ username: "ada", password: "p" }, { remember }).then(() => res.sendStatus(204), next);
            });
            express.post("/confirm", (req, res, next) => {
              req.confirmSignIn().then(() => res.sendStatus(204), next);
            });
          },
        });
        const profile = temporaryFolder();
        const before = await startBrowser(profile);
        const page = await open(before, app);
        await post(page, "/enter", {});
        await post(page, "/confirm", {});
        expect(await valuesOn(page)).toEqual({ username: "ada" });
        await before.close();
        if (remember) clock.forward(29 * DAY);
        const after = await startBrowser(profile);
        const later = await open(after, app);
        expect(await valuesOn(later)).toEqual(values);
        if (remember) {
          // The sign-out takes it back for good.
          await post(later, "/sign-out", {});
          expect(await after.cookies()).toEqual([]);
        }
        await after.close();
      });
    });
  });
});
