/** The schemas of the keys of `tokenizer`, as they are with every type. */
import { cookie, remember } from "./schema-sections.js";
import {
  type Complete,
  MOST_KILOBYTES,
  MOST_MINUTES,
  MOST_STORE_SECONDS,
  minutes,
  secret,
  secrets,
  text,
} from "./schema-words.js";
import type { TokenizerSettings } from "./settings.js";

export const tokenizer: Complete<TokenizerSettings> = {
  type: {
    description: "Where sessions are kept",
    type: "string",
    enum: ["local", "memory", "redis", "postgres", "dynamodb", "module"],
    enumDescriptions: [
      "A folder of this machine",
      "The memory of the process, for tests and trials",
      "Redis or Valkey: one server, a Cluster or Sentinels",
      "A table of PostgreSQL",
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
  url: { description: "redis and postgres: says where the server is, and who signs in", ...secret },
  host: {
    description: "redis and postgres: the server's name or address, without a port",
    type: "string",
    pattern: "^(/.*|[^\\s/@]+)$",
  },
  port: {
    description: "redis and postgres: the server's port",
    type: "integer",
    minimum: 1,
    maximum: 65535,
  },
  username: { description: "redis and postgres: the user to sign in as, a text", ...text },
  password: { description: "redis and postgres: that user's password, a text", ...secret },
  password_file: {
    description: "redis and postgres: the file that holds that password, from the working directory",
    ...text,
  },
  database: {
    description: "redis and postgres: the number of the database with redis, and its name with postgres",
    type: ["integer", "string"],
    minimum: 0,
    minLength: 1,
  },
  prefix: { description: "redis: what every key of ours begins with, a text", ...text },
  options: { description: "redis and postgres: how to connect. module: what that backend wants", type: "object" },
  table: { description: "postgres and dynamodb: the table's name, a text", ...text },
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
