/** A device's proof that it has its key: the JWT that browsers make for Device Bound Session Credentials. */
import { createPublicKey, type KeyObject, verify } from "node:crypto";

/** The public half of a device's key, with nothing else in it: ES256 or RS256, as a JWK (RFC 7517). */
export type DeviceKey =
  | { readonly kty: "EC"; readonly crv: "P-256"; readonly x: string; readonly y: string }
  | { readonly kty: "RSA"; readonly n: string; readonly e: string };

export interface Proof {
  /** What the server asked to have signed. */
  readonly challenge: string;
  /** Whose key signed it. */
  readonly key: DeviceKey;
}

/** In characters. With an RSA key of 4096 bits it has about 2,200. */
const LONGEST = 8192;

/** Node would pass over other characters between these. */
const JWT = /^([\w-]+)\.([\w-]+)\.([\w-]+)$/;

/** Of an RSA key, in bits: NIST SP 800-131A asks for 2048; longer ones than 4096 would cost too much to verify. */
const RSA_BITS = { least: 2048, most: 4096 };

/** 65537, as every maker of RSA keys takes it: with a long one, a signature would cost ten times as much. */
const EXPONENT = "AQAB";

/**
 * What a JWT proves; nothing where it is none, is not signed by that key, or has a key that is not taken.
 *
 * @param text the header `Secure-Session-Response`, without quotes
 * @param known the key that it has to be signed with. Missing: the one that it brings, as at the registration.
 */
export function readProof(text: string, known?: DeviceKey): Proof | undefined {
  const { head, claims, signature } = partsOf(text);
  const { alg, typ, jwk } = decode(head);
  const { jti } = decode(claims);
  if (typ !== "dbsc+jwt" || typeof jti !== "string") return undefined;
  const key = known ?? deviceKey(jwk);
  if (!key || alg !== (key.kty === "EC" ? "ES256" : "RS256")) return undefined;
  const isSigned = isSignedBy(key, `${head}.${claims}`, Buffer.from(signature, "base64url"));
  return isSigned ? { challenge: jti, key } : undefined;
}

/** The challenge that a JWT says it answers, not verified; empty where there is none. */
export function challengeIn(text: string): string {
  const { jti } = decode(partsOf(text).claims);
  return typeof jti === "string" ? jti : "";
}

function partsOf(text: string) {
  const [, head = "", claims = "", signature = ""] = (text.length <= LONGEST && JWT.exec(text)) || [];
  return { head, claims, signature };
}

/** Names a key, by all of it: hashed it would be shorter, and cost each request more. */
export function nameOf(key: DeviceKey): string {
  return key.kty === "EC" ? `EC.${key.x}.${key.y}` : `RSA.${key.n}.${key.e}`;
}

/** The members of a JWK that make the key, whatever else came with them. */
function deviceKey(jwk: unknown): DeviceKey | undefined {
  const { kty, crv, x, y, n, e } = (jwk ?? {}) as Record<string, unknown>;
  if (kty === "EC" && crv === "P-256" && isNumber(x) && isNumber(y)) return { kty, crv, x, y };
  return kty === "RSA" && isNumber(n) && e === EXPONENT ? { kty, n, e } : undefined;
}

function isSignedBy(key: DeviceKey, signed: string, signature: Buffer): boolean {
  try {
    const publicKey = createPublicKey({ key, format: "jwk" });
    if (!isCanonical(key, publicKey)) return false;
    const bytes = Buffer.from(signed);
    if (key.kty === "EC") return verify("sha256", bytes, { key: publicKey, dsaEncoding: "ieee-p1363" }, signature);
    return isRightLength(publicKey) && verify("sha256", bytes, publicKey, signature);
  } catch {
    // A point that is not on the curve, say: no key, so no proof.
    return false;
  }
}

/** As Node writes it: with zeros in front, a key could be as long as its sender likes, and be stored so. */
function isCanonical(key: DeviceKey, publicKey: KeyObject): boolean {
  const { x, y, n } = publicKey.export({ format: "jwk" });
  return key.kty === "EC" ? key.x === x && key.y === y : key.n === n;
}

function isRightLength({ asymmetricKeyDetails }: KeyObject): boolean {
  const { modulusLength = 0 } = asymmetricKeyDetails ?? {};
  return modulusLength >= RSA_BITS.least && modulusLength <= RSA_BITS.most;
}

function decode(part: string): Record<string, unknown> {
  try {
    const value: unknown = JSON.parse(Buffer.from(part, "base64url").toString());
    return typeof value === "object" && value !== null ? (value as Record<string, unknown>) : {};
  } catch {
    return {};
  }
}

function isNumber(value: unknown): value is string {
  return typeof value === "string" && /^[\w-]+$/.test(value);
}
