/** The page “Try the promises” in a browser: its buttons send the requests, and its tables show what came back. */

import { afterAll, beforeAll, beforeEach, describe, expect, test } from "@jest/globals";
import type { Browser, BrowserContextOptions, Page, Route } from "playwright-core";
import { connectToChromium, withChromium } from "../support/browser.js";
import { type Demo, startDemo } from "./demo.js";
import { checkLook, LOOKS, visit as visitIn } from "./looks.js";

withChromium("in Chromium", () => {
  let browser: Browser;
  let demo: Demo;
  const complaints: string[] = [];

  beforeAll(async () => {
    browser = await connectToChromium();
  });
  beforeEach(async () => {
    demo = await startDemo({ tryout: true });
  });
  afterAll(() => browser?.close());

  function visit(path: string, options: BrowserContextOptions = {}): Promise<Page> {
    return visitIn(browser, path, { baseURL: demo.url, complaints, ...options });
  }

  describe.each(LOOKS)("$look", ({ look, viewport, colorScheme }) => {
    test("runs each trial on both stacks, fits, and axe-core finds nothing amiss", async () => {
      const page = await visit("/promises", { viewport, colorScheme });
      expect(await page.getByText("need JavaScript").count()).toBe(0);
      await checkLook(page, `${look}-promises`);

      await page.getByRole("button", { name: "Send twenty requests" }).click();
      const parallel = await stepsOf(page, "Twenty parallel requests");
      expect(parallel[0]).toEqual(["Answers that say “saved”", "20 of 20", "20 of 20"]);
      expect(parallel[1]?.slice(0, 2)).toEqual(["Items in the session afterwards", "Kept: kept 20 of 20"]);
      expect(parallel[1]?.[2]).toMatch(/^Not kept: kept 1?\d of 20$/);

      await page.getByRole("button", { name: "Sign out meanwhile" }).click();
      const slow = await stepsOf(page, "A slow request that meets a sign-out");
      expect(slow[2]?.slice(1)).toEqual(["Kept: signed out", "Not kept: signed in again"]);

      await page.getByRole("button", { name: "Copy the cookie" }).click();
      const copied = await stepsOf(page, "A copied cookie");
      expect(copied.map(([, ...cells]) => cells)).toEqual([
        ["signed in", "signed in"],
        ["Kept: signed out", "Kept: signed out"],
        ["Kept: signed out", "Not kept: signed in"],
      ]);
      expect(complaints).toEqual([]);

      await page.getByRole("button", { name: "Let the store fail" }).click();
      await page.getByText("The store takes no writes for ten seconds.").waitFor();
      demo.forward(10_000);
      const failing = await stepsOf(page, "A store that fails for ten seconds");
      expect(failing.map(([, ...cells]) => cells)).toEqual([
        ["200 “saved”", "200 “saved”"],
        ["503 “not saved”", "200 “saved”"],
        ["200 “saved”", "200 “saved”"],
        ["Kept: holds 2 of 2 “saved”", "Not kept: holds 2 of 3 “saved”"],
      ]);
      complaints.length = 0; // a status of 503 is written to the console

      await checkLook(page, `${look}-promises-tried`);
      await page.context().close();
    });
  });

  test("shows what came back, and nothing else: a stack that loses items is shown so, whichever it is", async () => {
    const page = await visit("/promises");
    await page.route("**/promises/ours/session", async (route) => {
      const answer = await (await route.fetch()).json();
      await route.fulfill({ json: { ...answer, items: [7] } });
    });
    await page.getByRole("button", { name: "Send twenty requests" }).click();
    const [, kept] = await stepsOf(page, "Twenty parallel requests");
    expect(kept?.[1]).toBe("Not kept: kept 1 of 20");
    await page.context().close();
  });

  test("says why a trial could not be run", async () => {
    const page = await visit("/promises");
    await demo.visitor().post("/promises/disk/fill");
    await page.getByRole("button", { name: "Let the store fail" }).click();
    await page.getByText("could not go on: a session could not be begun: 503 “not saved”.").waitFor();
    complaints.length = 0; // a status of 503 is written to the console
    await page.context().close();
  });

  test.each([
    ["a proxy’s page", { status: 502, contentType: "text/html", body: "<html>Bad Gateway" }, 502],
    ["a proxy’s JSON", { status: 502, json: { error: "Bad Gateway" } }, 502],
    ["a page with a status of success", { status: 200, contentType: "text/html", body: "<html>Please wait" }, 200],
  ])("says that it was not the demo that answered: %s", async (_, answer, status) => {
    const page = await visit("/promises");
    await page.route("**/promises/ours/begin", (route) => route.fulfill(answer));
    await page.getByRole("button", { name: "Send twenty requests" }).click();
    await page.getByText(`could not go on: what answered, with status ${status}, was not the demo’s trials.`).waitFor();
    await page.getByText("See that the demo runs, and look at the proxy before it, if there is one.").waitFor();
    complaints.length = 0;
    await page.context().close();
  });

  test("says that nothing answered", async () => {
    const page = await visit("/promises");
    await page.route("**/promises/ours/begin", (route) => route.abort());
    await page.getByRole("button", { name: "Send twenty requests" }).click();
    await page.getByText("could not go on: the demo did not answer. See that it runs.").waitFor();
    complaints.length = 0;
    await page.context().close();
  });

  describe("two tabs", () => {
    const WITHOUT_LOCKS = "Object.defineProperty(navigator, 'locks', { value: undefined })";

    /** Answers the next request of a tab to a path, held, when it is made. */
    async function holding(page: Page, path: string): Promise<{ held: Promise<Route> }> {
      let hold: (route: Route) => void = () => {};
      const held = new Promise<Route>((resolve) => {
        hold = resolve;
      });
      await page.route(`**/promises/${path}`, hold, { times: 1 });
      return { held };
    }

    test("wait for each other, and each keeps all", async () => {
      const first = await visit("/promises");
      const second = await first.context().newPage();
      await second.goto("/promises");
      const { held } = await holding(first, "ours/session");
      await first.getByRole("button", { name: "Send twenty requests" }).click();
      const reading = await held;
      await second.getByRole("button", { name: "Sign out meanwhile" }).click();
      await second.getByText("Waiting for the trial of another tab …").waitFor();
      await reading.continue();
      const steps = await stepsOf(first, "Twenty parallel requests");
      expect(steps[1]?.[1]).toBe("Kept: kept 20 of 20");
      expect((await stepsOf(second, "A slow request that meets a sign-out"))[2]?.[1]).toBe("Kept: signed out");
      expect(complaints).toEqual([]);
      await first.context().close();
    });

    test.each([
      ["began a trial", false],
      ["began and ended a trial", true],
    ])("without locks, one says that it lost its session when the other %s", async (_, ended) => {
      const first = await visit("/promises");
      const second = await first.context().newPage();
      for (const page of [first, second]) await page.addInitScript(WITHOUT_LOCKS);
      for (const page of [first, second]) await page.goto("/promises");
      const { held } = await holding(first, "ours/session");
      await first.getByRole("button", { name: "Send twenty requests" }).click();
      const reading = await held;
      const { held: begun } = await holding(second, "ours/items/1");
      await second.getByRole("button", { name: "Send twenty requests" }).click();
      const saving = await begun;
      if (ended) {
        await saving.continue();
        expect((await stepsOf(second, "Twenty parallel requests"))[1]?.[1]).toBe("Kept: kept 20 of 20");
      }
      await reading.continue();
      await first.getByText("could not go on: this is not the session that the trial began.").waitFor();
      await first.getByText("Does another tab run a trial? Then wait until that is over.").waitFor();
      expect(await first.locator(".broken").count()).toBe(0);
      complaints.length = 0;
      await first.context().close();
    });
  });

  test("leaves the visitor signed in, and runs a trial again by keyboard, with the focus where it was", async () => {
    const page = await visit("/sign-in");
    await page.getByRole("button", { name: "Sign in as ada" }).click();
    await page.getByRole("link", { name: "Try the promises" }).click();
    // The script enables it.
    await page.getByRole("button", { name: "Sign out meanwhile", disabled: false }).focus();
    for (let runs = 0; runs < 2; runs++) {
      await page.keyboard.press("Enter");
      expect(await stepsOf(page, "A slow request that meets a sign-out")).toHaveLength(3);
      expect(await page.locator(":focus").textContent()).toBe("Sign out meanwhile");
    }
    await page.getByRole("link", { name: "Notes" }).click();
    await page.getByRole("heading", { name: "Your notes" }).waitFor();
    expect(complaints).toEqual([]);
    await page.context().close();
  });

  test("says without JavaScript that it needs it", async () => {
    const page = await visit("/promises", { javaScriptEnabled: false });
    await page.getByText("The trials need JavaScript").waitFor();
    expect(await page.getByRole("button", { name: "Copy the cookie" }).isEnabled()).toBe(false);
    await page.context().close();
  });

  test("in production says that the trials are left out", async () => {
    const production = await startDemo();
    const page = await visitIn(browser, "/promises", { baseURL: production.url, complaints });
    await page.getByText("The trials are left out here").waitFor();
    await checkLook(page, "desktop-light-promises-in-production");
    await page.context().close();
  });
});

/** What a trial that is done shows, step by step: the label, and what each of both stacks did. */
async function stepsOf(page: Page, title: string): Promise<string[][]> {
  const trial = page.getByRole("region", { name: title });
  await trial.getByText("Done.").waitFor();
  const bodies = await trial.locator("tbody").all();
  return Promise.all(bodies.map((body) => body.locator("th, td").allTextContents()));
}
