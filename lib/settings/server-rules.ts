/** The rules of every `type` that speaks with a server: how that is named, who signs in, and by what TLS. */
import { isIP } from "node:net";
import type { Finding } from "./faults.js";
import { type Section, sectionOf } from "./plain.js";

const AN_URL = "found a URL: write it as tokenizer.url, in place of host, port, username and password";
const A_LOGIN = "found a login before the host: write it as tokenizer.username and tokenizer.password";
const IN_BRACKETS = "found an address in brackets: leave them out here, as in ::1";

/** A text that may hold a password is told apart before the schema, which would show it. */
export function whyNoHost(host: string): string | undefined {
  if (/:\/\//.test(host)) return AN_URL;
  if (host.includes("@")) return A_LOGIN;
  const inBrackets = /^\[.*\](:\d+)?$/.exec(host);
  if (!inBrackets) return undefined;
  return inBrackets[1] === undefined ? IN_BRACKETS : `${IN_BRACKETS}, and give the port in tokenizer.port`;
}

/** What must stand together, and what must not. */
export function checkServer(tokenizer: Section): readonly Finding[] {
  return [...checkPort(tokenizer), ...checkPassword(tokenizer), ...checkTls(tokenizer)];
}

function checkPort({ host }: Section): readonly Finding[] {
  return typeof host === "string" && /:\d+$/.test(host) && !host.startsWith("/") && !isIP(host)
    ? [setting("host", `found the text "${host}"; give the port in tokenizer.port`)]
    : [];
}

function checkPassword({ password, password_file: file }: Section): readonly Finding[] {
  return password !== undefined && file !== undefined
    ? [setting("password_file", "stands beside password; keep one")]
    : [];
}

function checkTls(tokenizer: Section): readonly Finding[] {
  const { ssl, ca, cert, key, servername } = sectionOf(tokenizer.options);
  if (ssl !== true && (ca ?? cert ?? key ?? servername) !== undefined) {
    return [option("ssl", "must be true beside ca, cert, key and servername; without it the connection is plain text")];
  }
  if ((cert === undefined) !== (key === undefined)) {
    const absent = cert === undefined ? "cert" : "key";
    return [option(absent, "is missing; give both cert and key, or neither")];
  }
  return [];
}

export function setting(key: string, message: string): Finding {
  return { at: ["tokenizer", key], message };
}

export function option(key: string, message: string): Finding {
  return { at: ["tokenizer", "options", key], message };
}
