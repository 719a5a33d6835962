/** The rules of `type: redis`: what must stand together, and what must not. */
import type { Finding } from "./faults.js";
import { type Section, sectionOf } from "./plain.js";
import { checkServer, option, setting, whyNoHost } from "./server-rules.js";
import { checkUrl } from "./server-url.js";

const A_PATH = "found a path: of a Unix socket, write tokenizer.url: unix:///path";
const A_NODE =
  "found more than host:port: write tokenizer.username, tokenizer.password and, for rediss://, tokenizer.options.ssl: true " +
  "beside it";

/**
 * What is wrong with texts that may hold a password, and with what stands beside a `url`. Asked before the defaults are
 * filled in, and before the schema, which would show the text.
 */
export function checkRedisTexts(tokenizer: Section): readonly Finding[] {
  return [...checkHost(tokenizer), ...checkNodes(tokenizer), ...checkUrl(tokenizer), ...checkBesideUrl(tokenizer)];
}

/** What must stand together, and what must not. */
export function checkRedis(tokenizer: Section): readonly Finding[] {
  // A `url` that is still there is at fault: what it would have said is not known.
  if (tokenizer.type !== "redis" || tokenizer.url !== undefined) return [];
  return [...checkServer(tokenizer), ...checkServers(tokenizer)];
}

function checkHost({ host }: Section): readonly Finding[] {
  if (typeof host !== "string") return [];
  const message = whyNoHost(host) ?? (host.startsWith("/") ? A_PATH : undefined);
  return message === undefined ? [] : [setting("host", message)];
}

function checkNodes(tokenizer: Section): readonly Finding[] {
  const { nodes } = sectionOf(tokenizer.options);
  return (Array.isArray(nodes) ? nodes : []).flatMap((node, index) =>
    typeof node === "string" && /:\/\/|@/.test(node)
      ? [{ at: ["tokenizer", "options", "nodes", index], message: A_NODE }]
      : [],
  );
}

function checkBesideUrl({ type, url, options }: Section): readonly Finding[] {
  if (type !== "redis" || typeof url !== "string") return [];
  return ["sentinel", "cluster", "nodes"]
    .filter((key) => sectionOf(options)[key] !== undefined)
    .map((key) =>
      option(key, "stands beside url, which names one server; put all servers into options.nodes, and leave out url"),
    );
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
