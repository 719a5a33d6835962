/** A pool of our own, from the package pg: where it connects to, as whom, and by TLS or not. */
import type { Duplex } from "node:stream";
import { within } from "../../deadline.js";
import { TokenizerError } from "../../errors.js";
import type { PostgresOptions } from "../../settings/settings.js";
import type { Login } from "../login.js";
import { tlsOptions } from "../tls.js";
import type { Place } from "./address.js";
import { failureOf, Refusal } from "./failures.js";
import type { Pool } from "./pool.js";

export interface PoolOptions {
  readonly address: Place;
  /** Missing: the variables of the environment say who signs in. */
  readonly login?: (() => Promise<Login>) | undefined;
  readonly tls: PostgresOptions;
  /** What a call may take, in milliseconds. */
  readonly timeout: number;
}

type Package = Pick<typeof import("pg"), "Pool" | "Client">;
type Connected = (error?: Error | null) => void;

/** The package's own number, which suits the 100 connections that a server has by default. */
const MOST_CONNECTIONS = 10;
/** Parts of what a call may take: for a connection, so that the reason is there before the deadline, and for a statement. */
const PARTS = { connection: 0.75, statement: 0.9 };
/** Idle connections end after this many milliseconds: before a firewall forgets them. */
const IDLE = 10_000;

export type OwnPool = Pool & Pick<InstanceType<Package["Pool"]>, "end">;

/** @throws TokenizerError `PACKAGE_MISSING`; `STORE_UNUSABLE` where the environment chooses the package's other client */
export function makePool(options: PoolOptions): OwnPool {
  const { Pool, Client } = loadPackage();
  const pool = new Pool({
    Client: dialler(Client, options),
    max: MOST_CONNECTIONS,
    connectionTimeoutMillis: options.timeout * PARTS.connection,
    idleTimeoutMillis: IDLE,
    allowExitOnIdle: true,
  });
  // What a server says to idle connections may come after they were closed: nobody else listens then.
  return pool.on("error", () => {});
}

/** What a statement may take at the server, in milliseconds. @param timeout what a call may take */
export function statementTimeout(timeout: number): number {
  return Math.ceil(timeout * PARTS.statement);
}

function loadPackage(): Package {
  const pg = requirePackage();
  // The other one of the package's clients takes no certificates of ours: it signs in without TLS where we ask for it.
  if (process.env.NODE_PG_FORCE_NATIVE && !("native" in pg)) {
    const text =
      "NODE_PG_FORCE_NATIVE has pg use pg-native, which does not verify servers as the settings say: take it away, or give a pool of your own in code, as postgres: { pool }.";
    throw new TokenizerError("STORE_UNUSABLE", text);
  }
  // Since 8.11.0; a missing password has some before it end the process. The version stands in the package.json alone,
  // which is not there in a bundle.
  if (!("escapeIdentifier" in pg)) {
    throw packageMissing("Found is an older one. Install the newer: npm install pg@8");
  }
  return pg;
}

function requirePackage(): Package {
  try {
    return require("pg");
  } catch (cause) {
    throw packageMissing("Install it: npm install pg", cause);
  }
}

function packageMissing(wayOut: string, cause?: unknown): TokenizerError {
  const text = `tokenizer.type: postgres needs the package pg, version 8.11 or a newer 8. ${wayOut}`;
  return new TokenizerError("PACKAGE_MISSING", text, { cause });
}

/** What the package's client has beside its types: what it signs in with. */
interface Internals {
  readonly connectionParameters: { user?: string };
  readonly connection: { attachListeners(stream: Duplex): void };
}

/** At what it does not know the package throws where nobody could catch it. */
function endOnGarbage(connection: Internals["connection"]): void {
  const attachListeners = connection.attachListeners.bind(connection);
  connection.attachListeners = (stream) => {
    attachListeners(stream);
    const parse = stream.listeners("data").at(-1) as (chunk: Buffer) => void;
    stream.off("data", parse).on("data", (chunk) => {
      try {
        parse(chunk);
      } catch (error) {
        stream.destroy(error as Error);
      }
    });
  };
}

/** A client that asks for login and certificates when it connects: both are renewed while the application runs. */
function dialler(Client: Package["Client"], { address, login, tls, timeout }: PoolOptions) {
  const { host, port, username, database } = address;
  let takesTimeout = true;

  return class extends Client {
    readonly #tls: object;

    constructor() {
      const forTls = {};
      super({
        ...{ host, port, database, user: username, ssl: tls.ssl === true ? forTls : false },
        fallback_application_name: "express-tokenizer",
        ...(tls.ssl === true ? {} : { sslnegotiation: "postgres" }),
        keepAlive: true,
        // So that what waits for a lock is not carried out after we gave it up.
        statement_timeout: takesTimeout ? statementTimeout(timeout) : undefined,
      });
      this.#tls = forTls;
      // Some failures while signing in are told by this event, before anybody else can listen.
      this.on("error", () => {});
      endOnGarbage((this as unknown as Internals).connection);
    }

    override connect(): Promise<InstanceType<Package["Client"]>>;
    override connect(callback: Connected): void;
    override connect(callback?: Connected): Promise<InstanceType<Package["Client"]>> | undefined {
      if (!callback) return this.#signIn().then(() => super.connect());
      this.#signIn().then(
        () =>
          super.connect((error: Error | null) => {
            // A pooler that does not know it refuses the whole connection.
            if (error && takesTimeout && isOfParameter(error)) takesTimeout = false;
            callback(error);
          }),
        callback,
      );
      return undefined;
    }

    async #signIn(): Promise<void> {
      if (tls.ssl) Object.assign(this.#tls, tlsOptions(host, tls));
      if (!login) return;
      const late = () => new TokenizerError("STORE_TIMEOUT", "The password for PostgreSQL was not there in time.");
      const { username: user, password } = await within(performance.now() + timeout * PARTS.connection, login(), late);
      if (user !== undefined) (this as unknown as Internals).connectionParameters.user = this.user = user;
      if (password !== undefined) this.password = password;
    }
  };
}

function isOfParameter(error: Error): boolean {
  const failure = failureOf(error, false);
  return failure instanceof Refusal && failure.isOfParameter;
}
