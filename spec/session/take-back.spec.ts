import { afterEach, beforeAll, describe, expect, jest, test } from "@jest/globals";
import { LocalBackend } from "../../lib/backends/local/backend.js";
import { type App, type AppOptions, cookiesOf, MINUTE, startApp, type Visitor } from "../support/app.js";
import { Gate } from "../support/gate.js";
import { countBackendCalls } from "../support/stored.js";

const SECOND = 1000;
const TIMEOUT = 20 * MINUTE;
const TAKEN_BACK = "token=; Path=/; Expires=Thu, 01 Jan 1970 00:00:00 GMT; HttpOnly; SameSite=Lax";
const NEW = expect.stringMatching(/^token=s%3A/);

/** What Chromium sends with its requests: for a page, and for what a script asks for. */
const PAGE = { "sec-fetch-dest": "document", "sec-fetch-mode": "navigate", accept: "text/html,*/*;q=0.8" };
const SCRIPT = { "sec-fetch-dest": "empty", "sec-fetch-mode": "cors", accept: "*/*" };
const IMAGE = { "sec-fetch-dest": "image", "sec-fetch-mode": "no-cors", accept: "image/*" };

let app: App;
let gate: Gate;

beforeAll(async () => {
  app = await startWithPages();
});

afterEach(() => {
  jest.restoreAllMocks();
});

function startWithPages(options: AppOptions = {}): Promise<App> {
  return startApp({
    ...options,
    routes(express) {
      express.get("/slow", async (req, res) => {
        await gate.pass();
        res.json({ ended: req.sessionEnded });
      });
      express.get("/members", (_req, res) => res.redirect(303, "/session"));
      express.get("/cached", (req, res) => {
        const { control } = req.query;
        if (typeof control === "string") res.setHeader("Cache-Control", control);
        res.json({ ended: req.sessionEnded });
      });
      express.get("/not-modified", (_req, res) => res.sendStatus(304));
      express.get("/early", async (req, res) => {
        req.session.username = "ada";
        res.flushHeaders();
        await gate.pass();
        res.end();
      });
    },
  });
}

/** Somebody whose session has ended, and whose browser does not know it. */
async function whoseSessionEnded(of = app): Promise<Visitor> {
  const visitor = of.visitor();
  await visitor.signIn();
  of.clock.forward(TIMEOUT);
  return visitor;
}

describe.each([4, 5] as const)("the cookie of a session that is over, on Express %i", (express) => {
  let on: App;

  beforeAll(async () => {
    on = await startWithPages({ express });
  });

  test("is taken back with the first answer, which tells of the end; after that nothing is looked up", async () => {
    const visitor = await whoseSessionEnded(on);
    const backend = countBackendCalls();
    const answer = await visitor.get("/session", PAGE);
    expect([answer.body, cookiesOf(answer)]).toEqual([{ values: {}, ended: true }, [TAKEN_BACK]]);
    expect(backend.calls.read).toBe(1);
    for (const _ of [1, 2]) {
      const next = await visitor.get("/session", PAGE);
      expect([next.body, cookiesOf(next)]).toEqual([{ values: {}, ended: false }, []]);
    }
    expect(backend.calls.read).toBe(1);
  });

  test.each<[string, string, Record<string, string>]>([
    ["a client that does not say what it asks for", "/session", {}],
    ["an answer that is kept by the visitor alone", "/cached?control=private, max-age=60", PAGE],
    ["an answer that nobody keeps", "/cached?control=no-store, max-age=60", PAGE],
    ["an answer that is asked for anew", "/cached?control=no-cache", PAGE],
    ["an answer with max-age=0", "/cached?control=max-age=0, must-revalidate", PAGE],
    ["a page that is not modified", "/not-modified", PAGE],
    ["a page that is not there", "/nowhere", PAGE],
  ])("is taken back by %s", async (_, path, headers) => {
    const visitor = await whoseSessionEnded(on);
    expect(cookiesOf(await visitor.get(path, headers))).toEqual([TAKEN_BACK]);
  });
});

describe("the cookie of a session that is over is left to another answer", () => {
  test.each<[string, string, Record<string, string>]>([
    ["by what a script asks for: it may sign in meanwhile", "/session", SCRIPT],
    ["by a part of a page", "/session", IMAGE],
    ["by a redirect: the page behind it wants to tell of the end", "/members", PAGE],
    ["by an answer that caches keep for everybody", "/cached?control=public, max-age=0", PAGE],
    ["by an answer that shared caches keep", "/cached?control=s-maxage=60", PAGE],
    ["by an answer that caches may keep", "/cached?control=max-age=60", PAGE],
  ])("%s", async (_, path, headers) => {
    const visitor = await whoseSessionEnded();
    for (const _ of [1, 2]) expect(cookiesOf(await visitor.get(path, headers))).toEqual([]);
    const page = await visitor.get("/session", PAGE);
    expect([page.body.ended, cookiesOf(page)]).toEqual([true, [TAKEN_BACK]]);
  });

  test("by one that sends the cookie of a new session", async () => {
    expect(cookiesOf(await (await whoseSessionEnded()).signIn())).toEqual([NEW]);
    expect(cookiesOf(await (await whoseSessionEnded()).post("/set", { basket: [1] }))).toEqual([NEW]);
  });

  test("by one that the store refused", async () => {
    const visitor = await whoseSessionEnded();
    jest.spyOn(LocalBackend.prototype, "read").mockRejectedValueOnce(new Error("the disk is gone"));
    const answer = await visitor.get("/session", PAGE);
    expect([answer.status, cookiesOf(answer)]).toEqual([503, []]);
    expect(cookiesOf(await visitor.get("/session", PAGE))).toEqual([TAKEN_BACK]);
  });

  test("by one whose session ended while it was made", async () => {
    const ada = app.visitor();
    await ada.signIn();
    gate = new Gate();
    const slow = app.visitor(ada.cookie).get("/slow", PAGE);
    await gate.arrived();
    await ada.post("/sign-out");
    gate.open();
    expect(cookiesOf(await slow)).toEqual([]);
  });
});

describe("a cookie from before there was a domain", () => {
  const WITH_DOMAIN = TAKEN_BACK.replace("; Path", "; Domain=example.com; Path");
  const headers = { host: "app.example.com" };

  async function startWithDomain(): Promise<{ after: App; dead: string; live: string }> {
    const after = await startWithPages({ settings: { cookie: { domain: "example.com" } } });
    const [visitor, other] = [after.visitor(), after.visitor()];
    await visitor.signIn();
    after.clock.forward(TIMEOUT);
    await other.signIn();
    return { after, dead: visitor.cookie ?? "", live: other.cookie ?? "" };
  }

  test("is another one for the browser: both are taken back", async () => {
    const { after, dead, live } = await startWithDomain();
    expect(cookiesOf(await after.visitor(dead).get("/session", headers))).toEqual([WITH_DOMAIN, TAKEN_BACK]);
    const signedOut = await after.visitor(`${dead}; ${live}`).post("/sign-out", {}, headers);
    expect(cookiesOf(signedOut)).toEqual([WITH_DOMAIN, TAKEN_BACK]);
    const signedIn = await after
      .visitor(`${dead}; ${live}`)
      .post("/sign-in", { username: "ada", password: "p" }, headers);
    expect(cookiesOf(signedIn)).toEqual([NEW, TAKEN_BACK]);
  });

  test("is left alone where a cookie of the name came that is not ours", async () => {
    const { after, dead, live } = await startWithDomain();
    const foreign = "token=another-applications";
    expect(cookiesOf(await after.visitor(`${foreign}; ${dead}`).get("/session", headers))).toEqual([WITH_DOMAIN]);
    const signedOut = await after.visitor(`${foreign}; ${dead}; ${live}`).post("/sign-out", {}, headers);
    expect(cookiesOf(signedOut)).toEqual([WITH_DOMAIN]);
  });

  test("is taken back beside a live one that was sent with the domain", async () => {
    const { after, dead, live } = await startWithDomain();
    const both = after.visitor(`${dead}; ${live}`);
    for (const elsewhere of [SCRIPT, IMAGE])
      expect(cookiesOf(await both.get("/session", { ...headers, ...elsewhere }))).toEqual([]);
    const answer = await both.get("/session", headers);
    expect([answer.body.values, cookiesOf(answer)]).toEqual([{ username: "ada" }, [TAKEN_BACK]]);
  });
});

describe("an answer that comes after a newer cookie leaves the browser's cookie alone", () => {
  /** The answer of a page that was asked for with the visitor's cookie before `meanwhile` happened. */
  async function slowPage({ cookie }: Visitor, meanwhile: () => unknown, of = app): Promise<string[]> {
    gate = new Gate();
    const asked = of.visitor(cookie).get("/slow", PAGE);
    await gate.arrived();
    await meanwhile();
    gate.open();
    return cookiesOf(await asked);
  }

  test("after a sign-in", async () => {
    const visitor = await whoseSessionEnded();
    expect(await slowPage(visitor, () => visitor.signIn())).toEqual([]);
    expect((await visitor.get("/session")).body.values).toEqual({ username: "ada" });
  });

  test("after a sign-in by somebody whose cookie another answer had taken back", async () => {
    const visitor = await whoseSessionEnded();
    const meanwhile = async () => {
      expect(cookiesOf(await visitor.get("/session", PAGE))).toEqual([TAKEN_BACK]);
      await visitor.signIn();
    };
    expect(await slowPage(visitor, meanwhile)).toEqual([]);
  });

  test("also where it would sign the cookie anew", async () => {
    const [old, secret] = ["the secret that signed cookies before", "the secret that signs these cookies"];
    const before = await startWithPages({ settings: { cookie: { secret: old } } });
    const visitor = before.visitor();
    await visitor.signIn();
    const stale = visitor.cookie;
    await before.close();
    const after = await startWithPages({ settings: { path: before.path, cookie: { secret: [secret, old] } } });
    const tab = after.visitor(stale);
    expect(await slowPage(tab, () => {}, after)).toEqual([NEW]);
    expect(await slowPage(tab, () => after.visitor(stale).signIn("grace"), after)).toEqual([]);
  });

  test("and after ten seconds, when another server may have sent one", async () => {
    const visitor = await whoseSessionEnded();
    expect(await slowPage(visitor, () => app.clock.forward(10 * SECOND + 1))).toEqual([]);
    expect(await slowPage(visitor, () => app.clock.forward(10 * SECOND))).toEqual([TAKEN_BACK]);
  });

  test("but one that was asked for after the newer cookie takes the old one back", async () => {
    const visitor = await whoseSessionEnded();
    const copy = app.visitor(visitor.cookie);
    await visitor.signIn();
    expect(cookiesOf(await copy.get("/session", PAGE))).toEqual([TAKEN_BACK]);
  });
});

test("a cookie that was sent before its session was saved is not taken back while that is not there", async () => {
  gate = new Gate();
  const answer = await fetch(`${app.url}/early`);
  const cookie = answer.headers.get("set-cookie")?.split(";")[0];
  expect(cookie).toMatch(/^token=s/);
  await gate.arrived();
  const tab = app.visitor(cookie);
  expect(cookiesOf(await tab.get("/session", PAGE))).toEqual([]);
  gate.open();
  await answer.arrayBuffer();
  expect((await tab.get("/session", PAGE)).body.values).toEqual({ username: "ada" });
});
