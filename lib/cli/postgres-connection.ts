/** Asks PostgreSQL for what the application never asks: with the login of the settings, as the application signs in. */
import { makeLogin } from "../backends/login.js";
import { addressOf, nameOf, tlsOf } from "../backends/postgres/address.js";
import type { PostgresBackendOptions } from "../backends/postgres/backend.js";
import { Connections } from "../backends/postgres/connections.js";
import { explain } from "../backends/postgres/errors.js";
import { Refusal } from "../backends/postgres/failures.js";
import { makePool, type OwnPool } from "../backends/postgres/own-pool.js";
import type { Row } from "../backends/postgres/pool.js";
import { TokenizerError } from "../errors.js";
import type { Io } from "./command.js";

/** @param timeout what a statement may take, in milliseconds */
export async function withPostgres<T>(
  options: PostgresBackendOptions,
  { env }: Pick<Io, "env">,
  timeout: number,
  work: (connection: PostgresConnection) => Promise<T>,
): Promise<T> {
  const connection = new PostgresConnection(options, env, timeout);
  try {
    return await work(connection);
  } finally {
    await connection.close();
  }
}

export class PostgresConnection {
  /** `host:port`, or the socket's path. */
  readonly server: string;
  readonly #table: string;
  readonly #timeout: number;
  readonly #pool: OwnPool;
  readonly #connections: Connections;

  /**
   * @param timeout what a statement may take, in milliseconds
   * @throws TokenizerError `PACKAGE_MISSING`; `STORE_UNUSABLE` where the environment names no server
   */
  constructor(options: PostgresBackendOptions, env: NodeJS.ProcessEnv, timeout: number) {
    const address = addressOf(options, env);
    this.server = nameOf(address);
    this.#table = options.table;
    this.#timeout = timeout;
    const tls = tlsOf(address.host, options.options ?? {}, env);
    this.#pool = makePool({ address, login: makeLogin(options, "postgres.credentials"), tls, timeout });
    this.#connections = new Connections(this.#pool, this.#place, timeout);
  }

  get #place() {
    return { server: this.server, table: this.#table, isGiven: false };
  }

  /**
   * The rows that a statement answers.
   *
   * @throws TokenizerError
   */
  async ask(text: string, values: readonly string[]): Promise<readonly Row[]> {
    const giveUpAt = performance.now() + this.#timeout;
    try {
      return (await this.#connections.ask({ statement: { text }, values, giveUpAt, isRepeatable: false })).rows;
    } catch (error) {
      throw explain(error, this.#place);
    }
  }

  /**
   * Carries out statements: all of them, or none.
   *
   * @throws TokenizerError
   */
  async run(statements: readonly string[]): Promise<void> {
    // Without values they go as one message, and are one transaction.
    await this.ask(statements.join(";\n"), []);
  }

  async close(): Promise<void> {
    this.#connections.close();
    await this.#pool.end();
  }
}

/** Why PostgreSQL refused, where that was for want of a right. */
export function whyDenied(error: unknown): string | undefined {
  const cause = error instanceof TokenizerError ? error.cause : undefined;
  return cause instanceof Refusal && cause.state === "42501" ? cause.message : undefined;
}
