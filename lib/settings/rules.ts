/** The rules that a schema cannot say: what must stand together, and what must not. */
import { quoted } from "../visible.js";
import { findCloud } from "./cloud.js";
import type { Finding, Path } from "./faults.js";
import { whyNotMeant } from "./folder.js";
import { type Section, sectionOf } from "./plain.js";
import { checkPostgres } from "./postgres-rules.js";
import { checkRedis } from "./redis-rules.js";
import { findPlaceholders, HOW_TO_MAKE_ONE } from "./secrets.js";
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

const AUTHENTICATORS_WITHOUT_CREDENTIALS: readonly unknown[] = ["openldap", "ldap", "microsoft", "none"];

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

/** `change-me-…`, `replace-this-…`, `insert-your-…`, `your-secret-…` */
const SAYS_ITSELF =
  /^((change|replace)[-_ ]?(me|this)|(insert|enter|put)[-_ ]?your|your[-_ ]?(own|safe|secret|strong|password|key))([-_ \d]|$)/i;

function whyWeak(secret: unknown): string | undefined {
  if (typeof secret !== "string" || secret === "") {
    return undefined;
  }
  if (secret === SAMPLE_SAFE_PASSWORD) {
    return "is the sample of the documentation, which everybody knows";
  }
  if (SAYS_ITSELF.test(secret)) {
    return "is a placeholder, which anybody can guess";
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
  // Sessions in memory end with the process, and so may the keys.
  if (tokenizer.safe_password !== undefined || tokenizer.type === "memory") {
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

function checkEndpoint({ tokenizer }: Draft): readonly Finding[] {
  const { type, endpoint } = tokenizer;
  return type === "dynamodb" && typeof endpoint === "string" && !URL.canParse(endpoint)
    ? [{ at: ["tokenizer", "endpoint"], message: "is no URL; write it as in http://localhost:8000" }]
    : [];
}

/** What browsers ask of cookies with such names (draft-ietf-httpbis-rfc6265bis). `HttpOnly`, for `__Http-`, all of ours are. */
const COOKIE_PREFIX = /^__(?:Host-Http|Host|Http|Secure)-/i;

/** What must stand together in the section `cookie`. */
export function checkCookie(cookie: Section): readonly Finding[] {
  const { name, secure, same_site: sameSite, domain, path, partitioned, device_bound: isDeviceBound } = cookie;
  if (sameSite === "none" && secure === false) {
    return [cookieKey("same_site", "none needs a secure cookie: browsers drop it with secure: false")];
  }
  if (partitioned === true && sameSite !== "none") {
    return [cookieKey("partitioned", "is for pages that other sites embed, which needs same_site: none beside it")];
  }
  if (isDeviceBound === true && (secure === false || domain !== undefined || partitioned === true)) {
    return [
      cookieKey(
        "device_bound",
        "binds the cookie of one host, over TLS: take secure: false, domain and partitioned away",
      ),
    ];
  }
  const prefix = typeof name === "string" ? COOKIE_PREFIX.exec(name)?.[0] : undefined;
  if (prefix !== undefined && secure === false) {
    return [cookieKey("name", `begins with ${prefix}: browsers drop it with secure: false`)];
  }
  const isOfHost = prefix?.toLowerCase().startsWith("__host-") === true;
  return isOfHost && (domain !== undefined || path !== "/")
    ? [cookieKey("name", `begins with ${prefix}: browsers drop it with a domain, or a path other than /`)]
    : [];
}

function cookieKey(key: string, message: string): Finding {
  return { at: ["tokenizer", "cookie", key], message };
}

function checkFolder({ tokenizer: { type, path } }: Draft): readonly Finding[] {
  const reason = type === "local" && typeof path === "string" ? whyNotMeant(path) : undefined;
  return reason === undefined
    ? []
    : [{ at: ["tokenizer", "path"], message: `found ${quoted(String(path))}: ${reason}` }];
}

function refuseInCloud({ tokenizer }: Draft, env: NodeJS.ProcessEnv): readonly Finding[] {
  const { type, cloud } = tokenizer;
  if ((type !== "local" && type !== "memory") || cloud === false) {
    return [];
  }
  const reason = cloud === true ? "cloud: true says so" : whyCloud(env);
  return reason === undefined
    ? []
    : [
        {
          at: ["tokenizer", "type"],
          message: `found ${type}, but this is a cloud installation (${reason}). ${WAYS_OUT[type]}`,
        },
      ];
}

const WAYS_OUT = {
  local:
    "A folder there does not last, or is not shared by all servers, so sessions would be lost. " +
    "Use type: redis, postgres or dynamodb, or, where the folder does last, put cloud: false beside type.",
  memory:
    "Memory there is each server's own, and ends with it, so sessions would be lost. " +
    "Use type: redis, postgres or dynamodb, or, where tests run there, put cloud: false beside type.",
};

function refuseMemoryInProduction({ tokenizer }: Draft, env: NodeJS.ProcessEnv): readonly Finding[] {
  return tokenizer.type === "memory" && env.NODE_ENV === "production"
    ? [{ at: ["tokenizer", "type"], message: NOT_IN_PRODUCTION }]
    : [];
}

const NOT_IN_PRODUCTION =
  "found memory, which is for tests and trials: each process has sessions of its own, and each restart ends all of them. " +
  "That is refused when NODE_ENV is production: use type: local, redis, postgres or dynamodb";

function whyCloud(env: NodeJS.ProcessEnv): string | undefined {
  const cloud = findCloud(env);
  return cloud && `${cloud.platform}: ${cloud.variable} is set`;
}

const RULES: readonly Rule[] = [
  (draft) => findPlaceholders({ ...draft }),
  requireSecret,
  refuseWeakSecrets,
  refuseMemoryInProduction,
  refuseInCloud,
  checkFolder,
  ({ tokenizer }) => checkCookie(sectionOf(tokenizer.cookie)),
  ({ tokenizer }) => checkRedis(tokenizer),
  ({ tokenizer }) => checkPostgres(tokenizer),
  requireTable,
  checkAwsKeys,
  checkEndpoint,
];
