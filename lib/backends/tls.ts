/** TLS to a server: what is shown, what is trusted, and which names its certificate may have. */
import { X509Certificate } from "node:crypto";
import { readFileSync } from "node:fs";
import { isIP } from "node:net";
import { checkServerIdentity, type PeerCertificate } from "node:tls";
import { TokenizerError } from "../errors.js";
import type { TlsOptions } from "../settings/settings.js";

type Pem = "ca" | "cert" | "key";

/**
 * What Node wants of TLS; of certificates that are files, read now, as they are renewed.
 *
 * @param names that the certificate may have beside the host's and `servername`
 * @throws TokenizerError `STORE_UNUSABLE`
 */
export function tlsOptions(
  host: string,
  { ca, cert, key, verify = true, servername }: TlsOptions,
  names: readonly string[] = [],
) {
  const asked = servername ?? host;
  const allowed = [host, ...(servername === undefined ? [] : [servername]), ...names];
  const authority = pem("ca", ca);
  if (verify && authority.ca !== undefined) refuseUnreadable(authority.ca);
  return {
    // Told to the server only when it is asked for, and never an address: proxies find the server by it.
    ...(isIP(asked) ? {} : { servername: asked }),
    rejectUnauthorized: verify,
    checkServerIdentity(_asked: string, certificate: PeerCertificate): Error | undefined {
      const faults = allowed.map((name) => checkServerIdentity(name, certificate));
      return faults.includes(undefined) ? undefined : faults[0];
    },
    ...authority,
    ...pem("cert", cert),
    ...pem("key", key),
  };
}

const CERTIFICATE = /-----BEGIN [A-Z0-9 ]*CERTIFICATE-----.*?-----END [A-Z0-9 ]*CERTIFICATE-----/gs;

/** What was readable last: a system's authorities are many. */
let known: string | undefined;

/** Node passes over what is no certificate, and the server's would then be told to be untrusted. */
function refuseUnreadable(ca: string): void {
  if (ca === known) return;
  try {
    const found = (ca.match(CERTIFICATE) ?? []).map((text) => new X509Certificate(text));
    if (found.length === 0) throw new Error("There is no certificate.");
  } catch {
    const lines = "each needs its lines as they were, not joined by \\n";
    throw unusable("ca", `holds no certificate that can be read, or one that cannot: ${lines}`);
  }
  known = ca;
}

/** The settings hold the text itself, or a file's path. */
function pem(setting: Pem, value: string | undefined): { readonly [Setting in Pem]?: string } {
  if (value === undefined) return {};
  if (value.includes("-----BEGIN")) return { [setting]: value };
  try {
    const text = readFileSync(value, "utf8");
    if (text.includes("-----BEGIN")) return { [setting]: text };
  } catch (cause) {
    const { code } = cause as NodeJS.ErrnoException;
    throw unusable(setting, `is neither PEM nor a file that can be read (${code})`);
  }
  throw unusable(setting, "names a file that holds no PEM");
}

function unusable(setting: Pem, fault: string): TokenizerError {
  return new TokenizerError("STORE_UNUSABLE", `tokenizer.options.${setting} ${fault}.`);
}
