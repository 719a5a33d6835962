/** The rules that a schema cannot say: what must stand together, and what must not. */
import { isIP } from "node:net";
import { findCloud } from "./cloud.js";
import type { Finding, Path } from "./faults.js";
import { isSection, type Section } from "./plain.js";
import { SAMPLE_SAFE_PASSWORD } from "./settings.js";

/** Settings with their defaults, whether or not they have passed the schema: each rule looks only at what is sound. */
export interface Draft {
  readonly authenticator: Section;
  readonly tokenizer: Section;
}

/** A secret that is everybody's, or that can be guessed. */
export interface WeakSecret {
  readonly at: Path;
  readonly reason: string;
}

type Rule = (draft: Draft, env: NodeJS.ProcessEnv) => readonly Finding[];

const FEWEST_CHARACTERS = 16;

/** Ends the sentence about a secret that is missing or weak. */
export const HOW_TO_MAKE_ONE = "make one with: npx express-tokenizer new-password";

const AUTHENTICATORS_WITHOUT_CREDENTIALS: readonly unknown[] = ["openldap", "ldap", "microsoft"];

/** What the rules refuse. */
export function checkRules(draft: Draft, env: NodeJS.ProcessEnv): readonly Finding[] {
  return RULES.flatMap((rule) => rule(draft, env));
}

/** The secrets that production refuses. */
export function weakSecrets({ tokenizer }: Draft): readonly WeakSecret[] {
  const { secret } = sectionOf(tokenizer.cookie);
  return [
    ...weakIn(["tokenizer", "safe_password"], tokenizer.safe_password),
    ...weakIn(["tokenizer", "cookie", "secret"], secret),
  ];
}

function weakIn(at: Path, value: unknown): readonly WeakSecret[] {
  const secrets: readonly unknown[] = Array.isArray(value) ? value : [value];
  return secrets.flatMap((secret, index) => {
    const reason = whyWeak(secret);
    return reason === undefined ? [] : [{ at: Array.isArray(value) ? [...at, index] : at, reason }];
  });
}

function whyWeak(secret: unknown): string | undefined {
  if (typeof secret !== "string" || secret === "") {
    return undefined;
  }
  if (secret === SAMPLE_SAFE_PASSWORD) {
    return "is the sample of the documentation, which everybody knows";
  }
  return [...secret].length < FEWEST_CHARACTERS ? `is shorter than ${FEWEST_CHARACTERS} characters` : undefined;
}

function refuseWeakSecrets(draft: Draft, env: NodeJS.ProcessEnv): readonly Finding[] {
  if (env.NODE_ENV !== "production") {
    return [];
  }
  return weakSecrets(draft).map(({ at, reason }) => ({
    at,
    message: `${reason}; that is refused when NODE_ENV is production: ${HOW_TO_MAKE_ONE}`,
  }));
}

function requireSecret({ authenticator, tokenizer }: Draft): readonly Finding[] {
  if (tokenizer.safe_password !== undefined) {
    return [];
  }
  const reason = whySafePassword(authenticator.type, tokenizer);
  return reason === undefined
    ? []
    : [{ at: ["tokenizer", "safe_password"], message: `is missing; ${reason}: ${HOW_TO_MAKE_ONE}` }];
}

function whySafePassword(authenticator: unknown, tokenizer: Section): string | undefined {
  if (authenticator === "local") {
    return "with authenticator.type local it seals the credentials";
  }
  if (tokenizer.encrypt === "session") {
    return "with encrypt: session it seals the sessions";
  }
  const unsigned = sectionOf(tokenizer.cookie).secret === undefined;
  return unsigned && AUTHENTICATORS_WITHOUT_CREDENTIALS.includes(authenticator)
    ? "it or cookie.secret must be there to sign the cookie"
    : undefined;
}

function checkAwsKeys({ tokenizer }: Draft): readonly Finding[] {
  const { aws_access_key: id, aws_secret_key: secret, aws_session_token: token, profile_name: profile } = tokenizer;
  const findings: Finding[] = [];
  const refuse = (key: string, message: string): void => {
    findings.push({ at: ["tokenizer", key], message });
  };
  if (id === undefined && secret !== undefined) {
    refuse("aws_access_key", "is missing beside aws_secret_key; give both keys or neither");
  }
  if (secret === undefined && id !== undefined) {
    refuse("aws_secret_key", "is missing beside aws_access_key; give both keys or neither");
  }
  if (token !== undefined && id === undefined && secret === undefined) {
    refuse("aws_session_token", "stands without the keys; give aws_access_key and aws_secret_key, too");
  }
  if (profile !== undefined && (id ?? secret ?? token) !== undefined) {
    refuse("profile_name", "stands beside keys; keep the profile or the keys, not both");
  }
  return findings;
}

function requireTable({ tokenizer }: Draft): readonly Finding[] {
  return tokenizer.type === "dynamodb" && tokenizer.table === undefined
    ? [{ at: ["tokenizer", "table"], message: "is missing; with type: dynamodb it names the table" }]
    : [];
}

function checkRedisHost({ tokenizer }: Draft): readonly Finding[] {
  const { type, host } = tokenizer;
  return type === "redis" && typeof host === "string" && /:\d+$/.test(host) && !isIP(host)
    ? [{ at: ["tokenizer", "host"], message: `found the text "${host}"; give the port in tokenizer.port` }]
    : [];
}

function checkRedisLogin({ tokenizer }: Draft): readonly Finding[] {
  const { type, password, password_file: file } = tokenizer;
  return type === "redis" && password !== undefined && file !== undefined
    ? [{ at: ["tokenizer", "password_file"], message: "stands beside password; keep one" }]
    : [];
}

function checkRedisServers({ tokenizer }: Draft): readonly Finding[] {
  if (tokenizer.type !== "redis") {
    return [];
  }
  const { sentinel, cluster, nodes } = sectionOf(tokenizer.options);
  const clustered = cluster === true;
  if (sentinel !== undefined && clustered) {
    return [option("cluster", "stands beside sentinel; keep the one that the nodes are")];
  }
  const several = sentinel !== undefined || clustered;
  if (several !== (nodes !== undefined)) {
    const kind = clustered ? "cluster" : "sentinel";
    return [option("nodes", several ? `is missing; ${kind} needs it` : "needs sentinel or cluster: true beside it")];
  }
  const database = tokenizer.database;
  return clustered && typeof database === "number" && database > 0
    ? [{ at: ["tokenizer", "database"], message: `found ${database}; a Redis Cluster has database 0 only` }]
    : [];
}

function checkRedisTls({ tokenizer }: Draft): readonly Finding[] {
  if (tokenizer.type !== "redis") {
    return [];
  }
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

function option(key: string, message: string): Finding {
  return { at: ["tokenizer", "options", key], message };
}

function checkCookie({ tokenizer }: Draft): readonly Finding[] {
  const { name, secure, same_site: sameSite, domain, path } = sectionOf(tokenizer.cookie);
  if (sameSite === "none" && secure === false) {
    return [cookieKey("same_site", "none needs a secure cookie: browsers drop it with secure: false")];
  }
  const prefix = typeof name === "string" ? /^__(?:Host|Secure)-/i.exec(name)?.[0] : undefined;
  if (prefix !== undefined && secure === false) {
    return [cookieKey("name", `begins with ${prefix}: browsers drop it with secure: false`)];
  }
  return prefix?.toLowerCase() === "__host-" && (domain !== undefined || path !== "/")
    ? [cookieKey("name", `begins with ${prefix}: browsers drop it with a domain, or a path other than /`)]
    : [];
}

function cookieKey(key: string, message: string): Finding {
  return { at: ["tokenizer", "cookie", key], message };
}

function refuseFolderInCloud({ tokenizer }: Draft, env: NodeJS.ProcessEnv): readonly Finding[] {
  if (tokenizer.type !== "local" || tokenizer.cloud === false) {
    return [];
  }
  const reason = tokenizer.cloud === true ? "cloud: true says so" : whyCloud(env);
  return reason === undefined
    ? []
    : [{ at: ["tokenizer", "type"], message: `found local, but this is a cloud installation (${reason}). ${WAY_OUT}` }];
}

const WAY_OUT =
  "A folder there does not last, or is not shared by all servers, so sessions would be lost. " +
  "Use type: redis or dynamodb, or, where the folder does last, put cloud: false beside type.";

function whyCloud(env: NodeJS.ProcessEnv): string | undefined {
  const cloud = findCloud(env);
  return cloud && `${cloud.platform}: ${cloud.variable} is set`;
}

function sectionOf(value: unknown): Section {
  return isSection(value) ? value : {};
}

const RULES: readonly Rule[] = [
  requireSecret,
  refuseWeakSecrets,
  refuseFolderInCloud,
  checkCookie,
  checkRedisHost,
  checkRedisLogin,
  checkRedisServers,
  checkRedisTls,
  requireTable,
  checkAwsKeys,
];
