/** A notice to the user when somebody signs in from a device that is new to them. */
import { subscribe, unsubscribe } from "node:diagnostics_channel";
import { afterEach, beforeEach, describe, expect, test } from "@jest/globals";
import type { Request } from "express";
import type { TokenizerEvents } from "../../lib/events.js";
import { type App, startApp } from "../support/app.js";

const FIREFOX = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0";
const PHONE = "Mozilla/5.0 (Linux; Android 15) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Mobile";

/** The mails that were sent. */
let mails: { to: string; text: string }[];
let stop: () => void;

function mail(to: string, text: string): void {
  mails.push({ to, text });
}

function deviceOf(req: Request): string {
  const agent = req.get("user-agent") ?? "";
  const browser = /Firefox|Edg|Chrome|Safari/.exec(agent)?.[0] ?? "an unknown browser";
  const system = /iPhone|Android|Windows|Mac OS|Linux(?!.*Android)/.exec(agent)?.[0] ?? "an unknown system";
  return `${browser} on ${system}`;
}

const devicesOf = new Map<string, Set<string>>(); // a table of your database, in truth

function tellOfNewDevices(message: unknown): void {
  const { user, label = "an unknown device", handle } = message as TokenizerEvents["sign-in"];
  const known = devicesOf.get(user);
  if (known && !known.has(label)) mail(user, `${label} signed in. Was it you? If not: /sessions/${handle}/end`);
  devicesOf.set(user, (known ?? new Set()).add(label));
}

function start(): Promise<App> {
  return startApp({
    routes(app, sessions) {
      app.post("/login", async (req, res) => {
        await req.signIn(req.body, { label: deviceOf(req) });
        res.redirect(303, "/");
      });

      app.post("/sessions/:handle/end", async (req, res) => {
        const { username } = req.session;
        if (username) await sessions.users.revoke(username, { only: req.params.handle });
        res.redirect(303, "/");
      });
    },
  });
}

beforeEach(() => {
  mails = [];
  devicesOf.clear();
  subscribe("tokenizer:sign-in", tellOfNewDevices);
  stop = () => unsubscribe("tokenizer:sign-in", tellOfNewDevices);
});
afterEach(() => stop());

describe("sign-ins", () => {
  const ADA = { username: "ada", password: "p" };

  test("from a device that is new are told, not the first one, nor one that is known; and the link ends it", async () => {
    const app = await start();
    const [own, thief] = [app.visitor(), app.visitor()];
    for (const _ of [1, 2]) await own.post("/login", ADA, { "user-agent": FIREFOX });
    expect(mails).toEqual([]);
    await thief.post("/login", ADA, { "user-agent": PHONE });
    expect(mails).toEqual([{ to: "ada", text: expect.stringMatching(/^Chrome on Android signed in\. Was it you\?/) }]);
    const link = /\/sessions\/\S+/.exec(mails[0]?.text ?? "")?.[0] ?? "";
    await own.post(link);
    expect((await thief.get("/session")).body.ended).toBe(true);
    expect((await own.get("/session")).body.values.username).toBe("ada");
  });
});
