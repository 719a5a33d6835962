/** What an application says of the cookie for each request: tenants with domains of their own. */
import { afterEach, describe, expect, jest, test } from "@jest/globals";
import type { Express, Request } from "express";
import type { CookieOptions } from "express-session";
import { tokenizer } from "../../lib/tokenizer.js";
import { type App, type AppOptions, cookiesOf, startApp } from "../support/app.js";
import { countBackendCalls, readStored } from "../support/stored.js";

type Answer = ReturnType<NonNullable<AppOptions["cookie"]>>;

const of = (host: string) => ({ host, "x-forwarded-proto": "https" });
const USUAL = "Path=/; HttpOnly; Secure; SameSite=Lax";
const DOMAINS = new Map([
  ["shop.a.example", "a.example"],
  ["shop.b.example", "b.example"],
]);
const cookie = (req: Request) => ({ domain: DOMAINS.get(req.hostname) });

afterEach(() => {
  jest.restoreAllMocks();
});

function start(cookie: NonNullable<AppOptions["cookie"]>, options: AppOptions = {}): Promise<App> {
  return startApp({
    ...options,
    cookie,
    before: (express: Express) => express.set("trust proxy", 1),
    routes(express) {
      express.get("/cookie", (req, res) => {
        const { domain, path, secure, sameSite, httpOnly, partitioned, priority }: CookieOptions = req.session.cookie;
        res.json({ domain, path, secure, sameSite, httpOnly, partitioned, priority });
      });
    },
  });
}

/** The attributes alone. */
const attributesOf = (line = "") => line.replace(/^[^;]*; /, "");

describe.each([4, 5] as const)("cookie: (req) => …, on Express %i", (express) => {
  test("each tenant's cookie has its own domain when it is sent, shown and taken back, and is not sent again", async () => {
    const ask = jest.fn(cookie);
    const app = await start(ask, { express });
    for (const [host, domain] of DOMAINS) {
      const visitor = app.visitor();
      const signedIn = await visitor.post("/sign-in", { username: "ada", password: "p" }, of(host));
      expect(cookiesOf(signedIn).map(attributesOf)).toEqual([`Domain=${domain}; ${USUAL}`]);
      const backend = countBackendCalls();
      for (const _ of [1, 2]) {
        const answer = await visitor.get("/session", of(host));
        expect([answer.body.values, cookiesOf(answer)]).toEqual([{ username: "ada" }, []]);
      }
      expect(backend.calls).toMatchObject({ read: 2, write: 0 });
      jest.restoreAllMocks();
      const shown = { domain, path: "/", secure: true, sameSite: "lax", httpOnly: true };
      expect((await visitor.get("/cookie", of(host))).body).toEqual(shown);
      expect((await app.visitor().get("/cookie", of(host))).body).toEqual(shown);
      const over = await visitor.post("/sign-out", {}, of(host));
      expect(cookiesOf(over).map(attributesOf)).toEqual([
        `Domain=${domain}; Path=/; Expires=Thu, 01 Jan 1970 00:00:00 GMT; HttpOnly; Secure; SameSite=Lax`,
      ]);
    }
    // Once for each request: a sign-in, two looks, two shown, a sign-out; for each tenant.
    expect(ask).toHaveBeenCalledTimes(12);
    expect([app.errors, app.log]).toEqual([[], []]);
  });

  test("what the function throws goes to the error handler as it is, and nothing is asked of the store", async () => {
    const mistake = Object.assign(new Error("There is no such tenant."), { status: 421 });
    const app = await start(
      () => {
        throw mistake;
      },
      { express },
    );
    const backend = countBackendCalls();
    expect((await app.visitor("token=s%3Aforged.forged").get("/session")).status).toBe(421);
    expect(app.errors).toEqual([mistake]);
    expect(backend.calls).toMatchObject({ read: 0, write: 0 });
  });
});

test.each<[string, unknown, string]>([
  ["undefined", undefined, "undefined"],
  ["a name that Express takes to mean the next route", "route", "a text"],
  ["a number", 0, "a value of type number"],
])(
  "what it throws that is no error (%s) is refused with status 500: Express would go on without a session",
  async (_, thrown, found) => {
    const app = await start(() => {
      throw thrown;
    });
    const { status, body } = await app.visitor().get("/session");
    expect({ status, code: body.code }).toEqual({ status: 500, code: "SETTINGS_INVALID" });
    expect(body.message).toBe(`The function cookie of tokenizer() threw ${found}: throw an Error.`);
    expect(app.errors.map((error) => (error as Error).cause)).toEqual([thrown]);
  },
);

class TenantCookie {
  get domain() {
    return "a.example";
  }
}

test.each<[string, unknown, RegExp]>([
  [
    "an object of a class, whose keys nobody would read",
    new TenantCookie(),
    /answered an object of a class: answer a plain object/,
  ],
  ["an object with inherited keys", Object.create({ domain: "a.example" }), /answered an object of a class/],
  ["a domain that is none", { domain: "a b" }, /tokenizer\.cookie\.domain: found the text "a b"/],
  ["another value", { same_site: "Lax" }, /tokenizer\.cookie\.same_site: found the text "Lax"; allowed: lax/],
  ["a name", { name: "other" }, /cookie\.name: there is no such setting for one request: it belongs in the settings$/],
  ["a secret", { secret: "x".repeat(20) }, /tokenizer\.cookie\.secret: there is no such setting/],
  ["a binding", { device_bound: true }, /tokenizer\.cookie\.device_bound: there is no such setting/],
  ["express-session's key", { sameSite: "none" }, /tokenizer\.cookie\.sameSite: .*did you mean same_site/],
  ["what does not go together", { partitioned: true }, /tokenizer\.cookie\.partitioned: .*same_site: none/],
  [
    "what does not go with the settings",
    { same_site: "none", secure: false },
    /tokenizer\.cookie\.same_site: none needs/,
  ],
  ["a text", "a.example", /tokenizer\.cookie: found a text; allowed: keys and values/],
  ["a promise", Promise.resolve({ domain: "a.example" }), /answered a promise/],
])("an answer that is %s is refused with status 500, and says what is wrong", async (_, answer, message) => {
  const app = await start(() => answer as Answer);
  const { status, body } = await app.visitor().get("/session");
  expect({ status, code: body.code }).toEqual({ status: 500, code: "SETTINGS_INVALID" });
  expect(body.message).toMatch(message);
});

test("a promise that rejects is refused as any, and does not end the process", async () => {
  const stray: unknown[] = [];
  const onStray = (reason: unknown) => void stray.push(reason);
  process.on("unhandledRejection", onStray);
  const app = await start(() => Promise.reject(new Error("The tenants cannot be read.")) as Answer);
  const { status, body } = await app.visitor().get("/session");
  expect([status, body.message]).toEqual([500, expect.stringMatching(/answered a promise/)]);
  // What no handler saw is told before the next turn.
  await new Promise(setImmediate);
  process.off("unhandledRejection", onStray);
  expect(stray).toEqual([]);
});

test.each<[string, unknown]>([
  ["an object", { domain: "a.example" }],
  ["a text", "a.example"],
])("in place of a function, %s is refused at start", (_, cookie) => {
  const settings = { tokenizer: { type: "memory" as const } };
  expect(() => tokenizer(settings, { cookie: cookie as NonNullable<AppOptions["cookie"]> })).toThrow(
    "cookie, given to tokenizer(), must be a function of the request; what is the same for all belongs in the settings.",
  );
});

test("nothing, and what is undefined, mean the settings' own; so does each key that is left out", async () => {
  const settings = { cookie: { domain: "a.example" } } as const;
  for (const said of [undefined, {}, { domain: undefined, priority: "high" as const }]) {
    const app = await start(() => said, { settings });
    const answer = await app.visitor().post("/set", { basket: [1] }, of("shop.a.example"));
    const high = said?.priority ? "; Priority=High" : "";
    expect(cookiesOf(answer).map(attributesOf)).toEqual([
      `Domain=a.example; Path=/; HttpOnly; Secure${high}; SameSite=Lax`,
    ]);
  }
});

test("a changed answer sends the cookie again, once; and takes back the one without a domain", async () => {
  let domain: string | undefined;
  const app = await start(() => ({ domain }));
  const visitor = app.visitor();
  await visitor.post("/sign-in", { username: "ada", password: "p" }, of("shop.a.example"));
  domain = "a.example";
  const [sent, over] = cookiesOf(await visitor.get("/session", of("shop.a.example")));
  expect([sent?.split(";")[0], attributesOf(sent)]).toEqual([visitor.cookie, `Domain=a.example; ${USUAL}`]);
  expect(over).toMatch(/^token=; Path=\/; Expires=Thu, 01 Jan 1970/);
  expect(cookiesOf(await visitor.get("/session", of("shop.a.example")))).toEqual([]);
  expect((await readStored(app, visitor.id))?.head).toHaveProperty("cookie");
});

test("a session from before there was a function goes on, and its cookie is sent again where the attributes differ", async () => {
  const before = await startApp({ before: (express) => express.set("trust proxy", 1) });
  const visitor = before.visitor();
  await visitor.post("/sign-in", { username: "ada", password: "p" }, of("shop.a.example"));
  await before.close();
  const options = { clock: before.clock, settings: { path: before.path } };
  const same = await start(() => ({}), options);
  const answer = await same.visitor(visitor.cookie).get("/session", of("shop.a.example"));
  expect([answer.body.values, cookiesOf(answer)]).toEqual([{ username: "ada" }, []]);
  await same.close();
  const other = await start(() => ({ domain: "a.example" }), options);
  const sent = await other.visitor(visitor.cookie).get("/session", of("shop.a.example"));
  expect(sent.body.values).toEqual({ username: "ada" });
  expect(cookiesOf(sent).map(attributesOf)[0]).toBe(`Domain=a.example; ${USUAL}`);
});
