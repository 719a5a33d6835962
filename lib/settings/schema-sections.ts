/** The schemas of the sections below `tokenizer`. */
import { type Complete, minutes, type SettingSchema, secret, secrets, text } from "./schema-words.js";
import type { CookieSettings, PostgresOptions, RedisOptions, RememberSettings, TlsOptions } from "./settings.js";

/** The keys of `cookie`. */
export const cookie: Complete<CookieSettings> = {
  name: {
    description: "Name of the cookie: letters, digits and !#$%&'*+-.^_`|~",
    type: "string",
    pattern: "^[!#$%&'*+\\-.^_`|~0-9A-Za-z]+$",
    default: "token",
  },
  secure: {
    description: "Whether the cookie is sent over TLS only",
    enum: [true, false, "auto"],
    enumDescriptions: ["Over TLS only", "Also over plain HTTP", "Over TLS only, when the request came over TLS"],
    default: "auto",
  },
  same_site: {
    description: "Whether other sites' requests carry the cookie",
    type: "string",
    enum: ["lax", "strict", "none"],
    enumDescriptions: ["When somebody follows a link to your site", "Never", "Always; works over TLS only"],
    default: "lax",
  },
  domain: {
    description: "The domain that gets the cookie, with its subdomains. Without it: the host alone",
    type: "string",
    pattern: "^[.]?[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?([.][A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?)*$",
    examples: ["example.com"],
  },
  path: {
    description: "The path below which the cookie is sent, beginning with /",
    type: "string",
    pattern: "^/[\\u0020-\\u003A\\u003D-\\u007E]*$",
    default: "/",
  },
  partitioned: {
    description: "Whether browsers keep the cookie apart for each site that embeds yours. Goes with same_site: none",
    type: "boolean",
    examples: [true],
  },
  priority: {
    description: "Which cookies Chromium drops first, where a site has too many",
    type: "string",
    enum: ["low", "medium", "high"],
    examples: ["high"],
  },
  secret: secrets(
    "Signs the cookie, a text or a list of them. The first signs, all are accepted; without it, safe_password's key",
  ),
  device_bound: {
    description:
      "Whether browsers that can do so bind each sign-in to their device (experimental, needs TLS). Without it: no",
    type: "boolean",
    examples: [true],
  },
};

/** The keys of `remember`. */
export const remember: Complete<RememberSettings> = {
  timeout: {
    description: "Minutes without a request after which a remembered session ends",
    ...minutes,
    default: 43_200,
  },
  absolute_timeout: {
    description:
      "Minutes after sign-in at which a remembered session ends, however busy. Browsers keep no cookie beyond 400 days",
    ...minutes,
    default: 129_600,
  },
};

const tlsOptions: Complete<TlsOptions> = {
  ssl: { description: "Whether to connect by TLS", type: "boolean" },
  ca: { description: "The certificate authority to trust, in PEM. Without it: the system's", ...text },
  cert: { description: "The client's certificate, in PEM. Goes with key", ...text },
  key: { description: "The client's private key, in PEM. Goes with cert", ...secret },
  verify: { description: "Whether the server's certificate is verified. Without it: yes", type: "boolean" },
  servername: { description: "A name in the server's certificate, where that is not the host's", ...text },
};

/** The keys of `options` with `type: postgres`. */
const postgresOptions: Complete<PostgresOptions> = {
  ...tlsOptions,
  ssl: { description: "Whether to connect by TLS. Without it: as PGSSLMODE says, else no", type: "boolean" },
};

/** The keys of `options` with `type: redis`, which has all that there are. */
export const redisOptions: Complete<RedisOptions> = {
  ...tlsOptions,
  sentinel: { description: "The master's name, when nodes are Sentinels", ...text },
  cluster: { description: "Whether nodes are a Redis Cluster", type: "boolean" },
  nodes: {
    description: "host:port of each Sentinel, or of some of the cluster's servers",
    type: "array",
    minItems: 1,
    items: {
      description: "host:port, as in redis-1.example.com:6379",
      type: "string",
      pattern: "^(\\[[0-9A-Fa-f:.]+\\]|[^\\s:/@\\[\\]]+):[0-9]{1,5}$",
    },
  },
};

export const optionsOfRedis: SettingSchema = {
  description: "redis: how to connect",
  type: "object",
  properties: redisOptions,
  additionalProperties: false,
};

export const optionsOfPostgres: SettingSchema = {
  description: "postgres: how to connect",
  type: "object",
  properties: postgresOptions,
  additionalProperties: false,
};
