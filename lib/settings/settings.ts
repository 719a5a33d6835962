/** What can be set: the types. */

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

/** The section `tokenizer`. Where a description names a `type` first, or several, the key is read with those alone. */
export interface TokenizerSettings {
  /**
   * Where sessions are kept: `local` in a folder of this machine, `memory` in the process, `redis` in Redis or Valkey,
   * `postgres` in a table of PostgreSQL, `dynamodb` in a table of DynamoDB, `module` in a backend of your own. `memory` is for
   * tests and trials, and refused with `NODE_ENV=production`. Default `local`.
   */
  readonly type: "local" | "memory" | "redis" | "postgres" | "dynamodb" | "module";
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
   * `redis`: `redis://user:password@host:port/database`, with `rediss://` for TLS, or `unix:///path` for a socket. `postgres`:
   * `postgres://user:password@host:port/database?sslmode=require`. It stands in place of `host`, `port`, `username`,
   * `password`, `database` and `options.ssl`, and sets them when the settings are loaded.
   */
  readonly url?: string;
  /**
   * `redis`, `postgres`: the server's name or address, without a port. With `redis`, a `url` may make it a socket's path;
   * default `localhost`. With `postgres` it may be the folder of a socket, beginning with `/`; default `PGHOST`, else `localhost`.
   */
  readonly host?: string;
  /** `redis`, `postgres`: the server's port, 1 to 65535. Default 6379 with `redis`; with `postgres` `PGPORT`, else 5432. */
  readonly port?: number;
  /**
   * `redis`, `postgres`: the user to sign in as. Default: with `redis` the server's default user; with `postgres` `PGUSER`,
   * else the system's name for the user that the process runs as.
   */
  readonly username?: string;
  /**
   * `redis`, `postgres`: that user's password. Default: with `redis` none is sent; with `postgres` `PGPASSWORD`, else what
   * `PGPASSFILE` or `~/.pgpass` says.
   */
  readonly password?: string;
  /**
   * `redis`, `postgres`: a file that holds the password, from the working directory; read for each connection. Not beside
   * `password`.
   */
  readonly password_file?: string;
  /**
   * `redis`: the number of the database, from 0; default 0. `postgres`: its name; default `PGDATABASE`, else the user's name.
   */
  readonly database?: number | string;
  /** `redis`: what every key of ours begins with. Default `tokenizer:`. */
  readonly prefix?: string;
  /** `redis`, `postgres`: how to connect. `module`: whatever that backend wants. Default: none. */
  readonly options?: RedisOptions | PostgresOptions | ModuleOptions;
  /** `postgres`: the table, `name` or `schema.name`; default `tokenizer_records`. `dynamodb`, required: its name or ARN. */
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

/** How to connect by TLS, to Redis or PostgreSQL. */
export interface TlsOptions {
  /** Whether to connect by TLS. Default: no; with `postgres`, as `PGSSLMODE` says. */
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
}

/** The section `tokenizer.options` with `type: postgres`. */
export type PostgresOptions = TlsOptions;

/** The section `tokenizer.options` with `type: redis`. */
export interface RedisOptions extends TlsOptions {
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
