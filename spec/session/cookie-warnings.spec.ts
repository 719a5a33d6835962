import { describe, expect, test } from "@jest/globals";
import type { Express, Request, Response } from "express";
import { CookieWarnings } from "../../lib/session/cookie-warnings.js";
import type { CookieSettings } from "../../lib/settings/settings.js";
import { type AppOptions, cookiesOf, startApp } from "../support/app.js";

type Cookie = NonNullable<NonNullable<AppOptions["settings"]>["cookie"]>;

const FORWARDED = { "x-forwarded-proto": "https", "x-forwarded-host": "app.example.com" };
const TLS_ADVICE = 'Behind a proxy set app.set("trust proxy", …); for plain HTTP on your own machine use ';
const ADVICE =
  "browsers take no cookie with another host's domain. Take the domain away; or, if a proxy put that host there, " +
  "let it pass on the browser's Host.";

const trustProxy = (express: Express) => express.set("trust proxy", 1);

describe.each([4, 5] as const)("a cookie that browsers drop is sent, and warned of once, on Express %i", (release) => {
  test.each<[string, Cookie, string]>([
    [
      "same_site none without TLS",
      { same_site: "none" },
      "same_site is none, but a request came without TLS: browsers drop its session's cookie, which is not Secure. " +
        `${TLS_ADVICE}same_site: lax.`,
    ],
    [
      "__Host- without TLS",
      { name: "__Host-t" },
      "name is __Host-t, but a request came without TLS: browsers drop its session's cookie, which is not Secure. " +
        `${TLS_ADVICE}a name without that prefix.`,
    ],
    [
      "the domain of another host",
      { domain: "example.com" },
      `domain is example.com, but a request came for the host "example.org": ${ADVICE}`,
    ],
  ])("%s", async (_, cookie, message) => {
    const app = await startApp({ express: release, settings: { cookie } });
    const headers = { host: "example.org:3000" };
    expect(cookiesOf(await app.visitor().get("/session", headers))).toEqual([]);
    expect(app.log).toEqual([]);
    for (const _ of [1, 2, 3]) {
      expect(cookiesOf(await app.visitor().post("/set", { basket: [1] }, headers))).toHaveLength(1);
    }
    expect(app.log).toEqual([`express-tokenizer: tokenizer.cookie.${message}`]);
  });

  test.each<[string, Cookie]>([
    ["same_site none", { same_site: "none" }],
    ["__Host-", { name: "__Host-t" }],
    ["the domain, of the host that the proxy passed on", { domain: "example.com" }],
  ])("over TLS, by a trusted proxy, there is nothing to warn of: %s", async (_, cookie) => {
    const app = await startApp({ express: release, settings: { cookie }, before: trustProxy });
    expect(cookiesOf(await app.visitor().post("/set", { basket: [1] }, FORWARDED))).toHaveLength(1);
    expect(app.log).toEqual([]);
  });
});

describe("what browsers take", () => {
  function logOf(cookie: Partial<CookieSettings>, hostname: string | undefined, isSecure: boolean): string[] {
    const log: string[] = [];
    const settings = { name: "token", secure: "auto", same_site: "lax", path: "/", ...cookie } as const;
    new CookieWarnings(settings, (line) => log.push(line)).sent({ hostname } as Request, isSecure);
    return log;
  }

  test.each([
    ["example.com", "example.com", true],
    ["example.com", "a.b.example.com", true],
    [".Example.com", "APP.example.COM", true],
    ["localhost", "localhost", true],
    ["127.0.0.1", "127.0.0.1", true],
    ["example.com", "notexample.com", false],
    ["example.com", "com", false],
    ["app.example.com", "example.com", false],
    ["app.example.com", "www.example.com", false],
    ["com", "example.com", false],
    ["example.com", "127.0.0.1", false],
    ["example.com", "[::1]", false],
    ["example.com", undefined, true],
  ])("the domain %s from the host %s: %s", (domain, host, isTaken) => {
    expect(logOf({ domain }, host, true)).toHaveLength(isTaken ? 0 : 1);
  });

  test.each([
    ["__Host-t", false],
    ["__Secure-t", false],
    ["__Http-t", false],
    ["__Host-Http-t", false],
    ["__sEcure-t", false],
    ["__HostHttp-t", true],
    ["a__Host-t", true],
  ])("the name %s without TLS: %s", (name, isTaken) => {
    expect(logOf({ name }, "example.com", false)).toHaveLength(isTaken ? 0 : 1);
    expect(logOf({ name }, "example.com", true)).toEqual([]);
  });

  describe("a path", () => {
    const asked = (originalUrl: string) => ({ originalUrl, url: "/" }) as Request;

    function logAfter(path: string, use: (warnings: CookieWarnings) => void): string[] {
      const log: string[] = [];
      const settings = { name: "token", secure: "auto", same_site: "lax", path } as const;
      use(new CookieWarnings(settings, (line) => log.push(line)));
      return log;
    }

    test.each([
      ["/", "/anything"],
      ["/", "*"],
      ["/app", "/app"],
      ["/app", "/app/x"],
      ["/app", "/app?x=y"],
      ["/app", "http://example.com/app/x"],
      ["/app/", "/app/x"],
      ["/app/", "/app"],
    ])("%s: back from a request for %s browsers bring it", (path, url) => {
      expect(logAfter(path, (warnings) => warnings.sent(asked(url), true))).toEqual([]);
    });

    test.each(["/", "/application", "/App", "/x/app", "/ap"])("/app: back from a request for %s they do not", (url) => {
      const sendTwice = (warnings: CookieWarnings) => {
        for (const _ of [1, 2]) warnings.sent(asked(url), true);
      };
      expect(logAfter("/app", sendTwice)).toEqual([
        "tokenizer.cookie.path is /app, but a request for another path has a session: browsers send its cookie back " +
          "below /app alone, capitals and all. That is right behind a proxy that takes /app off; else mount the sessions " +
          'there: app.use("/app", sessions).',
      ]);
    });

    test("where the cookie did come with a request for another path, a proxy takes the path off", () => {
      const log = logAfter("/app", (warnings) => {
        warnings.came(asked("/inbox"));
        warnings.sent(asked("/sign-in"), true);
      });
      expect(log).toEqual([]);
    });

    test("where it only comes with requests below the path, no proxy does", () => {
      const log = logAfter("/app", (warnings) => {
        warnings.came(asked("/app/inbox"));
        warnings.sent(asked("/sign-in"), true);
      });
      expect(log).toHaveLength(1);
    });
  });

  test("visitors choose the host: it is cut, and ever other ones are warned of once", () => {
    const log: string[] = [];
    const settings = { name: "t", secure: "auto", same_site: "lax", path: "/", domain: "example.com" } as const;
    const warnings = new CookieWarnings(settings, (line) => log.push(line));
    for (const hostname of [`\u001b[31m${"a".repeat(500)}`, "example.org"])
      warnings.sent({ hostname } as Request, true);
    expect(log).toEqual([
      `tokenizer.cookie.domain is example.com, but a request came for the host "\\u001b[31m${"a".repeat(55)}…": ${ADVICE}`,
    ]);
  });
});

describe.each([4, 5] as const)("the application's own cookie of the same name, on Express %i", (release) => {
  async function logAfter(cases: ReadonlyArray<(res: Response) => void>): Promise<readonly string[]> {
    const app = await startApp({
      express: release,
      routes(express) {
        express.post("/both", (req, res) => {
          Object.assign(req.session, req.body.values);
          cases[req.body.index]?.(res);
          res.statusCode = 204;
          res.end();
        });
      },
    });
    for (const index of cases.keys()) {
      for (const values of [{}, { basket: [1] }]) {
        expect((await app.visitor().post("/both", { index, values })).status).toBe(204);
      }
    }
    return app.log;
  }

  test.each<[string, (res: Response) => void]>([
    ["by cookie()", (res) => res.cookie("token", "mine")],
    ["by setHeader", (res) => res.setHeader("Set-Cookie", "token=mine; Path=/admin")],
    ["among others", (res) => res.setHeader("Set-Cookie", ["a=b", "token=mine; Max-Age=3600", "c=d"])],
    ["by writeHead", (res) => res.writeHead(204, { "Set-Cookie": ["token=mine"] })],
    ["with an end", (res) => res.cookie("token", "mine", { expires: new Date(Date.UTC(2040, 0, 1)) })],
  ])("%s: warned of once", async (_, set) => {
    expect(await logAfter([set, set])).toEqual([
      "express-tokenizer: The application sets a cookie of its own called token, which is the name of the session's " +
        "cookie: browsers keep the later one, or send both. Rename one of them, the session's by tokenizer.cookie.name.",
    ]);
  });

  test("another name, and one that is taken back: nothing to warn of", async () => {
    const log = await logAfter([
      (res) => res.cookie("tokens", "mine"),
      (res) => res.cookie("Token", "mine"),
      (res) => res.clearCookie("token"),
      (res) => res.setHeader("Set-Cookie", "token=deleted; Max-Age=0"),
      (res) => res.setHeader("Set-Cookie", "token=x; expires=Thu, 01-Jan-1970 00:00:01 GMT"),
    ]);
    expect(log).toEqual([]);
  });
});
