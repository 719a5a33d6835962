/** From the settings to the backend that they name. */
import { dirname } from "node:path";
import type { LoadedSettings } from "../settings/load.js";
import type { Backend, BackendContext } from "./backend.js";
import { DynamodbBackend } from "./dynamodb/backend.js";
import { LocalBackend } from "./local/backend.js";
import { ModuleBackend } from "./module/backend.js";
import type { ModulePlace } from "./module/factory.js";
import { RedisBackend } from "./redis/backend.js";

/** Makes the backend; reaching it is its own `open`. */
export function makeBackend(settings: LoadedSettings, context: BackendContext): Backend {
  const { tokenizer: section } = settings;
  switch (section.type) {
    case "local":
      return new LocalBackend({ path: section.path }, context);
    case "redis":
      return new RedisBackend(section, context);
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
