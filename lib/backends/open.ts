/** From the settings to the backend that they name. */
import { TokenizerError } from "../errors.js";
import type { TokenizerSettings } from "../settings/settings.js";
import type { Backend, BackendContext } from "./backend.js";
import { LocalBackend } from "./local.js";

/**
 * Makes the backend; reaching it is its own `open`.
 *
 * @throws TokenizerError `NOT_BUILT`
 */
export function makeBackend(settings: TokenizerSettings, context: BackendContext): Backend {
  if (settings.type === "local") return new LocalBackend({ path: settings.path }, context);
  throw new TokenizerError(
    "NOT_BUILT",
    `tokenizer.type: ${settings.type} is a right setting, but this release has only local. Use type: local for now.`,
  );
}
