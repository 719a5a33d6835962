import { once } from "node:events";
import { createServer, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { beforeEach, describe, expect, jest, test } from "@jest/globals";
import { TokenizerError } from "express-tokenizer";
import { SessionEngine } from "../../lib/session/engine.js";
import { ADA, type Demo, FIREFOX, GRACE, MINUTE, SAFARI, startDemo, type Visitor } from "./demo.js";

const ENDED = "Your session has ended. Please sign in again.";

let demo: Demo;
let laptop: Visitor;
let phone: Visitor;

/** Ada, signed in with two browsers. */
beforeEach(async () => {
  demo = await startDemo();
  laptop = demo.visitor(FIREFOX);
  phone = demo.visitor(SAFARI);
  await laptop.signIn();
  await phone.signIn();
});

/** What a page shows of each session, this browser's first. */
function sessionsOn({ text }: { text: string }) {
  return text
    .split('<li class="card session')
    .slice(1)
    .map((markup) => ({
      label: markup.match(/<h3>([^<]*)/)?.[1],
      id: markup.match(/name="id" value="([^"]*)"/)?.[1] ?? "",
      here: markup.startsWith(" here"),
      times: [...markup.matchAll(/<b>([^<]*)<\/b>/g)].map(([, words]) => words),
      exact: [...markup.matchAll(/datetime="([^"]*)"/g)].map(([, iso]) => iso),
    }));
}

async function handleOf(visitor: Visitor): Promise<string> {
  return sessionsOn(await visitor.get("/sessions"))[0]?.id ?? "";
}

async function isSignedIn(visitor: Visitor): Promise<boolean> {
  return (await visitor.get("/notes")).status === 200;
}

describe("the page of one's sessions", () => {
  test("is behind the sign-in, and in the navigation", async () => {
    const stranger = demo.visitor();
    for (const answer of [
      await stranger.get("/sessions"),
      await stranger.post("/sessions/end", { id: await handleOf(laptop) }),
      await stranger.post("/sessions/end-others"),
    ]) {
      expect([answer.status, answer.headers.location]).toEqual([303, "/sign-in"]);
    }
    expect((await laptop.get("/notes")).text).toContain('<a href="/sessions">Sessions</a>');
    expect((await laptop.get("/sessions")).text).toContain('<a href="/sessions" aria-current="page">Sessions</a>');
  });

  test("lists each with what it is called, when it began, when it was last seen, and which is this one", async () => {
    const start = new Date(demo.now()).toISOString();
    demo.forward(5 * MINUTE);
    await phone.get("/notes");
    demo.forward(3 * MINUTE);
    const [here, there, ...more] = sessionsOn(await laptop.get("/sessions"));
    const now = new Date(demo.now()).toISOString();
    const seen = new Date(demo.now() - 3 * MINUTE).toISOString();
    expect(here).toMatchObject({ label: "Firefox on Linux", here: true, times: ["8 minutes ago", "just now"] });
    expect(here?.exact).toEqual([start, now]);
    expect(there).toMatchObject({ label: "Safari on iPhone", here: false, times: ["8 minutes ago", "3 minutes ago"] });
    expect(there?.exact).toEqual([start, seen]);
    expect(more).toEqual([]);
  });

  test("has the one seen last in front of the other ones", async () => {
    for (const userAgent of ["Opera OPR/1", FIREFOX]) {
      demo.forward(2 * MINUTE);
      await demo.visitor(userAgent).signIn();
    }
    const labels = sessionsOn(await laptop.get("/sessions")).map(({ label }) => label);
    expect(labels).toEqual(["Firefox on Linux", "Firefox on Linux", "Opera", "Safari on iPhone"]);
  });

  test("shows nobody else's", async () => {
    const grace = demo.visitor();
    await grace.signIn(GRACE);
    const page = await grace.get("/sessions");
    expect(sessionsOn(page)).toHaveLength(1);
    expect(page.text).toContain("You are signed in nowhere else.");
    expect(page.text).not.toContain("End all other");
  });

  test("forgets those that have ended or expired", async () => {
    demo.forward(15 * MINUTE);
    await laptop.get("/notes");
    demo.forward(6 * MINUTE);
    expect(sessionsOn(await laptop.get("/sessions"))).toHaveLength(1);
    expect(await isSignedIn(phone)).toBe(false);
  });

  test("names browsers in words of its own, and keeps nothing of the header", async () => {
    const visitor = demo.visitor("<i>Tattletale</i>/4711 (Windows)");
    await visitor.signIn();
    const page = await visitor.get("/sessions");
    expect(sessionsOn(page)[0]?.label).toBe("Unknown browser on Windows");
    expect(page.text).not.toContain("Tattletale");
    expect(demo.bytes().includes("Tattletale")).toBe(false);
    expect(demo.bytes().includes("Gecko")).toBe(false);
  });

  test("says of a session without a name that its browser is unknown", async () => {
    jest.spyOn(demo.sessions.users, "list").mockImplementationOnce(async () => {
      const at = new Date(demo.now());
      return [
        {
          id: "x",
          label: undefined,
          remembered: false,
          bound: false,
          createdAt: at,
          lastSeenAt: at,
          expiresAt: at,
          current: false,
        },
      ];
    });
    expect(sessionsOn(await laptop.get("/sessions"))[0]?.label).toBe("Unknown browser");
  });
});

test("a sign-in with the box ticked outlives the browser, and the page says so", async () => {
  const tablet = demo.visitor();
  const answer = await tablet.post("/sign-in", { ...ADA, remember: "on" });
  expect(answer.headers["set-cookie"]?.[0]).toContain("Max-Age=7776000");
  expect((await tablet.get("/sessions")).text).toContain("Stays when that browser is closed.");
  expect((await demo.visitor().post("/sign-in", ADA)).headers["set-cookie"]?.[0]).not.toContain("Max-Age");
});

describe("ending one", () => {
  test("signs that browser out, says so once there and once here, and leaves the rest alone", async () => {
    const tablet = demo.visitor();
    await tablet.signIn();
    const answer = await laptop.post("/sessions/end", { id: await handleOf(phone) });
    expect([answer.status, answer.headers.location]).toEqual([303, "/sessions"]);
    const page = await laptop.get("/sessions");
    expect(page.text).toContain("1 session was ended: Safari on iPhone.");
    expect(sessionsOn(page)).toHaveLength(2);
    expect((await laptop.get("/sessions")).text).not.toContain("was ended");
    expect((await phone.open("/notes")).text).toContain(ENDED);
    expect(await isSignedIn(tablet)).toBe(true);
    await phone.signIn();
    expect(await isSignedIn(phone)).toBe(true);
  });

  test.each<[string, () => PromiseLike<{ headers: { location?: string } }>]>([
    ["ends others", () => phone.post("/sessions/end-others")],
    ["asks for the sessions", () => phone.get("/sessions")],
    ["asks for the start", () => phone.get("/")],
  ])("tells the ended browser when it next %s, and once", async (_, act) => {
    await laptop.post("/sessions/end-others");
    expect((await act()).headers.location).toBe("/sign-in");
    expect((await phone.open("/sign-in")).text).toContain(ENDED);
    expect((await phone.open("/sign-in")).text).not.toContain(ENDED);
    expect(await isSignedIn(laptop)).toBe(true);
  });

  test("tells the ended browser that its note waits", async () => {
    const before = await phone.get("/notes");
    await laptop.post("/sessions/end-others");
    await phone.addNote(before, "Written too late");
    expect((await phone.open("/sign-in")).text).toContain("it will be waiting");
    expect(await isSignedIn(laptop)).toBe(true);
  });

  test("that is this one signs out", async () => {
    const answer = await laptop.post("/sessions/end", { id: await handleOf(laptop) });
    expect([answer.status, answer.headers.location]).toEqual([303, "/signed-out"]);
    expect((await laptop.open("/signed-out")).text).toContain("You are signed out");
    expect((await laptop.open("/sign-in")).text).not.toContain(ENDED);
    expect(sessionsOn(await phone.get("/sessions"))).toHaveLength(1);
  });

  test("that is over already says so", async () => {
    const id = await handleOf(phone);
    await laptop.post("/sessions/end", { id });
    await laptop.post("/sessions/end", { id });
    expect((await laptop.get("/sessions")).text).toContain("had ended already");
  });

  test("that ends at the same moment by itself says so, too", async () => {
    jest.spyOn(demo.sessions.users, "revoke").mockResolvedValueOnce(0);
    await laptop.post("/sessions/end", { id: await handleOf(phone) });
    expect((await laptop.get("/sessions")).text).toContain("had ended already");
  });

  test("of somebody else is not possible", async () => {
    const grace = demo.visitor();
    await grace.signIn(GRACE);
    await grace.post("/sessions/end", { id: await handleOf(phone) });
    expect((await grace.get("/sessions")).text).toContain("had ended already");
    expect(await isSignedIn(phone)).toBe(true);
  });

  test.each<[string, (id: string) => Record<string, string | string[]>]>([
    ["without a handle", () => ({})],
    ["with an empty one", () => ({ id: "" })],
    ["with several", (id) => ({ id: [id, id] })],
  ])("%s ends none", async (_what, fieldsFor) => {
    const answer = await laptop.post("/sessions/end", fieldsFor(await handleOf(phone)));
    expect(answer.headers.location).toBe("/sessions");
    expect(sessionsOn(await laptop.get("/sessions"))).toHaveLength(2);
    expect(await isSignedIn(phone)).toBe(true);
  });
});

describe("ending all others", () => {
  test("says how many there were, and keeps this one", async () => {
    const tablet = demo.visitor();
    await tablet.signIn();
    const answer = await laptop.post("/sessions/end-others");
    expect([answer.status, answer.headers.location]).toEqual([303, "/sessions"]);
    const page = await laptop.get("/sessions");
    expect(page.text).toContain("2 other sessions were ended.");
    expect(sessionsOn(page).map(({ here }) => here)).toEqual([true]);
    for (const visitor of [phone, tablet]) expect((await visitor.open("/notes")).text).toContain(ENDED);
  });

  test("asks for the password: a wrong one ends nothing, the right one makes an old sign-in fresh", async () => {
    const page = (await laptop.get("/sessions")).text;
    expect(page).toMatch(/<input id="password" name="password" type="password"[^>]* required>/);
    demo.forward(6 * MINUTE);
    const refused = await laptop.post("/sessions/end-others");
    expect(refused.status).toBe(401);
    expect(refused.text).toContain("Please enter your password once more");
    await laptop.post("/sessions/end-others", { password: "wrong" });
    expect((await laptop.get("/sessions")).text).toContain("That is not your password. No session was ended.");
    expect(await isSignedIn(phone)).toBe(true);
    await laptop.post("/sessions/end-others", { password: ADA.password });
    expect((await laptop.get("/sessions")).text).toContain("1 other session was ended.");
    expect([await isSignedIn(laptop), await isSignedIn(phone)]).toEqual([true, false]);
  });

  test("answers a form that is sent twice at once with the page of sessions, and no fault", async () => {
    // Both are asked for the password before either is confirmed.
    const asked: ServerResponse[] = [];
    let holds = false;
    const service = createServer((_req, res) => {
      res.setHeader("Content-Type", "application/json");
      asked.push(res);
      if (!holds || asked.length === 2) for (const each of asked.splice(0)) each.end('{"notes":[]}');
    }).listen(0, "127.0.0.1");
    await once(service, "listening");
    const url = new URL(`http://127.0.0.1:${(service.address() as AddressInfo).port}`);
    const visitor = (await startDemo({ service: url })).visitor(FIREFOX);
    await visitor.signIn();
    holds = true;
    const password = ADA.password;
    const answers = await Promise.all([1, 2].map(() => visitor.post("/sessions/end-others", { password })));
    expect(answers.map(({ status, headers }) => [status, headers.location])).toEqual([
      [303, "/sessions"],
      [303, "/sessions"],
    ]);
    service.close();
    service.closeAllConnections();
  });

  test("counts one as one, and none as none", async () => {
    await laptop.post("/sessions/end-others");
    expect((await laptop.get("/sessions")).text).toContain("1 other session was ended.");
    await laptop.post("/sessions/end-others");
    expect((await laptop.get("/sessions")).text).toContain("There was no other session to end.");
  });
});

describe("posts from elsewhere", () => {
  test.each([
    ["another site", { "Sec-Fetch-Site": "cross-site" }],
    ["another port, in an old browser", { Origin: "http://127.0.0.1:1" }],
  ])("of %s end nothing", async (_what, headers: Record<string, string>) => {
    const id = await handleOf(phone);
    expect((await laptop.post("/sessions/end", { id }, headers)).status).toBe(403);
    expect((await laptop.post("/sessions/end-others", {}, headers)).status).toBe(403);
    expect(await isSignedIn(phone)).toBe(true);
  });
});

describe("a store that fails", () => {
  const timeout = new TokenizerError("STORE_TIMEOUT", "The session store did not answer in time.");

  test("before anything is listed or ended says so", async () => {
    const id = await handleOf(phone);
    await demo.sessions.close();
    const page = await laptop.get("/sessions");
    expect(page.status).toBe(503);
    expect(page.text).toContain('href="/sessions">Try again');
    for (const answer of [await laptop.post("/sessions/end", { id }), await laptop.post("/sessions/end-others")]) {
      expect(answer.status).toBe(503);
      expect(answer.text).toContain("No session was ended.");
      expect(answer.text).toContain('href="/sessions">See your sessions');
    }
    expect(demo.log.join("\n")).toMatch(/POST \/sessions\/end-others 503: STORE_CLOSED/);
  });

  test("while the list is looked up ends nothing, and says so", async () => {
    const id = await handleOf(phone);
    jest.spyOn(demo.sessions.users, "list").mockRejectedValueOnce(timeout);
    expect((await laptop.get("/sessions")).status).toBe(503);
    jest.spyOn(demo.sessions.users, "list").mockRejectedValueOnce(timeout);
    expect((await laptop.post("/sessions/end", { id })).text).toContain("No session was ended.");
    expect(await isSignedIn(phone)).toBe(true);
  });

  test("while sessions are ended claims nothing", async () => {
    const id = await handleOf(phone);
    for (const [path, fields] of [
      ["/sessions/end", { id }],
      ["/sessions/end-others", {}],
    ] as const) {
      jest.spyOn(demo.sessions.users, "revoke").mockRejectedValueOnce(timeout);
      const page = await laptop.post(path, { ...fields });
      expect(page.status).toBe(503);
      expect(page.text).toContain("It is not certain what was ended.");
    }
  });

  test("while one's own is ended claims nothing", async () => {
    jest.spyOn(SessionEngine.prototype, "remove").mockRejectedValueOnce(timeout);
    const page = await laptop.post("/sessions/end", { id: await handleOf(laptop) });
    expect(page.status).toBe(503);
    expect(page.text).toContain("It is not certain what was ended.");
    expect(page.headers["set-cookie"]).toBeUndefined();
  });

  test("after sessions were ended says that they were", async () => {
    const { users } = demo.sessions;
    const revoke = users.revoke.bind(users);
    jest.spyOn(users, "revoke").mockImplementationOnce(async (...what) => {
      const count = await revoke(...what);
      await demo.sessions.close();
      return count;
    });
    const page = await laptop.post("/sessions/end-others");
    expect(page.status).toBe(503);
    expect(page.text).toContain("1 other session was ended. Only the confirmation was lost.");
  });
});

test("a sign-in during which all sessions were ended says what happened", async () => {
  const revoked = new TokenizerError("SESSION_REVOKED", "The user's sessions were ended during this sign-in.");
  jest.spyOn(SessionEngine.prototype, "replace").mockRejectedValueOnce(revoked);
  const visitor = demo.visitor();
  const page = await visitor.post("/sign-in", ADA);
  expect(page.status).toBe(503);
  expect(page.headers["set-cookie"]).toBeUndefined();
  expect(page.text).toContain("Your sign-in was ended from elsewhere");
  expect(page.text).toContain("You were not signed in.");
  expect(await isSignedIn(visitor)).toBe(false);
});
