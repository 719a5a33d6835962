/** The settings as `check` shows them. Of a secret it is told whether it is set, and nothing else. */
import { TokenizerError } from "../errors.js";
import type { LoadedSettings } from "../settings/load.js";
import type { TlsOptions, TokenizerSettings } from "../settings/settings.js";
import { placeOf, postgresAddress } from "./place.js";
import { counted } from "./text.js";

/** One setting, under its name in the file. */
export interface Row {
  readonly name: string;
  /** For programs. */
  readonly value: unknown;
  /** For people. */
  readonly text: string;
}

export function settingsInForce(settings: LoadedSettings, env: NodeJS.ProcessEnv): readonly Row[] {
  const { authenticator, tokenizer, file } = settings;
  const { absolute_timeout: absolute, remember } = tokenizer;
  const { name, secret, ...attributes } = tokenizer.cookie;
  const { secure, same_site, path, domain, partitioned, priority } = attributes;
  const shown = Object.entries({ secure, same_site, path, domain, partitioned, priority });
  const cookie = shown.flatMap(([key, value]) => (value === undefined ? [] : `${key}: ${value}`)).join(", ");
  return [
    row("file", file),
    row("type", tokenizer.type),
    row("place", placeOf(settings, env)),
    ...accessTo(tokenizer, env),
    row("authenticator.type", authenticator.type),
    secretRow("safe_password", tokenizer.safe_password, ...(tokenizer.type === "memory" ? [PASSING_KEYS] : [])),
    row("encrypt", tokenizer.encrypt),
    row("timeout", tokenizer.timeout, counted(tokenizer.timeout, "minute")),
    row("absolute_timeout", absolute, absolute === undefined ? "none" : counted(absolute, "minute")),
    row("remember", remember, rememberText(remember)),
    row("sessions_per_user", tokenizer.sessions_per_user),
    row("max_session_kb", tokenizer.max_session_kb, `${tokenizer.max_session_kb} KB`),
    row("touch_interval", tokenizer.touch_interval, counted(tokenizer.touch_interval, "second")),
    row("store_timeout", tokenizer.store_timeout, counted(tokenizer.store_timeout, "second")),
    row("cookie", { name, domain: null, ...attributes }, `${name}; ${cookie}`),
    secretRow("cookie.secret", secret, "not set: derived from safe_password"),
  ];
}

const PASSING_KEYS = "not set: each process makes keys of its own";

function rememberText(remember: TokenizerSettings["remember"]): string {
  if (remember === undefined) return "no";
  return `timeout: ${counted(remember.timeout, "minute")}, absolute_timeout: ${counted(remember.absolute_timeout, "minute")}`;
}

/** Who asks the backend, and how. */
function accessTo(settings: TokenizerSettings, env: NodeJS.ProcessEnv): Row[] {
  const { type, username, password, password_file: file, profile_name, aws_access_key, options } = settings;
  if (type === "redis") {
    return [
      row("username", username, username ?? "the default user"),
      file === undefined ? secretRow("password", password) : row("password_file", file),
      ...tlsRows(settings),
    ];
  }
  if (type === "postgres") return accessToPostgres(settings, env);
  if (type === "module") return [secretRow("options", options)];
  if (type !== "dynamodb") return [];
  return [row("profile_name", profile_name, profile_name ?? "not set"), secretRow("aws_access_key", aws_access_key)];
}

/** What the settings leave out the environment says: that is told, too, and whose word it is. */
function accessToPostgres(settings: TokenizerSettings, env: NodeJS.ProcessEnv): Row[] {
  const { username, password, password_file: file } = settings;
  const place = postgresAddress(settings, env);
  const user = place instanceof TokenizerError ? undefined : place.username;
  const whose = username === undefined ? ` (${env.PGUSER ? "PGUSER" : "the system's user"})` : "";
  return [
    row("username", user, user === undefined ? "not set" : user + whose),
    file === undefined ? secretRow("password", password, passwordOf(env)) : row("password_file", file),
    ...tlsRows(settings, env.PGSSLMODE),
  ];
}

function passwordOf({ PGPASSWORD, PGPASSFILE }: NodeJS.ProcessEnv): string {
  if (PGPASSWORD) return "set (PGPASSWORD)";
  return `not set: what ${PGPASSFILE ? "the file of PGPASSFILE" : "~/.pgpass"} says`;
}

/** @param mode what the environment says of TLS, where the settings say nothing */
function tlsRows({ options }: TokenizerSettings, mode?: string): Row[] {
  const { ssl, verify = true, key } = (options ?? {}) as TlsOptions;
  if (ssl === undefined && mode) return [row("options.ssl", null, `not set: as PGSSLMODE says, ${mode}`)];
  return [
    row("options.ssl", ssl ?? false),
    ...(ssl ? [row("options.verify", verify), secretRow("options.key", key)] : []),
  ];
}

function row(name: string, value: unknown, text = String(value)): Row {
  return { name, value: value ?? null, text };
}

function secretRow(name: string, value: unknown, absent = "not set"): Row {
  return value === undefined ? row(name, null, absent) : row(name, "set");
}
