/** What can be set: the types, and the JSON Schema that checks and documents them. */

/** All settings after loading: checked, completed with their defaults, and frozen. */
export interface Settings {
  /** The section `authenticator`. */
  readonly authenticator: AuthenticatorSettings;
  /** The section `tokenizer`. */
  readonly tokenizer: TokenizerSettings;
}

/** The section `authenticator`. It belongs to your application; only `type` is read here. */
export interface AuthenticatorSettings {
  /**
   * Who checks names and passwords. With `local`, credentials are kept in the session, sealed. With any other, none are
   * kept; `none` is for users without a password, as with OpenID Connect or SAML. Default `local`.
   */
  readonly type: "local" | "openldap" | "ldap" | "microsoft" | "none";
}

/** The section `tokenizer`. Where a description begins with a `type`, the key is read with that type alone. */
export interface TokenizerSettings {
  /**
   * Where sessions are kept: `local` in a folder of this machine, `memory` in the process, `redis` in Redis or Valkey,
   * `dynamodb` in a table of DynamoDB, `module` in a backend of your own. `memory` is for tests and trials, and refused with
   * `NODE_ENV=production`. Default `local`.
   */
  readonly type: "local" | "memory" | "redis" | "dynamodb" | "module";
  /** `module`, required: a path (absolute, or from the settings file if it begins with `.`), or the name of a package. */
  readonly module?: string;
  /** Whether this is a cloud installation, which refuses `local` and `memory`. Default: found out from the environment. */
  readonly cloud?: boolean;
  /** Minutes without a request after which a session ends; fractions are allowed. Default 20. */
  readonly timeout: number;
  /**
   * The secret that seals credentials, a string or a list: the first seals, all of them open. Required where something is
   * to be sealed, except with `memory`, which makes one of its own.
   */
  readonly safe_password?: string | readonly string[];
  /** Goes into the keys beside `safe_password`; the same on every server. Default: a fixed text. */
  readonly salt: string;
  /** Minutes after sign-in at which a session ends, however busy it is. Default: no such end. */
  readonly absolute_timeout?: number;
  /** How long sign-ins with `remember: true` last. Default: such sign-ins are refused. */
  readonly remember?: RememberSettings;
  /** How many live sessions one user may have, 1 to 1000; the oldest gives way to a new one. Default 100. */
  readonly sessions_per_user: number;
  /** How many kilobytes (1,024 bytes) one session may have, as it is stored. Default 400, about what DynamoDB can keep. */
  readonly max_session_kb: number;
  /** What is sealed: the `credentials` alone, or the whole `session`. Default `credentials`. */
  readonly encrypt: "credentials" | "session";
  /**
   * Seconds, at least, between two writes of an unchanged session's expiry. At most a tenth of `timeout` counts: a session
   * may end that much early, never late. Default 60.
   */
  readonly touch_interval: number;
  /** Seconds that the backend may take before the request fails with 503. Default 2. */
  readonly store_timeout: number;
  /** The cookie that names the session. Default: as `CookieSettings` says, key by key. */
  readonly cookie: CookieSettings;
  /**
   * `local`: the folder that sessions are kept in, from the settings file; absolute after loading. Default: `.tokens` beside
   * the settings file, or in the working directory.
   */
  readonly path: string;
  /**
   * `redis`: `redis://user:password@host:port/database`, with `rediss://` for TLS, or `unix:///path` for a socket. It stands in
   * place of `host`, `port`, `username`, `password`, `database` and `options.ssl`, and sets them when the settings are loaded.
   */
  readonly url?: string;
  /** `redis`: the server's name or address, without a port; from a `url`, possibly a socket's path. Default `localhost`. */
  readonly host: string;
  /** `redis`: the server's TCP port, 1 to 65535. Default 6379. */
  readonly port: number;
  /** `redis`: the user to sign in as. Default: the server's default user. */
  readonly username?: string;
  /** `redis`: that user's password. Default: none is sent. */
  readonly password?: string;
  /** `redis`: a file that holds the password, from the working directory; read for each connection. Not beside `password`. */
  readonly password_file?: string;
  /** `redis`: the number of the database, from 0. Default 0. */
  readonly database: number;
  /** `redis`: what every key of ours begins with. Default `tokenizer:`. */
  readonly prefix: string;
  /** `redis`: how to connect. `module`: whatever that backend wants. Default: none. */
  readonly options?: RedisOptions | ModuleOptions;
  /** `dynamodb`, required: the table's name or ARN. */
  readonly table?: string;
  /** `dynamodb`: the region. Default: `AWS_REGION`, `AWS_DEFAULT_REGION`, or the profile's. */
  readonly aws_region_name?: string;
  /** `dynamodb`: a profile of the AWS configuration files. Not beside the keys. Default: as the AWS SDK finds credentials. */
  readonly profile_name?: string;
  /** `dynamodb`: the access key's id. Give both keys or neither. */
  readonly aws_access_key?: string;
  /** `dynamodb`: the secret access key. Give both keys or neither. */
  readonly aws_secret_key?: string;
  /** `dynamodb`: the token of temporary keys. Only beside both keys. */
  readonly aws_session_token?: string;
  /** `dynamodb`: the URL of an emulator or a VPC endpoint. Default: the region's own. */
  readonly endpoint?: string;
}

/** The section `tokenizer.remember`: replaces `timeout` and `absolute_timeout` for sessions of users who asked to be remembered. */
export interface RememberSettings {
  /** Minutes without a request after which such a session ends. Default 43200: 30 days. */
  readonly timeout: number;
  /** Minutes after sign-in at which it ends, however busy. Default 129600: 90 days. Browsers keep no cookie beyond 400 days. */
  readonly absolute_timeout: number;
}

/**
 * The section `tokenizer.cookie`. The cookie lasts as long as the browser runs, or as long as a remembered sign-in may; the
 * store decides when a session ends.
 */
export interface CookieSettings {
  /** Its name. Default `token`. */
  readonly name: string;
  /** Whether it is sent over TLS only: always, never, or with `auto` when the request came over TLS. Default `auto`. */
  readonly secure: boolean | "auto";
  /** Whether requests from other sites carry it. `none` works over TLS only. Default `lax`. */
  readonly same_site: "lax" | "strict" | "none";
  /** The domain that gets it, with its subdomains. Default: the host alone. */
  readonly domain?: string;
  /** The path below which it is sent. Default `/`. */
  readonly path: string;
  /**
   * Whether browsers keep it apart for each site whose pages embed yours. `false` also takes back cookies that were sent
   * with `true` before. Default: no.
   */
  readonly partitioned?: boolean;
  /** Which cookies Chromium drops first when a site has too many. Default: not said, which means `medium`. */
  readonly priority?: "low" | "medium" | "high";
  /** The secret that signs it, a string or a list: the first signs, all are accepted. Default: derived from `safe_password`. */
  readonly secret?: string | readonly string[];
  /**
   * Whether browsers that can do so bind each sign-in to their device, so that a copied cookie opens nothing elsewhere.
   * Experimental; needs TLS. Default: no.
   */
  readonly device_bound?: boolean;
}

/** The section `tokenizer.options` with `type: redis`. */
export interface RedisOptions {
  /** Whether to connect by TLS. Default: no. */
  readonly ssl?: boolean;
  /** The certificate authority to trust, in PEM. Default: the system's. */
  readonly ca?: string;
  /** The client's certificate, in PEM. Give both it and `key`, or neither. */
  readonly cert?: string;
  /** The client's private key, in PEM. Give both it and `cert`, or neither. */
  readonly key?: string;
  /** Whether to verify the server's certificate. Default: yes. */
  readonly verify?: boolean;
  /** A name in the server's certificate, where it is not the host's. Default: the host's. */
  readonly servername?: string;
  /** The master's name; `nodes` are then Sentinels. Default: no Sentinels. */
  readonly sentinel?: string;
  /** Whether `nodes` are servers of a Redis Cluster. Default: no. */
  readonly cluster?: boolean;
  /** `host:port` of each Sentinel, or of some of the Cluster's servers. */
  readonly nodes?: readonly string[];
}

/** The section `tokenizer.options` with `type: module`: handed to your backend as it stands, without a look at it. */
export type ModuleOptions = Readonly<Record<string, unknown>>;

/** The keys of `T`, each optional. */
type Optional<T> = { readonly [Key in keyof T]?: T[Key] | undefined };

/**
 * What `tokenizer()` takes in place of a file: the same sections with the same keys, and the same defaults for those that
 * are missing. Environment variables are not read.
 *
 * @example
 * const sessions = tokenizer({ tokenizer: { type: "memory", timeout: 20 } });
 */
export interface SettingsInput {
  /** The section `authenticator`; keys other than `type` are your application's. Default: `{ type: "local" }`. */
  readonly authenticator?: (Optional<AuthenticatorSettings> & Readonly<Record<string, unknown>>) | undefined;
  /** The section `tokenizer`, with every key of `TokenizerSettings` optional. An unknown key is an error. */
  readonly tokenizer: Optional<Omit<TokenizerSettings, "cookie" | "remember">> & {
    /** Keys of `CookieSettings`, each optional. */
    readonly cookie?: Optional<CookieSettings> | undefined;
    /** Keys of `RememberSettings`, each optional; `{}` allows remembered sign-ins, with the defaults. */
    readonly remember?: Optional<RememberSettings> | undefined;
  };
  /** Any other `section` is your application's, and left alone. */
  readonly [section: string]: unknown;
}

/** The `safe_password` of `settings.example.yml`: everybody knows it, so production refuses it. */
export const SAMPLE_SAFE_PASSWORD = "replace-this-sample-with-a-secret-of-your-own";

/** The keywords of JSON Schema that are used here. `writeOnly` marks a secret: its value is never shown. */
export interface SettingSchema {
  /** The first sentence is shown in faults, so it is short and names the unit. */
  readonly description: string;
  readonly type?: string | readonly string[];
  readonly enum?: readonly (string | boolean)[];
  /** One for each word of `enum`; editors show them. */
  readonly enumDescriptions?: readonly string[];
  readonly default?: unknown;
  readonly examples?: readonly unknown[];
  readonly writeOnly?: true;
  readonly minimum?: number;
  readonly exclusiveMinimum?: number;
  readonly maximum?: number;
  readonly minLength?: number;
  readonly pattern?: string;
  readonly minItems?: number;
  readonly items?: SettingSchema;
  readonly properties?: Readonly<Record<string, SettingSchema>>;
  readonly additionalProperties?: boolean;
}

/** What is read with one type alone, or with some. All other settings are for every type. */
const SETTINGS_OF: Readonly<Record<TokenizerSettings["type"], readonly (keyof TokenizerSettings)[]>> = {
  local: ["path"],
  memory: [],
  redis: ["url", "host", "port", "username", "password", "password_file", "database", "prefix", "options"],
  dynamodb: [
    "table",
    "aws_region_name",
    "profile_name",
    "aws_access_key",
    "aws_secret_key",
    "aws_session_token",
    "endpoint",
  ],
  module: ["module", "options"],
};
const TYPES = Object.keys(SETTINGS_OF) as TokenizerSettings["type"][];

/** The types that a setting is for, where that is not all of them. */
export function typesOf(key: string): readonly TokenizerSettings["type"][] {
  const types = TYPES.filter((type) => SETTINGS_OF[type].some((name) => name === key));
  return types.length === 0 ? TYPES : types;
}

/** Says why a setting of another type changes nothing. */
export function whyUnused(key: string, type: string): string {
  return `is for type: ${typesOf(key).join(" or ")}; with type: ${type} it changes nothing: take it away`;
}

/** One schema for each key of an interface: the compiler names the one forgotten, or the one too many. */
type Complete<T> = { readonly [Key in keyof Required<T>]: SettingSchema };

/** Ten years: far above any use, and far below what a date can hold. */
const MOST_MINUTES = 10 * 366 * 24 * 60;
/** A timer of Node cannot be longer than 24.8 days; a request should not come near. */
const MOST_STORE_SECONDS = 3600;
/** Far above any session that makes sense: 64 MB. */
const MOST_KILOBYTES = 65_536;

const text = { type: "string", minLength: 1 } as const;
const minutes = { type: "number", exclusiveMinimum: 0, maximum: MOST_MINUTES } as const;
const secret = { ...text, writeOnly: true } as const;

function secrets(description: string): SettingSchema {
  return {
    description,
    type: ["string", "array"],
    writeOnly: true,
    minLength: 1,
    minItems: 1,
    items: { description: "One of the secrets, a text", ...secret },
  };
}

/** What of the schema only editors read. */
export const EDITORS_KEYWORDS = ["enumDescriptions"];

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

const remember: Complete<RememberSettings> = {
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

const redisOptions: Complete<RedisOptions> = {
  ssl: { description: "Whether to connect by TLS", type: "boolean" },
  ca: { description: "The certificate authority to trust, in PEM. Without it: the system's", ...text },
  cert: { description: "The client's certificate, in PEM. Goes with key", ...text },
  key: { description: "The client's private key, in PEM. Goes with cert", ...secret },
  verify: { description: "Whether the server's certificate is verified. Without it: yes", type: "boolean" },
  servername: { description: "A name in the server's certificate, where that is not the host's", ...text },
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

const tokenizer: Complete<TokenizerSettings> = {
  type: {
    description: "Where sessions are kept",
    type: "string",
    enum: ["local", "memory", "redis", "dynamodb", "module"],
    enumDescriptions: [
      "A folder of this machine",
      "The memory of the process, for tests and trials",
      "Redis or Valkey: one server, a Cluster or Sentinels",
      "A table of Amazon DynamoDB",
      "A backend of your own",
    ],
    default: "local",
  },
  module: {
    description: "The backend's module, with type: module. A path from the settings file, or a package",
    ...text,
    examples: ["./my-backend.js"],
  },
  cloud: {
    description:
      "Whether this is a cloud installation, where type: local and memory are refused. Without it: found out",
    type: "boolean",
  },
  timeout: {
    description: "Minutes without a request after which a session ends",
    ...minutes,
    default: 20,
  },
  safe_password: secrets(
    "Seals the credentials, a text or a list of them. The first seals, all open. Needed with the local authenticator",
  ),
  salt: {
    description: "Goes into the keys beside safe_password, a text. The same on every server of an installation",
    ...text,
    default: "express-tokenizer",
  },
  absolute_timeout: {
    description: "Minutes after sign-in at which a session ends, however busy. Without it: never by that",
    ...minutes,
    examples: [480],
  },
  remember: {
    description: "For sign-ins that ask to be remembered. Without this section they are refused",
    type: "object",
    properties: remember,
    additionalProperties: false,
    examples: [{}],
  },
  sessions_per_user: {
    description: "The number of live sessions that one user may have. The oldest gives way",
    type: "integer",
    minimum: 1,
    maximum: 1000,
    default: 100,
    examples: [5],
  },
  max_session_kb: {
    description:
      "The number of kilobytes that one session may have, as stored. Larger ones hold the event loop at each save",
    type: "integer",
    minimum: 1,
    maximum: MOST_KILOBYTES,
    default: 400,
  },
  encrypt: {
    description: "What is sealed",
    type: "string",
    enum: ["credentials", "session"],
    enumDescriptions: ["The credentials alone", "The whole session"],
    default: "credentials",
  },
  touch_interval: {
    description:
      "Seconds between two writes of an unchanged session's expiry, at least. Capped at a tenth of timeout: the idle " +
      "end may come that much early, never late",
    type: "number",
    minimum: 0,
    maximum: MOST_MINUTES,
    default: 60,
  },
  store_timeout: {
    description: "Seconds the backend may take before the request fails with 503",
    type: "number",
    exclusiveMinimum: 0,
    maximum: MOST_STORE_SECONDS,
    default: 2,
  },
  cookie: {
    description: "The cookie that names the session",
    type: "object",
    properties: cookie,
    additionalProperties: false,
    default: {},
  },
  path: {
    description: "local: the folder that sessions are kept in, from the settings file. Without it: .tokens",
    ...text,
    examples: ["/var/lib/my-app/tokens", "~/tokens"],
  },
  url: {
    description:
      "redis: redis://user:password@host:port/database in place of those keys, rediss:// by TLS, unix:///path for a socket",
    ...secret,
    examples: ["rediss://sessions:password@redis.example.com:6380/0"],
  },
  host: {
    description: "redis: the server's name or address, without a port",
    type: "string",
    pattern: "^[^\\s/@]+$",
    default: "localhost",
  },
  port: {
    description: "redis: the server's TCP port",
    type: "integer",
    minimum: 1,
    maximum: 65535,
    default: 6379,
  },
  username: { description: "redis: the user to sign in as, a text. Without it: the server's default user", ...text },
  password: { description: "redis: that user's password, a text", ...secret },
  password_file: {
    description: "redis: the file that holds that password, from the working directory. Read for each connection",
    ...text,
    examples: ["/run/secrets/redis_password"],
  },
  database: { description: "redis: the number of the database", type: "integer", minimum: 0, default: 0 },
  prefix: { description: "redis: what every key of ours begins with, a text", ...text, default: "tokenizer:" },
  options: { description: "redis: how to connect. module: what that backend wants", type: "object" },
  table: {
    description: "dynamodb: the table's name (letters, digits and _.-) or ARN",
    type: "string",
    pattern: "^([A-Za-z0-9_.-]+|arn:\\S+)$",
    examples: ["session_tokens"],
  },
  aws_region_name: {
    description: "dynamodb: the region, a text. Without it: AWS_REGION, AWS_DEFAULT_REGION, or the profile's",
    ...text,
    examples: ["us-east-1"],
  },
  profile_name: {
    description: "dynamodb: a profile of the AWS configuration files, a text. Not beside the keys",
    ...text,
  },
  aws_access_key: { description: "dynamodb: the access key's id, a text. Both keys or neither", ...secret },
  aws_secret_key: { description: "dynamodb: the secret access key, a text. Both keys or neither", ...secret },
  aws_session_token: { description: "dynamodb: goes with temporary keys, a text", ...secret },
  endpoint: {
    description: "dynamodb: the URL of an emulator or a VPC endpoint, beginning with http:// or https://",
    type: "string",
    pattern: "^https?://[^\\s/]+",
    examples: ["http://localhost:8000"],
  },
};

/** What checks settings, of whatever type (draft-07). `npm run schema` makes from it what editors read. */
export const settingsSchema = {
  $schema: "http://json-schema.org/draft-07/schema#",
  title: "Settings of express-tokenizer",
  description: "The sections tokenizer and authenticator of a settings.yml. Other sections are the application's.",
  type: "object",
  required: ["tokenizer"],
  properties: {
    authenticator: {
      description: "Who checks names and passwords. Other keys here are the application's",
      type: "object",
      properties: {
        type: {
          description: "Who checks names and passwords",
          type: "string",
          enum: ["local", "openldap", "ldap", "microsoft", "none"],
          enumDescriptions: [
            "Credentials are kept, sealed, in the session",
            "OpenLDAP; no credentials are kept",
            "LDAP; no credentials are kept",
            "A Microsoft directory; no credentials are kept",
            "There is no password, as with OpenID Connect or SAML",
          ],
          default: "local",
        },
      } satisfies Complete<AuthenticatorSettings>,
      default: {},
    },
    tokenizer: {
      description: "Where and how long sessions are kept",
      type: "object",
      properties: tokenizer,
      additionalProperties: false,
      if: { type: "object", properties: { type: { const: "module" } }, required: ["type"] },
      // biome-ignore lint/suspicious/noThenProperty: a keyword of JSON Schema
      then: { type: "object", properties: { module: {} }, required: ["module"] },
      else: {
        type: "object",
        properties: {
          options: {
            description: "redis: how to connect",
            type: "object",
            properties: redisOptions,
            additionalProperties: false,
          },
        },
      },
    },
  },
} as const;

/** The keys that can stand in each section of ours, by the section's path. */
export const settingSections: Readonly<Record<string, Readonly<Record<string, SettingSchema>>>> = {
  tokenizer,
  "tokenizer.remember": remember,
  "tokenizer.cookie": cookie,
  "tokenizer.options": redisOptions,
};
