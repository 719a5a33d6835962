import { format, inspect } from "node:util";
import { afterEach, beforeAll, describe, expect, jest, test } from "@jest/globals";
import { LocalBackend } from "../../lib/backends/local/backend.js";
import { TokenizerError } from "../../lib/errors.js";
import { shortName, storageKey } from "../../lib/session-id.js";
import { type App, SAFE_PASSWORD, startApp, type Visitor } from "../support/app.js";
import { encodings } from "../support/encodings.js";
import { changeStored, readStored } from "../support/stored.js";

const KEEP_NONE =
  " If your application needs none after the sign-in, keep none: authenticator: { type: none } in the settings.";
const PASSWORD = "ada's own secret";
const SALT = "the salt of these specs";

let app: App;

beforeAll(async () => {
  app = await startApp({
    settings: { salt: SALT },
    routes(express) {
      express.get("/twice", (req, res) => {
        res.json([req.credentials?.password, req.credentials?.password]);
      });
      express.get("/write", (req, res) => {
        const credentials = req.credentials as { password?: string; port?: number };
        const attempts = [
          () => Object.assign(credentials, { password: "another" }),
          () => Object.assign(credentials, { port: 1 }),
          () => Object.assign(req, { credentials: undefined }),
        ];
        const refused = attempts.map((attempt) => {
          try {
            return attempt() && "done";
          } catch (error) {
            return (error as Error).name;
          }
        });
        res.json({ refused, password: req.credentials?.password });
      });
      express.get("/more", (req, res) => {
        const more = req.credentials as unknown as { host: string; tls: object };
        res.json({ host: more.host, tls: more.tls, has: ["host" in more, "port" in more] });
      });
      express.get("/shown", (req, res) => {
        res.json({ credentials: shownForms(req.credentials), session: shownForms(req.session), request: inspect(req) });
      });
      express.post("/copy", (req, res, next) => {
        // What passport does with keepSessionInfo.
        const before = { ...req.session };
        req.session.regenerate((error) => {
          if (error) return next(error);
          for (const [key, value] of Object.entries(before)) {
            if (key !== "cookie") Reflect.set(req.session, key, value);
          }
          res.sendStatus(204);
        });
      });
    },
  });
});

afterEach(() => {
  jest.restoreAllMocks();
});

async function signedIn(username?: string, password = PASSWORD): Promise<Visitor> {
  const visitor = app.visitor();
  expect((await visitor.signIn(username, password)).status).toBe(204);
  return visitor;
}

describe("the local authenticator's credentials", () => {
  test("are sealed into the session, and open on each request", async () => {
    const ada = await signedIn("ada");
    for (const _ of [1, 2]) {
      const { body } = await ada.get("/session");
      expect(body.opened).toEqual({ username: "ada", password: PASSWORD });
      expect(body.sealed).toMatch(/^v1\.[\w-]{11}\.[\w-]+$/);
    }
    expect((await ada.get("/twice")).body).toEqual([PASSWORD, PASSWORD]);
  });

  test("are not there for who is not signed in, and that is not logged", async () => {
    const before = app.log.length;
    const { body } = await app.visitor().get("/session");
    expect(body).toEqual({ values: {}, ended: false });
    expect(app.log.length).toBe(before);
  });

  test("are read-only", async () => {
    const ada = await signedIn("ada");
    const { refused, password } = (await ada.get("/write")).body;
    expect(refused).toEqual(["TypeError", "TypeError", "TypeError"]);
    expect(password).toBe(PASSWORD);
  });

  test("may hold more than a name and a password", async () => {
    const ada = app.visitor();
    await ada.post("/sign-in", { username: "ada", password: PASSWORD, host: "imap.example", tls: { port: 993 } });
    expect((await ada.get("/more")).body).toEqual({ host: "imap.example", tls: { port: 993 }, has: [true, false] });
  });

  test("may hold keys that every object has, which change nothing", async () => {
    const eve = app.visitor();
    const body = `{"username":"eve","password":"${PASSWORD}","__proto__":{"polluted":1},"toJSON":1,"constructor":1}`;
    await eve.post("/sign-in", JSON.parse(body));
    expect((await eve.get("/session")).body.opened).toEqual({ username: "eve", password: PASSWORD });
    expect(JSON.stringify((await eve.get("/shown")).body)).not.toContain(PASSWORD);
    expect(Reflect.get({}, "polluted")).toBeUndefined();
  });
});

describe("what was changed in the store does not open: sign in again", () => {
  test.each(["admin", "Ada", "ada ", "", null, { toString: 1 }, undefined])(
    "another username beside the sealed text: %j",
    async (username) => {
      const ada = await signedIn("ada");
      await changeStored(app, ada.id, ({ head, fields }) => ({ head, fields: { ...fields, username } }));
      const { status, body } = await ada.get("/session");
      expect(status).toBe(200);
      expect(body.opened).toBeUndefined();
      expect(app.log.at(-1)).toContain(`The credentials of session ${shortName(storageKey(ada.id))} do not open`);
    },
  );

  test("one line a request is logged, however often credentials are asked for; nothing in it is secret", async () => {
    const ada = await signedIn("ada");
    const { sealed } = (await ada.get("/session")).body;
    await changeStored(app, ada.id, ({ head, fields }) => ({ head, fields: { ...fields, credentials: "v1.x.y" } }));
    const before = app.log.length;
    expect((await ada.get("/twice")).body).toEqual([null, null]);
    expect(app.log.length - before).toBe(1);
    const log = app.log.join("\n");
    for (const secret of [ada.id, PASSWORD, SAFE_PASSWORD, sealed, ada.cookie ?? ""]) expect(log).not.toContain(secret);
  });

  test("a request that does not ask for them logs nothing", async () => {
    const ada = await signedIn("ada");
    await changeStored(app, ada.id, ({ head, fields }) => ({ head, fields: { ...fields, credentials: "v1.x.y" } }));
    const before = app.log.length;
    expect((await ada.get("/")).status).toBe(200);
    expect(app.log.length).toBe(before);
  });
});

describe("text sealed for a session", () => {
  test("does not open in the one that a regenerate copied it to: sign in", async () => {
    const ada = await signedIn("ada");
    const before = ada.id;
    await ada.post("/copy");
    expect(ada.id).not.toBe(before);
    const { body } = await ada.get("/session");
    expect(body.values).toEqual({ username: "ada" });
    expect(body.sealed).toMatch(/^v1\./);
    expect(body.opened).toBeUndefined();
    await ada.signIn("ada", PASSWORD);
    expect((await ada.get("/session")).body.opened).toEqual({ username: "ada", password: PASSWORD });
  });
});

describe("row 24: no secret anywhere", () => {
  test("in what prints, inspects or serialises credentials, session and request", async () => {
    const ada = await signedIn("ada");
    const { credentials, session, request } = (await ada.get("/shown")).body;
    expect(credentials.inspected).toBe("Credentials { username: 'ada', password: [sealed] }");
    expect(credentials.json).toBe('{"username":"ada"}');
    expect(credentials.keys).toEqual(["username"]);
    // Not an empty promise: each of these did show something.
    for (const shown of [credentials, session]) {
      expect(shown.forms.length).toBeGreaterThan(30);
      expect(shown.forms.filter((text: string) => text.includes(PASSWORD))).toEqual([]);
      expect(shown.forms.filter((text: string) => text.includes("ada")).length).toBeGreaterThan(20);
    }
    expect(request).not.toContain(PASSWORD);
  });

  test("in an error of a sign-in, or in its cause", async () => {
    const fault = new Error("the disk is full");
    const before = app.errors.length;
    const write = jest.spyOn(LocalBackend.prototype, "write").mockRejectedValue(fault);
    const { status, body } = await app.visitor().signIn("ada", PASSWORD);
    expect(status).toBe(503);
    expect(body).toEqual({ code: "STORE_UNAVAILABLE", message: "The session store failed." });
    const [error, ...others] = app.errors.slice(before);
    expect(others).toEqual([]);
    expect(error).toBeInstanceOf(TokenizerError);
    expect((error as TokenizerError).cause).toBe(fault);
    const [key = ""] = write.mock.calls[0] ?? [];
    expect(key).toMatch(/^(user|session):[\w-]{43}$/);
    for (const text of shownForms(error).forms) expect(text).not.toContain(PASSWORD);
  });

  test.each([
    [
      { username: "", password: PASSWORD },
      "req.signIn needs a username: a text that is not empty. It got an empty text. Write req.signIn({ username, password }).",
    ],
    [
      { password: PASSWORD },
      "req.signIn needs a username: a text that is not empty. It got undefined. Write req.signIn({ username, password }).",
    ],
    [
      { username: 7, password: PASSWORD },
      "req.signIn needs a username: a text that is not empty. It got a value of type number. Write req.signIn({ username, password }).",
    ],
    [
      { username: { $ne: PASSWORD } },
      "req.signIn needs a username: a text that is not empty. It got a value of type object. Write req.signIn({ username, password }).",
    ],
    [
      { username: "ada" },
      `req.signIn needs a password: a text, to be sealed into the session. It got undefined.${KEEP_NONE}`,
    ],
    [
      { username: "ada", password: [PASSWORD] },
      `req.signIn needs a password: a text, to be sealed into the session. It got a value of type array.${KEEP_NONE}`,
    ],
  ])("in the refusal of %j", async (credentials, message) => {
    const visitor = app.visitor();
    const answer = await visitor.post("/sign-in", credentials);
    expect(answer.status).toBe(500);
    expect(answer.body).toEqual({ code: "SIGN_IN_INVALID", message });
    expect(visitor.cookie).toBeUndefined();
    for (const text of shownForms(app.errors.at(-1)).forms) expect(text).not.toContain(PASSWORD);
  });

  test("in the folder's files, neither while they are open nor when they are closed", async () => {
    const folder = await startApp();
    const password = "a password that nothing else contains";
    const ada = folder.visitor();
    await ada.signIn("ada", password);
    await ada.post("/set", { seen: "something in clear" });
    expect((await ada.get("/session")).body.opened.password).toBe(password);

    const secrets = [ada.id, password, SAFE_PASSWORD].flatMap(encodings);
    const check = () => {
      const bytes = folder.bytes();
      expect(bytes.includes("something in clear")).toBe(true);
      expect(bytes.includes(storageKey(ada.id))).toBe(true);
      expect(secrets.filter((secret) => bytes.includes(secret))).toEqual([]);
    };
    check();
    await folder.close();
    check();
  });
});

describe.each(["openldap", "ldap", "microsoft", "none"] as const)("the authenticator %s", (authenticator) => {
  let other: App;

  beforeAll(async () => {
    other = await startApp({
      authenticator,
      settings: { safe_password: undefined, cookie: { secret: "a secret that stands alone" } },
    });
  });

  test("keeps no credentials: neither in the session, nor in the folder", async () => {
    const ada = other.visitor();
    await ada.post("/set", { credentials: "what a local authenticator left behind" });
    const answer = await ada.post("/sign-in?keep=credentials,basket", { username: "ada", password: PASSWORD });
    expect(answer.status).toBe(204);
    expect((await ada.get("/session")).body).toEqual({ values: { username: "ada" }, ended: false });
    expect((await readStored(other, ada.id))?.fields).toEqual({ username: "ada" });
    const bytes = other.bytes();
    expect(bytes.includes(storageKey(ada.id))).toBe(true);
    expect(encodings(PASSWORD).filter((secret) => bytes.includes(secret))).toEqual([]);
  });

  test("needs no password to sign in", async () => {
    const ada = other.visitor();
    expect((await ada.post("/sign-in", { username: "ada" })).status).toBe(204);
    expect((await ada.get("/session")).body.values).toEqual({ username: "ada" });
  });

  test("opens no credentials that somebody put into the session, and says nothing", async () => {
    const ada = other.visitor();
    await ada.post("/sign-in", { username: "ada" });
    await ada.post("/set", { credentials: { username: "ada", password: PASSWORD } });
    expect((await ada.get("/session")).body.opened).toBeUndefined();
    expect(other.log).toEqual([]);
  });
});

/** Every way to show a value that does not read it by name. */
function shownForms(value: unknown): { inspected: string; json: string; keys: string[]; forms: string[] } {
  const switches = [true, false];
  const inspections = switches.flatMap((showHidden) =>
    switches.flatMap((customInspect) =>
      switches.flatMap((showProxy) =>
        [true, false, "get" as const, "set" as const].map((getters) =>
          inspect(value, { showHidden, customInspect, showProxy, getters, depth: 2 }),
        ),
      ),
    ),
  );
  const object = Object(value);
  const json = JSON.stringify(value);
  const spread = { ...object };
  const forms = [
    ...inspections,
    ...["%o", "%O", "%j", "%s", "%i"].map((placeholder) => format(placeholder, value)),
    format(value),
    format({ value }),
    json,
    JSON.stringify({ value }),
    JSON.stringify([spread, Object.values(object), Object.entries(object)]),
    inspect(spread, { showHidden: true, getters: true }),
    inspect(Object.getOwnPropertyDescriptors(object), { showHidden: true, getters: true }),
    String(value),
    `${Reflect.get(object, "stack")} ${Reflect.get(object, "message")}`,
  ];
  return { inspected: inspect(value), json, keys: Reflect.ownKeys(object).map(String), forms };
}
