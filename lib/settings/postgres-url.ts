/** `url: postgres://user:password@host:port/database?sslmode=…`, as other clients take it. Nothing of it is ever shown: it holds a password. */
import { isIP } from "node:net";
import { readParameters, type Texts, type UrlOptions } from "./postgres-parameters.js";

/** What a URL says. A key that is missing it leaves out. */
export interface PostgresUrl {
  /** Of a Unix socket its folder, which begins with `/`. */
  readonly host?: string;
  readonly port?: number;
  readonly username?: string;
  readonly password?: string;
  readonly database?: string;
  readonly options: UrlOptions;
}

const SCHEME = /^postgres(?:ql)?:\/\//i;
const PAIR = "[^=&#]+=[^&#]*";
const PLACE = [
  String.raw`(?<host>\[[0-9a-f:.]+\]|[^\s,:/?#@[\]]*)(?::(?<port>\d*))?(?<others>,[^/?#@]*)?`,
  "(?:/(?<database>[^/?#@]*))?",
  `(?:[?](?<query>(?:${PAIR}(?:&${PAIR})*)?&?))?$`,
].join("");
const USUAL = new RegExp(`^(?:(?<login>[^/?#]*)@)?${PLACE}`, "is");
/** A password may hold anything: what is before the last @ is the login. */
const ANY_LOGIN = new RegExp(`^(?<login>.*)@${PLACE}`, "is");
const HOST = /^(?:\/[^\0]*|[^\s/@,:\0]+)$/;
const MOST_PORT = 65_535;

const FORM = "must be postgres://user:password@host:port/database?sslmode=require, and nothing more";

const SEVERAL_HOSTS = "names several hosts: name the one that always leads to the primary";
const THE_SOCKET = "names the socket itself: name its folder, and the number at its end as the port";

/** Whether it is one by its beginning. */
export function isPostgresUrl(text: string): boolean {
  return SCHEME.test(text.trim());
}

/** What a URL says, or, as a text, what is wrong with it. */
export function readPostgresUrl(text: string): PostgresUrl | string {
  const url = text.trim();
  const [start] = SCHEME.exec(url) ?? [];
  if (start === undefined) return `must begin with postgres:// or postgresql://${whatElse(url)}`;
  const rest = url.slice(start.length);
  const { groups } = USUAL.exec(rest) ?? ANY_LOGIN.exec(rest) ?? {};
  if (!groups) return FORM;
  if (groups.others !== undefined) return SEVERAL_HOSTS;
  try {
    return readGroups(groups);
  } catch (error) {
    if (error instanceof URIError) return "holds a % that begins no code: write it as %25";
    throw error;
  }
}

/** @throws URIError */
function readGroups({ host = "", port = "", login, database = "", query = "" }: Record<string, string | undefined>) {
  const parameters = readParameters(query);
  if (typeof parameters === "string") return parameters;
  const said = {
    ...filled({ host: decodeURIComponent(host.replace(/^\[(.*)\]$/, "$1")), port }),
    ...readLogin(login),
    ...filled({ database: decodeURIComponent(database) }),
    ...parameters.server,
  };
  const fault = whyUnfit(said);
  if (fault !== undefined) return fault;
  const { port: number, ...texts } = said;
  return { ...texts, ...(number === undefined ? {} : { port: Number(number) }), options: parameters.options };
}

function whyUnfit({ host = "localhost", port = "1", ...names }: Texts): string | undefined {
  if (Object.values(names).some((name) => name?.includes("\0"))) return "holds %00, which no name and no password has";
  const fault = whyNoPlace(host) ?? (HOST.test(host) || isIP(host) ? undefined : FORM);
  if (fault !== undefined) return fault;
  return /^\d+$/.test(port) && Number(port) >= 1 && Number(port) <= MOST_PORT
    ? undefined
    : `names a port that is not from 1 to ${MOST_PORT}`;
}

/** Why a text names no one place, wherever it stands. */
export function whyNoPlace(host: string): string | undefined {
  if (host.includes(",")) return SEVERAL_HOSTS;
  return /\/\.s\.PGSQL\.\d+$/.test(host) ? THE_SOCKET : undefined;
}

/** @throws URIError */
function readLogin(login = ""): Texts {
  const [, username = "", password = ""] = /^([^:]*)(?::(.*))?$/s.exec(login) ?? [];
  return filled({ username: decodeURIComponent(username), password: decodeURIComponent(password) });
}

function filled(texts: Texts): Texts {
  return Object.fromEntries(Object.entries(texts).filter(([, text]) => text !== ""));
}

/** What people have instead of it. */
function whatElse(url: string): string {
  if (/^["'`]/.test(url)) return "; take the quotes around it away";
  if (/^\w+ *= *["'`]?postgres/i.test(url)) return "; take away what stands before that";
  if (url.startsWith("$")) return "; variables are not filled in here: set TOKENIZER_URL";
  if (/^prisma/i.test(url)) return "; prisma:// leads to a service of Prisma's: take the database's own URL";
  if (/^jdbc:/i.test(url)) return "; take jdbc: away";
  if (/^postgres(ql)?\+/i.test(url)) return "; take the + away, and what follows it up to ://";
  return /^\w+ *=/.test(url) ? "; write what stands here as postgres://user:password@host:port/database" : "";
}
