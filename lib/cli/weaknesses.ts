/** What the settings allow, and `check` advises against. Loading warns of weak secrets already. */
import { findEndpoint, isHttpUrl } from "../backends/dynamodb/endpoint.js";
import { nameOf } from "../backends/postgres/address.js";
import { TokenizerError } from "../errors.js";
import { temporaryFolderAbove } from "../settings/folder.js";
import type { LoadedSettings } from "../settings/load.js";
import type { TlsOptions, TokenizerSettings } from "../settings/settings.js";
import { postgresAddress, redisServers } from "./place.js";

/** Settings by which somebody else could get at sessions, or sessions are lost. */
export function weaknessesOf({ tokenizer }: LoadedSettings, env: NodeJS.ProcessEnv): readonly string[] {
  return [
    ...ofLocal(tokenizer, env),
    ...ofMemory(tokenizer),
    ...ofRedis(tokenizer),
    ...ofPostgres(tokenizer, env),
    ...ofDynamodb(tokenizer, env),
    ...ofCookie(tokenizer),
  ];
}

/** Settings that change nothing. */
export function unusedOf({ unused = [] }: LoadedSettings): readonly string[] {
  return unused.map((setting) => `${setting}.`);
}

function ofLocal({ type, path }: TokenizerSettings, env: NodeJS.ProcessEnv): readonly string[] {
  const above = type === "local" ? temporaryFolderAbove(path, env) : undefined;
  return above === undefined
    ? []
    : [
        `The folder of the sessions is below ${above}, a temporary folder: the system removes what is there, at its next start at the latest. Name one that lasts in tokenizer.path; without it, it is .tokens beside the settings file.`,
      ];
}

function ofMemory({ type }: TokenizerSettings): readonly string[] {
  return type === "memory"
    ? [
        "tokenizer.type is memory: each process has sessions of its own, and they end with it. It is for tests and trials; with NODE_ENV=production it is refused.",
      ]
    : [];
}

function ofRedis(settings: TokenizerSettings): readonly string[] {
  if (settings.type !== "redis") return [];
  const { ssl, verify, cert } = (settings.options ?? {}) as TlsOptions;
  const weaknesses = ssl && verify === false ? [unverified("tokenizer.options.verify is false")] : [];
  const other = redisServers(settings).find((server) => !isThisMachine(server.replace(/:\d+$/, "")));
  if (other === undefined) return weaknesses;
  if (!ssl) {
    weaknesses.push(
      `tokenizer.options.ssl is not set: sessions travel to ${other} in plain text. Set it to true, or write rediss:// in tokenizer.url, if Redis speaks TLS there.`,
    );
  }
  if ((settings.password ?? settings.password_file ?? cert) === undefined) {
    weaknesses.push(
      `tokenizer.password is not set: whoever reaches ${other} can read and change sessions. Give Redis a password, and set it here or as TOKENIZER_PASSWORD.`,
    );
  }
  return weaknesses;
}

/** Without a password nobody is let in, unless the server's own rules say so. */
function ofPostgres(settings: TokenizerSettings, env: NodeJS.ProcessEnv): readonly string[] {
  if (settings.type !== "postgres") return [];
  const { ssl, verify } = (settings.options ?? {}) as TlsOptions;
  const mode = ssl === undefined ? (env.PGSSLMODE ?? "") : "";
  if (mode === "no-verify") return [unverified("PGSSLMODE is no-verify")];
  if (ssl || BY_TLS.includes(mode)) {
    return verify === false ? [unverified("tokenizer.options.verify is false")] : [];
  }
  const place = postgresAddress(settings, env);
  if (place instanceof TokenizerError || isThisMachine(place.host)) return [];
  return [
    `tokenizer.options.ssl is ${ssl === false ? "false" : "not set"}: sessions travel to ${nameOf(place)} in plain text. Set it to true, or write sslmode=require in tokenizer.url, if PostgreSQL speaks TLS there.`,
  ];
}

/** With the others, a connection may be plain text. */
const BY_TLS = ["require", "verify-ca", "verify-full"];

function unverified(cause: string): string {
  return `${cause}: whoever stands between can pass for the server, and read and change sessions. Leave it out, and name an authority of your own in tokenizer.options.ca.`;
}

function ofDynamodb(settings: TokenizerSettings, env: NodeJS.ProcessEnv): readonly string[] {
  const endpoint = settings.type === "dynamodb" ? findEndpoint(settings, env) : undefined;
  if (!endpoint || !isHttpUrl(endpoint.url)) return [];
  const { protocol, hostname, host } = new URL(endpoint.url);
  if (protocol !== "http:" || isThisMachine(hostname)) return [];
  return [`${endpoint.setBy} is plain HTTP: sessions travel to ${host} in plain text. Use https:// there.`];
}

function ofCookie({ cookie }: TokenizerSettings): readonly string[] {
  if (cookie.secure !== false) return [];
  return [
    "tokenizer.cookie.secure is false: the cookie travels in plain text, too, and whoever reads it has the session. Leave it out (auto), or set it to true.",
  ];
}

function isThisMachine(host: string): boolean {
  return /^(\/.*|localhost|.+\.localhost|127(\.\d+){3}|\[?::1\]?)$/i.test(host);
}
