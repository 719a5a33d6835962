import { randomUUID } from "node:crypto";
import { networkInterfaces } from "node:os";
import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import { startUpstream, type Upstream } from "../../demo-app/upstream.js";
import { ADA, GRACE, notesOf } from "./demo.js";

describe("the notes service", () => {
  let upstream: Upstream;
  beforeAll(async () => {
    upstream = await startUpstream();
  });
  afterAll(() => upstream.close());

  const ask = (path: string, { username, password } = ADA, init: RequestInit = {}) => {
    const authorization = `Basic ${Buffer.from(`${username}:${password}`).toString("base64")}`;
    return fetch(new URL(path, upstream.url), { ...init, headers: { authorization, ...init.headers } });
  };
  const put = (id: string, text: unknown, login = ADA) =>
    ask(`notes/${id}`, login, {
      method: "PUT",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify({ text }),
    });

  test.each([
    ["no credentials", undefined],
    ["another scheme", "Bearer YWRh"],
    ["a wrong password", `Basic ${Buffer.from("ada:no").toString("base64")}`],
    ["an unknown name", `Basic ${Buffer.from("eve:no").toString("base64")}`],
    ["no colon", `Basic ${Buffer.from("ada").toString("base64")}`],
    ["no base64", "Basic §§§".replaceAll("§", "%")],
  ])("refuses %s", async (_what, authorization) => {
    const headers = authorization === undefined ? {} : { authorization };
    const response = await fetch(new URL("notes", upstream.url), { headers });
    expect(response.status).toBe(401);
    expect(response.headers.get("www-authenticate")).toContain("Basic");
  });

  test("keeps the notes of one user from another", async () => {
    const id = randomUUID();
    expect((await put(id, "Ada's")).status).toBe(204);
    expect((await put(id, "Grace's", GRACE)).status).toBe(204);
    expect((await notesOf(upstream))[0]).toBe("Ada's");
    expect((await notesOf(upstream, GRACE))[0]).toBe("Grace's");
  });

  test("takes the same note twice as one", async () => {
    const id = randomUUID();
    await put(id, "Once");
    await put(id, "Once");
    expect((await notesOf(upstream)).filter((note) => note === "Once")).toHaveLength(1);
  });

  test.each([
    ["an id that is none", "7", "text"],
    ["no text", randomUUID(), ""],
    ["a text that is none", randomUUID(), 5],
    ["too long a text", randomUUID(), "x".repeat(2001)],
  ])("refuses a note with %s", async (_what, id, text) => {
    expect((await put(id, text)).status).toBe(422);
  });

  test("listens on the loopback address only", async () => {
    const others = Object.values(networkInterfaces())
      .flatMap((addresses) => addresses ?? [])
      .filter(({ family, internal }) => family === "IPv4" && !internal);
    for (const { address } of others) {
      await expect(fetch(`http://${address}:${upstream.url.port}/notes`)).rejects.toThrow("fetch failed");
    }
    expect(upstream.url.hostname).toBe("127.0.0.1");
  });
});
