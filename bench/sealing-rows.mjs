// What sealing is measured: ours from the build, as a request comes to it, and how others do the same.
import { createCipheriv, createDecipheriv, pbkdf2Sync, randomBytes } from "node:crypto";
import Iron from "@hapi/iron";
import kruptein from "kruptein";
import { CredentialsSealer } from "../dist/credentials/credentials.js";
import { open, seal } from "../dist/credentials/envelope.js";
import { makeKeyring } from "../dist/credentials/keyring.js";
import { storageKey } from "../dist/session-id.js";

/** Milliseconds. */
export const OPENING_AIM = 0.03;

/** Has what kruptein asks for. */
const PASSWORD = "A Safe Password of the benchmark: 42!";
const SALT = "a salt of the benchmark";
const credentials = { username: "ada", password: "a password of the user's own" };
const text = JSON.stringify({ credentials, username: "ada", at: Date.now() });

const keyring = await makeKeyring([PASSWORD], SALT);
const sealer = new CredentialsSealer({ keyring, now: Date.now, warn: console.warn });
const id = randomBytes(24).toString("base64url");
const session = { id, username: "ada", credentials: sealer.seal(id, credentials, undefined) };
const where = { sessionId: id, storageKey: storageKey(id), purpose: "credentials" };
const envelope = seal(keyring, where, text);

const ironed = await Iron.seal(credentials, PASSWORD, Iron.defaults);

const box = kruptein();
const byPromise = (method, value) =>
  new Promise((resolve, reject) => {
    box[method](PASSWORD, value, (error, result) => (error ? reject(new Error(error)) : resolve(result)));
  });
const boxed = await byPromise("set", text);

const ROUNDS = 100_000;
const derive = () => pbkdf2Sync(PASSWORD, SALT, ROUNDS, 32, "sha256");
const nonce = randomBytes(16);
const encrypt = () => createCipheriv("aes-256-cfb8", derive(), nonce).update(text, "utf8");
const derived = encrypt();

export const rows = [
  {
    name: "ours, on a request",
    open: () => check(sealer.open(session).password),
    seal: () => sealer.seal(id, credentials, undefined),
  },
  {
    name: "ours, the envelope alone",
    open: () => check(JSON.parse(open(keyring, where, envelope)).credentials.password),
    seal: () => seal(keyring, where, text),
  },
  {
    name: "@hapi/iron",
    open: async () => check((await Iron.unseal(ironed, PASSWORD, Iron.defaults)).password),
    seal: () => Iron.seal(credentials, PASSWORD, Iron.defaults),
  },
  {
    name: "kruptein",
    open: async () => check(parsed(await byPromise("get", boxed)).credentials.password),
    seal: () => byPromise("set", text),
  },
  {
    name: "PBKDF2 on every request",
    open: () => check(parsed(createDecipheriv("aes-256-cfb8", derive(), nonce).update(derived)).credentials.password),
    seal: encrypt,
  },
];

export async function secondsOfKeys() {
  const start = performance.now();
  await makeKeyring([PASSWORD], SALT);
  return (performance.now() - start) / 1000;
}

function parsed(value) {
  return typeof value === "object" && !Buffer.isBuffer(value) ? value : JSON.parse(String(value));
}

/** What does not open must not count as fast. */
function check(password) {
  if (password !== credentials.password) throw new Error("It opened to something else.");
}
