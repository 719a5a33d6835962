/** TLS to a Redis server: what is shown, what is trusted, and which names its certificate may have. */
import { readFileSync } from "node:fs";
import { isIP } from "node:net";
import { checkServerIdentity, type PeerCertificate } from "node:tls";
import { TokenizerError } from "../../errors.js";
import type { RedisOptions } from "../../settings/settings.js";
import { type Address, parseAddress } from "./address.js";

/** What the package wants of TLS; of certificates that are files, read now, as they are renewed. */
export function tlsOptions(address: Address, options: RedisOptions) {
  const { ca, cert, key, verify = true, servername = address.host } = options;
  const names = namesOf(address, options);
  return {
    tls: true as const,
    // Told to the server only when it is asked for, and never an address: proxies find the server by it.
    ...(isIP(servername) ? {} : { servername }),
    rejectUnauthorized: verify,
    checkServerIdentity(_asked: string, certificate: PeerCertificate): Error | undefined {
      const faults = names.map((name) => checkServerIdentity(name, certificate));
      return faults.includes(undefined) ? undefined : faults[0];
    },
    ...pem("ca", ca),
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

/** The settings hold the text itself, or a file's path. */
function pem(setting: "ca" | "cert" | "key", value: string | undefined): Record<string, string> {
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

function unusable(setting: string, fault: string): TokenizerError {
  return new TokenizerError("STORE_UNUSABLE", `tokenizer.options.${setting} ${fault}.`);
}
