import { randomUUID } from "node:crypto";
import { describe, expect, test } from "@jest/globals";
import express from "express";
import request from "supertest";
import { makeKeyring, makePassingKeyring } from "../../lib/credentials/keyring.js";
import { type Tokenizer, tokenizer } from "../../lib/tokenizer.js";
import { temporaryFolder } from "../support/app.js";

// Reckoned apart from this package, with scrypt and HMAC alone (RFC 7914, RFC 5869). If one of these has to
// change, everybody's cookies and credentials are over with the release that changes it.
const FROZEN = [
  {
    password: "correct horse battery staple",
    salt: "express-tokenizer",
    master: "c66ca26cf9c2a36817971590f21c553847ec500b51ab8272ad6fdad977d1fd83",
    id: "6h3vaj62TVw",
    cookieSecret: "D9Xf5uEwZUfutonqZHYd8wm9KwLXce_eTpnFgarme0o",
    deviceSecret: "tqQteGrHb21y8zOU5o73sAjiiIu4yKgGuTdGciZQ9SM",
  },
  {
    password: "Пароль 🔑 пароль",
    salt: "another salt",
    master: "1c1969fda1cab21a0c72f136d0feaf687a5bab096724588daa3a7e561caa93e2",
    id: "mOvcBvPBh5E",
    cookieSecret: "mNqLbplRHwcyiIjrXBdiQg9n8SFcnXf80OUYBzFbYDI",
    deviceSecret: "JA_Hwirzq49p9PPd_oiZ3rgYl_DI4op1JDDCp7yDA1E",
  },
];

test.each(FROZEN)("the keys of $password are frozen", async ({ password, salt, ...expected }) => {
  const { current } = await makeKeyring([password], salt);
  expect({ ...current, master: current.master.toString("hex") }).toEqual({ ...expected });
});

test("keys that pass with the process are there at once, whole, and nobody else's", () => {
  const [one, other] = [makePassingKeyring(), makePassingKeyring()];
  const text = expect.any(String);
  expect(one.current).toEqual({ id: text, master: expect.any(Buffer), cookieSecret: text, deviceSecret: text });
  expect(one.current.master).toHaveLength(32);
  expect(one.find(one.current.id)).toBe(one.current);
  expect({ ids: one.ids, secrets: one.cookieSecrets, device: one.deviceSecrets }).toEqual({
    ids: [one.current.id],
    secrets: [one.current.cookieSecret],
    device: [one.current.deviceSecret],
  });
  expect(other.find(one.current.id)).toBeUndefined();
  expect(other.current.cookieSecret).not.toBe(one.current.cookieSecret);
});

describe("a list of passwords", () => {
  test("seals and signs with the first, and knows the keys of all", async () => {
    const { current, find, cookieSecrets, deviceSecrets } = await makeKeyring(
      ["the newest one", "an older one"],
      "salt",
    );
    const { current: newest } = await makeKeyring(["the newest one"], "salt");
    const { current: older } = await makeKeyring(["an older one"], "salt");
    expect(current).toEqual(newest);
    expect(find(newest.id)).toEqual(newest);
    expect(find(older.id)).toEqual(older);
    expect(cookieSecrets).toEqual([newest.cookieSecret, older.cookieSecret]);
    expect(deviceSecrets).toEqual([newest.deviceSecret, older.deviceSecret]);
  });

  test("has no key for an unknown id, or for a name that every object has", async () => {
    const { find } = await makeKeyring(["a password"], "salt");
    expect(["", "unknown", "__proto__", "constructor"].map(find)).toEqual(Array(4).fill(undefined));
  });
});

test("another salt makes other keys", async () => {
  const [one, other] = await Promise.all([makeKeyring(["a password"], "one"), makeKeyring(["a password"], "other")]);
  expect(one.current.id).not.toBe(other.current.id);
  expect(one.current.cookieSecret).not.toBe(other.current.cookieSecret);
});

test("a request that comes before the keys are made waits for them", async () => {
  // A password that no spec had before: its keys are not made yet.
  const section = { type: "local", path: temporaryFolder(), safe_password: randomUUID() } as const;
  let sessions: Tokenizer | undefined;
  const app = express();
  app.use((req, res, next) => {
    sessions = tokenizer({ tokenizer: section });
    sessions(req, res, next);
  });
  app.get("/", (req, res) => {
    req.session.username = "ada";
    res.end();
  });
  const { status, headers } = await request(app).get("/");
  await sessions?.close();
  expect([status, headers["set-cookie"]]).toEqual([200, [expect.any(String)]]);
});
