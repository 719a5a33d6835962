/** The way to DynamoDB: who asks, in which region, and every call over by its deadline. */
import { setTimeout as sleep } from "node:timers/promises";
import type { AttributeValue, DynamoDB, DynamoDBClientConfig } from "@aws-sdk/client-dynamodb";
import { storeClosed, TokenizerError } from "../../errors.js";
import type { TokenizerSettings } from "../../settings/settings.js";
import { explain, isTransient, noCredentials, noRegion, type Place, standIn, timedOut } from "./errors.js";

/** What the settings say about the way there. */
export interface DynamodbOptions
  extends Pick<
    TokenizerSettings,
    "aws_region_name" | "profile_name" | "aws_access_key" | "aws_secret_key" | "aws_session_token" | "endpoint"
  > {
  readonly table: string;
}

export type Item = Record<string, AttributeValue>;

/** One request, tried again where that can help. `action` is its name as permissions have it: `GetItem`. */
export type Ask = <T>(action: string, request: Request<T>) => Promise<T>;

type Request<T> = (client: DynamoDB, options: { abortSignal: AbortSignal }) => Promise<T>;

const ATTEMPTS = 3;
/** A little less than a call may take, so that the reason is there before whoever waits gives up. */
const PATIENCE = 0.95;
/** Of the time for a call: what connecting may take, what one answer may take, and the longest first pause before a retry. */
const PARTS = { connection: 1 / 4, answer: 1 / 2, pause: 1 / 20 };

export class DynamodbConnection {
  readonly #options: DynamodbOptions;
  /** What one `run` may take, in milliseconds. */
  readonly #timeout: number;
  readonly #running = new Set<AbortController>();
  #connecting: Promise<DynamoDB> | undefined;
  #client: DynamoDB | undefined;
  #region: string | undefined;
  #isClosed = false;

  constructor(options: DynamodbOptions, timeout: number) {
    this.#options = options;
    this.#timeout = timeout;
  }

  /** Known when the first `run` is over. */
  get region(): string | undefined {
    return this.#region;
  }

  /**
   * Runs requests under one deadline.
   *
   * @throws TokenizerError, and `Conflict` where a condition did not hold
   */
  async run<T>(work: (ask: Ask) => Promise<T>): Promise<T> {
    const abort = new AbortController();
    let failure: unknown;
    let timer: NodeJS.Timeout | undefined;
    const over = new Promise<never>((_, reject) => {
      timer = setTimeout(() => {
        reject(timedOut(this.#timeout, this.#place, failure));
        abort.abort();
      }, this.#timeout * PATIENCE);
    });
    const ask: Ask = async (action, request) => {
      const client = await this.#connect();
      for (let attempt = 1; ; attempt++) {
        try {
          return await request(client, { abortSignal: abort.signal });
        } catch (error) {
          if (isConflict(error)) throw new Conflict(error.Item, attempt > 1);
          if (abort.signal.aborted) throw storeClosed();
          failure = error;
          if (attempt === ATTEMPTS || !isTransient(error)) throw explain(error, action, this.#place);
        }
        await sleep(Math.random() * this.#timeout * PARTS.pause * 2 ** (attempt - 1));
        if (abort.signal.aborted) throw storeClosed();
      }
    };
    this.#running.add(abort);
    try {
      return await Promise.race([work(ask), over]);
    } finally {
      clearTimeout(timer);
      this.#running.delete(abort);
    }
  }

  /** Ends what is under way, too. */
  close(): void {
    this.#isClosed = true;
    for (const abort of this.#running) abort.abort();
    this.#client?.destroy();
  }

  get #place(): Place {
    return { ...this.#options, region: this.#region, isKnown: this.#client !== undefined };
  }

  /** One for all who wait; after a failure the next one tries again. */
  #connect(): Promise<DynamoDB> {
    if (this.#isClosed) throw storeClosed();
    this.#connecting ??= this.#makeClient().catch((error: unknown) => {
      this.#connecting = undefined;
      throw error;
    });
    return this.#connecting;
  }

  async #makeClient(): Promise<DynamoDB> {
    const { DynamoDB } = await loadPackage();
    const client = new DynamoDB(clientConfig(this.#options, this.#timeout));
    this.#region = await client.config.region().catch((error: unknown) => {
      throw noRegion(this.#options, error);
    });
    const credentials = await client.config.credentials().catch((error: unknown) => {
      throw noCredentials(error, this.#options);
    });
    refuseStandIn(this.#options, credentials);
    // After the last wait: what was closed meanwhile must not open again.
    if (this.#isClosed) throw storeClosed();
    this.#client = client;
    return client;
  }
}

/** What is stored is not what was expected. */
export class Conflict extends Error {
  /**
   * @param item what is stored: DynamoDB tells, when asked; not every emulator does
   * @param isRetry whether an earlier try had no answer, and may have been carried out
   */
  constructor(
    readonly item: Item | undefined,
    readonly isRetry: boolean,
  ) {
    super("A condition did not hold.");
  }
}

function isConflict(error: unknown): error is { readonly Item?: Item } {
  return error instanceof Error && error.name === "ConditionalCheckFailedException";
}

function clientConfig(options: DynamodbOptions, timeout: number): DynamoDBClientConfig {
  const { profile_name: profile, aws_access_key: id, aws_secret_key: secret, aws_session_token: token } = options;
  // The SDK knows the first of the two, and the profile's.
  const region = options.aws_region_name ?? (process.env.AWS_REGION || process.env.AWS_DEFAULT_REGION || undefined);
  return {
    ...(region === undefined ? {} : { region }),
    ...(profile === undefined ? {} : { profile }),
    ...(options.endpoint === undefined ? {} : { endpoint: options.endpoint }),
    ...(id !== undefined && secret !== undefined
      ? { credentials: { accessKeyId: id, secretAccessKey: secret, ...(token && { sessionToken: token }) } }
      : {}),
    // We try again ourselves: the SDK's pauses, seconds after throttling, would use up the whole time.
    retryStrategy: { retry: (next, args) => next(args) },
    requestHandler: {
      connectionTimeout: timeout * PARTS.connection,
      requestTimeout: timeout * PARTS.answer,
      // Without it the SDK would only warn.
      throwOnRequestTimeout: true,
      // The SDK's own line on the console about a full pool: our error says it.
      socketAcquisitionWarningTimeout: timeout * 2,
    },
  };
}

/** The SDK tells of each source that credentials went through. */
function refuseStandIn(options: DynamodbOptions, credentials: object): void {
  const { profile_name: profile } = options;
  const { $source = {} } = credentials as { $source?: object };
  const sources = Object.keys($source);
  if (profile === undefined || sources.length === 0 || sources.some((name) => name.includes("PROFILE"))) return;
  throw standIn(options);
}

async function loadPackage(): Promise<typeof import("@aws-sdk/client-dynamodb")> {
  try {
    return await import("@aws-sdk/client-dynamodb");
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code !== "ERR_MODULE_NOT_FOUND") throw cause;
    throw new TokenizerError(
      "PACKAGE_MISSING",
      "tokenizer.type: dynamodb needs a package that is not installed: npm install @aws-sdk/client-dynamodb",
      { cause },
    );
  }
}
