/** The demo in a browser: how pages are looked at, and what is done on them again and again. */

import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { expect } from "@jest/globals";
import axe from "axe-core";
import type { Browser, BrowserContextOptions, Page } from "playwright-core";
import { ROOT } from "../../demo-app/root.js";
import { isFull } from "../support/redis-server.js";
import type { ADA } from "./demo.js";
import { axeFindings, tooWide } from "./in-page.js";

const SCREENSHOTS = join(ROOT, ".cache", "screenshots");

const ALL_LOOKS = [
  { look: "desktop-light", viewport: { width: 1280, height: 800 }, colorScheme: "light" },
  { look: "phone-dark", viewport: { width: 390, height: 844 }, colorScheme: "dark" },
  { look: "desktop-dark", viewport: { width: 1280, height: 800 }, colorScheme: "dark" },
  { look: "phone-light", viewport: { width: 390, height: 844 }, colorScheme: "light" },
] as const;
/** Each width and each scheme is among the first two. */
export const LOOKS = isFull ? ALL_LOOKS : ALL_LOOKS.slice(0, 2);

/** A page in a browser context of its own. What its console complains of goes to `complaints`. */
export async function visit(
  browser: Browser,
  path: string,
  { complaints, ...options }: BrowserContextOptions & { complaints: string[] },
): Promise<Page> {
  const context = await browser.newContext(options);
  const page = await context.newPage();
  page.on("console", (message) => {
    if (["error", "warning"].includes(message.type())) complaints.push(message.text());
  });
  page.on("pageerror", (error) => complaints.push(error.message));
  await page.goto(path);
  return page;
}

/** It fits, axe-core finds nothing amiss, and a screenshot is written. */
export async function checkLook(page: Page, name: string): Promise<void> {
  expect(await page.evaluate(tooWide)).toBe(0);
  await page.evaluate(`${axe.source}; undefined`);
  expect(await page.evaluate(axeFindings)).toEqual([]);
  mkdirSync(SCREENSHOTS, { recursive: true });
  await page.screenshot({ path: join(SCREENSHOTS, `${name}.png`), fullPage: true });
}

export async function fillIn(page: Page, { username, password }: typeof ADA): Promise<void> {
  await page.getByLabel("Name").fill(username);
  await page.getByLabel("Password").fill(password);
  await page.getByRole("button", { name: "Sign in", exact: true }).click();
}

export async function endAllOthers(page: Page, { password }: typeof ADA): Promise<void> {
  await page.getByLabel("Your password, once more").fill(password);
  await page.getByRole("button", { name: "End all other sessions" }).click();
}

export function focused(page: Page): Promise<string | null> {
  return page.locator(":focus").getAttribute("id");
}

/** Presses Tab until the element has the focus. The page comes round again after its end. */
export async function tabTo(page: Page, label: string): Promise<void> {
  for (let presses = 0; presses < 20; presses++) {
    await page.keyboard.press("Tab");
    if ((await page.locator(":focus").textContent()) === label) return;
  }
  throw new Error(`"${label}" cannot be reached by keyboard`);
}
