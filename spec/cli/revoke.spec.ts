import { describe, expect, jest, test } from "@jest/globals";
import { LocalBackend } from "../../lib/backends/local/backend.js";
import { SESSION_PREFIX, storageKey, userKey } from "../../lib/session-id.js";
import { type App, MINUTE, temporaryFolder, type Visitor } from "../support/app.js";
import { onEveryBackend } from "../support/places.js";
import { appAt, backendOf, commandLine, terminal } from "./command-line.js";

const hashOf = (sessionId: string) => storageKey(sessionId).slice(SESSION_PREFIX.length);

async function signedIn(app: App, username: string) {
  const visitor = app.visitor();
  await visitor.signIn(username);
  return visitor;
}

const hasEnded = async (visitor: Visitor) => (await visitor.get("/session")).body.ended;
const handlesOf = async ({ sessions }: App, user: string) => (await sessions.users.list(user)).map(({ id }) => id);

onEveryBackend((places) => {
  test("a user's: all of them, and nobody else's", async () => {
    const { app, run } = await appAt(await places.next());
    const [one, two, other] = [await signedIn(app, "ada"), await signedIn(app, "ada"), await signedIn(app, "grace")];
    expect(await run(["revoke", "--user", "ada"])).toEqual({ code: 0, stdout: "2 sessions ended.", stderr: "" });
    expect([await hasEnded(one), await hasEnded(two), await hasEnded(other)]).toEqual([true, true, false]);
    // Done already is no failure.
    expect(await run(["revoke", "--user", "ada"])).toEqual({
      code: 0,
      stdout: "",
      stderr: expect.stringMatching(/^ada has no live session\. Looked in: \S+ .+$/),
    });
  });

  test("one, by its handle", async () => {
    const { app, file, run } = await appAt(await places.next());
    const [one, two] = [await signedIn(app, "ada"), await signedIn(app, "ada")];
    const [first = "", second] = await handlesOf(app, "ada");
    expect(await run(["revoke", "--session", first])).toEqual({ code: 0, stdout: "1 session ended.", stderr: "" });
    expect([await hasEnded(one), await hasEnded(two)]).toEqual([true, false]);
    expect(await handlesOf(app, "ada")).toEqual([second]);
    // As after a sign-out, the user's record does not name it any more.
    const backend = backendOf(file);
    const record = await backend.read(userKey("ada"));
    await backend.close();
    expect(record?.value).toContain(second);
    expect(record?.value).not.toContain(first);
    expect(await run(["revoke", "--session", first])).toEqual({
      code: 1,
      stdout: "",
      stderr: expect.stringContaining(
        `There is no live session ${first}. The command sessions lists those there are. Looked in: `,
      ),
    });
  });

  test("one, by its hashed id: with and without a user", async () => {
    const { app, run } = await appAt(await places.next());
    const [nobody, ada, other] = [app.visitor(), await signedIn(app, "ada"), app.visitor()];
    for (const visitor of [nobody, other]) await visitor.post("/set", { basket: 1 });
    for (const { id } of [nobody, ada]) {
      expect(await run(["revoke", "--session", hashOf(id)])).toMatchObject({ code: 0, stdout: "1 session ended." });
    }
    expect([await hasEnded(nobody), await hasEnded(ada), await hasEnded(other)]).toEqual([true, true, false]);
    const [key] = await handlesOf(app, "ada");
    expect(key).toBeUndefined();
    expect(await run(["revoke", "--session", hashOf(nobody.id), "--json"])).toMatchObject({
      code: 1,
      stdout: '{"ended":0}',
      stderr: expect.stringMatching(/^There is no live session /),
    });
  });

  test("everyone's; those of nobody stay", async () => {
    const { app, run } = await appAt(await places.next());
    const [ada, grace, nobody] = [await signedIn(app, "ada"), await signedIn(app, "grace"), app.visitor()];
    await nobody.post("/set", { basket: 1 });
    expect(await run(["revoke", "--all", "--json"])).toEqual({ code: 0, stdout: '{"ended":2}', stderr: "" });
    expect([await hasEnded(ada), await hasEnded(grace), await hasEnded(nobody)]).toEqual([true, true, false]);
    expect(await run(["revoke", "--all", "--json"])).toEqual({ code: 0, stdout: '{"ended":0}', stderr: "" });
    expect(await run(["revoke", "--all"])).toEqual({
      code: 0,
      stdout: "",
      stderr: expect.stringContaining("Nobody is signed in. Looked in: "),
    });
  });
});

const local = () => ({ type: "local", path: `${temporaryFolder()}/tokens` }) as const;

test.each([
  [[]],
  [["--yes"]],
  [["--user", "ada", "--all"]],
  [["--user", "ada", "--session", "x"]],
  [["--session", "x", "--all"]],
  [["--user", "ada", "--session", "x", "--all"]],
])("exactly one of the three, or nothing is even read: %j", async (argv) => {
  expect(await commandLine(["revoke", "--settings", "/nowhere/settings.yml", ...argv])).toEqual({
    code: 2,
    stdout: "",
    stderr: "Say what to end: exactly one of --user, --session and --all.\nHelp: npx express-tokenizer revoke --help",
  });
});

test.each([
  "x",
  "fKMZpUDJU",
  "a".repeat(23),
  "a".repeat(500),
  "../../x",
  "\u001b[2J",
  "s:aVaMz9tV9nqZFhVx5JSmKNmuaQzYHdoi.c2lnbmF0dXJl",
])("what can be no id is not found, not looked for, and not shown: it may be a cookie: %j", async (id) => {
  const { app, run } = await appAt(local());
  const looked = ["read", "entries"].map((method) => jest.spyOn(LocalBackend.prototype, method as "read"));
  const at = terminal("y");
  const answer = await run(["revoke", "--session", id], { terminal: at });
  for (const spy of looked) expect(spy).not.toHaveBeenCalled();
  jest.restoreAllMocks();
  expect(answer).toEqual({
    code: 1,
    stdout: "",
    stderr: `That is no session's id: one has 10 to 22 characters, or 43. The command sessions lists those there are. Looked in: the folder ${app.path}`,
  });
  expect(at.questions).toEqual([]);
});

test("an id may begin with a hyphen, or with two", async () => {
  const { app, file, run } = await appAt(local());
  const backend = backendOf(file);
  const ids = [`-${"a".repeat(21)}`, `--${"b".repeat(41)}`] as const;
  const expires = Date.now() + MINUTE;
  const head = { created: Date.now(), v: 2 };
  const signIn = { user: "ada", handle: ids[0], by: "somebody", since: 1, name: "a record", endings: 0 };
  const signedInHead = JSON.stringify({ ...head, signIn });
  await backend.write(storageKey("x"), { value: `${signedInHead}\n{}`, version: "1", expires }, "absent");
  const value = `${JSON.stringify(head)}\n{}`;
  await backend.write(SESSION_PREFIX + ids[1], { value, version: "2", expires }, "absent");
  await backend.close();
  for (const id of ids) expect(await run(["revoke", "--session", id])).toMatchObject({ code: 0 });
  expect(await app.sessions.store.length()).toBe(0);
});

test("where two ids begin alike, neither is ended", async () => {
  const { file, run } = await appAt(local());
  const backend = backendOf(file);
  const expires = Date.now() + MINUTE;
  const value = `${JSON.stringify({ created: Date.now(), v: 2 })}\n{}`;
  for (const last of ["b", "c"]) {
    const key = `${SESSION_PREFIX}${"a".repeat(42)}${last}`;
    await backend.write(key, { value, version: last, expires }, "absent");
  }
  await backend.close();
  expect(await run(["revoke", "--session", "a".repeat(10)])).toEqual({
    code: 1,
    stdout: "",
    stderr: "2 sessions have ids that begin with aaaaaaaaaa. Take a whole id: sessions --json prints them.",
  });
  expect(JSON.parse((await run(["sessions", "--json"])).stdout)).toHaveLength(2);
});

describe("at a terminal", () => {
  test.each(["y", "Y", "yes", " yes "])("it asks; %j is a yes", async (answer) => {
    const { app, run } = await appAt(local());
    const ada = await signedIn(app, "ada");
    const at = terminal(answer);
    expect(await run(["revoke", "--user", "ada"], { terminal: at })).toMatchObject({ code: 0 });
    expect(at.questions).toEqual([`End the only session of ada, in the folder ${app.path}? [y/N] `]);
    expect(await hasEnded(ada)).toBe(true);
  });

  test.each(["", "n", "no", "yeah", "ja"])("it asks; %j is a no", async (answer) => {
    const { app, run } = await appAt(local());
    const ada = await signedIn(app, "ada");
    const at = terminal(answer);
    expect(await run(["revoke", "--all"], { terminal: at })).toEqual({
      code: 1,
      stdout: "",
      stderr: "Nothing was ended.",
    });
    expect(at.questions).toEqual([`End all sessions of all users, in the folder ${app.path}? [y/N] `]);
    expect(await hasEnded(ada)).toBe(false);
  });

  test("whose errors go elsewhere, where the question would, too, nothing is ended without --yes", async () => {
    const { app, run } = await appAt(local());
    const ada = await signedIn(app, "ada");
    expect(await run(["revoke", "--all"], { isAttended: true })).toEqual({
      code: 2,
      stdout: "",
      stderr: "Your answer cannot be asked for here: add --yes.\nHelp: npx express-tokenizer revoke --help",
    });
    expect(await hasEnded(ada)).toBe(false);
    expect(await run(["revoke", "--all", "--yes"], { isAttended: true })).toMatchObject({ code: 0 });
  });

  test("--yes is the answer beforehand", async () => {
    const { app, run } = await appAt(local());
    await signedIn(app, "ada");
    const at = terminal("n");
    expect(await run(["revoke", "--all", "--yes"], { terminal: at })).toMatchObject({ code: 0 });
    expect(at.questions).toEqual([]);
  });

  test("the question names nobody in a way that draws on it", async () => {
    const { app, run } = await appAt(local());
    await signedIn(app, "\u001b[2J");
    await signedIn(app, "\u001b[2J");
    const at = terminal("n");
    await run(["revoke", "--user", "\u001b[2J"], { terminal: at });
    expect(at.questions).toEqual([expect.stringMatching(/^End all 2 sessions of \\u001b\[2J, in the folder /)]);
  });

  test("it asks nothing where there is nothing to end", async () => {
    const { run } = await appAt(local());
    const at = terminal("y");
    expect(await run(["revoke", "--user", "nobody"], { terminal: at })).toMatchObject({
      code: 0,
      stderr: expect.stringMatching(/^nobody has no live session\. Looked in: /),
    });
    const id = "a".repeat(22);
    expect(await run(["revoke", "--session", id], { terminal: at })).toMatchObject({
      code: 1,
      stderr: expect.stringMatching(`^There is no live session ${id}\\. `),
    });
    expect(at.questions).toEqual([]);
  });

  test("it says whose a session is; the beginning that the table shows is enough", async () => {
    const { app, run } = await appAt(local());
    const [one, two] = [await signedIn(app, "ada"), await signedIn(app, "ada")];
    const [id = ""] = await handlesOf(app, "ada");
    const at = terminal("y");
    const begin = id.slice(0, 10);
    expect(await run(["revoke", "--session", begin], { terminal: at })).toMatchObject({ code: 0 });
    expect(at.questions).toEqual([`End the session ${begin} of ada, in the folder ${app.path}? [y/N] `]);
    expect([await hasEnded(one), await hasEnded(two)]).toEqual([true, false]);
  });
});
