/** `npm run start:tls`: the demo over TLS, whose sessions are bound to the device. */

import { subscribe } from "node:diagnostics_channel";
import { once } from "node:events";
import { readdirSync, statSync } from "node:fs";
import { createServer } from "node:https";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { expect, test } from "@jest/globals";
import { tokenizer } from "express-tokenizer";
import { chromium } from "playwright-core";
import { createApp } from "../../demo-app/app.js";
import { certificateIn } from "../../demo-app/certificate.js";
import { startTrials } from "../../demo-app/promises/stacks.js";
import { serve } from "../../demo-app/serve.js";
import { DEMO_ACCOUNTS, startUpstream } from "../../demo-app/upstream.js";
import { withChromium } from "../support/browser.js";
import { ask, certificate } from "../support/device.js";
import { MINUTE, temporaryFolder } from "./demo.js";

const settings = () => {
  const path = join(temporaryFolder(), "tokens");
  return { tokenizer: { type: "local", cloud: false, path, safe_password: "a safe password for specs" } } as const;
};

test("the certificate is made at the first start, for its owner alone, and kept", () => {
  const folder = join(temporaryFolder(), "tls");
  const made = certificateIn(folder);
  expect(readdirSync(folder).sort()).toEqual(["cert.pem", "key.pem"]);
  expect(statSync(join(folder, "key.pem")).mode & 0o777).toBe(0o600);
  expect(certificateIn(folder)).toEqual(made);
});

test("is served over TLS, and asks to bind what is signed in", async () => {
  const { port, stop } = await serve({ settings: settings(), port: 0, certificate });
  const headers = { "content-type": "application/x-www-form-urlencoded" };
  const body = "username=ada&password=analytical-engine";
  const signedIn = await ask(port, "/sign-in", { method: "POST", headers, body });
  expect([signedIn.status, signedIn.headers.location]).toEqual([303, "/notes"]);
  expect(signedIn.headers["secure-session-registration"]).toMatch(/^\(ES256 RS256\);path="\/device-bound\/token"/);
  await stop();
});

withChromium("in Chromium", () => {
  test("the command with the copied cookie is refused, and the browser goes on", async () => {
    let ahead = 0;
    const clock = () => Date.now() + ahead;
    const { tokenizer: section } = settings();
    const sessions = tokenizer({ tokenizer: { ...section, cookie: { device_bound: true } } }, { clock });
    const upstream = await startUpstream();
    const trials = await startTrials(settings());
    const tryout = { accounts: DEMO_ACCOUNTS, trials };
    const app = createApp({ sessions, upstream: upstream.url, tryout, now: clock });
    const server = createServer({ cert: certificate.cert, key: certificate.key }, app).listen(0, "127.0.0.1");
    await once(server, "listening");
    const { port } = server.address() as AddressInfo;
    const browser = await chromium.launch({
      executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
      args: [
        ...["--no-sandbox", "--disable-gpu"],
        "--enable-features=DeviceBoundSessions:RefreshQuota/false,EnableBoundSessionCredentialsSoftwareKeysForManualTesting",
        `--ignore-certificate-errors-spki-list=${certificate.spkiHash}`,
      ],
    });
    const page = await browser.newPage({ baseURL: `https://localhost:${port}` });
    await page.goto("/sign-in");
    let isBound = false;
    subscribe("tokenizer:bind", () => {
      isBound = true;
    });
    await page.getByRole("button", { name: "Sign in as ada" }).click();
    // It is when the browser shows what it got, with the first request that comes after.
    while (!isBound) await page.goto("/notes");
    ahead = MINUTE;
    await page.goto("/sessions");
    await page.getByText("Bound to its device").waitFor();
    await page.getByRole("button", { name: "Copy this cookie" }).click();
    const command = (await page.textContent(".sealed")) ?? "";
    const [, cookie = ""] = /--cookie '([^']*)'/.exec(command) ?? [];
    expect(command).toBe(`curl --insecure --cookie '${cookie}' https://localhost:${port}/notes`);
    const refused = await ask(port, "/notes", { headers: { cookie } });
    expect([refused.status, refused.text]).toEqual([401, expect.stringContaining("belongs to another device")]);
    expect(refused.headers["set-cookie"]).toBeUndefined();
    await page.getByRole("link", { name: "Back to your sessions" }).click();
    await page.getByRole("heading", { name: "Your sessions" }).waitFor();
    // The same in a browser: it may sign in again.
    const other = await browser.newContext({ baseURL: `https://localhost:${port}` });
    const [name = "", value = ""] = cookie.split("=");
    await other.addCookies([{ name, value, url: `https://localhost:${port}` }]);
    const stolen = await other.newPage();
    await stolen.goto("/notes");
    await stolen.getByRole("heading", { name: "This session belongs to another device" }).waitFor();
    await stolen.getByRole("link", { name: "Sign in again" }).click();
    await stolen.getByRole("button", { name: "Sign in as ada" }).waitFor();
    await page.reload();
    await page.getByRole("heading", { name: "Your sessions" }).waitFor();
    await browser.close();
    server.closeAllConnections();
    server.close();
    await Promise.all([sessions.close(), trials.close(), upstream.close()]);
  });
});
