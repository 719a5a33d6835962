/** TLS to a Redis server: what is shown, what is trusted, and which names its certificate may have. */
import { X509Certificate } from "node:crypto";
import { readFileSync } from "node:fs";
import { isIP } from "node:net";
import { checkServerIdentity, type PeerCertificate } from "node:tls";
import { TokenizerError } from "../../errors.js";
import type { RedisOptions } from "../../settings/settings.js";
import { type Address, parseAddress } from "./address.js";

type Pem = "ca" | "cert" | "key";

/** What the package wants of TLS; of certificates that are files, read now, as they are renewed. */
export function tlsOptions(address: Address, options: RedisOptions) {
  const { ca, cert, key, verify = true, servername = address.host } = options;
  const names = namesOf(address, options);
  const authority = pem("ca", ca);
  if (verify && authority.ca !== undefined) refuseUnreadable(authority.ca);
  return {
    tls: true as const,
    // Told to the server only when it is asked for, and never an address: proxies find the server by it.
    ...(isIP(servername) ? {} : { servername }),
    rejectUnauthorized: verify,
    checkServerIdentity(_asked: string, certificate: PeerCertificate): Error | undefined {
      const faults = names.map((name) => checkServerIdentity(name, certificate));
      return faults.includes(undefined) ? undefined : faults[0];
    },
    ...authority,
    ...pem("cert", cert),
    ...pem("key", key),
  };
}

/**
 * The names of which the certificate must have one. An address that was only announced may be called what the settings
 * call the servers: many Clusters announce addresses where the certificate names the host.
 */
function namesOf({ host, announcedBy }: Address, { servername, nodes = [] }: RedisOptions): readonly string[] {
  const named = announcedBy === undefined ? [] : nodes.map((node) => parseAddress(node).host);
  return [host, ...(servername === undefined ? [] : [servername]), ...named];
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
