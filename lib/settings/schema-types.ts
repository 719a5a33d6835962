/** The schemas of what is not the same with each `type`. */
import { postgresDefaults } from "./postgres-defaults.js";
import { redisDefaults } from "./redis-defaults.js";
import { tokenizer } from "./schema-keys.js";
import { optionsOfPostgres, optionsOfRedis } from "./schema-sections.js";
import { type SettingSchema, secret, text } from "./schema-words.js";
import type { TokenizerSettings } from "./settings.js";

type Keys = { readonly [Key in keyof TokenizerSettings]?: SettingSchema };

/** No name has it, and the protocol ends a text with it. */
const name = { ...text, pattern: "^[^\\u0000]+$" } as const;

const port = { type: "integer", minimum: 1, maximum: 65535 } as const;

const redis = {
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
    default: redisDefaults.host,
  },
  port: { description: "redis: the server's TCP port", ...port, default: redisDefaults.port },
  username: { description: "redis: the user to sign in as, a text. Without it: the server's default user", ...text },
  password: { description: "redis: that user's password, a text", ...secret },
  password_file: {
    description: "redis: the file that holds that password, from the working directory. Read for each connection",
    ...text,
    examples: ["/run/secrets/redis_password"],
  },
  database: {
    description: "redis: the number of the database",
    type: "integer",
    minimum: 0,
    default: redisDefaults.database,
  },
  prefix: { description: "redis: what every key of ours begins with, a text", ...text, default: redisDefaults.prefix },
  options: optionsOfRedis,
} satisfies Keys;

const postgres = {
  url: {
    description: "postgres: postgres://user:password@host:port/database?sslmode=require, in place of those keys",
    ...secret,
    examples: ["postgres://sessions:password@db.example.com:5432/my_app?sslmode=require"],
  },
  host: {
    description:
      "postgres: the server's name or address, without a port, or a socket's folder, beginning with /. Without it: " +
      "PGHOST, else localhost",
    type: "string",
    pattern: "^(/[^\\u0000]*|[^\\s/@\\u0000]+)$",
    examples: ["db.example.com", "/var/run/postgresql"],
  },
  port: { description: "postgres: the server's port. Without it: PGPORT, else 5432", ...port, examples: [5432] },
  username: {
    description: "postgres: the user to sign in as, a text. Without it: PGUSER, else the system's name of the user",
    ...name,
  },
  password: {
    description: "postgres: that user's password, a text. Without it: PGPASSWORD, PGPASSFILE or ~/.pgpass",
    ...secret,
  },
  password_file: {
    description: "postgres: the file that holds that password, from the working directory. Read for each connection",
    ...text,
    examples: ["/run/secrets/postgres_password"],
  },
  database: {
    description: "postgres: the name of the database, a text. Without it: PGDATABASE, else the user's name",
    ...name,
    examples: ["my_app"],
  },
  options: optionsOfPostgres,
  table: {
    description:
      "postgres: the table, or schema.table: letters, digits and _-$, at most 55, and 63 of the schema. To the letter: " +
      "no quotes, and capitals count",
    type: "string",
    pattern: "^([A-Za-z0-9_$-]{1,63}[.])?[A-Za-z0-9_$-]{1,55}$",
    default: postgresDefaults.table,
    examples: ["auth.tokenizer_records"],
  },
} satisfies Keys;

const dynamodb = {
  table: {
    description: "dynamodb: the table's name (letters, digits and _.-) or ARN",
    type: "string",
    pattern: "^([A-Za-z0-9_.-]+|arn:\\S+)$",
    examples: ["session_tokens"],
  },
} satisfies Keys;

export const schemasOfTypes = new Map<unknown, Readonly<Record<string, SettingSchema>>>([
  ["redis", redis],
  ["postgres", postgres],
  ["dynamodb", dynamodb],
]);

/** The schema of a key of `tokenizer`, as it is with a type. */
export function schemaWith(type: unknown, key: string): SettingSchema | undefined {
  const keys: Readonly<Record<string, SettingSchema>> = tokenizer;
  return schemasOfTypes.get(type)?.[key] ?? keys[key];
}
