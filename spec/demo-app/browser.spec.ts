/** What only a real browser shows: the keyboard, the back button, the width of a phone, the colour scheme. */

import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import type { Browser, BrowserContextOptions, Page } from "playwright-core";
import { ROOT } from "../../demo-app/root.js";
import { connectToChromium, withChromium } from "../support/browser.js";
import { isFull } from "../support/redis-server.js";
import { ADA, type Demo, FIREFOX, GRACE, MINUTE, SAFARI, startDemo } from "./demo.js";
import { background, focusOutline, nameless, tooWide, unreadable } from "./in-page.js";

const SCREENSHOTS = join(ROOT, ".cache", "screenshots");

const ALL_LOOKS = [
  { look: "desktop-light", viewport: { width: 1280, height: 800 }, colorScheme: "light" },
  { look: "phone-dark", viewport: { width: 390, height: 844 }, colorScheme: "dark" },
  { look: "desktop-dark", viewport: { width: 1280, height: 800 }, colorScheme: "dark" },
  { look: "phone-light", viewport: { width: 390, height: 844 }, colorScheme: "light" },
] as const;
/** Each width and each scheme is among the first two. */
const LOOKS = isFull ? ALL_LOOKS : ALL_LOOKS.slice(0, 2);

withChromium("in Chromium", () => {
  let browser: Browser;
  let demo: Demo;
  const complaints: string[] = [];

  beforeAll(async () => {
    await mkdir(SCREENSHOTS, { recursive: true });
    demo = await startDemo();
    browser = await connectToChromium();
  });
  afterAll(() => browser?.close());

  async function visit(path: string, options: BrowserContextOptions = {}): Promise<Page> {
    const context = await browser.newContext({ baseURL: demo.url, ...options });
    const page = await context.newPage();
    page.on("console", (message) => {
      if (["error", "warning"].includes(message.type())) complaints.push(message.text());
    });
    page.on("pageerror", (error) => complaints.push(error.message));
    await page.goto(path);
    return page;
  }

  test("signs in, adds a note and signs out by keyboard alone; the back button shows no notes", async () => {
    const page = await visit("/");
    const { keyboard } = page;
    expect(await focused(page)).toBe("username");
    await keyboard.type(ADA.username);
    await keyboard.press("Tab");
    await keyboard.type(ADA.password);
    await keyboard.press("Enter");
    await page.waitForURL("**/notes");
    expect(await page.textContent("main")).toContain("Ask Charles");

    await keyboard.press("Tab");
    expect(await page.locator(":focus").textContent()).toBe("Skip to the content");
    await keyboard.press("Enter");
    await keyboard.press("Tab");
    expect(await focused(page)).toBe("text");
    await keyboard.type("Typed without a mouse");
    await keyboard.press("Tab");
    await keyboard.press("Enter");
    await page.getByText("Your note was added.").waitFor();
    expect(await page.locator(".note").first().textContent()).toBe("Typed without a mouse");

    await tabTo(page, "Sign out");
    await keyboard.press("Enter");
    await page.getByRole("heading", { name: "You are signed out" }).waitFor();
    for (let steps = 0; steps < 2; steps++) {
      await page.goBack();
      expect(await page.content()).not.toContain("Ask Charles");
      expect(await page.content()).not.toContain("Typed without a mouse");
    }
    expect(complaints).toEqual([]);
    await page.context().close();
  });

  test("shows where the keyboard is", async () => {
    const page = await visit("/sign-in");
    for (const name of ["username", "password"]) {
      expect(await focused(page)).toBe(name);
      expect(await page.evaluate(focusOutline)).toBe("solid");
      await page.keyboard.press("Tab");
    }
    await page.context().close();
  });

  test("accepts the forms of its own pages without Sec-Fetch-Site, too", async () => {
    const page = await visit("/sign-in");
    await page.route("**/sign-in", async (route) => {
      const { "sec-fetch-site": _, ...headers } = await route.request().allHeaders();
      await route.continue({ headers });
    });
    await fillIn(page, ADA);
    await page.waitForURL("**/notes");
    await page.context().close();
  });

  test("refuses the form of another site, cookie or not", async () => {
    const page = await visit("/sign-in");
    await fillIn(page, ADA);
    await page.waitForURL("**/notes");
    await page.goto("about:blank");
    await page.setContent(`<form method="post" action="${demo.url}/sign-out"><button>Win a prize</button></form>`);
    await page.getByRole("button").click();
    await page.getByRole("heading", { name: "That came from another site" }).waitFor();
    await page.goto("/notes");
    expect(await page.textContent("main")).toContain("Ask Charles");
    complaints.length = 0; // a status of 403 is written to the console
    await page.context().close();
  });

  test("ends another browser's session by keyboard, without JavaScript; that one is told at its next click", async () => {
    const [page, other] = await Promise.all([
      visit("/", { javaScriptEnabled: false }),
      visit("/", { javaScriptEnabled: false, userAgent: FIREFOX }),
    ]);
    for (const each of [page, other]) {
      await fillIn(each, GRACE);
      await each.waitForURL("**/notes");
    }
    await tabTo(page, "Sessions");
    await page.keyboard.press("Enter");
    await page.waitForURL("**/sessions");
    await tabTo(page, "End Firefox on Linux, last seen just now");
    expect(await page.evaluate(focusOutline)).toBe("solid");
    await page.keyboard.press("Enter");
    await page.getByText("1 session was ended: Firefox on Linux.").waitFor();
    await page.getByText("You are signed in nowhere else.").waitFor();

    await other.getByRole("link", { name: "Sessions" }).click();
    await other.getByText("Your session has ended. Please sign in again.").waitFor();
    await fillIn(other, GRACE);
    await other.getByRole("link", { name: "Sessions" }).click();
    await endAllOthers(other, GRACE);
    await other.getByText("1 other session was ended.").waitFor();
    await page.reload();
    await page.getByText("Your session has ended. Please sign in again.").waitFor();

    await tabTo(other, "End and sign out");
    await other.keyboard.press("Enter");
    await other.getByRole("heading", { name: "You are signed out" }).waitFor();
    await other.goBack();
    expect(await other.content()).not.toContain("Firefox on Linux");
    expect(complaints).toEqual([]);
    await Promise.all([page.context().close(), other.context().close()]);
  });

  describe.each(LOOKS)("$look", ({ look, viewport, colorScheme }) => {
    test("fits, can be read, and has its screenshots written", async () => {
      const page = await visit("/", { viewport, colorScheme });
      const check = async (name: string) => {
        expect(await page.evaluate(tooWide)).toBe(0);
        expect(await page.evaluate(unreadable)).toEqual([]);
        expect(await page.evaluate(nameless)).toEqual([]);
        await page.screenshot({ path: join(SCREENSHOTS, `${look}-${name}.png`), fullPage: true });
      };
      await check("sign-in");
      await fillIn(page, { username: "ada", password: "wrong" });
      await page.getByRole("alert").waitFor();
      await check("wrong-password");
      await fillIn(page, ADA);
      await page.waitForURL("**/notes");
      await page.getByLabel("New note").fill(`A long word: ${"abcdefghij".repeat(20)}`);
      await page.getByRole("button", { name: "Add note" }).click();
      await page.getByText("Your note was added.").waitFor();
      await page.locator("summary").click();
      await check("notes");
      await showSessions(page, check);
      demo.forward(21 * MINUTE);
      await page.goto("/notes");
      await page.getByText("Your session has ended").waitFor();
      await check("session-ended");
      await fillIn(page, ADA);
      await page.waitForURL("**/notes");
      await page.getByRole("button", { name: "Sign out" }).click();
      await page.waitForURL("**/signed-out");
      await check("signed-out");
      expect(complaints).toEqual([]);
      await page.goto("/nowhere");
      await check("not-found");
      complaints.length = 0; // a status of 404 is written to the console
      await page.context().close();
    });
  });

  /** Signed in as Ada: alone, with others, and after they were ended. */
  async function showSessions(page: Page, check: (name: string) => Promise<void>): Promise<void> {
    await demo.sessions.users.revoke(ADA.username, { only: await handlesOfOthers() });
    await page.getByRole("link", { name: "Sessions" }).click();
    await page.getByText("You are signed in nowhere else.").waitFor();
    await check("session-alone");
    for (const userAgent of [SAFARI, "Mozilla/5.0 (Linux; Android 15) SamsungBrowser/28.0", FIREFOX]) {
      await demo.visitor(userAgent).signIn();
      demo.forward(4 * MINUTE);
    }
    await page.reload();
    await check("sessions");
    await page.getByRole("button", { name: "End Firefox on Linux" }).click();
    await page.getByText("1 session was ended: Firefox on Linux.").waitFor();
    await check("session-ended-elsewhere");
    await endAllOthers(page, ADA);
    await page.getByText("2 other sessions were ended.").waitFor();
    await page.getByRole("link", { name: "Notes" }).click();
    await page.waitForURL("**/notes");
  }

  /** Ada's browsers of the specs before. */
  async function handlesOfOthers(): Promise<string[]> {
    const listed = await demo.sessions.users.list(ADA.username);
    return listed.slice(0, -1).map(({ id }) => id);
  }

  test("the two colour schemes differ", async () => {
    const [light, dark] = await Promise.all(
      (["light", "dark"] as const).map(async (colorScheme) => {
        const page = await visit("/sign-in", { colorScheme });
        return page.evaluate(background);
      }),
    );
    expect(light).not.toBe(dark);
  });

  test("a failing store has a page that gives the note back", async () => {
    const page = await visit("/sign-in", { viewport: { width: 390, height: 844 } });
    await fillIn(page, ADA);
    await page.waitForURL("**/notes");
    await demo.sessions.close();
    await page.getByLabel("New note").fill("Not lost");
    await page.getByRole("button", { name: "Add note" }).click();
    await page.getByText("Your note was not added").waitFor();
    expect(await page.getByLabel("New note").inputValue()).toBe("Not lost");
    expect(await page.evaluate(tooWide)).toBe(0);
    await page.screenshot({ path: join(SCREENSHOTS, "phone-light-store-failed.png"), fullPage: true });
    await page.context().close();
  });
});

async function fillIn(page: Page, { username, password }: typeof ADA): Promise<void> {
  await page.getByLabel("Name").fill(username);
  await page.getByLabel("Password").fill(password);
  await page.getByRole("button", { name: "Sign in" }).click();
}

async function endAllOthers(page: Page, { password }: typeof ADA): Promise<void> {
  await page.getByLabel("Your password, once more").fill(password);
  await page.getByRole("button", { name: "End all other sessions" }).click();
}

function focused(page: Page): Promise<string | null> {
  return page.locator(":focus").getAttribute("id");
}

/** Presses Tab until the element has the focus. The page comes round again after its end. */
async function tabTo(page: Page, label: string): Promise<void> {
  for (let presses = 0; presses < 20; presses++) {
    await page.keyboard.press("Tab");
    if ((await page.locator(":focus").textContent()) === label) return;
  }
  throw new Error(`"${label}" cannot be reached by keyboard`);
}
