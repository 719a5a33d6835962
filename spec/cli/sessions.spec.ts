import { stripVTControlCharacters } from "node:util";
import { describe, expect, jest, test } from "@jest/globals";
import { createColors } from "picocolors";
import stringWidth from "string-width";
import { LocalBackend } from "../../lib/backends/local/backend.js";
import { localTime } from "../../lib/cli/text.js";
import { TokenizerError } from "../../lib/errors.js";
import { storageKey } from "../../lib/session-id.js";
import { type App, MINUTE, temporaryFolder } from "../support/app.js";
import { onEveryBackend } from "../support/places.js";
import { appAt, backendOf } from "./command-line.js";

const hashOf = (sessionId: string) => storageKey(sessionId).replace("session:", "");

async function signedIn(app: App, username: string, label?: string) {
  const visitor = app.visitor();
  await visitor.post("/sign-in-labelled", { username, password: "a secret", label });
  return visitor;
}

onEveryBackend((places) => {
  test("everybody's sessions, with the ids that revoke takes, and nothing of the cookies", async () => {
    const { app, run } = await appAt(await places.next());
    const visitors = [await signedIn(app, "ada"), await signedIn(app, "ada"), await signedIn(app, "grace")];
    const nobody = app.visitor();
    await nobody.post("/set", { basket: 1 });

    const { code, stdout, stderr } = await run(["sessions", "--json"]);
    expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
    const handles = async (user: string) => (await app.sessions.users.list(user)).map(({ id }) => ({ id, user }));
    const expected = [...(await handles("ada")), ...(await handles("grace")), { id: hashOf(nobody.id) }];
    const times = {
      remembered: false,
      bound: false,
      createdAt: new Date(app.clock.time).toISOString(),
      lastSeenAt: new Date(app.clock.time).toISOString(),
      expiresAt: new Date(app.clock.time + 20 * MINUTE).toISOString(),
    };
    const listed = JSON.parse(stdout);
    expect(listed).toHaveLength(4);
    expect(listed).toEqual(expect.arrayContaining(expected.map((one) => ({ ...one, ...times }))));
    const table = await run(["sessions"]);
    for (const { id } of [...visitors, nobody]) expect(stdout + table.stdout).not.toContain(id);
  });

  test("one user's, the oldest first and with their labels", async () => {
    const { app, run } = await appAt(await places.next());
    await signedIn(app, "ada", "phone");
    app.clock.forward(1000);
    await signedIn(app, "ada", "laptop");
    await signedIn(app, "grace", "desk");
    const { code, stdout, stderr } = await run(["sessions", "--user", "ada", "--json"]);
    expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
    const own = await app.sessions.users.list("ada");
    const expected = own.map(({ current: _, ...session }) => ({ ...session, user: "ada" }));
    expect(JSON.parse(stdout)).toEqual(JSON.parse(JSON.stringify(expected)));
    expect(expected.map(({ label }) => label)).toEqual(["phone", "laptop"]);
  });

  test("none: an empty array; without --json nothing is printed, and it is told", async () => {
    const { run } = await appAt(await places.next());
    expect(await run(["sessions", "--json"])).toEqual({ code: 0, stdout: "[]", stderr: "" });
    expect(await run(["sessions"])).toEqual({
      code: 0,
      stdout: "",
      stderr: expect.stringMatching(/^There are no live sessions\. Looked in: \S+ .+$/),
    });
    expect(await run(["sessions", "--user", "ada"])).toEqual({
      code: 0,
      stdout: "",
      stderr: expect.stringContaining("ada has no live session. Looked in: "),
    });
  });
});

const local = () => ({ type: "local", path: `${temporaryFolder()}/tokens` }) as const;

describe("the table", () => {
  const at = (app: App) => {
    const began = localTime(new Date(app.clock.time), Date.now());
    return `${began}  ${began}  ${localTime(new Date(app.clock.time + 20 * MINUTE), Date.now())}`;
  };

  test("where there is no terminal everything is whole", async () => {
    const { app, run } = await appAt(local());
    await signedIn(app, "ada", "phone");
    const nobody = app.visitor();
    await nobody.post("/set", { basket: 1 });
    const [{ id } = { id: "" }] = await app.sessions.users.list("ada");

    const [heading, ...rows] = (await run(["sessions"])).stdout.split("\n");
    expect(heading).toBe(
      `${"id".padEnd(43)}  ${"user".padEnd(26)}  ${"began".padEnd(12)}  ${"last seen".padEnd(12)}  ends`,
    );
    expect(rows.sort()).toEqual(
      [
        `${id.padEnd(43)}  ${"ada".padEnd(26)}  ${at(app)}`,
        `${hashOf(nobody.id)}  ${"–".padEnd(26)}  ${at(app)}`,
      ].sort(),
    );
    expect((await run(["sessions", "--user", "ada"])).stdout.split("\n")).toEqual([
      `${"id".padEnd(22)}  ${"began".padEnd(12)}  ${"last seen".padEnd(12)}  ${"ends".padEnd(12)}  label`,
      `${id}  ${at(app)}  phone`,
    ]);
  });

  test.each([
    ["a long name", "ada.lovelace@analytical-engines.example", "ada.lovelace@analytical-e…"],
    // Two columns each.
    ["Chinese", "阿达洛芙莱斯伯爵夫人阿达洛芙莱斯", "阿达洛芙莱斯伯爵夫人阿达…"],
    // An accent takes none, and belongs to its letter.
    ["accents of their own", "e\u0301".repeat(30), `${"e\u0301".repeat(25)}…`],
    ["a family", "👨‍👩‍👧", "👨\\u200d👩\\u200d👧"],
  ])("fits 80 columns: %s", async (_name, user, shown) => {
    const { app, run } = await appAt(local());
    await signedIn(app, user, "label ".repeat(20));
    const [{ id } = { id: "" }] = await app.sessions.users.list(user);
    for (const argv of [["sessions"], ["sessions", "--user", user]]) {
      const { stdout } = await run(argv, { width: 80 });
      const lines = stdout.split("\n");
      expect(lines).toHaveLength(2);
      for (const line of lines) expect(stringWidth(line)).toBeLessThanOrEqual(80);
      expect(lines[1]?.startsWith(`${id.slice(0, 10)}  `)).toBe(true);
    }
    const [, row = ""] = (await run(["sessions"], { width: 80 })).stdout.split("\n");
    expect(row).toBe(`${id.slice(0, 10)}  ${shown}${" ".repeat(26 - stringWidth(shown))}  ${at(app)}`);
  });

  test("a narrow terminal has a few letters of a name, a wide one as many as make sense", async () => {
    const { app, run } = await appAt(local());
    await signedIn(app, "a".repeat(60));
    expect((await run(["sessions"], { width: 20 })).stdout).toContain(`  ${"a".repeat(7)}…  `);
    expect((await run(["sessions"], { width: 300 })).stdout).toContain(`  ${"a".repeat(39)}…  `);
  });

  test("its headings are bold where there are colours", async () => {
    const { app, run } = await appAt(local());
    await signedIn(app, "ada");
    const { stdout } = await run(["sessions"], { width: 80, colours: createColors(true) });
    const [heading = "", row] = stdout.split("\n");
    const { bold } = createColors(true);
    expect(heading).toBe(bold(stripVTControlCharacters(heading)));
    expect(row).toMatch(/^\S+ +ada /);
  });
});

test("names and labels draw nothing on the terminal; in JSON they are what they are", async () => {
  const { app, run } = await appAt(local());
  const [name, label] = ["\u001b[2Jroot\u202e\n", "\u009b31m\u{e0001}"];
  await signedIn(app, name, label);
  for (const argv of [["sessions"], ["sessions", "--user", name], ["sessions", "--user", name, "--json"]]) {
    const { stdout } = await run(argv);
    // Whose they are, a table of one user's does not say.
    const shown = argv.length === 3 ? "\\u009b31m\\udb40\\udc01" : "\\u001b[2Jroot\\u202e\\";
    expect(stdout).toContain(shown);
    expect(stdout.replaceAll("\n", "")).not.toMatch(/[\p{Cc}\p{Cf}]/u);
  }
  expect(JSON.parse((await run(["sessions", "--user", name, "--json"])).stdout)).toEqual([
    expect.objectContaining({ user: name, label }),
  ]);
  expect((await run(["sessions", "--user", "\u001b[2J"])).stderr).toBe(
    `\\u001b[2J has no live session. Looked in: the folder ${app.path}`,
  );
});

test("a label that a form sent twice is one text", async () => {
  const { app, run } = await appAt(local());
  await signedIn(app, "ada", ["phone", "laptop"] as unknown as string);
  expect(await run(["sessions", "--user", "ada"])).toMatchObject({
    code: 0,
    stdout: expect.stringMatching(/ {2}phone, laptop$/m),
  });
});

test("a store that fails on the way: what was read is printed, and the failure told", async () => {
  const { app, run } = await appAt(local());
  await signedIn(app, "ada");
  const { entries } = LocalBackend.prototype;
  jest.spyOn(LocalBackend.prototype, "entries").mockImplementation(async function* (this: LocalBackend) {
    yield* entries.call(this);
    throw new TokenizerError("STORE_UNAVAILABLE", "The database failed.");
  });
  const { code, stdout, stderr } = await run(["sessions"]);
  jest.restoreAllMocks();
  expect({ code, stderr }).toEqual({ code: 1, stderr: "The database failed." });
  expect(stdout.split("\n")).toHaveLength(2);
});

test("sessions that are sealed whole are listed, too, and their absolute end is told", async () => {
  const { app, run } = await appAt({ ...local(), encrypt: "session", absolute_timeout: 5 });
  await signedIn(app, "ada");
  const [session] = JSON.parse((await run(["sessions", "--json"])).stdout);
  expect(session).toMatchObject({ user: "ada", expiresAt: new Date(app.clock.time + 5 * MINUTE).toISOString() });
});

test("what is damaged, and what is no session, is passed over", async () => {
  const { app, file, run } = await appAt(local());
  const backend = backendOf(file);
  const expires = Date.now() + MINUTE;
  for (const key of ["session:!", "check:x", "user:x"]) {
    await backend.write(key, { value: "damaged", version: key, expires }, "absent");
  }
  await backend.close();
  await signedIn(app, "ada");
  expect(JSON.parse((await run(["sessions", "--json"])).stdout)).toEqual([expect.objectContaining({ user: "ada" })]);
});

test("a maxAge beyond all dates is no fault", async () => {
  const { app, file, run } = await appAt(local());
  const backend = backendOf(file);
  const value = `${JSON.stringify({ created: app.clock.time, maxAge: 1e300, v: 2 })}\n{}`;
  await backend.write("session:x", { value, version: "1", expires: 8.64e15 }, "absent");
  await backend.close();
  expect(await run(["sessions"])).toMatchObject({ code: 0, stderr: "" });
  const [{ createdAt, lastSeenAt }] = JSON.parse((await run(["sessions", "--json"])).stdout);
  expect(lastSeenAt).toBe(createdAt);
});

describe("many", () => {
  test("are read as they are printed, a page at a time", async () => {
    const { file, run } = await appAt(local());
    const backend = backendOf(file);
    const head = JSON.stringify({ created: Date.now(), v: 2 });
    for (let n = 0; n < 600; n++) {
      const record = { value: `${head}\n{}`, version: String(n), expires: Date.now() + MINUTE };
      await backend.write(storageKey(String(n)), record, "absent");
    }
    const prototype = Object.getPrototypeOf(backend);
    await backend.close();
    const { entries } = prototype;
    let read = 0;
    jest.spyOn(prototype, "entries").mockImplementation(async function* (this: unknown) {
      for await (const entry of entries.call(this)) {
        read++;
        yield entry;
      }
    });
    const ahead: number[] = [];
    let printed = 0;
    const print = async () => {
      // The reader takes its time: nothing is read meanwhile.
      await new Promise(setImmediate);
      ahead.push(read - ++printed);
    };
    expect(await run(["sessions"], { print })).toMatchObject({ code: 0 });
    jest.restoreAllMocks();
    expect(printed).toBe(601);
    expect(Math.max(...ahead)).toBeLessThanOrEqual(0);
  });
});
