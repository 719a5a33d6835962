/** `new-password`: a safe_password that nobody can guess. */
import { randomBytes } from "node:crypto";
import type { Command } from "./command.js";

export const newPassword: Command = {
  name: "new-password",
  summary: "print a fresh safe_password",
  description: `Prints 32 random bytes as base64url, and nothing else: for tokenizer.safe_password or tokenizer.cookie.secret. It keeps
them nowhere.`,
  options: {},
  examples: [["new-password", "for tokenizer.safe_password"]],
  async run(_values, { print, tell, terminal }) {
    print(randomBytes(32).toString("base64url"));
    if (!terminal) return 0;
    tell("Put it into the settings as tokenizer.safe_password, or into the environment as TOKENIZER_SAFE_PASSWORD.");
    tell("Where there is one already, put it in front, and drop the old one later: safe_password: [new, old]");
    return 0;
  },
};
