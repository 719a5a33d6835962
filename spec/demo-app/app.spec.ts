import { once } from "node:events";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { beforeAll, describe, expect, test } from "@jest/globals";
import { startUpstream } from "../../demo-app/upstream.js";
import { ADA, type Demo, GRACE, hiddenFields, MINUTE, notesOf, startDemo } from "./demo.js";

const ENDED = "Your session has ended";
const WRONG = "do not belong together";

/** What a session or a log must never show. */
function secretsOf(password: string): string[] {
  return [password, Buffer.from(password).toString("base64"), Buffer.from(`ada:${password}`).toString("base64")];
}

describe("signing in", () => {
  let shared: Demo;
  beforeAll(async () => {
    shared = await startDemo();
  });

  test("leads to the user's own notes, fetched as the user", async () => {
    const demo = await startDemo();
    const answer = await demo.visitor().post("/sign-in", ADA);
    expect(answer.status).toBe(303);
    expect(answer.headers.location).toBe("/notes");
    const ada = await demo.visitor().signIn();
    expect(ada.text).toContain("Ask Charles about the carry mechanism");
    expect(ada.text).not.toContain("moth");
    const grace = await demo.visitor().signIn(GRACE);
    expect(grace.text).toContain("Keep the moth");
    expect(grace.text).not.toContain("Charles");
  });

  test("with a wrong password says so once, keeps the name and forgets the password", async () => {
    const visitor = (await startDemo()).visitor();
    const answer = await visitor.post("/sign-in", { username: "ada", password: "guess-4711" });
    expect([answer.status, answer.headers.location]).toEqual([303, "/sign-in"]);
    const page = await visitor.open("/sign-in");
    expect(page.text).toContain(WRONG);
    expect(page.text).toContain('value="ada"');
    expect(page.text).not.toContain("guess-4711");
    const reloaded = await visitor.open("/sign-in");
    expect(reloaded.text).not.toContain(WRONG);
    expect(reloaded.text).not.toContain(ENDED);
  });

  test("that went wrong leaves no session behind", async () => {
    const demo = await startDemo();
    const visitor = demo.visitor();
    await visitor.post("/sign-in", { username: "ada", password: "guess" }).redirects(1);
    expect(await countSessions(demo)).toBe(0);
  });

  test.each([
    ["no name", { password: "x" }, "enter both"],
    ["an empty password", { username: "ada", password: "" }, "enter both"],
    ["a name given twice", { username: ["ada", "ada"], password: ADA.password }, "enter both"],
    ["a name that nobody has", { username: "mallory", password: "x" }, WRONG],
    ["a name in other letters", { username: "Ada", password: ADA.password }, WRONG],
    ["a name that hides a colon", { username: `ada:${ADA.password.slice(0, 5)}`, password: "x" }, WRONG],
    ["a name that is a property of every object", { username: "__proto__", password: "x" }, WRONG],
  ])("is refused with %s", async (_what, fields: Record<string, string | string[]>, message) => {
    const visitor = shared.visitor();
    await visitor.post("/sign-in", fields);
    expect((await visitor.open("/sign-in")).text).toContain(message);
    expect((await visitor.get("/notes")).headers.location).toBe("/sign-in");
  });

  test("does not sign in under a name that the service reads otherwise", async () => {
    // In HTTP Basic, "a:b" with the password "c" is the same text as "a" with the password "b:c".
    const visitor = (await startDemo({ accounts: [{ username: "a", password: "b:c", notes: [] }] })).visitor();
    await visitor.post("/sign-in", { username: "a:b", password: "c" });
    expect((await visitor.open("/sign-in")).text).toContain(WRONG);
    await visitor.post("/sign-in", { username: "a", password: "b:c" });
    expect((await visitor.open("/notes")).text).toContain("No notes yet");
  });

  test("starts a new session under a new id", async () => {
    const visitor = (await startDemo()).visitor();
    const before = await visitor.post("/sign-in", { username: "ada", password: "guess" });
    const after = await visitor.post("/sign-in", ADA);
    expect(cookie(before)).toBeDefined();
    expect(cookie(after)).toBeDefined();
    expect(cookie(after)).not.toBe(cookie(before));
  });

  test("is no page for the signed-in", async () => {
    const visitor = (await startDemo()).visitor();
    await visitor.signIn();
    for (const path of ["/", "/sign-in", "/signed-out"]) {
      const answer = await visitor.get(path);
      expect([answer.status, answer.headers.location]).toEqual([303, "/notes"]);
    }
  });
});

describe("notes", () => {
  test("are behind the sign-in", async () => {
    const answer = await (await startDemo()).visitor().get("/notes");
    expect([answer.status, answer.headers.location]).toEqual([303, "/sign-in"]);
  });

  test("are added as the user, once, with a message that is shown once", async () => {
    const demo = await startDemo();
    const visitor = demo.visitor();
    const page = await visitor.signIn();
    const answer = await visitor.addNote(page, "Buy more punched cards.");
    expect([answer.status, answer.headers.location]).toEqual([303, "/notes"]);
    const after = await visitor.open("/notes");
    expect(after.text).toContain("Your note was added.");
    expect(after.text).toContain("Buy more punched cards.");
    expect((await visitor.open("/notes")).text).not.toContain("Your note was added.");
    await visitor.addNote(page, "Buy more punched cards.");
    expect((await notesOf(demo.upstream)).filter((note) => note.includes("cards"))).toHaveLength(1);
    expect(await notesOf(demo.upstream, GRACE)).toEqual(["Keep the moth. Tape it into the logbook."]);
  });

  test("show markup as text", async () => {
    const visitor = (await startDemo()).visitor();
    await visitor.addNote(await visitor.signIn(), `<script>alert("1")</script> & 'quoted'`);
    const page = await visitor.open("/notes");
    expect(page.text).toContain("&lt;script&gt;alert(&quot;1&quot;)&lt;/script&gt; &amp; &#39;quoted&#39;");
    expect(page.text).not.toContain("<script>");
  });

  test.each([
    ["nothing but spaces", "  \r\n ", "nothing to add"],
    ["more than fits", "x".repeat(2001), "longer than 2,000 characters"],
  ])("of %s are refused", async (_what, text, message) => {
    const demo = await startDemo();
    const visitor = demo.visitor();
    await visitor.addNote(await visitor.signIn(), text);
    expect((await visitor.open("/notes")).text).toContain(message);
    expect(await notesOf(demo.upstream)).toHaveLength(2);
  });

  test("of as many characters as fit are added, whatever their size in bytes", async () => {
    const demo = await startDemo();
    const visitor = demo.visitor();
    const text = "語".repeat(2000);
    await visitor.addNote(await visitor.signIn(), text);
    expect(await notesOf(demo.upstream)).toContain(text);
  });

  test("say when they were written, and in which zone", async () => {
    const page = await (await startDemo()).visitor().signIn();
    expect(page.text).toMatch(/<time datetime="[^"]+">\d+ \w+ \d{4}, \d\d:\d\d \S+<\/time>/);
  });

  test("written as one user do not land among another's", async () => {
    const demo = await startDemo();
    const visitor = demo.visitor();
    const adasPage = await visitor.signIn();
    await visitor.post("/sign-out");
    await visitor.signIn(GRACE);
    const answer = await visitor.addNote(adasPage, "Dear diary");
    expect(answer.status).toBe(409);
    expect(answer.text).toContain("as ada");
    expect(await notesOf(demo.upstream, GRACE)).toHaveLength(1);
    expect(await notesOf(demo.upstream)).toHaveLength(2);
  });

  test("come with an explanation, and with the envelope as the store has it", async () => {
    const demo = await startDemo();
    const page = await demo.visitor().signIn();
    expect(page.text).toContain("Your password is not stored in clear");
    const [, version, key, sealed = ""] = page.text.match(/<span>(v1)<\/span>\.<span>([\w-]+)<\/span>\.([\w-]+)/) ?? [];
    expect(demo.bytes().includes(`${version}.${key}.${sealed}`)).toBe(true);
  });
});

describe("signing out", () => {
  test("ends the session and says so", async () => {
    const demo = await startDemo();
    const visitor = demo.visitor();
    await visitor.signIn();
    const answer = await visitor.post("/sign-out");
    expect([answer.status, answer.headers.location]).toEqual([303, "/signed-out"]);
    const page = await visitor.open("/signed-out");
    expect(page.text).toContain("You are signed out");
    expect(page.text).not.toContain("ada");
    expect((await visitor.get("/notes")).headers.location).toBe("/sign-in");
    expect(await countSessions(demo)).toBe(0);
  });

  test("does not end other sessions of the same user", async () => {
    const demo = await startDemo();
    const [first, second] = [demo.visitor(), demo.visitor()];
    await first.signIn();
    await second.signIn();
    await first.post("/sign-out");
    expect((await second.get("/notes")).status).toBe(200);
  });

  test("needs no session", async () => {
    expect((await (await startDemo()).visitor().post("/sign-out")).headers.location).toBe("/signed-out");
  });
});

describe("an expired session", () => {
  test("is told, and asks to sign in again", async () => {
    const demo = await startDemo();
    const visitor = demo.visitor();
    await visitor.signIn();
    demo.forward(21 * MINUTE);
    expect((await visitor.get("/notes")).headers.location).toBe("/sign-in");
    expect((await visitor.open("/sign-in")).text).toContain(ENDED);
    expect((await visitor.signIn()).text).toContain("Ask Charles");
  });

  test("keeps the note that came too late for its author, and for nobody else", async () => {
    const demo = await startDemo();
    const [ada, other] = [demo.visitor(), demo.visitor()];
    const forms = [await ada.signIn(), await other.signIn()] as const;
    demo.forward(21 * MINUTE);
    await ada.addNote(forms[0], "Written too late");
    await other.addNote(forms[1], "Written too late");
    expect((await ada.open("/sign-in")).text).toContain("it will be waiting");
    expect(await notesOf(demo.upstream)).toHaveLength(2);
    expect((await other.signIn(GRACE)).text).not.toContain("Written too late");
    const page = await ada.signIn();
    expect(page.text).toContain("Written too late");
    await ada.addNote(page, "Written too late");
    expect(await notesOf(demo.upstream)).toContain("Written too late");
    expect(hiddenFields((await ada.open("/notes")).text).id).not.toBe(hiddenFields(page.text).id);
  });

  test("whose credentials no longer open asks to sign in again, and does not go round in circles", async () => {
    const before = await startDemo();
    const Cookie = cookie(await before.visitor().post("/sign-in", ADA)) ?? "";
    const after = await startDemo({ path: before.path, safePassword: "another safe password" });
    const answer = await after.visitor().get("/notes").set({ Cookie });
    expect(answer.headers.location).toBe("/sign-in");
    const page = await after.visitor().get("/sign-in").set({ Cookie });
    expect(page.status).toBe(200);
    expect(page.text).toContain("could not be reopened");
    expect(page.text).not.toContain("ada");
    const again = await after.visitor().post("/sign-in", ADA).set({ Cookie });
    expect(again.headers.location).toBe("/notes");
  });
});

describe("a store that fails", () => {
  test("shows a page that says so, and a way to try again", async () => {
    const demo = await startDemo();
    const visitor = demo.visitor();
    await visitor.signIn();
    await demo.sessions.close();
    const page = await visitor.get("/notes");
    expect(page.status).toBe(503);
    expect(page.headers["set-cookie"]).toBeUndefined();
    expect(page.text).toContain("Your session cannot be reached right now");
    expect(page.text).toContain('href="/notes">Try again');
    expect(demo.log.join("\n")).toMatch(/GET \/notes 503: STORE_CLOSED/);
    expect((await visitor.get("/style.css")).status).toBe(200);
  });

  test("claims nothing of a sign-in", async () => {
    const demo = await startDemo();
    await demo.sessions.close();
    const page = await demo.visitor().post("/sign-in", ADA);
    expect(page.status).toBe(503);
    expect(page.headers["set-cookie"]).toBeUndefined();
    expect(page.text).toContain("You were not signed in");
    expect(page.text).not.toContain(ADA.password);
  });

  test("does not say signed out when it is not certain", async () => {
    const demo = await startDemo();
    const visitor = demo.visitor();
    await visitor.signIn();
    await demo.sessions.close();
    const page = await visitor.post("/sign-out");
    expect(page.status).toBe(503);
    expect(page.text).toContain("not certain that you are signed out");
    expect(page.text).toContain('action="/sign-out"');
  });

  test("before a note was added gives the note back", async () => {
    const demo = await startDemo();
    const visitor = demo.visitor();
    const form = await visitor.signIn();
    await demo.sessions.close();
    const page = await visitor.addNote(form, "Not lost");
    expect(page.status).toBe(503);
    expect(page.text).toContain("Your note was not added");
    expect(page.text).toContain("Not lost</textarea>");
    expect(hiddenFields(page.text)).toEqual(hiddenFields(form.text));
    expect(await notesOf(demo.upstream)).toHaveLength(2);
  });

  test.each([
    ["after a note was added says that it was", 204, "Your note did reach the notes service"],
    ["after a note was sent in vain claims nothing", 500, "It is not known whether your note was added"],
  ])("%s", async (_what, status, message) => {
    const service = createServer(async (req, res) => {
      if (req.method === "PUT") {
        await demo.sessions.close();
        res.writeHead(status).end();
      } else res.setHeader("Content-Type", "application/json").end('{"notes":[]}');
    }).listen(0, "127.0.0.1");
    await once(service, "listening");
    const { port } = service.address() as AddressInfo;
    const demo = await startDemo({ service: new URL(`http://127.0.0.1:${port}`) });
    const visitor = demo.visitor();
    const page = await visitor.addNote(await visitor.signIn(), "Arrived");
    expect(page.status).toBe(503);
    expect(page.text).toContain(message);
    service.close();
    service.closeAllConnections();
  });
});

describe("a notes service that is down", () => {
  test("is told, and the visitor stays signed in", async () => {
    const demo = await startDemo();
    const visitor = demo.visitor();
    await visitor.signIn();
    await demo.upstream.close();
    const page = await visitor.get("/notes");
    expect(page.status).toBe(502);
    expect(page.text).toContain("The notes service is not answering");
    expect(page.text).toContain("Sign out");
    const again = await startUpstream({ port: portOf(demo) });
    expect((await visitor.get("/notes")).status).toBe(200);
    await again.close();
  });

  test("is not a wrong password", async () => {
    const demo = await startDemo();
    await demo.upstream.close();
    const visitor = demo.visitor();
    await visitor.post("/sign-in", ADA);
    const page = await visitor.open("/sign-in");
    expect(page.text).toContain("could not be checked");
    expect(page.text).not.toContain(WRONG);
  });

  test("has the note kept until it is back", async () => {
    const demo = await startDemo();
    const visitor = demo.visitor();
    const form = await visitor.signIn();
    await demo.upstream.close();
    await visitor.addNote(form, "Kept meanwhile");
    expect((await visitor.get("/notes")).text).toContain("waits for you to add it again");
    const again = await startUpstream({ port: portOf(demo) });
    const page = await visitor.open("/notes");
    expect(page.text).toContain("Kept meanwhile</textarea>");
    expect(hiddenFields(page.text).id).toBe(hiddenFields(form.text).id);
    await again.close();
  });

  test("with another password by now asks to sign in again", async () => {
    const demo = await startDemo();
    const visitor = demo.visitor();
    await visitor.signIn();
    await demo.upstream.close();
    const accounts = [{ username: "ada", password: "changed", notes: ["New start"] }];
    const again = await startUpstream({ accounts, port: portOf(demo) });
    const page = await visitor.open("/notes");
    expect(page.text).toContain("no longer accepts the password");
    expect((await visitor.signIn({ username: "ada", password: "changed" })).text).toContain("New start");
    await again.close();
  });
});

describe("posts from elsewhere", () => {
  let demo: Demo;
  beforeAll(async () => {
    demo = await startDemo();
  });

  test.each([
    ["another site", { "Sec-Fetch-Site": "cross-site" }],
    ["another port of the same site", { "Sec-Fetch-Site": "same-site" }],
    ["another site, in an old browser", { Origin: "https://evil.example" }],
    ["a sandboxed frame, in an old browser", { Origin: "null" }],
    ["another port, in an old browser", { Origin: "http://127.0.0.1:1" }],
  ])("of %s are refused before anything is looked up", async (_what, headers: Record<string, string>) => {
    const visitor = demo.visitor();
    const form = await visitor.signIn();
    const page = await visitor.post("/notes", { ...hiddenFields(form.text), text: "Smuggled" }, headers);
    expect(page.status).toBe(403);
    expect(page.text).toContain("Nothing was done with it");
    expect((await visitor.post("/sign-out", {}, headers)).status).toBe(403);
    expect((await visitor.post("/sign-in", ADA, headers)).status).toBe(403);
    expect(await notesOf(demo.upstream)).toHaveLength(2);
    expect((await visitor.get("/notes")).status).toBe(200);
  });

  test.each([
    ["our own page", (_url: string) => ({ "Sec-Fetch-Site": "same-origin" })],
    ["the visitor's own doing", (_url: string) => ({ "Sec-Fetch-Site": "none" })],
    ["our own page, in an old browser", (url: string) => ({ Origin: url })],
  ])("but not those of %s", async (_what, headersFor) => {
    expect((await demo.visitor().post("/sign-in", ADA, { ...headersFor(demo.url) })).headers.location).toBe("/notes");
  });

  test("cannot be kept from reading: links from other sites work", async () => {
    const page = await demo.visitor().get("/sign-in").set("Sec-Fetch-Site", "cross-site");
    expect(page.status).toBe(200);
  });
});

describe("the limit on sign-ins", () => {
  test("answers 429 after ten wrong passwords, to the right one as well", async () => {
    const demo = await startDemo();
    for (let count = 0; count < 10; count++) {
      expect((await demo.visitor().post("/sign-in", { username: "ada", password: `guess ${count}` })).status).toBe(303);
    }
    const page = await demo.visitor().post("/sign-in", ADA);
    expect(page.status).toBe(429);
    expect(Number(page.headers["retry-after"])).toBeGreaterThan(0);
    expect(page.text).toContain("Too many wrong passwords");
    expect((await demo.visitor().get("/sign-in")).status).toBe(200);
  });

  test("does not count right ones", async () => {
    const demo = await startDemo();
    for (let count = 0; count < 12; count++) {
      expect((await demo.visitor().post("/sign-in", ADA)).headers.location).toBe("/notes");
    }
  });

  test("does not let guesses through that come all at once", async () => {
    const demo = await startDemo();
    const guesses = Array.from({ length: 20 }, (_, count) =>
      demo.visitor().post("/sign-in", { username: "ada", password: `guess ${count}` }),
    );
    const statuses = (await Promise.all(guesses)).map(({ status }) => status);
    expect(statuses.filter((status) => status === 303)).toHaveLength(10);
    expect(statuses.filter((status) => status === 429)).toHaveLength(10);
  });
});

describe("every page", () => {
  test("comes with strict headers, and is kept by no cache", async () => {
    const demo = await startDemo();
    const visitor = demo.visitor();
    await visitor.signIn();
    for (const path of ["/notes", "/nowhere", "/signed-out"]) {
      const { headers } = await visitor.get(path);
      expect(headers["cache-control"]).toBe("no-store");
      expect(headers["content-security-policy"]).toContain("default-src 'none'");
      expect(headers["content-security-policy"]).toContain("frame-ancestors 'none'");
      expect(headers["content-security-policy"]).not.toContain("unsafe");
      expect(headers["x-content-type-options"]).toBe("nosniff");
      expect(headers["referrer-policy"]).toBe("same-origin");
      expect(headers["x-powered-by"]).toBeUndefined();
    }
  });

  test("that is not there says so", async () => {
    const visitor = (await startDemo()).visitor();
    const page = await visitor.get("/<script>");
    expect(page.status).toBe(404);
    expect(page.text).toContain("There is no such page");
    expect(page.text).not.toContain("<script>");
  });

  test.each([
    ["too large a form", "x".repeat(40_000), 413],
    ["a form in an unknown charset", "username=ada", 415],
  ])("of a visitor who sends %s says that nothing was done", async (_what, body, status) => {
    const demo = await startDemo();
    const type = `application/x-www-form-urlencoded${status === 415 ? "; charset=ebcdic" : ""}`;
    const page = await demo.visitor().post("/sign-in").set("Content-Type", type).send(body);
    expect(page.status).toBe(status);
    expect(page.text).toContain("Nothing was done with it");
  });

  test("and log is free of passwords, and so is the store", async () => {
    const demo = await startDemo();
    const visitor = demo.visitor();
    const form = await visitor.signIn();
    const pages = [
      form,
      await visitor.get("/nowhere"),
      await visitor.addNote(form, "x".repeat(3000)),
      await visitor.open("/notes"),
    ];
    await demo.upstream.close();
    pages.push(await visitor.get("/notes"), await visitor.addNote(form, "while down"));
    const stored = demo.bytes();
    await demo.sessions.close();
    pages.push(await visitor.get("/notes"), await visitor.post("/sign-in", ADA));
    const seen = pages.map((page) => page.text + JSON.stringify(page.headers)).join("") + demo.log.join("");
    for (const secret of secretsOf(ADA.password)) {
      expect(seen).not.toContain(secret);
      expect(stored.includes(secret)).toBe(false);
    }
  });
});

function cookie(answer: { headers: Record<string, string | string[]> }): string | undefined {
  return [answer.headers["set-cookie"] ?? []].flat()[0]?.split(";")[0];
}

function portOf({ upstream }: Demo): number {
  return Number(upstream.url.port);
}

function countSessions({ sessions }: Demo): Promise<number> {
  return new Promise((resolve, reject) => {
    sessions.store.length((error: unknown, count?: number) => (error ? reject(error) : resolve(count ?? 0)));
  });
}
