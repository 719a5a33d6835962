/** `url: redis://user:password@host:port/database`, as other clients take it. Nothing of it is ever shown: it holds a password. */

/** What a URL says. */
export interface RedisUrl {
  /** Of a Unix socket, its path, which begins with `/`. */
  readonly host: string;
  readonly port: number;
  /** Missing, like those below it: the URL leaves it out. */
  readonly username?: string;
  readonly password?: string;
  readonly database?: number;
  readonly ssl: boolean;
}

const SCHEME = /^(redis|valkey|unix)(s?):\/\//i;
/** A password may hold anything: what is before the last @ is the login. */
const SERVER =
  /^(?:(?<login>.*)@)?(?<host>\[[0-9a-f:.]+\]|[^\s:/?#@%[\]]+)(?::(?<port>\d+))?(?:\/(?<database>\d*))?$/is;
const SOCKET = /^(?:(?<login>.*)@)?(?<host>\/[^?#]+)(?:\?db=(?<database>\d+))?$/s;
const DEFAULT_PORT = 6379;
const MOST_PORT = 65_535;

/** Whether it is one by its beginning. */
export function isRedisUrl(text: string): boolean {
  return SCHEME.test(text.trim());
}

/** What a URL says, or, as a text, what is wrong with it. */
export function readRedisUrl(text: string): RedisUrl | string {
  const [start, kind, secure] = SCHEME.exec(text.trim()) ?? [];
  const isSocket = kind?.toLowerCase() === "unix";
  if (start === undefined || (isSocket && secure)) {
    const advice = text.startsWith("$") ? "; variables are not filled in here: set TOKENIZER_URL" : "";
    return `must begin with redis://, rediss:// (by TLS) or unix://${advice}`;
  }
  const { groups } = (isSocket ? SOCKET : SERVER).exec(text.trim().slice(start.length)) ?? {};
  if (!groups)
    return `must be ${isSocket ? "unix:///path" : "redis://user:password@host:port/database"}, and nothing more`;
  const { login, host = "", port = String(DEFAULT_PORT), database } = groups;
  if (Number(port) < 1 || Number(port) > MOST_PORT) return `names a port that is not from 1 to ${MOST_PORT}`;
  try {
    return {
      host: decodeURIComponent(host.replace(/^\[(.*)\]$/, "$1")),
      port: Number(port),
      ...readLogin(login),
      ...(database ? { database: Number(database) } : {}),
      ssl: secure !== "",
    };
  } catch {
    return "holds a % that begins no code: write it as %25";
  }
}

/** @throws URIError */
function readLogin(login = ""): Pick<RedisUrl, "username" | "password"> {
  const [, username, password] = /^([^:]*)(?::(.*))?$/s.exec(login) ?? [];
  return {
    ...(username ? { username: decodeURIComponent(username) } : {}),
    ...(password ? { password: decodeURIComponent(password) } : {}),
  };
}
