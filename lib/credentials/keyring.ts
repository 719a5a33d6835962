/** The keys of an installation: made from each `safe_password`, slowly, once at start; or those of one process alone. */
import { hkdfSync, randomBytes, scrypt } from "node:crypto";

/** Everything derived from one `safe_password`. */
export interface Key {
  /** Names the key in what it sealed. Tells nothing about the password without the slow step below. */
  readonly id: string;
  readonly master: Buffer;
  /** Signs the cookie, unless the settings name a secret for that. */
  readonly cookieSecret: string;
  /** Signs what devices are asked to prove, and the cookies that they get for it. */
  readonly deviceSecret: string;
}

/** The first key seals; all of them open. */
export interface Keyring {
  readonly current: Key;
  find(id: string): Key | undefined;
  readonly cookieSecrets: readonly string[];
  readonly deviceSecrets: readonly [current: string, ...older: string[]];
  /** Of all keys, the current one first. */
  readonly ids: readonly [current: string, ...older: string[]];
}

/**
 * N=2^15, r=8, p=3 is one of the equivalent scrypt settings of OWASP's Password Storage Cheat Sheet; it
 * fills 32 MiB, and Node refuses it without a `maxmem` above that.
 */
const SCRYPT = { N: 2 ** 15, r: 8, p: 3, maxmem: 64 * 1024 * 1024 };
const MASTER_BYTES = 32;
const KEY_ID_BYTES = 8;
const SECRET_BYTES = 32;

/**
 * Derives the keys, off the event loop.
 *
 * @param passwords `safe_password`: the first seals, all open. At least one.
 * @param salt the same on every server of an installation.
 */
export async function makeKeyring(passwords: readonly [string, ...string[]], salt: string): Promise<Keyring> {
  const [current, ...older] = await Promise.all([
    deriveKey(passwords[0], salt),
    ...passwords.slice(1).map((password) => deriveKey(password, salt)),
  ]);
  return keyringOf([current, ...older]);
}

/** A key that nobody else has, at once. What it seals and signs ends with it. */
export function makePassingKeyring(): Keyring {
  return keyringOf([keyFrom(randomBytes(MASTER_BYTES))]);
}

function keyringOf([current, ...older]: readonly [Key, ...Key[]]): Keyring {
  const keys = new Map([current, ...older].map((key) => [key.id, key]));
  return {
    current,
    find: (id) => keys.get(id),
    cookieSecrets: [...keys.values()].map((key) => key.cookieSecret),
    deviceSecrets: [current.deviceSecret, ...older.map((key) => key.deviceSecret)],
    ids: [current.id, ...older.map((key) => key.id)],
  };
}

async function deriveKey(password: string, salt: string): Promise<Key> {
  const master = await new Promise<Buffer>((resolve, reject) => {
    scrypt(password, salt, MASTER_BYTES, SCRYPT, (error, key) => (error ? reject(error) : resolve(key)));
  });
  return keyFrom(master);
}

function keyFrom(master: Buffer): Key {
  return {
    id: expand(master, "key id", KEY_ID_BYTES),
    master,
    cookieSecret: expand(master, "cookie", SECRET_BYTES),
    deviceSecret: expand(master, "device", SECRET_BYTES),
  };
}

function expand(master: Buffer, purpose: string, bytes: number): string {
  return Buffer.from(hkdfSync("sha256", master, "", purpose, bytes)).toString("base64url");
}
