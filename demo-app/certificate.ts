/** A certificate for TLS on this machine, made at the first start with what Node has; and what Chromium knows it by. */
import { createHash, generateKeyPairSync, randomBytes, sign, X509Certificate } from "node:crypto";
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";

export interface Certificate {
  /** Both in PEM. */
  readonly cert: string;
  readonly key: string;
  /** For `--ignore-certificate-errors-spki-list`: the SHA-256 of its public key, in base64. */
  readonly spkiHash: string;
}

const DAY = 24 * 60 * 60_000;

const SEQUENCE = 0x30;
const SET = 0x31;
const INTEGER = 0x02;
const BIT_STRING = 0x03;
const OCTET_STRING = 0x04;
const OBJECT_ID = 0x06;
const UTF8_STRING = 0x0c;
const UTC_TIME = 0x17;
const DNS_NAME = 0x82;
const IP_ADDRESS = 0x87;
const VERSION = 0xa0;
const EXTENSIONS = 0xa3;

const COMMON_NAME = "550403";
const SUBJECT_ALT_NAME = "551d11";
const ECDSA_WITH_SHA256 = "2a8648ce3d040302";

/** The one in the folder. Where there is none, or it is over, it is made anew. */
export function certificateIn(folder: string): Certificate {
  const [certFile, keyFile] = [join(folder, "cert.pem"), join(folder, "key.pem")];
  if (existsSync(certFile) && existsSync(keyFile)) {
    const cert = readFileSync(certFile, "utf8");
    const { validTo, publicKey } = new X509Certificate(cert);
    const spkiHash = spkiHashOf(publicKey.export({ type: "spki", format: "der" }));
    if (Date.parse(validTo) > Date.now() + DAY) return { cert, key: readFileSync(keyFile, "utf8"), spkiHash };
  }
  const made = makeCertificate();
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  writeFileSync(certFile, made.cert);
  writeFileSync(keyFile, made.key, { mode: 0o600 });
  return made;
}

/** Signs itself, for `localhost`, `127.0.0.1` and these names; good from a day ago, for a month. */
export function makeCertificate(...names: string[]): Certificate {
  const { privateKey, publicKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
  const spki = publicKey.export({ type: "spki", format: "der" });
  const algorithm = der(SEQUENCE, objectId(ECDSA_WITH_SHA256));
  const name = der(
    SEQUENCE,
    der(SET, der(SEQUENCE, objectId(COMMON_NAME), der(UTF8_STRING, Buffer.from("localhost")))),
  );
  const known = [...["localhost", ...names].map((one) => der(DNS_NAME, Buffer.from(one)))];
  const altNames = der(SEQUENCE, ...known, der(IP_ADDRESS, Buffer.from([127, 0, 0, 1])));
  const toSign = der(
    SEQUENCE,
    der(VERSION, der(INTEGER, Buffer.from([2]))),
    // Positive, and not of the shape of one with a zero in front.
    der(INTEGER, Buffer.concat([Buffer.from([0x40]), randomBytes(15)])),
    ...[algorithm, name, der(SEQUENCE, time(-DAY), time(30 * DAY)), name, spki],
    der(EXTENSIONS, der(SEQUENCE, der(SEQUENCE, objectId(SUBJECT_ALT_NAME), der(OCTET_STRING, altNames)))),
  );
  const signature = sign("sha256", toSign, privateKey);
  const whole = der(SEQUENCE, toSign, algorithm, der(BIT_STRING, Buffer.from([0]), signature));
  return {
    cert: `-----BEGIN CERTIFICATE-----\n${whole.toString("base64").replace(/.{64}/g, "$&\n")}\n-----END CERTIFICATE-----\n`,
    key: privateKey.export({ type: "pkcs8", format: "pem" }).toString(),
    spkiHash: spkiHashOf(spki),
  };
}

function spkiHashOf(spki: Buffer): string {
  return createHash("sha256").update(spki).digest("base64");
}

/** What a certificate is written in (X.690): what it is, how long it is, what is in it. */
function der(tag: number, ...parts: Buffer[]): Buffer {
  const body = Buffer.concat(parts);
  const short = body.length < 128 ? [body.length] : body.length < 256 ? [0x81, body.length] : undefined;
  const length = short ?? [0x82, body.length >> 8, body.length & 0xff];
  return Buffer.concat([Buffer.from([tag, ...length]), body]);
}

function objectId(hex: string): Buffer {
  return der(OBJECT_ID, Buffer.from(hex, "hex"));
}

function time(fromNow: number): Buffer {
  const iso = new Date(Date.now() + fromNow).toISOString();
  return der(UTC_TIME, Buffer.from(`${iso.slice(2, 19).replace(/\D/g, "")}Z`));
}
