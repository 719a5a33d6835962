/** The public names. */
import "./request.js";

export type { Backend, BackendContext, BackendFactory, Entry, Expected, StoredRecord } from "./backends/backend.js";
export type {
  BackendsInCode,
  DynamodbClient,
  DynamodbInCode,
  PostgresCredentials,
  PostgresInCode,
  PostgresPool,
  RedisClient,
  RedisCredentials,
  RedisInCode,
} from "./backends/open.js";
export { type SettingsFault, TokenizerError, type TokenizerErrorCode } from "./errors.js";
export type { TokenizerEvent, TokenizerEvents } from "./events.js";
export type { Health } from "./health.js";
export type { EndReason, SessionEnd } from "./session/endings.js";
export type { ListedSession } from "./session/listing.js";
export { TokenStore, type TokenStoreEvents } from "./session/store.js";
export type { RevokeOptions, SessionChoice, UserSession, Users } from "./session/users/users.js";
export type { RequestCookie } from "./settings/request-cookie.js";
export type { PostgresOptions, Settings, SettingsInput, TokenizerSettings } from "./settings/settings.js";
export { type Tokenizer, type TokenizerOptions, tokenizer } from "./tokenizer.js";
