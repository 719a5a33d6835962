/** Chromium, one for all spec files. */
import { existsSync } from "node:fs";
import { describe } from "@jest/globals";
import { type Browser, chromium } from "playwright-core";
import { shared } from "./shared.js";

/** Specs that need it; left out where it is not installed, as `npm test` says then. */
export const withChromium = existsSync(process.env.CHROMIUM ?? "/usr/bin/chromium") ? describe : describe.skip;

/** Has its own contexts: `close` ends those, and nothing of other spec files. */
export async function connectToChromium(): Promise<Browser> {
  return chromium.connect((await shared("chromium")).wsEndpoint);
}
