/** The trials behind the page “Try the promises”, without the page: what each stack answers, and what it costs others. */

import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterEach, beforeAll, describe, expect, jest, test } from "@jest/globals";
import { MemoryStore } from "express-session";
import { Disk } from "../../demo-app/promises/disk.js";
import makeBackend from "../../demo-app/promises/failing-backend.js";
import { Meetings } from "../../demo-app/promises/meetings.js";
import { startTrials } from "../../demo-app/promises/stacks.js";
import { serve } from "../../demo-app/serve.js";
import { DEMO_ACCOUNTS } from "../../demo-app/upstream.js";
import type { BackendContext } from "../../lib/backends/backend.js";
import { backendContract } from "../../lib/testing/backend-contract.js";
import { onEveryBackend } from "../support/places.js";
import { type Demo, startDemo, temporaryFolder, type Visitor } from "./demo.js";

const OURS = "/promises/ours";
const THEIRS = "/promises/memory-store";
const FAILING = ["/promises/failing/ours", "/promises/failing/memory-store"];
const NAME = expect.stringMatching(/^visitor-[0-9a-f]{12}$/);
const ITEMS = Array.from({ length: 20 }, (_, index) => index + 1);

async function begin(visitor: Visitor, stack: string): Promise<void> {
  expect((await visitor.post(`${stack}/begin`)).body).toEqual({ said: "signed in", visitor: NAME });
  expect((await visitor.post(`${stack}/copy`)).body).toEqual({ said: "copied" });
}

/** Sent all at once, as a browser with enough connections would. */
async function itemsKept(visitor: Visitor, stack: string): Promise<number> {
  await begin(visitor, stack);
  const answers = await Promise.all(ITEMS.map((item) => visitor.post(`${stack}/items/${item}`)));
  expect(new Set(answers.map(({ body }) => body.said))).toEqual(new Set(["saved"]));
  return (await visitor.get(`${stack}/session`)).body.items.length;
}

async function isBackAfter(visitor: Visitor, stack: string, slow: string): Promise<boolean> {
  await begin(visitor, stack);
  const answers = await Promise.all([visitor.post(slow), visitor.post(`${stack}/sign-out-meanwhile`)]);
  expect(answers.map(({ status, body }) => [status, body.said])).toEqual([
    [200, "done"],
    [200, "signed out"],
  ]);
  return isSignedIn(visitor, `${stack}/copied`);
}

async function isSignedIn(visitor: Visitor, stack: string): Promise<boolean> {
  return (await visitor.get(`${stack}/session`)).body.isSignedIn;
}

onEveryBackend((places) => {
  let demo: Demo;
  beforeAll(async () => {
    demo = await startDemo({ place: await places.next(), tryout: true });
  });

  test("ours keeps every item of parallel requests, MemoryStore does not", async () => {
    expect(await itemsKept(demo.visitor(), OURS)).toBe(20);
    expect(await itemsKept(demo.visitor(), THEIRS)).toBeLessThan(20);
  });

  test("a slow request that meets a sign-out brings the session back in MemoryStore alone", async () => {
    expect(await isBackAfter(demo.visitor(), OURS, `${OURS}/slow`)).toBe(false);
    expect(await isBackAfter(demo.visitor(), THEIRS, `${THEIRS}/slow`)).toBe(true);
  });

  test("a copied cookie opens either session while it lives; a thief's slow request brings back MemoryStore's", async () => {
    for (const stack of [OURS, THEIRS]) {
      const visitor = demo.visitor();
      await begin(visitor, stack);
      expect(await isSignedIn(visitor, `${stack}/copied`)).toBe(true);
      await visitor.post(`${stack}/sign-out`);
      expect(await isSignedIn(visitor, `${stack}/copied`)).toBe(false);
      expect(await isBackAfter(demo.visitor(), stack, `${stack}/copied/slow`)).toBe(stack === THEIRS);
    }
  });

  test("the visitor's own session is left alone", async () => {
    const visitor = demo.visitor();
    await visitor.signIn();
    await begin(visitor, OURS);
    await visitor.post(`${OURS}/items/1`);
    await visitor.post(`${OURS}/sign-out`);
    expect((await visitor.get("/notes")).status).toBe(200);
    expect((await visitor.get("/sessions")).text).toContain("You are signed in nowhere else.");
  });
});

describe("a store that takes no writes", () => {
  test("ours says so, express-session says saved; ten seconds later both save again", async () => {
    const demo = await startDemo({ tryout: true });
    const visitor = demo.visitor();
    const outcomes = await Promise.all(
      FAILING.map(async (stack) => {
        await begin(visitor, stack);
        const first = await visitor.post(`${stack}/items/1`);
        return { stack, first };
      }),
    );
    expect(outcomes.map(({ first }) => first.status)).toEqual([200, 200]);
    expect((await visitor.post("/promises/disk/fill")).body).toEqual({ isFull: true });
    demo.forward(9_999);
    const during = await Promise.all(FAILING.map((stack) => visitor.post(`${stack}/items/2`)));
    expect(during.map(({ status, body }) => [status, body.said])).toEqual([
      [503, "not saved"],
      [200, "saved"],
    ]);
    demo.forward(1);
    expect((await visitor.get("/promises/disk")).body).toEqual({ isFull: false });
    for (const stack of FAILING) {
      expect((await visitor.post(`${stack}/items/3`)).status).toBe(200);
      expect((await visitor.get(`${stack}/session`)).body).toEqual({ isSignedIn: true, visitor: NAME, items: [1, 3] });
    }
  });

  test("cannot be kept so, and is none of the demo's own", async () => {
    const demo = await startDemo({ tryout: true });
    const visitor = demo.visitor();
    await visitor.post("/promises/disk/fill");
    demo.forward(9_000);
    await visitor.post("/promises/disk/fill");
    expect((await visitor.signIn()).status).toBe(200);
    expect((await visitor.post(`${FAILING[0]}/begin`)).status).toBe(503);
    demo.forward(1_000);
    expect((await visitor.post(`${FAILING[0]}/begin`)).status).toBe(200);
  });

  const context: Omit<BackendContext, "now"> = { timeout: 60_000, warn: () => {} };
  test.each(backendContract.map(({ name, run }) => [name, run] as const))("keeps the contract: %s", async (_, run) => {
    await run(async ({ now }) => {
      const options = { disk: new Disk(now) };
      const make = async () => makeBackend(options, { ...context, now });
      return { backend: await make(), other: await make() };
    });
  });
});

describe("the trials cannot be abused", () => {
  let demo: Demo;
  beforeAll(async () => {
    demo = await startDemo({ tryout: true });
  });

  test("by another site's forms", async () => {
    for (const path of [`${OURS}/begin`, "/promises/disk/fill"]) {
      expect((await demo.visitor().post(path, {}, { "Sec-Fetch-Site": "cross-site" })).status).toBe(403);
    }
    expect((await demo.visitor().get("/promises/disk")).body).toEqual({ isFull: false });
  });

  test.each(["0", "100", "1e1", "-1", "__proto__"])("by an item called %s", async (item) => {
    const visitor = demo.visitor();
    await begin(visitor, OURS);
    expect((await visitor.post(`${OURS}/items/${item}`)).status).toBe(400);
  });

  test("by sessions without end, on whichever stack", async () => {
    const visitor = demo.visitor();
    for (let begun = 0; begun < 600; begun++) await visitor.post(`${THEIRS}/begin`);
    const answer = await visitor.post(`${OURS}/begin`);
    expect([answer.status, answer.body.said]).toEqual([429, expect.stringContaining("please wait ten minutes")]);
  });

  describe.each([OURS, THEIRS, ...FAILING])("by requests without a session that was begun: %s", (stack) => {
    test.each(["items/1", "slow", "sign-out-meanwhile", "copied/items/1", "copied/slow", "copied/sign-out-meanwhile"])(
      "%s",
      async (path) => {
        const answer = await demo.visitor().post(`${stack}/${path}`);
        expect([answer.status, answer.body.said]).toEqual([409, "no session was begun, or it has ended"]);
        expect(answer.headers).not.toHaveProperty("set-cookie");
      },
    );
  });

  test("by requests that have all of MemoryStore's sessions read: that is done once a second", async () => {
    const look = jest.spyOn(MemoryStore.prototype, "length");
    const ask = () => Promise.all(ITEMS.map(() => demo.visitor().post(`${THEIRS}/items/1`)));
    const looksIn = async (milliseconds: number) => {
      demo.forward(milliseconds);
      look.mockClear();
      await ask();
      return look.mock.calls.length;
    };
    expect(await looksIn(1_000)).toBe(1);
    expect(await looksIn(999)).toBe(0);
    expect(await looksIn(1)).toBe(1);
    look.mockRestore();
  });

  test("by a slow request, or a sign-out, that the other half never joins", async () => {
    jest.useFakeTimers();
    const meetings = new Meetings();
    const slow = meetings.slow("one");
    const signOut = meetings.signOut("another", async () => {});
    await jest.advanceTimersByTimeAsync(5000);
    await Promise.all([slow, signOut]);
  });
  afterEach(() => {
    jest.useRealTimers();
  });
});

describe("the page", () => {
  const file = () => {
    const folder = temporaryFolder();
    const path = join(folder, "settings.yml");
    writeFileSync(path, 'tokenizer: { type: local, cloud: false, safe_password: "a safe password for specs" }\n', {
      mode: 0o600,
    });
    return path;
  };

  test("and the accounts are served, and are not in production", async () => {
    const text = async (url: string) => (await fetch(url)).text();
    const look = async () => {
      const { port, stop } = await serve({ settings: file(), port: 0 });
      const url = `http://127.0.0.1:${port}`;
      const [signIn, promises] = [await text(`${url}/sign-in`), await text(`${url}/promises`)];
      const { status } = await fetch(`${url}${OURS}/begin`, { method: "POST" });
      await stop();
      return { signIn, promises, status };
    };
    const tried = await look();
    const environment = jest.replaceProperty(process.env, "NODE_ENV", "production");
    const served = await look().finally(() => environment.restore());
    expect([tried.status, served.status]).toEqual([200, 404]);
    expect(tried.promises).toContain("Send twenty requests");
    expect(served.promises).not.toContain("<button");
    expect(served.promises).toContain("left out here");
    for (const { password } of DEMO_ACCOUNTS) {
      expect(tried.signIn).toContain(password);
      expect(served.signIn + served.promises).not.toContain(password);
    }
  });

  test("alone may send requests by script, and none may have a script in it", async () => {
    const demo = await startDemo({ tryout: true });
    const policyOf = async (path: string) => (await demo.visitor().get(path)).headers["content-security-policy"];
    expect(await policyOf("/promises")).toMatch(/^default-src 'none';script-src 'self';connect-src 'self';/);
    expect(await policyOf("/sign-in")).toMatch(/^default-src 'none';script-src 'self';connect-src 'none';/);
    const pages = ["/sign-in", "/promises"].map(async (path) => (await demo.visitor().get(path)).text);
    for (const markup of await Promise.all(pages))
      expect(markup).not.toMatch(/<script(?! src="[^"]*" defer><\/script>)/);
  });

  test.each(["a-cookie-of-mine", undefined])("leaves the environment as it was: a cookie called %s", async (name) => {
    if (name !== undefined) process.env.TOKENIZER_COOKIE_NAME = name;
    const starting = startTrials(file());
    expect(process.env.TOKENIZER_COOKIE_NAME).toBe(name);
    delete process.env.TOKENIZER_COOKIE_NAME;
    const { stacks, close } = await starting;
    expect(new Set(Object.values(stacks).map(({ cookieName }) => cookieName)).size).toBe(4);
    await close();
  });
});
