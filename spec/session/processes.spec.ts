import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import { type AppProcess, startApp } from "../support/app-process.js";

let folder: string;
let one: AppProcess;
let other: AppProcess;

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), "processes-spec-"));
  [one, other] = await Promise.all([
    startApp({ type: "local", path: folder }),
    startApp({ type: "local", path: folder }),
  ]);
});

afterAll(async () => {
  await Promise.all([one.stop(), other.stop()]);
  rmSync(folder, { recursive: true, force: true });
});

async function signIn(): Promise<string> {
  const { status, cookie } = await one.get("/in");
  expect([status, cookie]).toEqual([200, expect.stringMatching(/^token=/)]);
  return cookie as string;
}

describe("two processes on one folder", () => {
  test("50 parallel requests of one session, each setting its own key: 50 kept", async () => {
    const cookie = await signIn();
    const requests = Array.from({ length: 50 }, (_, n) => (n % 2 ? one : other).get(`/set/key${n}`, cookie));
    await Promise.all([one.get("/waiting/25"), other.get("/waiting/25")]);
    await Promise.all([one.get("/go"), other.get("/go")]);
    const answers = await Promise.all(requests);
    expect(answers.map(({ status }) => status)).toEqual(Array(50).fill(200));
    const { fields, password } = JSON.parse((await one.get("/session", cookie)).text);
    expect(Object.keys(fields).filter((key) => key.startsWith("key"))).toHaveLength(50);
    expect(password).toBe("a secret of ann's");
  });

  test("20 logouts during slow requests: no session comes back, and the slow requests answer 200", async () => {
    const cookies = await Promise.all(Array.from({ length: 20 }, signIn));
    const slow = cookies.map((cookie) => one.get("/set/late", cookie));
    await one.get("/waiting/20");
    const logouts = await Promise.all(cookies.map((cookie) => other.get("/out", cookie)));
    await one.get("/go");
    const answers = await Promise.all(slow);
    expect(logouts.map(({ status }) => status)).toEqual(Array(20).fill(200));
    expect(answers.map(({ status, cookie }) => [status, cookie])).toEqual(Array(20).fill([200, undefined]));
    const after = await Promise.all(cookies.map((cookie) => other.get("/session", cookie)));
    expect(after.map(({ text }) => JSON.parse(text))).toEqual(Array(20).fill({ fields: {}, ended: true }));
  });

  test("what one process wrote, the other finds after its death", async () => {
    const third = await startApp({ type: "local", path: folder });
    const cookie = await signIn();
    const setting = third.get("/set/before-death", cookie);
    await third.get("/waiting/1");
    await third.get("/go");
    expect((await setting).status).toBe(200);
    await third.stop();
    expect(JSON.parse((await other.get("/session", cookie)).text).fields).toMatchObject({ "before-death": true });
  });
});
