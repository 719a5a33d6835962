/** What stands behind the `?` of a PostgreSQL URL: what counts here, what means nothing here, and what is refused. */
import type { PostgresOptions } from "./settings.js";

/** What a URL says as texts, where they are not empty. */
export interface Texts {
  readonly host?: string;
  readonly port?: string;
  readonly username?: string;
  readonly password?: string;
  readonly database?: string;
}

/** Files stand there by their paths. */
export type UrlOptions = Pick<PostgresOptions, "ssl" | "verify" | "ca" | "cert" | "key">;

interface Parameters {
  readonly server: Texts;
  readonly options: UrlOptions;
}

const SERVER = new Map<string, keyof Texts>([
  ["host", "host"],
  ["port", "port"],
  ["user", "username"],
  ["password", "password"],
  ["dbname", "database"],
]);

const FILES = new Map<string, "ca" | "cert" | "key">([
  ["sslrootcert", "ca"],
  ["sslcert", "cert"],
  ["sslkey", "key"],
]);

const BY_TLS: UrlOptions = { ssl: true };
const PLAIN: UrlOptions = { ssl: false };

/** Whoever asks for TLS gets a verified server: the others say `no-verify`. */
const SSLMODES = new Map<string, UrlOptions>([
  ["disable", PLAIN],
  ["require", BY_TLS],
  ["verify-ca", BY_TLS],
  ["verify-full", BY_TLS],
  ["no-verify", { ssl: true, verify: false }],
]);
const SSLS = new Map<string, UrlOptions>([
  ["true", BY_TLS],
  ["1", BY_TLS],
  ["false", PLAIN],
  ["0", PLAIN],
]);
const PROMISE_NOTHING = ["prefer", "allow"];

/** Of other programs, or of what is otherwise here: providers put them into the URLs that they give. */
const MEANS_NOTHING =
  /^(application_name|fallback_application_name|connect_timeout|channel_binding|pgbouncer|connection_limit|pool_timeout|pool_max_conns|sslnegotiation|supa|workaround|gssencmode|keepalives(_\w+)?|tcp_user_timeout|uselibpqcompat)$/;

/** The system's certificates. */
const SYSTEMS = "system";

/** A server that is written to: the backend uses no other. */
const PRIMARY = ["any", "read-write", "primary"];

const TWICE = "says twice whether TLS is used, and not the same; keep one";
const A_STANDBY =
  "has target_session_attrs for a server that may be a standby: sessions are written, so name the primary, and take it away";

const IN_TABLE = "write it into tokenizer.table, as in schema.table, and take it away here";
const AT_ROLE = "take it away, and set what it says at the role: ALTER ROLE … SET …";
const REFUSED = new Map([
  ["schema", IN_TABLE],
  ["currentSchema", IN_TABLE],
  ["search_path", IN_TABLE],
  ["options", AT_ROLE],
  ["lock_timeout", AT_ROLE],
  ["idle_in_transaction_session_timeout", AT_ROLE],
  ["statement_timeout", "take it away; tokenizer.store_timeout ends what takes too long"],
  ["sslpassword", "take it away, and name a key without a password in tokenizer.options.key"],
  ["hostaddr", "take it away, and put it in the host's place, the host's name into tokenizer.options.servername"],
]);

/**
 * What they say, or, as a text, what is wrong with them. Of two that say the same thing, the later counts.
 *
 * @throws URIError
 */
export function readParameters(query: string): Parameters | string {
  const server: { -readonly [Key in keyof Texts]: string } = {};
  const files: { -readonly [Key in "ca" | "cert" | "key"]?: string } = {};
  const modes: UrlOptions[] = [];
  for (const [name, value] of pairsOf(query)) {
    const [part, file, mode] = [SERVER.get(name), FILES.get(name), modeOf(name, value)];
    const fault = part || file || typeof mode === "object" ? undefined : (mode ?? whyRefused(name, value, query));
    if (fault !== undefined) return fault;
    if (part) server[part] = value;
    if (file && !(name === "sslrootcert" && value === SYSTEMS)) files[file] = value;
    if (typeof mode === "object") modes.push(mode);
  }
  if (new Set(modes.map(({ ssl }) => ssl)).size > 1) return TWICE;
  return { server, options: { ...files, ...modes[0], ...modes.find(({ verify }) => verify === false) } };
}

/** Those that are not empty, which count as not there. */
function pairsOf(query: string): readonly (readonly [string, string])[] {
  return query.split("&").flatMap((pair) => {
    const [, name = "", value = ""] = /^([^=]*)=(.*)$/s.exec(pair) ?? [];
    return value === "" ? [] : [[decodeURIComponent(name), decodeURIComponent(value)] as const];
  });
}

/** How TLS is done, or, as a text, why that is not known; `undefined` for what says something else. */
function modeOf(name: string, value: string): UrlOptions | string | undefined {
  if (name === "ssl") return SSLS.get(value) ?? "has an ssl that is neither true nor false: write sslmode=require";
  if (name !== "sslmode") return undefined;
  if (PROMISE_NOTHING.includes(value)) {
    return `has sslmode=${value}, which promises nothing: write require, or disable`;
  }
  return SSLMODES.get(value) ?? `has an sslmode that there is not: write ${[...SSLMODES.keys()].join(", ")}`;
}

function whyRefused(name: string, value: string, query: string): string | undefined {
  if (MEANS_NOTHING.test(name)) return undefined;
  if (name === "target_session_attrs") return PRIMARY.includes(value) ? undefined : A_STANDBY;
  const advice = REFUSED.get(name);
  if (advice !== undefined) return `has ${name}: ${advice}`;
  // What is before an @ may be the rest of a password.
  const isShown = /^[a-z_]{1,40}$/i.test(name) && !query.includes("@");
  return `has ${isShown ? name : "a parameter"}, which is not known here: take it away`;
}
