/** Each page in each look: it fits, axe-core finds nothing amiss, and its screenshot is written. */

import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import type { Browser, BrowserContextOptions, Page } from "playwright-core";
import { connectToChromium, withChromium } from "../support/browser.js";
import { ADA, type Demo, FIREFOX, GRACE, MINUTE, SAFARI, startDemo } from "./demo.js";
import { isFolded, passUnchecked } from "./in-page.js";
import { checkLook, endAllOthers, fillIn, LOOKS, visit as visitIn } from "./looks.js";

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

  describe.each(LOOKS)("$look", ({ look, viewport, colorScheme }) => {
    test("fits, can be read, and has its screenshots written", async () => {
      const page = await visit("/", { viewport, colorScheme });
      const check = (name: string) => checkLook(page, `${look}-${name}`);
      await check("sign-in");
      await fillIn(page, { username: "ada", password: "wrong" });
      await page.getByRole("alert").waitFor();
      await check("wrong-password");
      await fillIn(page, ADA);
      await page.waitForURL("**/notes");
      await page.getByLabel("New note").fill(`A long word: ${"abcdefghij".repeat(20)}`);
      await page.getByRole("button", { name: "Add note" }).click();
      await page.getByText("Your note was added.").waitFor();
      const isPhone = viewport.width < 500;
      expect(await page.evaluate(isFolded)).toBe(isPhone);
      await check("notes");
      if (isPhone) await page.getByText("How these notes got here").click();
      await page.getByText("Show the envelope in the store").click();
      await check("notes-explained");
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
      await showConfirming(page, check);
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

  /** Asked for the password again, and it was not given. */
  async function showConfirming(page: Page, check: (name: string) => Promise<void>): Promise<void> {
    await page.goto("/sign-in");
    await page.getByRole("button", { name: "Sign in as grace" }).click();
    await demo.visitor().signIn(GRACE);
    demo.forward(6 * MINUTE);
    await page.goto("/sessions");
    await page.evaluate(passUnchecked);
    await page.getByRole("button", { name: "End all other sessions" }).click();
    await page.getByRole("heading", { name: "Please enter your password once more" }).waitFor();
    await check("confirm");
    await demo.sessions.users.revoke(GRACE.username);
  }

  /** Ada's browsers of the specs before. */
  async function handlesOfOthers(): Promise<string[]> {
    const listed = await demo.sessions.users.list(ADA.username);
    return listed.slice(0, -1).map(({ id }) => id);
  }
});
