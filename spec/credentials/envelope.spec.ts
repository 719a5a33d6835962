import { describe, expect, test } from "@jest/globals";
import { isSealedWithOlderKey, open, type Place, seal, sealWith } from "../../lib/credentials/envelope.js";
import type { Key, Keyring } from "../../lib/credentials/keyring.js";
import { storageKey } from "../../lib/session-id.js";

const KEY: Key = {
  id: "6h3vaj62TVw",
  master: Buffer.from("c66ca26cf9c2a36817971590f21c553847ec500b51ab8272ad6fdad977d1fd83", "hex"),
  cookieSecret: "not used here",
  deviceSecret: "not used here",
};
const OLDER: Key = {
  id: "mOvcBvPBh5E",
  master: Buffer.from("1c1969fda1cab21a0c72f136d0feaf687a5bab096724588daa3a7e561caa93e2", "hex"),
  cookieSecret: "not used here",
  deviceSecret: "not used here",
};
const KEYRING = keyringOf(KEY, OLDER);

const PLACE = placeOf("the-session-id", "credentials");
const TEXT = '{"credentials":{"username":"ada","password":"secret"}}';

// Reckoned apart from this package, from the description of the format. If one of these has to change, it
// takes a new envelope version.
const FROZEN = [
  {
    what: "credentials",
    key: KEY,
    place: PLACE,
    text: TEXT,
    salt: 0x00,
    envelope:
      "v1.6h3vaj62TVw.AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAABgYR1l11GqPtPoICR-PM8k_jfgtUShgHZh_kM0Pd89h7QVtUa-jYYqdngOYGesR_SKfWSf_S64VlWNEsh5s0LdKdOzmf-A",
  },
  {
    what: "an empty text, as a session",
    key: KEY,
    place: placeOf("the-session-id", "session"),
    text: "",
    salt: 0x01,
    envelope: "v1.6h3vaj62TVw.AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQElCLcO1vjQo52nEskJphqO",
  },
  {
    what: "letters beyond ASCII, in text and session id",
    key: KEY,
    place: placeOf("sitzung-ü", "credentials"),
    text: "naïve 🔑",
    salt: 0xff,
    envelope: "v1.6h3vaj62TVw.__________________________________________-xQxBLPhjI_FpKaHgmG0IwhW4cd2fvLsMT7EU",
  },
  {
    what: "another key",
    key: OLDER,
    place: PLACE,
    text: TEXT,
    salt: 0x00,
    envelope:
      "v1.mOvcBvPBh5E.AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAACmllSBPnc_qA-NxhPPUGi2NQmKaV9vIfaTE52SSwIUc5G2KuAXqUMKUaNNfZpCVbga_eE9780Kik-bx_XxOkrnmKkkTPhX",
  },
];

describe.each(FROZEN)("the frozen vector: $what", ({ key, place, text, salt, envelope }) => {
  test("is what sealing makes", () => {
    expect(sealWith(key, place, text, Buffer.alloc(32, salt))).toBe(envelope);
  });

  test("opens", () => {
    expect(open(KEYRING, place, envelope)).toBe(text);
  });
});

describe("what was sealed", () => {
  test("opens again, and looks different each time", () => {
    const envelopes = Array.from({ length: 20 }, () => seal(KEYRING, PLACE, TEXT));
    expect(new Set(envelopes).size).toBe(20);
    expect(envelopes.map((envelope) => open(KEYRING, PLACE, envelope))).toEqual(Array(20).fill(TEXT));
  });

  test("does not show the text", () => {
    const { body } = partsOf(seal(KEYRING, PLACE, TEXT));
    expect(Buffer.from(body, "base64url").includes("secret")).toBe(false);
  });

  test("is sealed with the current key, and tells when it was another", () => {
    expect(seal(KEYRING, PLACE, TEXT)).toMatch(/^v1\.6h3vaj62TVw\.[\w-]+$/);
    expect(isSealedWithOlderKey(KEYRING, sealWith(KEY, PLACE, TEXT, Buffer.alloc(32)))).toBe(false);
    expect(isSealedWithOlderKey(KEYRING, sealWith(OLDER, PLACE, TEXT, Buffer.alloc(32)))).toBe(true);
  });
});

describe("row 13: a changed envelope does not open", () => {
  const envelope = sealWith(KEY, PLACE, TEXT, Buffer.alloc(32, 7));
  const { head, body } = partsOf(envelope);
  const BASE64URL = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

  test("each byte of salt, ciphertext and tag, in each of its bits", () => {
    const bytes = Buffer.from(body, "base64url");
    const changed: string[] = [];
    for (let index = 0; index < bytes.length; index++) {
      for (let bit = 0; bit < 8; bit++) {
        const copy = Buffer.from(bytes);
        copy.writeUInt8(copy.readUInt8(index) ^ (1 << bit), index);
        changed.push(head + copy.toString("base64url"));
      }
    }
    expect(changed).toHaveLength(bytes.length * 8);
    expect(whichOpen(changed)).toEqual([]);
  });

  test("each character, replaced by every other one that an envelope could have", () => {
    const characters = [...BASE64URL, ..."+/=. \n\0é🔑"];
    const changed = [...envelope].flatMap((was, index) =>
      characters
        .filter((character) => character !== was)
        .map((character) => envelope.slice(0, index) + character + envelope.slice(index + 1)),
    );
    expect(changed.length).toBeGreaterThan(envelope.length * 70);
    expect(whichOpen(changed)).toEqual([]);
  });

  test("the unused bits of the last character", () => {
    // Texts one, two and three bytes long, so that the last character has 4, 2 and 0 unused bits.
    const variants = ["a", "ab", "abc"].flatMap((text) => {
      const short = sealWith(KEY, PLACE, text, Buffer.alloc(32, 7));
      const canonical = Buffer.from(partsOf(short).body, "base64url");
      return [...BASE64URL]
        .map((last) => short.slice(0, -1) + last)
        .filter((variant) => variant !== short)
        .filter((variant) => Buffer.from(partsOf(variant).body, "base64url").equals(canonical));
    });
    expect(variants).toHaveLength(15 + 3);
    expect(whichOpen(variants)).toEqual([]);
  });

  test("each character left out, each one doubled", () => {
    const left = [...envelope].map((_, index) => envelope.slice(0, index) + envelope.slice(index + 1));
    const doubled = [...envelope].map((_, index) => envelope.slice(0, index + 1) + envelope.slice(index));
    expect(whichOpen([...left, ...doubled])).toEqual([]);
  });

  test.each([
    ["padded", `${envelope}=`],
    ["padded twice", `${envelope}==`],
    ["with the other base64 alphabet", head + Buffer.from(body, "base64url").toString("base64")],
    ["with a space before it", ` ${envelope}`],
    ["with a line end after it", `${envelope}\n`],
    ["with a NUL after it", `${envelope}\0`],
    ["in capitals", envelope.toUpperCase()],
    ["twice", envelope + envelope],
    ["with a fourth part", `${envelope}.`],
    ["with a byte more", head + Buffer.concat([Buffer.from(body, "base64url"), Buffer.of(0)]).toString("base64url")],
  ])("%s", (_, changed) => {
    expect(changed).not.toBe(envelope);
    expect(open(KEYRING, PLACE, changed)).toBeUndefined();
  });
});

describe("row 14: a tag that was cut does not open", () => {
  const bytes = Buffer.from(partsOf(FROZEN[0]?.envelope ?? "").body, "base64url");

  test.each([15, 12, 8, 4, 1, 0])("to %i bytes", (length) => {
    const cut = bytes.subarray(0, bytes.length - 16 + length);
    expect(open(KEYRING, PLACE, `v1.${KEY.id}.${cut.toString("base64url")}`)).toBeUndefined();
  });

  test("nor do a salt and a short tag with no text between", () => {
    const empty = Buffer.from(partsOf(FROZEN[1]?.envelope ?? "").body, "base64url");
    const cuts = [0, 4, 15].map((length) => empty.subarray(0, 32 + length));
    const place = placeOf("the-session-id", "session");
    expect(cuts.map((cut) => open(KEYRING, place, `v1.${KEY.id}.${cut.toString("base64url")}`))).toEqual(
      Array(3).fill(undefined),
    );
  });
});

describe("an envelope in another place does not open", () => {
  const envelope = seal(KEYRING, PLACE, TEXT);

  test.each<[string, Place]>([
    ["row 15: in another session", placeOf("another-session-id", "credentials")],
    ["row 15: under another storage key", { ...PLACE, storageKey: storageKey("another-session-id") }],
    ["row 15: with the storage key alone, and no session id", { ...PLACE, sessionId: "" }],
    ["row 16: for another purpose", { ...PLACE, purpose: "session" }],
  ])("%s", (_, place) => {
    expect(open(KEYRING, place, envelope)).toBeUndefined();
  });
});

describe("row 17: an unknown version or key id does not open", () => {
  const { body } = partsOf(seal(KEYRING, PLACE, TEXT));

  test.each(["v0", "v2", "v10", "V1", "1", ""])("version %j", (version) => {
    expect(open(KEYRING, PLACE, `${version}.${KEY.id}.${body}`)).toBeUndefined();
  });

  test.each(["AAAAAAAAAAA", "", "__proto__", OLDER.id, KEY.id.toLowerCase(), ` ${KEY.id}`])("key id %j", (id) => {
    expect(open(KEYRING, PLACE, `v1.${id}.${body}`)).toBeUndefined();
  });

  test("row 19: nor does the id of a key that was removed", () => {
    const envelope = seal(keyringOf(OLDER), PLACE, TEXT);
    expect(open(KEYRING, PLACE, envelope)).toBe(TEXT);
    expect(open(keyringOf(KEY), PLACE, envelope)).toBeUndefined();
  });

  test("nor does another password's key under the same id", () => {
    const envelope = seal(keyringOf({ ...OLDER, id: KEY.id }), PLACE, TEXT);
    expect(open(KEYRING, PLACE, envelope)).toBeUndefined();
  });
});

test.each<[string, unknown]>([
  ["undefined", undefined],
  ["null", null],
  ["a number", 1],
  ["true", true],
  ["an object", { username: "ada", password: "secret" }],
  ["an object that cannot be turned into text", { toString: 1 }],
  ["a list", ["v1", KEY.id, "AAAA"]],
  ["a String object", new String(FROZEN[0]?.envelope)],
  ["an empty text", ""],
  ["dots", ".."],
  ["v1..", "v1.."],
  ["v1 with no key id", "v1..AAAA"],
  ["no body", `v1.${KEY.id}.`],
  ["no third part", `v1.${KEY.id}`],
  ["one byte", `v1.${KEY.id}.AA`],
  ["what is no base64url", `v1.${KEY.id}.!!!!`],
  ["a megabyte of a", `v1.${KEY.id}.${"a".repeat(2 ** 20)}`],
  ["a megabyte of dots", ".".repeat(2 ** 20)],
  ["plain JSON", TEXT],
])("what is no envelope does not open: %s", (_, envelope) => {
  expect(open(KEYRING, PLACE, envelope)).toBeUndefined();
});

function keyringOf(current: Key, ...older: Key[]): Keyring {
  return {
    current,
    find: (id) => [current, ...older].find((key) => key.id === id),
    cookieSecrets: [],
    deviceSecrets: ["not used here"],
    ids: [current.id],
  };
}

function placeOf(sessionId: string, purpose: Place["purpose"]): Place {
  return { sessionId, storageKey: storageKey(sessionId), purpose };
}

function partsOf(envelope: string): { head: string; body: string } {
  const start = envelope.lastIndexOf(".") + 1;
  return { head: envelope.slice(0, start), body: envelope.slice(start) };
}

function whichOpen(envelopes: string[]): string[] {
  return envelopes.filter((envelope) => open(KEYRING, PLACE, envelope) !== undefined);
}
