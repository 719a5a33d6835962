/** From the settings to the backend that they name. */
import { dirname } from "node:path";
import type { LoadedSettings } from "../settings/load.js";
import type { Backend, BackendContext } from "./backend.js";
import { DynamodbBackend } from "./dynamodb/backend.js";
import { LocalBackend } from "./local/backend.js";
import { MemoryBackend } from "./memory/backend.js";
import { ModuleBackend } from "./module/backend.js";
import type { ModulePlace } from "./module/factory.js";
import { RedisBackend } from "./redis/backend.js";
import type { RedisCredentials, RedisInCode } from "./redis/login.js";

export type { RedisCredentials, RedisInCode };

/** What the application gives in code for its backend; that of others is passed over. */
export interface BackendsInCode {
  /** With `type: redis`. */
  readonly redis?: RedisInCode | undefined;
}

export interface BackendOptions {
  readonly inCode?: BackendsInCode | undefined;
  /** Whether a place that is missing is made, where the backend can do that. Default: yes. */
  readonly create?: boolean | undefined;
}

/**
 * Makes the backend; reaching it is its own `open`.
 *
 * @throws TokenizerError `SETTINGS_INVALID` for what is given in code and cannot be used
 */
export function makeBackend(
  settings: LoadedSettings,
  context: BackendContext,
  { inCode, create }: BackendOptions = {},
): Backend {
  const { tokenizer: section } = settings;
  switch (section.type) {
    case "local":
      return new LocalBackend({ path: section.path, create }, context);
    case "memory":
      return new MemoryBackend(context);
    case "redis":
      return new RedisBackend({ ...section, ...inCode?.redis }, context);
    case "dynamodb":
      return new DynamodbBackend({ ...section, table: section.table ?? "" }, context);
    case "module":
      return new ModuleBackend({ ...modulePlace(settings), options: { ...section.options } }, context);
  }
}

/** With `type: module`: where the module is. */
export function modulePlace({ tokenizer: { module = "" }, file }: LoadedSettings): ModulePlace {
  return { module, folder: file === undefined ? process.cwd() : dirname(file) };
}
