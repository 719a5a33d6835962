/** What the terminal shows when the demo has started. */

import type { Certificate } from "./certificate.js";
import type { Account } from "./upstream.js";

interface Started {
  readonly port: number;
  /** Whose passwords may be shown: in production nobody's. */
  readonly accounts: readonly Account[];
}

export function welcome(host: string, { port, accounts }: Started, certificate?: Certificate): string {
  const address = `${certificate ? "https" : "http"}://${host.includes(":") ? `[${host}]` : host}:${port}`;
  const offered = accounts.length > 0 ? toTryOut(address, accounts) : IN_PRODUCTION;
  const bound = certificate ? ["", ...bindingIn(address, certificate)] : [];
  return ["", `  The demo is at ${address}`, ...offered, ...bound, "", "  Ctrl-C stops it.", ""].join("\n");
}

const IN_PRODUCTION = [
  "  With NODE_ENV=production it shows nobody the passwords of its accounts, and leaves out the trials.",
];

function toTryOut(address: string, accounts: readonly Account[]): string[] {
  return [
    `  What it promises can be tried without signing in: ${address}/promises`,
    "",
    "  Sign in with one of its demo accounts:",
    "",
    `  ${"name".padEnd(6)}  password`,
    ...accounts.map(({ username, password }) => `  ${username.padEnd(6)}  ${password}`),
  ];
}

/** Where no device keeps the key, Chromium does, for trials; only a certificate that it trusts will do. */
function bindingIn(address: string, { spkiHash }: Certificate): string[] {
  return [
    "  Sessions are bound to the device (docs/device-bound.md). To see it, use this browser, with a profile of its own:",
    "",
    `  chromium --user-data-dir=.tls/profile --ignore-certificate-errors-spki-list=${spkiHash} \\`,
    "    --enable-features=DeviceBoundSessions,EnableBoundSessionCredentialsSoftwareKeysForManualTesting \\",
    `    ${address}/sessions`,
  ];
}
