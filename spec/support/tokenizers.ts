/** The middlewares of specs that need no application, closed after the file's last one. */
import { afterAll } from "@jest/globals";
import type { BackendsInCode } from "../../lib/backends/open.js";
import type { SettingsInput } from "../../lib/settings/settings.js";
import { type Tokenizer, tokenizer } from "../../lib/tokenizer.js";
import { SAFE_PASSWORD } from "./app.js";

const made = new Set<Tokenizer>();

afterAll(async () => {
  for (const sessions of made) await sessions.close();
});

/** Its `store_timeout` is more than a busy machine takes. */
export function startTokenizer(section: SettingsInput["tokenizer"], inCode: BackendsInCode): Tokenizer {
  const settings = { tokenizer: { safe_password: SAFE_PASSWORD, store_timeout: 60, ...section } };
  const sessions = tokenizer(settings, inCode);
  made.add(sessions);
  return sessions;
}
