import { afterEach, describe, expect, jest, test } from "@jest/globals";
import { LocalBackend } from "../../lib/backends/local/backend.js";
import { TokenizerError } from "../../lib/errors.js";
import { type App, cookiesOf, startApp, temporaryFolder, type Visitor } from "../support/app.js";
import { countBackendCalls, readStored } from "../support/stored.js";

const OLD = "the password that is on its way out";
const NEW = "the password that takes its place";
const PASSWORD = "ada's own secret";

afterEach(() => {
  jest.restoreAllMocks();
});

/** Starts an application again and again over one folder, each time with other settings. */
function installation(settings: object = {}) {
  const path = temporaryFolder();
  let running: App | undefined;
  return async (safe_password: string | string[], more: object = {}) => {
    await running?.close();
    running = await startApp({ settings: { ...settings, ...more, path, safe_password } });
    return running;
  };
}

async function keyIdOf(app: App, visitor: Visitor): Promise<string | undefined> {
  const stored = await readStored(app, visitor.id);
  return String(stored?.fields.credentials).split(".")[1];
}

describe("row 20: a password that was put before the old one", () => {
  test("opens; what comes by is sealed and signed anew in that same request; then the old one can go", async () => {
    const start = installation();
    const before = await start(OLD);
    const first = before.visitor();
    await first.signIn("ada", PASSWORD);
    const oldKeyId = await keyIdOf(before, first);

    const between = await start([NEW, OLD]);
    const ada = between.visitor(first.cookie);
    const backend = countBackendCalls();
    // A route that looks at neither session nor credentials.
    const answer = await ada.get("/");
    expect(answer.status).toBe(200);
    expect(cookiesOf(answer)).toHaveLength(1);
    expect(ada.cookie).not.toBe(first.cookie);
    expect(ada.id).toBe(first.id);
    // The session, and its handle in the user's record.
    expect(backend.calls.write).toBe(2);
    const newKeyId = await keyIdOf(between, ada);
    expect(newKeyId).not.toBe(oldKeyId);

    // That was that: the next request has nothing to do.
    backend.clear();
    const next = await ada.get("/session");
    expect(next.body.opened).toEqual({ username: "ada", password: PASSWORD });
    expect(cookiesOf(next)).toEqual([]);
    expect(backend.calls.write).toBe(0);

    const after = await start(NEW);
    const { body } = await after.visitor(ada.cookie).get("/session");
    expect(body).toMatchObject({ values: { username: "ada" }, opened: { username: "ada", password: PASSWORD } });
    expect(body.sealed.split(".")[1]).toBe(newKeyId);
    expect(after.log).toEqual([]);
  });

  test("the request that asks for credentials gets them, too", async () => {
    const start = installation();
    const first = (await start(OLD)).visitor();
    await first.signIn("ada", PASSWORD);
    const between = await start(["a third one that is newest", NEW, OLD]);
    const { body } = await between.visitor(first.cookie).get("/session");
    expect(body.opened).toEqual({ username: "ada", password: PASSWORD });
    expect(between.log).toEqual([]);
  });

  test("many requests at once all open, and so does what they leave", async () => {
    const start = installation();
    const first = (await start(OLD)).visitor();
    await first.signIn("ada", PASSWORD);
    const between = await start([NEW, OLD]);
    const tabs = Array.from({ length: 20 }, () => between.visitor(first.cookie));
    await Promise.all(tabs.map((tab, index) => tab.post("/set", { [`key${index}`]: index })));
    const answers = await Promise.all(tabs.map((tab) => tab.get("/session")));
    expect(answers.map(({ body }) => body.opened?.password)).toEqual(Array(20).fill(PASSWORD));
    const stored = await readStored(between, first.id);
    expect(Object.keys(stored?.fields ?? {})).toHaveLength(2 + 20);
    const after = await start(NEW);
    const opened = await Promise.all(tabs.map((tab) => after.visitor(tab.cookie).get("/session")));
    expect(opened.map(({ body }) => body.opened?.password)).toEqual(Array(20).fill(PASSWORD));
  });

  test("with the session sealed whole", async () => {
    const start = installation({ encrypt: "session" });
    const first = (await start(OLD)).visitor();
    await first.signIn("ada", PASSWORD);
    const between = await start([NEW, OLD]);
    const ada = between.visitor(first.cookie);
    await ada.get("/");
    const after = await start(NEW);
    const { body } = await after.visitor(ada.cookie).get("/session");
    expect(body).toMatchObject({ values: { username: "ada" }, opened: { username: "ada", password: PASSWORD } });
  });

  test("an anonymous session is signed anew, and nothing of it is written", async () => {
    const start = installation();
    const first = (await start(OLD)).visitor();
    await first.post("/set", { basket: [1] });
    const between = await start([NEW, OLD]);
    const visitor = between.visitor(first.cookie);
    const backend = countBackendCalls();
    expect(cookiesOf(await visitor.get("/"))).toHaveLength(1);
    expect(backend.calls.write).toBe(0);
    const after = await start(NEW);
    expect((await after.visitor(visitor.cookie).get("/session")).body.values).toEqual({ basket: [1] });
  });

  test("when the store refuses what is sealed anew, nothing is claimed, and what was stored still opens", async () => {
    const start = installation();
    const before = await start(OLD);
    const first = before.visitor();
    await first.signIn("ada", PASSWORD);
    const between = await start([NEW, OLD]);
    const stored = await readStored(between, first.id);
    const write = jest.spyOn(LocalBackend.prototype, "write").mockRejectedValue(new Error("the disk is full"));
    const answer = await between.visitor(first.cookie).get("/");
    expect(answer.status).toBe(503);
    expect(answer.body).toEqual({ code: "STORE_UNAVAILABLE", message: "The session store failed." });
    expect(cookiesOf(answer)).toEqual([]);
    expect(between.errors).toHaveLength(1);
    expect(between.errors[0]).toBeInstanceOf(TokenizerError);
    write.mockRestore();
    expect(await readStored(between, first.id)).toEqual(stored);
    expect((await between.visitor(first.cookie).get("/session")).body.opened.password).toBe(PASSWORD);
  });
});

describe("row 19: a password that was dropped", () => {
  test("who did not come by is out, and told so as somebody unknown", async () => {
    const start = installation();
    const first = (await start(OLD)).visitor();
    await first.signIn("ada", PASSWORD);
    await start([NEW, OLD]);
    const after = await start(NEW);
    const backend = countBackendCalls();
    expect((await after.visitor(first.cookie).get("/session")).body).toEqual({ values: {}, ended: false });
    expect(backend.calls).toEqual({ read: 0, write: 0, touch: 0, remove: 0 });
  });
});

describe("row 3: a cookie secret that is on its way out", () => {
  const secrets = { old: "the old secret for cookies", new: "the new secret for cookies" };

  test("is accepted, and the cookie is signed anew in that same request, once", async () => {
    const start = installation();
    const first = (await start(OLD, { cookie: { secret: secrets.old } })).visitor();
    await first.signIn("ada", PASSWORD);
    const between = await start(OLD, { cookie: { secret: [secrets.new, secrets.old] } });
    const ada = between.visitor(first.cookie);
    expect(cookiesOf(await ada.get("/"))).toHaveLength(1);
    expect(ada.id).toBe(first.id);
    expect(cookiesOf(await ada.get("/"))).toEqual([]);
    const after = await start(OLD, { cookie: { secret: secrets.new } });
    expect((await after.visitor(ada.cookie).get("/session")).body.opened.password).toBe(PASSWORD);
    expect((await after.visitor(first.cookie).get("/session")).body).toEqual({ values: {}, ended: false });
  });

  test("does not bring back an ended session, nor sign its cookie anew", async () => {
    const start = installation();
    const before = await start(OLD, { cookie: { secret: secrets.old } });
    const first = before.visitor();
    await first.signIn("ada", PASSWORD);
    await before.visitor(first.cookie).post("/sign-out");
    const between = await start(OLD, { cookie: { secret: [secrets.new, secrets.old] } });
    const answer = await between.visitor(first.cookie).get("/session");
    expect(answer.body).toEqual({ values: {}, ended: true });
    expect(cookiesOf(answer)).toEqual([expect.stringMatching(/^token=; /)]);
  });
});
