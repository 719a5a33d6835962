import { afterEach, beforeAll, describe, expect, jest, test } from "@jest/globals";
import session from "express-session";
import { TokenizerError } from "../../lib/errors.js";
import { type App, cookiesOf, MINUTE, startApp, type Visitor } from "../support/app.js";
import { onEveryBackend } from "../support/places.js";
import { changeStored, changeText, countBackendCalls, readStored } from "../support/stored.js";
import { expectSigningInAgain, PASSWORD, signedIn } from "./signing-in-again.js";

const TOLD = "Session NAME cannot be read (damaged, or sealed otherwise): it counts as ended.";
const KB = 1024;

onEveryBackend((places) => {
  let app: App;

  beforeAll(async () => {
    app = await startApp({
      settings: await places.next(),
      routes(express) {
        express.get("/polluted", (req, res) => {
          const seen = [{}, [], req.session, req.session.cookie].map((value) => Reflect.get(value, "isAdmin"));
          res.json({ seen: seen.filter(Boolean), isSession: req.session instanceof session.Session });
        });
        express.get("/cookie", (req, res) => {
          res.json(req.session.cookie);
        });
        express.post("/spoil", (req, res) => {
          Object.assign(req.session, { fine: "[".repeat(300), spoilt: SPOILT[String(req.query.with)] });
          res.send("saved");
        });
      },
    });
  });

  afterEach(() => {
    jest.restoreAllMocks();
  });

  test("25: __proto__ and constructor in stored JSON: no pollution", async () => {
    const ada = await signedIn(app);
    const planted = '"__proto__":{"isAdmin":true},"constructor":{"prototype":{"isAdmin":true}},';
    await changeText(app, ada.id, (text) => text.replaceAll("{", `{${planted}`).replace(planted, ""));
    await changeText(app, ada.id, (text) => text.replace("{", `{${planted}`));
    for (let time = 0; time < 2; time++) {
      expect((await ada.get("/polluted")).body).toEqual({ seen: [], isSession: true });
      expect((await ada.get("/inbox")).text).toBe("the mail of ada");
      expect((await ada.post("/set", { time })).status).toBe(204);
    }
    expect((await app.sessions.users.list("ada")).length).toBe(1);
    expect(Reflect.get({}, "isAdmin")).toBeUndefined();
  });

  const head = '{"v":2,"created":1}';
  const fields = '{"username":"ada"}';
  describe("a record that is none: it counts as ended, sign in again", () => {
    test.each([
      ["26: not JSON", "hello"],
      ["26: []", "[]"],
      ["26: null", "null"],
      ["26: fields that are []", `${head}\n[]`],
      ["26: fields that are null", `${head}\nnull`],
      ["26: no cookie, and nothing about it, as other stores write it", fields],
      ["26: half of it", `${head}\n${fields.slice(0, -1)}`],
      ["26: no fields", head],
      ["26: no head", `\n${fields}`],
      ["26: a head that is []", `[]\n${fields}`],
      ["26: a head that is null", `null\n${fields}`],
      ["26: a head of another format", `{"v":1,"created":1}\n${fields}`],
      ["26: a head without a beginning", `{"v":2}\n${fields}`],
      ["26: an empty text", ""],
      [
        "26: 20,000 levels deep, which no answer could be made of",
        `${head}\n{"x":${"[".repeat(20_000)}${"]".repeat(20_000)}}`,
      ],
      ["27: a bad end", `{"v":2,"created":1,"end":"never"}\n${fields}`],
      ["27: an end beyond numbers", `{"v":2,"created":1,"end":1e999}\n${fields}`],
      ["27: a bad maxAge", `{"v":2,"created":1,"maxAge":"x"}\n${fields}`],
    ])("%s", async (_, text) => {
      const ada = await signedIn(app);
      const before = app.visitor(ada.cookie);
      await changeText(app, ada.id, () => text);
      await expectSigningInAgain(app, ada, TOLD);
      const logged = app.log.length;
      expect((await before.get("/session")).body).toEqual({ values: {}, ended: true });
      expect(app.log.slice(logged)).toEqual([]);
    });
  });

  test("27: bad expires or domain, planted as a cookie, are nobody's: session, credentials and cookie are as before", async () => {
    const ada = await signedIn(app);
    const shown = (await ada.get("/cookie")).body;
    const cookie = { expires: "x", originalMaxAge: "y", domain: "evil; Max-Age=9", path: "/evil", httpOnly: false };
    await changeStored(app, ada.id, ({ head, fields }) => ({ head, fields: { ...fields, cookie } }));
    expect((await ada.get("/cookie")).body).toEqual(shown);
    for (const answer of [await ada.get("/inbox"), await ada.post("/set", { basket: [1] }), await ada.get("/inbox")]) {
      expect([answer.status < 300, cookiesOf(answer)]).toEqual([true, []]);
    }
    expect((await readStored(app, ada.id))?.fields).not.toHaveProperty("cookie");
    const [sent] = cookiesOf(await ada.post("/regenerate"));
    expect(sent).toMatch(/^token=[^;]+; Path=\/; HttpOnly; SameSite=Lax$/);
  });

  test.each([1e300, 5e15])("27: a maxAge of %d ms lasts to the end of time, and does nobody harm", async (maxAge) => {
    const ada = await signedIn(app);
    await changeStored(app, ada.id, ({ head, fields }) => ({ head: { ...head, maxAge }, fields }));
    for (let time = 0; time < 2; time++) {
      expect((await ada.get("/inbox")).text).toBe("the mail of ada");
      expect((await ada.post("/set", { time })).status).toBe(204);
      app.clock.forward(MINUTE);
    }
    expect((await ada.get("/session")).body.values).toEqual({ username: "ada", time: 1 });
    await signedIn(app);
  });

  test.each([0, -1])("27: a maxAge of %d ms is over", async (maxAge) => {
    const ada = await signedIn(app);
    await changeStored(app, ada.id, ({ head, fields }) => ({ head: { ...head, maxAge }, fields }));
    const answer = await ada.post("/set", { basket: [1] });
    expect([answer.status, cookiesOf(answer)]).toEqual([204, []]);
    expect((await ada.get("/session")).body).toEqual({ values: {}, ended: true });
  });

  describe("what cannot be saved: an error, and what was stored is kept", () => {
    async function expectRefused(ada: Visitor, ask: (visitor: Visitor) => ReturnType<Visitor["post"]>) {
      const stored = await readStored(app, ada.id);
      const [length, errors] = [await app.sessions.store.length(), app.errors.length];
      const backend = countBackendCalls(places.prototype);
      const answers = [await ask(ada), await ask(app.visitor())];
      expect(backend.calls.write).toBe(0);
      for (const answer of answers) expect([answer.status, cookiesOf(answer)]).toEqual([500, []]);
      expect(app.errors.slice(errors)).toEqual([expect.any(TokenizerError), expect.any(TokenizerError)]);
      expect(await readStored(app, ada.id)).toEqual(stored);
      expect(await app.sessions.store.length()).toBe(length);
      expect((await ada.get("/inbox")).text).toBe("the mail of ada");
      return answers.map(({ body }) => body);
    }

    test.each([
      ["28: a BigInt", "bigint"],
      ["28: a cycle", "cycle"],
      ["30: 20,000 levels deep", "deep"],
      ["30: 201 levels deep, which JSON could still write", "deeper"],
    ])("%s", async (_, kind) => {
      const bodies = await expectRefused(await signedIn(app), (visitor) => visitor.post(`/spoil?with=${kind}`));
      const message = expect.stringMatching(/^req\.session\.spoilt cannot be saved/);
      expect(bodies).toEqual(Array(2).fill({ code: "SESSION_UNSERIALIZABLE", message }));
    });

    const large = { basket: "x".repeat(500 * KB) };

    test("29: over the limit, of 400 KB: DynamoDB's own, and max_session_kb everywhere", async () => {
      const bodies = await expectRefused(await signedIn(app), (visitor) => visitor.post("/set", large));
      const limit =
        places.name === "dynamodb" ? "the store allows 399.0 KB" : "tokenizer.max_session_kb allows 400.0 KB";
      const message = expect.stringContaining(`and ${limit}. Its largest keys: basket (500.0 KB)`);
      expect(bodies).toEqual(Array(2).fill({ code: "SESSION_TOO_LARGE", message }));
    });

    test("29: over the limit, by a key that would draw on the terminal or fill the log: escaped and cut", async () => {
      const key = `größte\r\n\u001b]0;pwned\u0007${"y".repeat(10_000)}`;
      const { body } = await app.visitor().post("/set", { small: 1, [key]: large.basket });
      expect(body.message).toMatch(
        /Its largest keys: "größte\\r\\n\\u001b\]0;pwned\\u0007y{42}…" \(500\.0 KB\), small/,
      );
    });

    test("29: over the limit by what two writers put together: the second one is refused, and what was stored is kept", async () => {
      const ada = await signedIn(app);
      const half = "x".repeat(250 * KB);
      const [one, two] = await Promise.all([ada.post("/set", { one: half }), ada.post("/set", { two: half })]);
      expect([one.status, two.status].sort()).toEqual([204, 500]);
      const { values } = (await ada.get("/session")).body;
      expect(Object.keys(values).sort()).toEqual([one.status === 204 ? "one" : "two", "username"]);
    });

    test("29: below the limit: kept whole", async () => {
      const ada = await signedIn(app);
      const basket = "x".repeat(390 * KB);
      expect((await ada.post("/set", { basket })).status).toBe(204);
      const { values, opened } = (await ada.get("/session")).body;
      expect([values.basket === basket, opened]).toEqual([true, { username: "ada", password: PASSWORD }]);
    });
  });
});

const cycle: Record<string, unknown> = {};
cycle.self = cycle;
const nested = (levels: number) => JSON.parse("[".repeat(levels) + "]".repeat(levels));
const SPOILT: Record<string, unknown> = { bigint: { n: 1n }, cycle, deep: nested(20_000), deeper: nested(201) };
