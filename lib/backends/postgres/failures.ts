/** What PostgreSQL answers in place of a result, and what befalls a connection: the two kinds of failure, told apart. */
import { types } from "node:util";
import { TokenizerError } from "../../errors.js";

interface Origin {
  readonly atConnect?: boolean;
  /** Nothing comes after it on its connection. */
  readonly isFatal?: boolean;
  /** Where in the server's source it is from: what it says may be in any language. */
  readonly routine?: string | undefined;
}

/** PostgreSQL, or a pooler before it, answered with an error. */
export class Refusal extends Error {
  /** The SQLSTATE: five characters. */
  readonly state: string;
  readonly #origin: Origin;

  constructor(state: string, said: string, origin: Origin = {}) {
    // What it says of values and rows may quote them.
    super(QUOTES_NOTHING.test(state) ? said.replace(/[.\s]+$/, "") : `SQLSTATE ${state}`);
    this.state = state;
    this.#origin = origin;
  }

  /** The server takes no writes: a replica, or a primary that was replaced. Nothing was done. */
  get isReadOnly(): boolean {
    return this.state === READ_ONLY;
  }

  /** A statement that was prepared is not there, or is there twice: a pooler changes servers. Nothing was done. */
  get isOfPrepared(): boolean {
    return this.state === "26000" || this.state === "42P05";
  }

  /** What was prepared fits the table no more, and never will on this connection. Nothing was done. */
  get isOfPlan(): boolean {
    return this.state === "0A000" && this.#origin.routine === "RevalidateCachedQuery";
  }

  /** Somebody's transaction failed on this connection, and was never ended. Nothing was done. */
  get isOfTransaction(): boolean {
    return this.state === "25P02";
  }

  /** It met another one at the same row, and was undone. */
  get isUndone(): boolean {
    return this.state === "40001" || this.state === "40P01";
  }

  /** The server ended the connection, for no fault of this statement's. Whether that was carried out is not known. */
  get isEnding(): boolean {
    return !this.#origin.atConnect && (this.#origin.isFatal || /^57P0[1-5]$/.test(this.state));
  }

  /** There is no connection left for us. */
  get isFull(): boolean {
    return this.state === "53300";
  }

  /** A pooler does not know a parameter that a connection begins with. */
  get isOfParameter(): boolean {
    return this.#origin.atConnect === true && /startup param/i.test(this.message);
  }
}

/** SQLSTATE read_only_sql_transaction. */
export const READ_ONLY = "25006";
/** Connections, logins, transactions, names and rights, resources, operators. */
const QUOTES_NOTHING = /^(08|0A|25|26|28|3D|3F|40|42|53|55|57|58|XX)/;

/** The connection could not be made, or was lost before the answer came: whether the statement was carried out is not known. */
export class ConnectionFailure extends Error {
  override readonly cause: Error;
  /** Whether it had been there. */
  readonly wasConnected: boolean;

  constructor(cause: Error, wasConnected: boolean) {
    super(cause.message);
    this.cause = cause;
    this.wasConnected = wasConnected;
  }
}

/** What the package threw, as one of the two above, or as it is. */
export function failureOf(error: unknown, wasConnected: boolean): Error {
  if (error instanceof TokenizerError || error instanceof Refusal || !isError(error)) return error as Error;
  const { severity, code, routine } = error as { severity?: unknown; code?: unknown; routine?: string };
  if (typeof severity !== "string" || typeof code !== "string") return new ConnectionFailure(error, wasConnected);
  // Who wrote a trigger may quote the row, under any state.
  const said = routine === "exec_stmt_raise" ? `SQLSTATE ${code}` : error.message;
  return new Refusal(code, said, { atConnect: !wasConnected, isFatal: /^(FATAL|PANIC)$/.test(severity), routine });
}

/** Also of another realm: where tests run in one of their own, as jest's do, the system's errors come from outside. */
export function isError(value: unknown): value is Error {
  return types.isNativeError(value);
}
