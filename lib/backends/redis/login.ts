/** Who signs in to Redis: asked for each connection anew, as passwords and tokens are renewed. */
import { readFile } from "node:fs/promises";
import { resolve } from "node:path";
import { givenAmiss, TokenizerError } from "../../errors.js";
import { type RedisClient, whyNoClient } from "./given-client.js";

/** A login at Redis, good for one connection. */
export interface RedisCredentials {
  /** The user's name. Default: the setting `username`, else the server's default user. */
  readonly username?: string | undefined;
  /** The password, or a token that stands for it. */
  readonly password: string;
}

/** What `tokenizer()` takes for Redis: one of these keys. */
export interface RedisInCode {
  /**
   * Answers the login for one connection, at once or by promise: for tokens that expire, as those of IAM and Entra. It stands
   * in place of the setting `password`. If it throws, or does not answer within `store_timeout`, a warning says so, and
   * requests fail with 503. Default: the settings' login.
   */
  readonly credentials?: (() => RedisCredentials | Promise<RedisCredentials>) | undefined;
  /**
   * A client that you have already, in place of a connection of ours. You connect and close it, and the settings of the
   * connection are ignored. Calls still end within `store_timeout`. Default: a connection of ours.
   */
  readonly client?: RedisClient | undefined;
}

export interface LoginOptions extends RedisInCode {
  readonly username?: string | undefined;
  readonly password?: string | undefined;
  /** A file that holds the password. */
  readonly password_file?: string | undefined;
}

/** As the package takes it. */
export interface Login {
  readonly username?: string;
  readonly password?: string;
}

/**
 * Answers who signs in this time; `undefined` where nobody does.
 *
 * @throws TokenizerError `SETTINGS_INVALID`
 */
export function makeLogin(options: LoginOptions): (() => Promise<Login>) | undefined {
  const { username, password, password_file: file, credentials, client } = options;
  if (client !== undefined) {
    const reason = whyNoClient(client);
    if (reason !== undefined) throw givenAmiss("redis.client", reason);
    if (credentials !== undefined) throw misused("stands beside redis.client, which signs in by itself; keep one");
    return undefined;
  }
  const name = username === undefined ? {} : { username };
  if (credentials !== undefined) {
    if (typeof credentials !== "function") throw misused("must be a function that answers { username, password }");
    if ((password ?? file) !== undefined) throw misused("stands beside tokenizer.password or password_file; keep one");
    return async () => ({ ...name, ...(await answerOf(credentials)) });
  }
  if (file !== undefined) return async () => ({ ...name, password: await passwordIn(resolve(file)) });
  if ((username ?? password) === undefined) return undefined;
  return async () => ({ ...name, ...(password === undefined ? {} : { password }) });
}

async function answerOf(credentials: NonNullable<RedisInCode["credentials"]>): Promise<Login> {
  let answer: unknown;
  try {
    answer = await credentials();
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message.replace(/[.\s]+$/, "") : typeof cause;
    throw new TokenizerError("STORE_UNAVAILABLE", `redis.credentials, given to tokenizer(), failed: ${reason}.`, {
      cause,
    });
  }
  const { username, password } = (answer ?? {}) as Record<string, unknown>;
  const isNamed = typeof username === "string" && username !== "";
  if (typeof password !== "string" || password === "" || !(isNamed || username === undefined)) {
    throw misused("must answer { username, password }: texts that are not empty, the user name perhaps missing");
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

const misused = (message: string) => givenAmiss("redis.credentials", message);
