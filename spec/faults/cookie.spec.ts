import { connect } from "node:net";
import { afterEach, beforeAll, describe, expect, jest, test } from "@jest/globals";
import { sign } from "cookie-signature";
import { storageKey } from "../../lib/session-id.js";
import { type App, cookiesOf, startApp } from "../support/app.js";
import { Gate } from "../support/gate.js";
import { onEveryBackend } from "../support/places.js";
import { countBackendCalls, readStored } from "../support/stored.js";

const SECRET = "the secret that signs these cookies";
const OLDER_SECRET = "the secret that signed cookies before";
const UNTOUCHED = { read: 0, write: 0, touch: 0, remove: 0 };
const TAKEN_BACK = "token=; Path=/; Expires=Thu, 01 Jan 1970 00:00:00 GMT; HttpOnly; SameSite=Lax";
const NOBODY = { values: {}, ended: false };

onEveryBackend((places) => {
  let app: App;
  let gate: Gate;

  beforeAll(async () => {
    const cookie = { secret: [SECRET, OLDER_SECRET] };
    app = await startApp({
      settings: { ...(await places.next()), cookie },
      routes(express) {
        express.post("/slow", async (req, res) => {
          Object.assign(req.session, { late: true });
          await gate.pass();
          res.send("slow");
        });
        express.post("/regenerate-slowly", async (req, res, next) => {
          await gate.pass();
          req.session.regenerate((error) => (error ? next(error) : res.send(req.sessionID)));
        });
      },
    });
  });

  afterEach(() => {
    jest.restoreAllMocks();
  });

  async function signedIn() {
    const visitor = app.visitor();
    expect((await visitor.signIn("ada")).status).toBe(204);
    return visitor;
  }

  describe("a cookie that is not ours: an anonymous request, and the store is not asked", () => {
    const id = "the-id-that-somebody-thought-out";

    test.each([
      ["1: unsigned", `token=${id}`],
      ["1: unsigned, with the mark of a signed one", `token=s%3A${id}`],
      ["1: JSON, as cookie-parser reads it", 'token=j%3A{"a":1}'],
      ["2: signed with another secret", signed(id, "another secret")],
      ["2: signed with an empty secret", signed(id, "")],
      ["2: an empty signature", `token=s%3A${id}.`],
      ["2: another id's signature", signed(id).replace("somebody", "everybody")],
      ["2: a signature and more", `${signed(id)}A`],
      ["2: a signature cut short", signed(id).slice(0, -1)],
      ["2: nothing, rightly signed", signed("")],
      ["6: 8 KB, unsigned", `token=${"a".repeat(8192)}`],
      ["6: 8 KB, badly signed", `token=s%3A${"a".repeat(8192)}.${"b".repeat(43)}`],
      ["7: %00", "token=s%3Aa%00b.c"],
      ["7: %0D%0A", "token=s%3Aa%0D%0ASet-Cookie:%20x=y.c"],
      ["7: a bad %-escape", "token=s%3A%zz.c"],
      ["7: half a %-escape", "token=%"],
      ["7: what is no UTF-8", "token=s%3A%ff%fe.c"],
      ["8: __proto__", "token=__proto__"],
      ["8: ../../x", "token=..%2F..%2Fx"],
      ["8: *", "token=*"],
      ["8: the cookie's name is __proto__", `__proto__=${id}`],
      ["nothing but separators", "; ; ="],
    ])("%s", async (_, cookie) => {
      const backend = countBackendCalls(places.prototype);
      const visitor = app.visitor(cookie);
      const answer = await visitor.get("/");
      expect([answer.status, answer.text, cookiesOf(answer)]).toEqual([200, "hello", []]);
      expect((await visitor.get("/session")).body).toEqual(NOBODY);
      expect(backend.calls).toEqual(UNTOUCHED);

      // Used, it becomes a session under an id of our own.
      expect(cookiesOf(await visitor.post("/set", { basket: [1] }))).toHaveLength(1);
      expect(visitor.id).toMatch(/^[\w-]{32}$/);
      expect(visitor.id).not.toBe(id);
      expect(backend.calls).toEqual({ ...UNTOUCHED, write: 1 });
      expect((await visitor.get("/session")).body.values).toEqual({ basket: [1] });
    });

    // Clients refuse to send these, so they are sent by hand.
    test.each([
      ["7: NUL", "token=s:a\0b.c", 400],
      ["7: CR LF, which makes another header of the rest", "token=s:a\r\nX-Rest: b.c", 200],
      ["7: CR LF, with a rest that is no header", "token=s:a\r\nb.c", 400],
      ["7: LF alone", "token=s:a\nb.c", 400],
      ["7: bytes that are no UTF-8", "token=s:\xff\xfe.c", 200],
      ["7: a tab", "token=s:a\tb.c", 200],
      ["6: more than Node takes", `token=s:${"a".repeat(20_000)}.c`, 431],
    ])("%s, over a raw socket", async (_, cookie, status) => {
      const backend = countBackendCalls(places.prototype);
      const answer = await sendRaw(
        app.port,
        `GET /session HTTP/1.1\r\nHost: x\r\nConnection: close\r\nCookie: ${cookie}\r\n\r\n`,
      );
      expect(answer).toMatch(new RegExp(`^HTTP/1\\.1 ${status} `));
      expect(answer.toLowerCase()).not.toContain("set-cookie");
      if (status === 200) expect(answer).toContain(JSON.stringify(NOBODY));
      expect(backend.calls).toEqual(UNTOUCHED);
      expect((await app.visitor().get("/")).status).toBe(200);
    });
  });

  describe("a good signature, and an id that nobody has: looked up once, taken back, never adopted", () => {
    test.each([
      ["4: a good signature over an unknown id", "abcdefghijklmnopqrstuvwxyz-_0123"],
      ["6: 8 KB", "a".repeat(8000)],
      ["7: NUL", "a\0b"],
      ["7: CR LF", "a\r\nSet-Cookie: x=y"],
      ["8: __proto__", "__proto__"],
      ["8: constructor", "constructor"],
      ["8: ../../x", "../../x"],
      ["8: *", "*"],
      ["8: SQL", "' OR 1=1; DROP TABLE records; --"],
      ["8: a storage key", storageKey("abcdefghijklmnopqrstuvwxyz-_0123")],
      ["a dot", "a.b"],
      ["a space", " "],
    ])("%s", async (_, id) => {
      const backend = countBackendCalls(places.prototype);
      const visitor = app.visitor(signed(id));
      const answer = await visitor.get("/");
      expect([answer.status, answer.text, cookiesOf(answer)]).toEqual([200, "hello", [TAKEN_BACK]]);
      expect(backend.calls).toEqual({ ...UNTOUCHED, read: 1 });

      visitor.cookie = signed(id);
      expect(cookiesOf(await visitor.post("/set", { basket: [1] }))).toHaveLength(1);
      expect(visitor.id).toMatch(/^[\w-]{32}$/);
      expect(visitor.id).not.toBe(id);
      expect(await readStored(app, id)).toBeUndefined();
      expect((await visitor.get("/session")).body.values).toEqual({ basket: [1] });
    });
  });

  test("3: signed with an older secret is accepted, and signed anew in that same request", async () => {
    const ada = await signedIn();
    const { cookie } = ada;
    ada.cookie = signed(ada.id, OLDER_SECRET);
    expect(cookiesOf(await ada.get("/"))).toHaveLength(1);
    expect(ada.cookie).toBe(cookie);
    const answer = await ada.get("/session");
    expect([answer.body.values, cookiesOf(answer)]).toEqual([{ username: "ada" }, []]);
  });

  describe("the cookie twice is one, always the same: the first that is rightly signed and live", () => {
    const dead = signed("an-id-whose-session-is-over-long-ago");
    const alsoDead = signed("another-id-whose-session-is-over");
    const forged = Array.from({ length: 60 }, (_, n) => signed(`thought-out-${n}`, "somebody else's secret")).join(
      "; ",
    );

    test.each([
      ["two sessions", (one: string, other: string) => `${one}; ${other}`, "one", 1],
      ["two sessions, the other way round", (one: string, other: string) => `${other}; ${one}`, "other", 1],
      ["one and the same", (one: string) => `${one}; ${one}`, "one", 1],
      ["a good one and a bad one", (one: string) => `${one}; token=bad`, "one", 1],
      ["a bad one and a good one", (one: string) => `token=bad; ${one}`, "one", 1],
      ["one of another's that is no text, and a good one", (one: string) => `token=s%3A%ff.%; ${one}`, "one", 1],
      ["an empty one and a good one", (one: string) => `token=; token; ${one}`, "one", 1],
      ["a dead one and a good one", (one: string) => `${dead}; ${one}`, "one", 2],
      ["a good one and a dead one", (one: string) => `${one}; ${dead}`, "one", 1],
      ["a dead one, twice, and a good one", (one: string) => `${dead}; ${dead}; ${one}`, "one", 2],
      ["among other cookies, without spaces", (one: string) => `a=b;${dead};tokens=x;${one};c=d`, "one", 2],
      ["sixty of another secret and a good one", (one: string) => `${forged}; ${one}`, "one", 1],
      [
        "two dead ones, sixty of another secret, a good one",
        (one: string) => `${dead}; ${forged}; ${alsoDead}; ${one}`,
        "one",
        3,
      ],
    ])("5: the cookie twice, %s", async (_, join, expected, reads) => {
      const [one, other] = [app.visitor(), app.visitor()];
      await one.post("/set", { who: "one" });
      await other.post("/set", { who: "other" });
      const cookie = join(one.cookie ?? "", other.cookie ?? "");
      const backend = countBackendCalls(places.prototype);
      for (let time = 0; time < 3; time++) {
        const answer = await app.visitor(cookie).get("/session");
        expect(answer.body).toEqual({ values: { who: expected }, ended: false });
        expect(cookiesOf(answer)).toEqual([]);
      }
      expect(backend.calls).toEqual({ ...UNTOUCHED, read: 3 * reads });
    });

    test("5: the cookie many times: no more than three are looked up, none where none is rightly signed", async () => {
      const one = app.visitor();
      await one.post("/set", { who: "one" });
      const many = [1, 2, 3, 4, 5].map((n) => signed(`an-id-whose-session-is-over-${n}`)).join("; ");
      const backend = countBackendCalls(places.prototype);
      expect((await app.visitor(`${forged}; ${many}; ${one.cookie}`).get("/session")).body).toEqual({
        values: {},
        ended: true,
      });
      expect(backend.calls).toEqual({ ...UNTOUCHED, read: 3 });
      expect((await app.visitor(forged).get("/session")).body).toEqual(NOBODY);
      expect(backend.calls).toEqual({ ...UNTOUCHED, read: 3 });
    });
  });

  test("9: an id in the query, a header or the body is ignored", async () => {
    const ada = app.visitor();
    await ada.signIn("ada");
    const value = (ada.cookie ?? "").slice("token=".length);
    const query = ["token", "sid", "session", "sessionID", "connect.sid", "token[]"]
      .flatMap((name) => [`${name}=${ada.id}`, `${name}=${value}`])
      .join("&");
    const headers = {
      "x-session-id": ada.id,
      token: value,
      "x-token": value,
      authorization: `Bearer ${ada.id}`,
      "set-cookie": ada.cookie ?? "",
      cookie2: ada.cookie ?? "",
    };
    const backend = countBackendCalls(places.prototype);
    const answer = await app.visitor().get(`/session?${query}`, headers);
    expect([answer.body, cookiesOf(answer)]).toEqual([NOBODY, []]);
    expect(backend.calls).toEqual(UNTOUCHED);
    const eve = app.visitor();
    await eve.post(`/set?${query}`, { token: value, sessionID: ada.id }, headers);
    expect(eve.id).not.toBe(ada.id);
    expect((await ada.get("/session")).body.values).toEqual({ username: "ada" });
  });

  test("10: the id from before sign-in is dead after it", async () => {
    const visitor = app.visitor();
    await visitor.post("/set", { basket: [1] });
    const before = app.visitor(visitor.cookie);
    await visitor.signIn("ada");
    expect(visitor.id).not.toBe(before.id);
    expect(await readStored(app, before.id)).toBeUndefined();
    expect((await before.get("/session")).body).toEqual({ values: {}, ended: true });
    expect((await visitor.get("/session")).body).toMatchObject({ values: { username: "ada" }, ended: false });
  });

  test("11: logout during a slow request: the session stays out, 5 times of 5", async () => {
    const outcomes = [];
    for (let round = 0; round < 5; round++) {
      gate = new Gate();
      const ada = await signedIn();
      const tab = app.visitor(ada.cookie);
      const slow = tab.post("/slow");
      await gate.arrived();
      await ada.post("/sign-out");
      gate.open();
      const { status, text, headers } = await slow;
      const { ended } = (await tab.get("/session")).body;
      outcomes.push({ status, text, cookie: headers["set-cookie"], stored: await readStored(app, tab.id), ended });
    }
    const out = { status: 200, text: "slow", cookie: undefined, stored: undefined, ended: true };
    expect(outcomes).toEqual(Array(5).fill(out));
  });

  test("12: two regenerates at once: no 500, the old id dead, each answer's cookie works", async () => {
    gate = new Gate();
    const ada = await signedIn();
    const tabs = [app.visitor(ada.cookie), app.visitor(ada.cookie)];
    const answering = tabs.map((tab) => tab.post("/regenerate-slowly"));
    await gate.arrived(2);
    gate.open();
    const answers = await Promise.all(answering);
    expect(answers.map(({ status, text }) => [status, text])).toEqual(tabs.map(({ id }) => [200, id]));
    expect(answers.map((answer) => cookiesOf(answer).length)).toEqual([1, 1]);
    expect(new Set([ada.id, ...tabs.map(({ id }) => id)]).size).toBe(3);
    expect((await ada.get("/session")).body).toEqual({ values: {}, ended: true });
    for (const [number, tab] of tabs.entries()) {
      await tab.post("/set", { number });
      expect((await tab.get("/session")).body).toEqual({ values: { number }, ended: false });
    }
  });
});

function signed(id: string, secret = SECRET): string {
  return `token=${encodeURIComponent(`s:${sign(id, secret)}`)}`;
}

/** Sends bytes as they are, and answers what came until the connection was closed. */
function sendRaw(port: number, text: string): Promise<string> {
  return new Promise((resolve, reject) => {
    let answer = "";
    const socket = connect(port, "127.0.0.1", () => socket.write(Buffer.from(text, "latin1")));
    socket.setEncoding("latin1");
    socket.on("data", (chunk) => {
      answer += chunk;
    });
    socket.on("close", () => resolve(answer));
    socket.on("error", reject);
  });
}
