/** What goes wrong on the way to a server, in words: networks, sockets and TLS. */

const UNTRUSTED: ReadonlySet<string> = new Set([
  "CERT_SIGNATURE_FAILURE",
  "CERT_UNTRUSTED",
  "DEPTH_ZERO_SELF_SIGNED_CERT",
  "SELF_SIGNED_CERT_IN_CHAIN",
  "UNABLE_TO_GET_ISSUER_CERT",
  "UNABLE_TO_GET_ISSUER_CERT_LOCALLY",
  "UNABLE_TO_VERIFY_LEAF_SIGNATURE",
]);

const REASONS: Readonly<Record<string, string>> = {
  ECONNREFUSED: "nothing listens there",
  ENOENT: "there is no such socket",
  ENOTSOCK: "it is no socket",
  EACCES: "this process may not use it",
  ENOTFOUND: "there is no such host",
  EAI_AGAIN: "the host's name could not be looked up",
  EHOSTUNREACH: "there is no way to the host",
  ENETUNREACH: "there is no way to the network",
  ECONNRESET: "the connection was reset",
  ETIMEDOUT: "nothing answered",
};

/** Why there is no way, as the end of a sentence without its full stop. */
export function reasonOf({ message, code }: NodeJS.ErrnoException): string {
  return REASONS[code ?? ""] ?? message.replace(/[.\s]+$/, "");
}

/** Providers such as Heroku sign their own, and publish no authority. */
function selfSigned(code: string): string {
  return /SELF_SIGNED/.test(code)
    ? " Where there is none to be had, tokenizer.options.verify: false is left: then whoever stands between can read and change sessions."
    : "";
}

/** What is wrong with the TLS of a server or ours, and what to do; `undefined` where it is something else. */
export function explainTls({ code = "", message }: NodeJS.ErrnoException): string | undefined {
  if (code === "ERR_TLS_CERT_ALTNAME_INVALID") {
    return `its certificate is not for that host (${message}). Call the host what its certificate does, or set tokenizer.options.servername to a name in it.`;
  }
  if (UNTRUSTED.has(code)) {
    return `its certificate is not trusted (${message}). Name the authority that signed it in tokenizer.options.ca.${selfSigned(code)}`;
  }
  if (/^CERT_/.test(code)) return `its certificate is not valid (${message}). Renew it.`;
  if (/WRONG_VERSION_NUMBER|PACKET_LENGTH_TOO_LONG/.test(code)) {
    return "it does not speak TLS on that port. Check tokenizer.options.ssl and tokenizer.port, or tokenizer.url.";
  }
  if (/^ERR_SSL_.*ALERT/.test(code)) {
    return `it refused our side of the TLS handshake (${code}). Check tokenizer.options.cert and tokenizer.options.key.`;
  }
  return /^ERR_(SSL|TLS|OSSL)/.test(code)
    ? `TLS failed (${code}). Check tokenizer.options.ca, cert and key.`
    : undefined;
}
