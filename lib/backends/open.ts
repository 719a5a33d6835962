/** From the settings to the backend that they name. */
import { TokenizerError } from "../errors.js";
import type { TokenizerSettings } from "../settings/settings.js";
import type { Backend, BackendContext } from "./backend.js";
import { DynamodbBackend } from "./dynamodb.js";
import { LocalBackend } from "./local.js";
import { RedisBackend } from "./redis.js";

/**
 * Makes the backend; reaching it is its own `open`.
 *
 * @throws TokenizerError `NOT_BUILT`
 */
export function makeBackend(settings: TokenizerSettings, context: BackendContext): Backend {
  if (settings.type === "local") return new LocalBackend({ path: settings.path }, context);
  if (settings.type === "redis") return new RedisBackend(settings, context);
  if (settings.type === "dynamodb") return new DynamodbBackend({ ...settings, table: settings.table ?? "" }, context);
  throw new TokenizerError(
    "NOT_BUILT",
    `tokenizer.type: ${settings.type} is a right setting, but this release does not have it. Use another tokenizer.type for now.`,
  );
}
