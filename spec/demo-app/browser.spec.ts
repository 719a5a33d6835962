/** What only a real browser shows: the keyboard, the back button, a button that is pressed twice. */

import { afterAll, beforeAll, expect, test } from "@jest/globals";
import type { Browser, BrowserContextOptions, Page } from "playwright-core";
import { connectToChromium, withChromium } from "../support/browser.js";
import { ADA, type Demo, FIREFOX, GRACE, startDemo } from "./demo.js";
import { background, focusOutline } from "./in-page.js";
import { checkLook, endAllOthers, fillIn, focused, tabTo, visit as visitIn } from "./looks.js";

withChromium("in Chromium", () => {
  let browser: Browser;
  let demo: Demo;
  const complaints: string[] = [];

  beforeAll(async () => {
    demo = await startDemo({ tryout: true });
    browser = await connectToChromium();
  });
  afterAll(() => browser?.close());

  function visit(path: string, options: BrowserContextOptions = {}): Promise<Page> {
    return visitIn(browser, path, { baseURL: demo.url, complaints, ...options });
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
    expect(await page.locator(":focus").textContent()).toBe("How these notes got here");
    await tabTo(page, "Show the envelope in the store");
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
    await checkLook(page, "desktop-light-cross-site");
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

  test("ends the others once, however often the button is pressed while the answer is awaited", async () => {
    const page = await visit("/sign-in");
    await page.getByRole("button", { name: "Sign in as grace" }).click();
    await demo.visitor().signIn(GRACE);
    await page.goto("/sessions");
    let sent = 0;
    let letGo = () => {};
    const pressedTwice = new Promise<void>((resolve) => {
      letGo = resolve;
    });
    await page.route("**/sessions/end-others", async (route) => {
      sent++;
      await pressedTwice;
      await route.continue();
    });
    await page.getByLabel("Your password, once more").fill(GRACE.password);
    await page.getByRole("button", { name: "End all other sessions" }).focus();
    const first = page.waitForRequest("**/sessions/end-others");
    await page.keyboard.press("Enter");
    await first;
    await page.keyboard.press("Enter");
    letGo();
    await page.getByText("1 other session was ended.").waitFor();
    expect(sent).toBe(1);
    expect(complaints).toEqual([]);
    await page.context().close();
  });

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
    await checkLook(page, "phone-light-store-failed");
    await page.context().close();
  });
});
