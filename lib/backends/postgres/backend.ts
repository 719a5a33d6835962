/**
 * Keeps records in a table of PostgreSQL (11 or newer), one row a record; `table.ts` has it, and the rights that its user
 * needs. Each call is one statement by the primary key, prepared once for each connection.
 *
 * A write compares versions in its WHERE: PostgreSQL locks the row, and looks at it again if it had to wait. The time is
 * ours: what has expired counts as absent, and `prune` drops it.
 */
import { storeClosed } from "../../errors.js";
import type { PostgresOptions } from "../../settings/settings.js";
import type { Backend, BackendContext, Entry, Expected, StoredRecord } from "../backend.js";
import { type Login, type LoginOptions, makeLogin } from "../login.js";
import { addressOf, nameOf, tlsOf } from "./address.js";
import { Connections } from "./connections.js";
import { explain, type Place } from "./errors.js";
import { checkGiven, type PostgresInCode, type PostgresPool, serverOf } from "./given-pool.js";
import { makePool, type OwnPool } from "./own-pool.js";
import type { Pool, Result, Row } from "./pool.js";
import { END_OF_TIME, PRUNE_STEP, type Statement, type Statements, statementsOf } from "./statements.js";
import { type Table, tableOf } from "./table.js";
import { weaknessesOf } from "./weaknesses.js";

export interface PostgresBackendOptions extends Omit<LoginOptions, "credentials">, PostgresInCode {
  /** What is missing, the environment says: `addressOf`. */
  readonly host?: string | undefined;
  readonly port?: number | undefined;
  readonly database?: string | undefined;
  /** `name` or `schema.name`. */
  readonly table: string;
  readonly options?: PostgresOptions | undefined;
}

/** At start a little less than a call may take, so that the reason is there before whoever waits gives up. */
const PATIENCE_AT_START = 0.95;

export class PostgresBackend implements Backend {
  readonly #options: PostgresBackendOptions;
  readonly #context: BackendContext;
  readonly #table: Table;
  readonly #statements: Statements;
  readonly #login: (() => Promise<Login>) | undefined;
  #ownPool: OwnPool | undefined;
  #reached: { readonly place: Place; readonly connections: Connections } | undefined;
  #isClosed = false;
  #hasReported = false;

  /** @throws TokenizerError `SETTINGS_INVALID` for `credentials` or a `pool` that cannot be used */
  constructor(options: PostgresBackendOptions, context: BackendContext) {
    checkGiven(options);
    this.#options = options;
    this.#context = context;
    this.#table = tableOf(options.table);
    this.#statements = statementsOf(this.#table);
    this.#login = options.pool ? undefined : makeLogin(options, "postgres.credentials");
  }

  async open(): Promise<void> {
    const { rows } = await this.#run(this.#statements.attempt, [this.#table.sql], { patience: PATIENCE_AT_START });
    for (const warning of weaknessesOf(rows[0] ?? [], this.#reach().place, this.#context.now()))
      this.#context.warn(warning);
  }

  async read(key: string): Promise<StoredRecord | undefined> {
    const { rows } = await this.#run(this.#statements.read, [key]);
    const [, ...columns] = rows[0] ?? [];
    return this.#live(columns);
  }

  async write(key: string, record: StoredRecord, expected: Expected): Promise<boolean> {
    const values = [key, record.version, wholeMilliseconds(record.expires), record.value];
    const { put, add, replace } = this.#statements;
    // The first try may be under way still. Where a version is expected, whichever comes second finds another one; a
    // creation would come back after the removal of what it made, and over "any" it would undo what was written since.
    if (expected === "any") return this.#changes(put, values, { isRepeatable: false });
    values.push(this.#context.now());
    if (expected === "absent") return this.#changes(add, values, { isRepeatable: false });
    return this.#changes(replace, [...values, expected.version]);
  }

  touch(key: string, expires: number, version: string): Promise<boolean> {
    const values = [key, wholeMilliseconds(expires), version, this.#context.now()];
    return this.#changes(this.#statements.touch, values);
  }

  async remove(key: string): Promise<boolean> {
    const { rows } = await this.#run(this.#statements.remove, [key]);
    return Number(rows[0]?.[0]) > this.#context.now();
  }

  async *entries(): AsyncGenerator<Entry> {
    for (let last = "", isMore = true; isMore; ) {
      const { rows } = await this.#run(this.#statements.page, [last, this.#context.now()]);
      isMore = false;
      for (const [, key, ...columns] of rows) {
        if (typeof key !== "string") continue;
        last = key;
        isMore = true;
        const record = this.#live(columns);
        if (record) yield { key, ...record };
      }
    }
  }

  async prune(): Promise<number> {
    let dropped = 0;
    for (let step = PRUNE_STEP; step === PRUNE_STEP; dropped += step) {
      const { rowCount } = await this.#run(this.#statements.prune, [this.#context.now()]);
      step = rowCount ?? 0;
    }
    return dropped;
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    this.#reached?.connections.close();
    const pool = this.#ownPool;
    this.#ownPool = undefined;
    await pool?.end();
  }

  async #changes(statement: Statement, values: Values, options: RunOptions = {}): Promise<boolean> {
    return (await this.#run(statement, values, options)).rowCount === 1;
  }

  async #run(statement: Statement, values: Values, { patience = 1, isRepeatable }: RunOptions = {}): Promise<Result> {
    if (this.#isClosed) throw storeClosed();
    const giveUpAt = performance.now() + this.#context.timeout * patience;
    const { connections, place } = this.#reach();
    try {
      return await connections.ask({ statement, values, giveUpAt, isRepeatable });
    } catch (error) {
      throw this.#isClosed ? storeClosed() : explain(error, place);
    }
  }

  /** @throws TokenizerError `PACKAGE_MISSING`; `STORE_UNUSABLE` where the environment names no server */
  #reach() {
    if (this.#reached) return this.#reached;
    const { pool, options = {} } = this.#options;
    // `checkGiven` has looked at it; its public type names only what tells it from other things.
    if (pool) return this.#use(pool as PostgresPool & Pool, serverOf(pool));
    const address = addressOf(this.#options);
    const tls = tlsOf(address.host, options);
    this.#ownPool = makePool({ address, login: this.#login, tls, timeout: this.#context.timeout });
    return this.#use(this.#ownPool, nameOf(address));
  }

  #use(pool: Pool, server: string) {
    const place = { server, table: this.#table.name, isGiven: this.#options.pool !== undefined };
    this.#reached = { place, connections: new Connections(pool, place, this.#context.timeout) };
    return this.#reached;
  }

  /** @param columns version, expires, value; nulls where there is nothing */
  #live([version, expires, value]: Row): StoredRecord | undefined {
    if (!(Number(expires) > this.#context.now())) return undefined;
    if (typeof version === "string" && typeof value === "string") return { version, expires: Number(expires), value };
    if (!this.#hasReported) {
      this.#context.warn(`A row of the table ${this.#table.name} is no record of ours: passed over.`);
    }
    this.#hasReported = true;
    return undefined;
  }
}

type Values = readonly (string | number)[];

interface RunOptions {
  readonly isRepeatable?: boolean;
  /** What part of the time for a call it may take. */
  readonly patience?: number;
}

/** Not a moment too early. */
const wholeMilliseconds = (time: number): number => Math.min(Math.ceil(time), END_OF_TIME);
