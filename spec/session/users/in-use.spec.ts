/** A user's sessions as people use them, where the promise was once broken. */
import { afterEach, beforeEach, describe, expect, jest, test } from "@jest/globals";
import type { Request } from "express";
import type { Backend } from "../../../lib/backends/backend.js";
import { TokenizerError } from "../../../lib/errors.js";
import { USER_PREFIX, userKey } from "../../../lib/session-id.js";
import { save } from "../../support/by-promise.js";
import { onEveryBackend } from "../../support/places.js";
import { type Opened, Servers } from "./opened.js";

const DAY = 24 * 60;
const refused = () => new TokenizerError("STORE_UNAVAILABLE", "refused by the spec");

onEveryBackend(({ prototype, next }) => {
  let servers: Servers;

  beforeEach(async () => {
    servers = new Servers(await next(), prototype);
  });

  afterEach(async () => {
    jest.restoreAllMocks();
    await servers.close();
  });

  /** Refuses calls whose key begins so, before or after they are carried out. */
  function refuse(
    method: "read" | "write" | "remove",
    prefix: string,
    { after = false, times = Number.POSITIVE_INFINITY } = {},
  ) {
    const { [method]: real } = prototype;
    let left = times;
    return jest.spyOn(prototype, method).mockImplementation(async function (this: Backend, ...args: never[]) {
      const isMet = String(args[0]).startsWith(prefix) && left-- > 0;
      if (isMet && !after) throw refused();
      const result = await Reflect.apply(real, this, args);
      if (isMet) throw refused();
      return result;
    } as never);
  }

  /** As an eviction, or a failover that loses the last writes, takes it. */
  async function loseRecordOf(user: string): Promise<void> {
    const backends = jest.spyOn(prototype, "read");
    const { users } = await servers.open();
    await users.list(user);
    const [backend] = backends.mock.contexts as Backend[];
    backends.mockRestore();
    expect(await backend?.remove(userKey(user))).toBe(true);
  }

  /** Changes the session every so often. */
  async function keepBusy(server: Opened, req: Request, { minutes, every }: { minutes: number; every: number }) {
    for (let passed = 0; passed < minutes; passed += every) {
      servers.forward(every);
      const later = await server.visit(req);
      if (!later) throw new Error("the session is over");
      Object.assign(later.session, { passed });
      await save(later.session);
    }
  }

  describe("a session that is changed every 30 s", () => {
    test("is listed and revoked after three hours", async () => {
      const server = await servers.open();
      const req = await server.signIn("ann");
      await keepBusy(server, req, { minutes: 180, every: 0.5 });
      await server.store.prune();
      expect(await server.users.list("ann")).toHaveLength(1);
      expect(await server.users.revoke("ann")).toBe(1);
      expect(await server.isIn(req)).toBe(false);
    });

    test("is ended with everyone's", async () => {
      const server = await servers.open();
      const req = await server.signIn("ann");
      await keepBusy(server, req, { minutes: 60, every: 0.5 });
      expect(await server.users.revokeEveryone()).toBe(1);
      expect(await server.isIn(req)).toBe(false);
    });

    test("counts for the limit", async () => {
      const server = await servers.open({ sessions_per_user: 1 });
      const first = await server.signIn("ann");
      await keepBusy(server, first, { minutes: 60, every: 0.5 });
      const second = await server.signIn("ann");
      expect(await server.alive([first, second])).toEqual([second]);
    });
  });

  describe("a cookie.maxAge of 30 days", () => {
    async function remembered(server: Opened): Promise<Request> {
      const req = await server.signIn("ann");
      req.session.cookie.maxAge = 30 * DAY * 60_000;
      await save(req.session);
      return req;
    }

    test.each([41 / DAY, 1, 29])("is revoked after a pause of %d days", async (days) => {
      const server = await servers.open();
      const req = await remembered(server);
      servers.forward(days * DAY);
      await server.store.prune();
      expect(await server.users.list("ann")).toHaveLength(1);
      expect(await server.users.revoke("ann")).toBe(1);
      expect(await server.isIn(req)).toBe(false);
    });

    test("is revoked although another server moved the end of a short one since", async () => {
      const [one, other] = [await servers.open(), await servers.open()];
      const short = await other.signIn("ann");
      const long = await remembered(one);
      for (let passed = 0; passed < 60; passed += 10) {
        servers.forward(10);
        expect(await other.isIn(short)).toBe(true);
      }
      servers.forward(10 * DAY);
      expect(await other.users.revoke("ann")).toBe(1);
      expect(await one.isIn(long)).toBe(false);
    });

    test("that is set while the user's record cannot be read is refused, and nothing has changed", async () => {
      const server = await servers.open();
      const req = await server.signIn("ann");
      const trouble = refuse("read", USER_PREFIX);
      req.session.cookie.maxAge = 30 * DAY * 60_000;
      await expect(save(req.session)).rejects.toMatchObject({ status: 503 });
      trouble.mockRestore();
      const [{ expiresAt } = { expiresAt: new Date(0) }] = await server.users.list("ann");
      expect(expiresAt.getTime()).toBe(servers.now + 20 * 60_000);
    });
  });

  describe("a user's record that was lost", () => {
    test("lists a session again at its next due request", async () => {
      const server = await servers.open();
      const req = await server.signIn("ann", { label: "phone" });
      await loseRecordOf("ann");
      expect(await server.users.list("ann")).toEqual([]);
      servers.forward(2);
      expect(await server.isIn(req)).toBe(true);
      expect(await server.users.list("ann")).toMatchObject([{ label: "phone" }]);
      expect(await server.users.revoke("ann")).toBe(1);
      expect(await server.isIn(req)).toBe(false);
    });

    test("lists them again the oldest first, whoever came first", async () => {
      const server = await servers.open();
      const older = await server.signIn("ann", { label: "the older one" });
      servers.forward(1);
      const newer = await server.signIn("ann", { label: "the newer one" });
      await loseRecordOf("ann");
      servers.forward(2);
      for (const req of [newer, older]) expect(await server.isIn(req)).toBe(true);
      const labels = (await server.users.list("ann")).map(({ label }) => label);
      expect(labels).toEqual(["the older one", "the newer one"]);
    });

    test("and a revoke before that: the session ends at its next due request", async () => {
      const server = await servers.open();
      const req = await server.signIn("ann");
      await loseRecordOf("ann");
      expect(await server.users.revoke("ann")).toBe(0);
      servers.forward(2);
      expect(await server.isIn(req)).toBe(false);
      expect(await server.store.length()).toBe(0);
    });

    test("does not keep its sessions from being ended with everyone's", async () => {
      const server = await servers.open();
      const req = await server.signIn("ann");
      await loseRecordOf("ann");
      expect(await server.users.revokeEveryone()).toBe(1);
      expect(await server.isIn(req)).toBe(false);
    });

    test("does not keep the present session from being ended alone, or from being excepted", async () => {
      const server = await servers.open();
      const [one, other] = [await server.signIn("ann"), await server.signIn("ann")];
      await loseRecordOf("ann");
      expect(await server.users.revoke("ann", { only: one })).toBe(1);
      expect(await server.users.revoke("ann", { except: other })).toBe(0);
      servers.forward(2);
      expect(await server.alive([one, other])).toEqual([other]);
      expect(await server.users.list("ann", { current: other })).toMatchObject([{ current: true }]);
    });
  });

  test("long labels: 35 sign-ins, all listed and ended, with everyone else's", async () => {
    const server = await servers.open();
    const label = "Mozilla/5.0 ".repeat(1000);
    const requests = [];
    for (let count = 0; count < 35; count++) requests.push(await server.signIn("ann", { label }));
    const others = await Promise.all(Array.from({ length: 8 }, (_, n) => server.signIn(`other ${n}`)));
    const labels = (await server.users.list("ann")).map(({ label }) => label);
    expect(labels).toEqual(Array(35).fill(label.slice(0, 100)));
    expect(await server.users.revokeEveryone()).toBe(43);
    expect(await server.alive([...requests, ...others])).toEqual([]);
  });

  test.each([
    ["a list, as of ?device=a&device=b", ["phone", "laptop"], "phone, laptop"],
    ["an emoji at the border", `${"x".repeat(99)}👩rest`, `${"x".repeat(99)}👩`],
    ["nothing", "", undefined],
    ["an object, as of ?device[x]=1", { x: 1 }, undefined],
    ["a number", 42, undefined],
  ])("a label is text, at most 100 characters: %s", async (_, label, expected) => {
    const server = await servers.open();
    await server.signIn("ann", { label: label as string });
    expect((await server.users.list("ann"))[0]?.label).toBe(expected);
  });

  test("refused sign-ins throw nobody out: a limit of 3, three live, three whose session is not written", async () => {
    const server = await servers.open({ sessions_per_user: 3 });
    const requests = [await server.signIn("ann"), await server.signIn("ann"), await server.signIn("ann")];
    for (let count = 0; count < 3; count++) {
      const trouble = refuse("write", "session:");
      await expect(server.signIn("ann")).rejects.toMatchObject({ status: 503 });
      trouble.mockRestore();
    }
    expect(await server.alive(requests)).toEqual(requests);
    expect(await server.users.list("ann")).toHaveLength(3);
  });

  test("a limit that was lowered ends the oldest at its next due request, also where no other one comes", async () => {
    const before = await servers.open({ sessions_per_user: 3 });
    const requests = [await before.signIn("ann"), await before.signIn("ann"), await before.signIn("ann")];
    const after = await servers.open({ sessions_per_user: 1 });
    servers.forward(2);
    expect(await after.isIn(requests[0] as Request)).toBe(false);
    expect(await after.users.list("ann")).toHaveLength(1);
  });

  test("a revoke that was cut off after marking is finished by the next due request", async () => {
    const server = await servers.open();
    const req = await server.signIn("ann");
    const trouble = refuse("remove", "session:");
    await expect(server.users.revoke("ann")).rejects.toMatchObject({ status: 503, ended: 0, failed: 1 });
    trouble.mockRestore();
    expect(await server.users.list("ann")).toEqual([]);
    const again = await server.signIn("ann");
    const cutOff = refuse("remove", "session:");
    await expect(server.users.revoke("ann")).rejects.toMatchObject({ code: "STORE_UNAVAILABLE" });
    cutOff.mockRestore();
    servers.forward(2);
    expect(await server.alive([req, again])).toEqual([]);
  });

  test("a fault for one user does not keep the others' sessions alive, and the error counts", async () => {
    const server = await servers.open();
    for (const name of ["ann", "ann", "bob", "eve"]) await server.signIn(name);
    const trouble = refuse("write", userKey("bob"));
    const error = await server.users.revokeEveryone().catch((error) => error);
    expect(error).toMatchObject({ code: "STORE_UNAVAILABLE", status: 503, ended: 4, failed: 1 });
    trouble.mockRestore();
    expect(await server.users.revokeEveryone()).toBe(0);
    expect(await server.store.length()).toBe(0);
  });

  describe("username set on a session that is there already", () => {
    test("is listed as last seen at its sign-in, not before", async () => {
      const server = await servers.open();
      const req = server.request();
      Object.assign(req.session, { cart: 1 });
      await save(req.session);
      await server.signInByHand("ann", req);
      const now = new Date(servers.now);
      expect(await server.users.list("ann")).toMatchObject([{ createdAt: now, lastSeenAt: now }]);
    });

    test("meets a revoke, and the confirming read fails: 503, and nobody is in unlisted", async () => {
      const server = await servers.open();
      const req = server.request();
      Object.assign(req.session, { cart: 1 });
      await save(req.session);
      const { write } = prototype;
      let trouble: ReturnType<typeof refuse> | undefined;
      jest.spyOn(prototype, "write").mockImplementation(async function (this: Backend, key, ...args) {
        const isWritten = await write.call(this, key, ...args);
        if (key.startsWith("session:")) trouble = refuse("read", USER_PREFIX, { times: 1 });
        return isWritten;
      });
      await expect(server.signInByHand("ann", req)).rejects.toMatchObject({ status: 503 });
      trouble?.mockRestore();
      jest.restoreAllMocks();
      const other = await servers.open();
      expect(await other.users.list("ann")).toHaveLength(1);
      await other.users.revoke("ann");
      expect(await server.isIn(req)).toBe(false);
    });

    test("whose user's sessions are ended meanwhile is refused, and the session is over", async () => {
      const [server, other] = [await servers.open(), await servers.open()];
      const req = server.request();
      Object.assign(req.session, { cart: 1 });
      await save(req.session);
      const { write } = prototype;
      jest.spyOn(prototype, "write").mockImplementation(async function (this: Backend, key, ...args) {
        if (key.startsWith("session:")) await other.users.revoke("ann");
        return write.call(this, key, ...args);
      });
      await expect(server.signInByHand("ann", req)).rejects.toMatchObject({ code: "SESSION_REVOKED" });
      jest.restoreAllMocks();
      // What the error page does with it brings nothing back.
      Object.assign(req.session, { flash: "sorry" });
      await save(req.session);
      expect(server.engine.known.isStored(req.session)).toBe(false);
      expect(await server.isIn(req)).toBe(false);
      expect(await server.store.length()).toBe(0);
    });
  });

  describe("two applications on one place", () => {
    test("end, list and count their own users alone", async () => {
      const limit = { sessions_per_user: 2 };
      const shop = await servers.open(limit);
      const forum = await servers.open({ ...limit, safe_password: "the other application's password" });
      const shoppers = [await shop.signIn("ann"), await shop.signIn("ann")];
      const talkers = [await forum.signIn("ann"), await forum.signIn("ann")];
      expect(await shop.alive(shoppers)).toEqual(shoppers);
      expect(await shop.users.list("ann")).toHaveLength(2);
      expect(await forum.users.revoke("ann")).toBe(2);
      servers.forward(2);
      expect(await shop.alive(shoppers)).toEqual(shoppers);
      const [talker] = [await forum.signIn("ann")];
      expect(await shop.users.revokeEveryone()).toBe(2);
      servers.forward(2);
      expect(await forum.alive([...talkers, talker])).toEqual([talker]);
    });
  });

  test("a rotation of the password does not split a user's list", async () => {
    const OLD = "the old password, for specs";
    const NEW = "the new password, for specs";
    const before = await servers.open({ safe_password: OLD });
    const req = await before.signIn("ann");
    const both = await servers.open({ safe_password: [NEW, OLD] });
    expect(await both.users.list("ann")).toHaveLength(1);
    const came = await both.visit(req);
    await both.engine.commit(came?.session as Request["session"]);
    const after = await servers.open({ safe_password: NEW });
    expect(await after.users.list("ann")).toHaveLength(1);
    expect(await after.users.revoke("ann")).toBe(1);
  });

  describe("with a cookie.secret of its own, whose cookies outlive the safe_password", () => {
    const cookie = { secret: "a secret for the cookies of specs" };

    test.each(["revoke", "revokeEveryone"] as const)(
      "%s ends who came before the password was replaced",
      async (how) => {
        const before = await servers.open({ cookie });
        const req = await before.signIn("ann");
        const after = await servers.open({ cookie, safe_password: "another one, since that was stolen" });
        expect(await after.users.list("ann")).toHaveLength(1);
        expect(await (how === "revoke" ? after.users.revoke("ann") : after.users.revokeEveryone())).toBe(1);
        servers.forward(2);
        expect(await after.isIn(req)).toBe(false);
      },
    );

    test("the rotation of that secret does not split a user's list", async () => {
      const before = await servers.open({ cookie });
      await before.signIn("ann");
      const after = await servers.open({ cookie: { secret: ["the new secret for cookies of specs", cookie.secret] } });
      expect(await after.users.revoke("ann")).toBe(1);
    });
  });

  test.each([
    ["lone surrogates", "ann\ud800", "ann\udfff"],
    ["a lone surrogate and what stands for one", "ann\ud800", "ann\ufffd"],
    ["a lone surrogate and its escape", "ann\ud800", "ann\\ud800"],
    ["forms of Unicode", "Zo\u00eb", "Zoe\u0308"],
    ["capitals", "ann", "Ann"],
    ["a space", "ann", "ann "],
    ["NUL", "ann", "ann\0"],
    ["keys of Object.prototype", "__proto__", "constructor"],
  ])("users whose names differ in %s are two", async (_, name, other) => {
    const server = await servers.open();
    const [one, two] = [await server.signIn(name), await server.signIn(other)];
    expect(await server.users.list(name, { current: one })).toMatchObject([{ current: true }]);
    expect(await server.users.revoke(name)).toBe(1);
    expect(await server.alive([one, two])).toEqual([two]);
  });

  describe("wrong arguments and names are the application's mistake", () => {
    test.each([undefined, null, "", 42, {}, ["ann"]])("list and revoke of %p", async (username) => {
      const { users } = await servers.open();
      const mistake = { code: "ARGUMENT_INVALID", status: 500, message: expect.stringContaining("a user's name") };
      await expect(users.list(username as string)).rejects.toMatchObject(mistake);
      await expect(users.revoke(username as string)).rejects.toMatchObject(mistake);
    });

    test.each([42, null, {}, [1], true])("revoke only or except %p, or list current", async (choice) => {
      const server = await servers.open();
      const req = await server.signIn("ann");
      const mistake = { code: "ARGUMENT_INVALID", status: 500 };
      await expect(server.users.revoke("ann", { only: choice as string })).rejects.toMatchObject(mistake);
      await expect(server.users.revoke("ann", { except: choice as string })).rejects.toMatchObject(mistake);
      await expect(server.users.list("ann", { current: choice as unknown as Request })).rejects.toMatchObject(mistake);
      expect(await server.isIn(req)).toBe(true);
    });

    test.each([
      ["a handle", "fKMZpUDJUAlKCRf9yNtXbg", "a value of type string"],
      ["null", null, "null"],
      ["a request that no sessions were mounted for", {}, "an object without sessionID"],
    ])("where only a request will do, %s is told what would have", async (_, found, kind) => {
      const { users } = await servers.open();
      const message = (name: string) => `sessions.users: ${name} is a request with a session. It got ${kind}.`;
      const request = found as unknown as Request;
      expect(() => users.handle(request)).toThrow(message("handle's argument"));
      await expect(users.list("ann", { current: request })).rejects.toThrow(message("current"));
    });

    test.each([
      ["null", null],
      ["a handle", "fKMZpUDJUAlKCRf9yNtXbg"],
      ["a list of handles", ["fKMZpUDJUAlKCRf9yNtXbg"]],
      ["a misspelt option", { exept: "fKMZpUDJUAlKCRf9yNtXbg" }],
    ])("%s in the place of the options ends and lists nothing", async (_, options) => {
      const server = await servers.open();
      const req = await server.signIn("ann");
      const mistake = { code: "ARGUMENT_INVALID", status: 500, message: expect.stringContaining("It got ") };
      await expect(server.users.revoke("ann", options as object)).rejects.toMatchObject(mistake);
      await expect(server.users.list("ann", options as object)).rejects.toMatchObject(mistake);
      expect(await server.isIn(req)).toBe(true);
    });

    test("nor does the request itself", async () => {
      const server = await servers.open();
      const req = await server.signIn("ann");
      const mistake = { code: "ARGUMENT_INVALID", status: 500, message: expect.not.stringContaining(req.sessionID) };
      await expect(server.users.revoke("ann", req as object)).rejects.toMatchObject(mistake);
      await expect(server.users.list("ann", req as object)).rejects.toMatchObject(mistake);
      expect(await server.isIn(req)).toBe(true);
    });

    test.each([42, "", {}, ["ann"], true])("req.session.username = %p", async (username) => {
      const server = await servers.open();
      const message = expect.stringContaining("req.session.username");
      const mistake = { code: "SESSION_INVALID", status: 500, message };
      await expect(server.signInByHand(username)).rejects.toMatchObject(mistake);
      const req = await server.signIn("ann");
      await expect(server.signInByHand(username, req)).rejects.toMatchObject(mistake);
      expect(await server.users.list("ann")).toHaveLength(1);
      expect(await server.store.length()).toBe(1);
    });

    test.each([null, undefined])("but req.session.username = %p signs out", async (username) => {
      const server = await servers.open();
      const req = await server.signIn("ann");
      await server.signInByHand(username, req);
      expect(await server.users.list("ann")).toEqual([]);
      expect(await server.isIn(req)).toBe(true);
    });
  });
});
