/** The rules of `type: redis`: what must stand together, what must not, and what a `url` stands for. */
import { isIP } from "node:net";
import type { Finding } from "./faults.js";
import { isSection, type Section, sectionOf } from "./plain.js";
import { isRedisUrl, type RedisUrl, readRedisUrl } from "./redis-url.js";

const AN_URL = "found a URL: write it as tokenizer.url, in place of host, port, username and password";
const A_LOGIN = "found a login before the host: write it as tokenizer.username and tokenizer.password";
const A_PATH = "found a path: of a Unix socket, write tokenizer.url: unix:///path";
const IN_BRACKETS = "found an address in brackets: leave them out here, as in ::1";
const A_NODE =
  "found more than host:port: write tokenizer.username, tokenizer.password and, for rediss://, tokenizer.options.ssl: true " +
  "beside it";

/**
 * What is wrong with texts that may hold a password, and with what stands beside a `url`. Asked before the defaults are
 * filled in, and before the schema, which would show the text.
 */
export function checkRedisTexts(tokenizer: Section): readonly Finding[] {
  return [...checkHost(tokenizer), ...checkNodes(tokenizer), ...checkUrl(tokenizer)];
}

/** Puts what the `url` says in its place. */
export function fillInUrl(tokenizer: Section): Section {
  const said = urlOf(tokenizer);
  if (!said) return tokenizer;
  const { ssl, ...server } = said;
  const { url: _, options, ...rest } = tokenizer;
  return {
    ...rest,
    ...server,
    ...(ssl ? { options: { ...sectionOf(options), ssl } } : isSection(options) ? { options } : {}),
  };
}

/** Without what the `url` says, too: one that a variable holds wins over the file. */
export function withoutUrls(tokenizer: Section, url: string): Section {
  const said = urlOf({ type: "redis", url });
  if (!said) return tokenizer;
  const keys = new Set(keysOf(said));
  const { ssl: _, ...options } = sectionOf(tokenizer.options);
  const rest = Object.fromEntries(Object.entries(tokenizer).filter(([key]) => !keys.has(key)));
  return isSection(tokenizer.options) ? { ...rest, options } : rest;
}

/** What must stand together, and what must not. */
export function checkRedis(tokenizer: Section): readonly Finding[] {
  // A `url` that is still there is at fault: what it would have said is not known.
  if (tokenizer.type !== "redis" || tokenizer.url !== undefined) return [];
  return [...checkPort(tokenizer), ...checkPassword(tokenizer), ...checkServers(tokenizer), ...checkTls(tokenizer)];
}

function checkHost({ host }: Section): readonly Finding[] {
  const message = typeof host === "string" ? whyNoHost(host) : undefined;
  return message === undefined ? [] : [setting("host", message)];
}

function whyNoHost(host: string): string | undefined {
  if (/:\/\//.test(host)) return AN_URL;
  if (host.includes("@")) return A_LOGIN;
  if (host.startsWith("/")) return A_PATH;
  const inBrackets = /^\[.*\](:\d+)?$/.exec(host);
  if (!inBrackets) return undefined;
  return inBrackets[1] === undefined ? IN_BRACKETS : `${IN_BRACKETS}, and give the port in tokenizer.port`;
}

function checkNodes(tokenizer: Section): readonly Finding[] {
  const { nodes } = sectionOf(tokenizer.options);
  return (Array.isArray(nodes) ? nodes : []).flatMap((node, index) =>
    typeof node === "string" && /:\/\/|@/.test(node)
      ? [{ at: ["tokenizer", "options", "nodes", index], message: A_NODE }]
      : [],
  );
}

function checkUrl(tokenizer: Section): readonly Finding[] {
  const { type, url } = tokenizer;
  if (typeof url !== "string") return [];
  if (type === undefined && isRedisUrl(url)) return [setting("type", "is missing; this url needs type: redis")];
  if (type !== "redis") return [];
  const said = readRedisUrl(url);
  if (typeof said === "string") return [setting("url", said)];
  return [
    ...keysOf(said)
      .filter((key) => tokenizer[key] !== undefined)
      .map((key) => setting(key, "stands beside url, which says it; keep one")),
    ...checkBeside(said, sectionOf(tokenizer.options)),
  ];
}

function checkBeside({ ssl: isSecure }: RedisUrl, { ssl, ...options }: Section): readonly Finding[] {
  const several = ["sentinel", "cluster", "nodes"].filter((key) => options[key] !== undefined);
  return [
    ...(ssl === undefined || ssl === isSecure
      ? []
      : [option("ssl", "contradicts url: there, rediss:// is TLS and redis:// is not; leave this out")]),
    ...several.map((key) =>
      option(key, "stands beside url, which names one server; put all servers into options.nodes, and leave out url"),
    ),
  ];
}

/** The settings that a URL stands for. A password there is its user's. */
function keysOf({ username, password, database }: RedisUrl): readonly string[] {
  return [
    ...["host", "port"],
    ...((username ?? password) === undefined ? [] : ["username"]),
    ...(password === undefined ? [] : ["password", "password_file"]),
    ...(database === undefined ? [] : ["database"]),
  ];
}

function urlOf({ type, url }: Section): RedisUrl | undefined {
  const said = type === "redis" && typeof url === "string" ? readRedisUrl(url) : undefined;
  return typeof said === "string" ? undefined : said;
}

function checkPort({ host }: Section): readonly Finding[] {
  return typeof host === "string" && /:\d+$/.test(host) && !isIP(host)
    ? [setting("host", `found the text "${host}"; give the port in tokenizer.port`)]
    : [];
}

function checkPassword({ password, password_file: file }: Section): readonly Finding[] {
  return password !== undefined && file !== undefined
    ? [setting("password_file", "stands beside password; keep one")]
    : [];
}

function checkServers(tokenizer: Section): readonly Finding[] {
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
  const { database } = tokenizer;
  return clustered && typeof database === "number" && database > 0
    ? [setting("database", `found ${database}; a Redis Cluster has database 0 only`)]
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

function setting(key: string, message: string): Finding {
  return { at: ["tokenizer", key], message };
}

function option(key: string, message: string): Finding {
  return { at: ["tokenizer", "options", key], message };
}
