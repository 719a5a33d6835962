/** Who signs in to a server: asked for each connection anew, as passwords and tokens are renewed. */
import { readFile } from "node:fs/promises";
import { resolve } from "node:path";
import type { Awaitable } from "../awaitable.js";
import { givenAmiss, TokenizerError } from "../errors.js";

/** What the settings and the application say of it. */
export interface LoginOptions {
  readonly username?: string | undefined;
  readonly password?: string | undefined;
  /** A file that holds the password. */
  readonly password_file?: string | undefined;
  /** Stands in place of the password. */
  readonly credentials?: Credentials | undefined;
}

type Credentials = () => Awaitable<{ readonly username?: string | undefined; readonly password: string }>;

/** Good for one connection. */
export interface Login {
  readonly username?: string;
  readonly password?: string;
}

/**
 * Answers who signs in this time; `undefined` where nobody does.
 *
 * @param given what `credentials` is called in messages: `redis.credentials`
 * @throws TokenizerError `SETTINGS_INVALID`
 */
export function makeLogin(options: LoginOptions, given: string): (() => Promise<Login>) | undefined {
  const { username, password, password_file: file, credentials } = options;
  const name = username === undefined ? {} : { username };
  if (credentials !== undefined) {
    if (typeof credentials !== "function")
      throw givenAmiss(given, "must be a function that answers { username, password }");
    if ((password ?? file) !== undefined) {
      throw givenAmiss(given, "stands beside tokenizer.password or password_file; keep one");
    }
    return async () => ({ ...name, ...(await answerOf(credentials, given)) });
  }
  if (file !== undefined) return async () => ({ ...name, password: await passwordIn(resolve(file)) });
  if ((username ?? password) === undefined) return undefined;
  return async () => ({ ...name, ...(password === undefined ? {} : { password }) });
}

async function answerOf(credentials: Credentials, given: string): Promise<Login> {
  let answer: unknown;
  try {
    answer = await credentials();
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message.replace(/[.\s]+$/, "") : typeof cause;
    throw new TokenizerError("STORE_UNAVAILABLE", `${given}, given to tokenizer(), failed: ${reason}.`, { cause });
  }
  const { username, password } = (answer ?? {}) as Record<string, unknown>;
  const isNamed = typeof username === "string" && username !== "";
  if (typeof password !== "string" || password === "" || !(isNamed || username === undefined)) {
    throw givenAmiss(
      given,
      "must answer { username, password }: texts that are not empty, the user name perhaps missing",
    );
  }
  return { ...(isNamed ? { username } : {}), password };
}

/** The ends of its last lines do not count: most programs write one. */
async function passwordIn(file: string): Promise<string> {
  let text: string;
  try {
    text = await readFile(file, "utf8");
  } catch (cause) {
    const { code } = cause as NodeJS.ErrnoException;
    const message = `tokenizer.password_file cannot be read (${code}): ${file}`;
    throw new TokenizerError("STORE_UNUSABLE", message, { cause });
  }
  const password = text.replace(/[\r\n]+$/, "");
  if (password === "") throw new TokenizerError("STORE_UNUSABLE", `tokenizer.password_file is empty: ${file}`);
  return password;
}
