import { expect, test } from "@jest/globals";
import fc from "fast-check";
import { type DeviceKey, readProof } from "../../lib/device/proof.js";
import { DeviceKeys } from "../support/device.js";
import { isFull } from "../support/redis-server.js";

const RUNS = isFull ? 5000 : 500;

// What Chromium 156 sent, with a key in software.
const CHROMIUM = {
  registration:
    "eyJhbGciOiJFUzI1NiIsImp3ayI6eyJjcnYiOiJQLTI1NiIsImt0eSI6IkVDIiwieCI6InRxaWd1c3c5UXdCMnVZb1dJbjI3MUxGNHFXWHBpSHdUOHltZ3Jjcll0UmsiLCJ5IjoiX0l0QWtoRGVybmxyWUhRMEs0ZlZKcG5BdUFXWW5zcjRzUC1kWXNySUNQMCJ9LCJ0eXAiOiJkYnNjK2p3dCJ9." +
    "eyJqdGkiOiJGSFZEaWF0NlVkaDFFTl9idWh2blJtLXNaVnp0dkpOSjBuNUlCRDc2YmJjLjE3NjcyMjU3MjAwMDAueFhISEhWbEFVNGl1aDI4RzBjMER0US55elBQcGs3TXNodDl6b3FrYTV4bVBkZ1NIampIQmpqQ2kwRUIzeE1JSzFjIn0." +
    "RVhSVl8HBVn3HpCauiAdmNtVV0SYqwpw5WfX29lhHB0qAf2DNBTP6GEEXSECztNh0_ed0Qm6H4mJ72vCyWgVdQ",
  refresh:
    "eyJhbGciOiJFUzI1NiIsInR5cCI6ImRic2Mrand0In0." +
    "eyJqdGkiOiJGSFZEaWF0NlVkaDFFTl9idWh2blJtLXNaVnp0dkpOSjBuNUlCRDc2YmJjLjE3NjcyMjYzODAwMDAuR0lqZHhpRTIyS2I3QlNTUjJObWg0QS5kaC1vdUlkYzBBWnlEcDdsazlQekE2Xzd4dUVFbnd6aDd6Z3RXb3FKVUZNIn0." +
    "U0mcoxeE4qv-5int6gHNZ20hwEhmlKHsPwPtldFlrD74A_EouOwMzz26HagHKuwaWbZvP7XdqJ7rFEn9qM28Dg",
};

test("what Chromium sends is read: a registration with its key, then a refresh without", () => {
  const registered = readProof(CHROMIUM.registration);
  expect(registered).toEqual({
    challenge: expect.stringMatching(/^FHVDiat6/),
    key: { kty: "EC", crv: "P-256", x: expect.stringMatching(/^tqigusw9/), y: expect.stringMatching(/^_ItAkhDe/) },
  });
  expect(readProof(CHROMIUM.refresh, registered?.key)?.challenge).toMatch(/^FHVDiat6/);
  expect(readProof(CHROMIUM.refresh)).toBeUndefined();
});

const ec = new DeviceKeys();
const rsa = new DeviceKeys("RS256");
const other = new DeviceKeys();

test.each([
  ["ES256", ec],
  ["RS256", rsa],
] as const)("%s: a registration proves its key, a refresh the one that is known", (_, keys) => {
  const registered = readProof(keys.registration("what was asked"));
  expect(registered).toEqual({ challenge: "what was asked", key: keys.publicJwk });
  const key = registered?.key as DeviceKey;
  expect(readProof(keys.refresh("again"), key)).toEqual({ challenge: "again", key });
  // The key that a refresh brings counts for nothing.
  expect(readProof(new DeviceKeys(keys.alg).registration("again"), key)).toBeUndefined();
});

test("of a JWK only what makes the key is kept", () => {
  const jwk = { ...ec.publicJwk, kid: "k", d: "a private one", alg: "none" };
  const proof = readProof(
    ec.jwt({ alg: "ES256", jwk, typ: "dbsc+jwt" }, { jti: "c", aud: "https://a.example", sub: "s" }),
  );
  expect(proof).toEqual({ challenge: "c", key: ec.publicJwk });
});

const registrationBy = (header: object, claims: object = { jti: "c" }, keys = ec) => keys.jwt(header, claims);
const HEADER = { alg: "ES256", jwk: ec.publicJwk, typ: "dbsc+jwt" };
const { jwk: _, ...NO_KEY } = HEADER;

test.each<[string, string]>([
  ["nothing", ""],
  ["no JWT", "abc"],
  ["two parts", registrationBy(HEADER).split(".").slice(0, 2).join(".")],
  ["four parts", `${registrationBy(HEADER)}.x`],
  ["no signature", registrationBy(HEADER).replace(/[^.]*$/, "")],
  ["another signature", ec.registration("c").replace(/[^.]*$/, ec.registration("d").split(".")[2] ?? "")],
  ["a signature in DER's length", registrationBy(HEADER).replace(/[^.]*$/, "A".repeat(96))],
  ["no algorithm", registrationBy({ ...HEADER, alg: "none" })],
  ["a secret's algorithm", registrationBy({ ...HEADER, alg: "HS256" })],
  ["the other algorithm", registrationBy({ ...HEADER, alg: "RS256" })],
  ["another kind of JWT", registrationBy({ ...HEADER, typ: "JWT" })],
  ["no key", registrationBy(NO_KEY)],
  ["another curve", registrationBy({ ...HEADER, jwk: { ...ec.publicJwk, crv: "P-384" } })],
  ["a point off the curve", registrationBy({ ...HEADER, jwk: { ...ec.publicJwk, x: ec.publicJwk.y } })],
  ["a symmetric key", registrationBy({ ...HEADER, jwk: { kty: "oct", k: "AAAA" } })],
  [
    "a key with more than its numbers",
    registrationBy({ ...HEADER, jwk: { ...ec.publicJwk, x: `${ec.publicJwk.x}\n` } }),
  ],
  ["a key that is null", registrationBy({ ...HEADER, jwk: null })],
  ["no challenge", registrationBy(HEADER, {})],
  ["a challenge that is no text", registrationBy(HEADER, { jti: 1 })],
  ["claims that are null", registrationBy(HEADER, null as unknown as object)],
  ["an RSA key of 1024 bits", new DeviceKeys("RS256", 1024).registration("c")],
  ["an RSA key of 4608 bits", new DeviceKeys("RS256", 4608).registration("c")],
  ["an RSA key of another exponent", new DeviceKeys("RS256", 2048, 3).registration("c")],
  [
    "an RSA key with zeros in front",
    registrationBy(
      { ...HEADER, alg: "RS256", jwk: { ...rsa.publicJwk, n: `AAAA${rsa.publicJwk.n}` } },
      { jti: "c" },
      rsa,
    ),
  ],
  ["more than a JWT needs", ec.jwt(HEADER, { jti: "c", more: "x".repeat(8192) })],
])("%s proves nothing", (_, text) => {
  expect(readProof(text)).toBeUndefined();
  expect(readProof(text, other.publicJwk as DeviceKey)).toBeUndefined();
});

const json = fc.jsonValue();
const jwkLike = fc.record(
  {
    kty: fc.constantFrom("EC", "RSA", "oct"),
    crv: fc.constant("P-256"),
    x: json,
    y: json,
    n: fc.base64String(),
    e: fc.base64String(),
  },
  { requiredKeys: [] },
);
const headerLike = fc.record(
  {
    alg: fc.constantFrom("ES256", "RS256", "none"),
    typ: fc.constant("dbsc+jwt"),
    jwk: fc.oneof(json, jwkLike, fc.constant(rsa.publicJwk)),
  },
  { requiredKeys: ["typ"] },
);

test(`any text, any JSON and any key prove nothing and throw nothing, ${3 * RUNS} times`, () => {
  const provesNothing = (text: string) => {
    expect(readProof(text)).toBeUndefined();
    expect(readProof(text, ec.publicJwk as DeviceKey)).toBeUndefined();
  };
  const encoded = (value: unknown) => Buffer.from(JSON.stringify(value) ?? "").toString("base64url");
  fc.assert(fc.property(fc.string({ unit: "binary" }), provesNothing), { numRuns: RUNS });
  fc.assert(
    fc.property(json, json, fc.base64String(), (header, claims, signature) => {
      provesNothing(`${encoded(header)}.${encoded(claims)}.${signature}`);
    }),
    { numRuns: RUNS },
  );
  fc.assert(
    fc.property(headerLike, fc.uint8Array({ minLength: 1, maxLength: 300 }), (header, signature) => {
      provesNothing(`${encoded(header)}.${encoded({ jti: "c" })}.${Buffer.from(signature).toString("base64url")}`);
    }),
    { numRuns: RUNS },
  );
});

test(`a proof with a byte changed is none, ${RUNS} times`, () => {
  const proof = ec.registration("c");
  // The last character has bits that decode to nothing.
  fc.assert(
    fc.property(fc.nat(proof.length - 2), fc.constantFrom(..."AZaz09-_."), (at, other) => {
      fc.pre(proof[at] !== other);
      expect(readProof(proof.slice(0, at) + other + proof.slice(at + 1))).toBeUndefined();
    }),
    { numRuns: RUNS },
  );
});
