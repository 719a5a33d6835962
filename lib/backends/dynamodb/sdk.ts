/** The AWS SDK's client: who asks, in which region, at which address, and what of that shows on the way. */
import type { DynamoDB, DynamoDBClientConfig } from "@aws-sdk/client-dynamodb";
import { storeClosed, TokenizerError } from "../../errors.js";
import type { TokenizerSettings } from "../../settings/settings.js";
import type { Connections } from "./connections.js";
import { type Endpoint, findEndpoint, findRegion, isHttpUrl } from "./endpoint.js";
import { noCredentials, noRegion, noUrl, type Place, spacedCredentials, standIn } from "./errors.js";
import { over } from "./given.js";
import type { DynamodbInCode } from "./given-client.js";

/** What the settings say about the way there. */
export interface DynamodbOptions
  extends Pick<
      TokenizerSettings,
      "aws_region_name" | "profile_name" | "aws_access_key" | "aws_secret_key" | "aws_session_token" | "endpoint"
    >,
    DynamodbInCode {
  readonly table: string;
}

/** As the SDK has it. */
type Credentials = Awaited<ReturnType<DynamoDB["config"]["credentials"]>>;

/** By what requests go. */
interface Transport {
  readonly connections: Connections;
  /** What an answer may take, where the request does not say it. Milliseconds. */
  readonly answerTimeout: number;
}

/** Milliseconds. */
const LONGEST_TIMER = 2 ** 31 - 1;

/** Credentials are not read again sooner than this after the last time: who makes them may be slow. Milliseconds. */
const RENEWAL_INTERVAL = 1000;

export class DynamodbSdk {
  readonly #options: DynamodbOptions;
  readonly #now: () => number;
  readonly #transport: Transport;
  #connecting: Promise<DynamoDB> | undefined;
  #client: DynamoDB | undefined;
  #region: string | undefined;
  /** `host:port` of the last request. */
  #asked: string | undefined;
  #clockLead: number | undefined;
  #renewals = 0;
  #renewing: Promise<void> | undefined;
  #renewedAt = Number.NEGATIVE_INFINITY;
  #isClosed = false;

  constructor(options: DynamodbOptions, transport: Transport, now: () => number) {
    // What the settings say of the way there is not the way of a client that was given.
    this.#options = options.client ? { client: options.client, table: options.table } : options;
    this.#transport = transport;
    this.#now = now;
  }

  /** As far as it is known. */
  get place(): Place {
    const endpoint = this.#endpoint();
    const expected = endpoint && isHttpUrl(endpoint.url) ? new URL(endpoint.url).host : undefined;
    return {
      ...this.#options,
      endpoint: endpoint?.url,
      region: this.#region,
      host: this.#asked ?? expected,
      isKnown: this.#client !== undefined,
    };
  }

  get clockLead(): number | undefined {
    return this.#clockLead;
  }

  /** How many times other credentials were found than before. */
  get renewals(): number {
    return this.#renewals;
  }

  /** One client for all who wait; after a failure the next one tries again. */
  connect(): Promise<DynamoDB> {
    if (this.#isClosed) throw storeClosed();
    this.#connecting ??= this.#makeClient().catch((error: unknown) => {
      this.#connecting = undefined;
      throw error;
    });
    return this.#connecting;
  }

  close(): void {
    this.#isClosed = true;
    if (!this.#options.client) this.#client?.destroy();
  }

  /**
   * Reads the credentials again where they come from, once for all who ask meanwhile: a file may have been renewed.
   *
   * @param since what `renewals` was when the request was signed that was not accepted
   * @returns whether there are others since then
   */
  async renewCredentials(since: number): Promise<boolean> {
    if (this.#renewals === since) {
      this.#renewing ??= this.#readCredentials().finally(() => {
        this.#renewing = undefined;
      });
      await this.#renewing;
    }
    return this.#renewals > since;
  }

  async #readCredentials(): Promise<void> {
    const client = this.#client;
    // Those of a client that was given are its own.
    if (!client || this.#options.client || this.#now() - this.#renewedAt < RENEWAL_INTERVAL) return;
    this.#renewedAt = this.#now();
    const before = await client.config.credentials();
    const after = await client.config.credentials({ forceRefresh: true }).catch((error: unknown) => {
      throw noCredentials(error, this.place);
    });
    refuseUnusable(this.place, after);
    if (!isSame(before, after)) this.#renewals++;
  }

  async #makeClient(): Promise<DynamoDB> {
    const { DynamoDB } = await loadPackage();
    const endpoint = this.#endpoint();
    if (endpoint && !isHttpUrl(endpoint.url)) throw noUrl(endpoint.setBy);
    const { client: given } = this.#options;
    const client = given
      ? over(given, DynamoDB, (command) => this.#watch(command))
      : new DynamoDB(clientConfig(this.#options, this.#transport));
    this.#region = await client.config.region().catch((error: unknown) => {
      throw noRegion(this.place, findRegion(this.#options, process.env), error);
    });
    const credentials = await client.config.credentials().catch((error: unknown) => {
      throw noCredentials(error, this.place);
    });
    refuseUnusable(this.place, credentials);
    if (!given) {
      this.#watch(client);
      // It copies what goes in and out of each call, for a logger that there is none of.
      client.middlewareStack.remove("loggerMiddleware");
    }
    // After the last wait: what was closed meanwhile must not open again.
    if (this.#isClosed) throw storeClosed();
    this.#client = client;
    return client;
  }

  #endpoint(): Endpoint | undefined {
    return this.#options.client ? undefined : findEndpoint(this.#options, process.env);
  }

  /** Notes which address is asked, and what time it is there. */
  #watch({ middlewareStack }: Pick<DynamoDB, "middlewareStack">): void {
    middlewareStack.add(
      (next) => async (args) => {
        const { hostname = "", port } = args.request as { readonly hostname?: string; readonly port?: number };
        this.#asked = port === undefined ? hostname : `${hostname}:${port}`;
        const result = await next(args);
        const { headers = {} } = result.response as { readonly headers?: Readonly<Record<string, string>> };
        const time = Date.parse(headers.date ?? "");
        this.#clockLead = Number.isNaN(time) ? undefined : time - this.#now();
        return result;
      },
      { step: "deserialize", priority: "low" },
    );
  }
}

function clientConfig(options: DynamodbOptions, { connections, answerTimeout }: Transport): DynamoDBClientConfig {
  const { profile_name: profile, aws_access_key: id, aws_secret_key: secret, aws_session_token: token } = options;
  // The SDK knows the first of the two, and the profile's.
  const region = findRegion(options, process.env)?.name;
  const config: DynamoDBClientConfig & { readonly ignoreCache: boolean } = {
    ...(region === undefined ? {} : { region }),
    ...(profile === undefined ? {} : { profile }),
    ...(options.endpoint === undefined ? {} : { endpoint: options.endpoint }),
    // The SDK would take the address of the profile that AWS_PROFILE names, or of the default one.
    ignoreConfiguredEndpointUrls: profile !== undefined && findEndpoint(options, process.env) === undefined,
    ...(id !== undefined && secret !== undefined
      ? { credentials: { accessKeyId: id, secretAccessKey: secret, ...(token && { sessionToken: token }) } }
      : {}),
    // Passed on to whoever reads the AWS configuration files: else they are read once for the life of the process.
    ignoreCache: true,
    // We try again ourselves: the SDK's pauses, seconds after throttling, would use up the whole time.
    retryStrategy: { retry: (next, args) => next(args) },
    requestHandler: {
      httpAgent: connections.httpAgent,
      httpsAgent: connections.httpsAgent,
      requestTimeout: answerTimeout,
      // Without it the SDK would only warn.
      throwOnRequestTimeout: true,
      // The SDK's own line on the console about a full pool: our error says it.
      socketAcquisitionWarningTimeout: LONGEST_TIMER,
    },
  };
  return config;
}

/**
 * A newline is refused before a request could hold it: no header can, and where Node refuses that, the SDK leaves a timer
 * behind, for weeks.
 */
function refuseUnusable(place: Place, credentials: Credentials): void {
  const parts: readonly (readonly [string, string | undefined])[] = [
    ["the access key's id", credentials.accessKeyId],
    ["the secret key", credentials.secretAccessKey],
    ["the session token", credentials.sessionToken],
  ];
  const spaced = parts.filter(([, text = ""]) => text !== text.trim() || /\p{Cc}/u.test(text)).map(([what]) => what);
  if (spaced.length > 0) throw spacedCredentials(spaced);
  // The SDK tells of each source that credentials went through.
  const { $source = {} } = credentials as { readonly $source?: object };
  const sources = Object.keys($source);
  const isProfiles = sources.length === 0 || sources.some((name) => name.includes("PROFILE"));
  if (place.profile_name !== undefined && !isProfiles) throw standIn(place);
}

function isSame(one: Credentials, other: Credentials): boolean {
  return (
    one.accessKeyId === other.accessKeyId &&
    one.secretAccessKey === other.secretAccessKey &&
    one.sessionToken === other.sessionToken
  );
}

async function loadPackage(): Promise<typeof import("@aws-sdk/client-dynamodb")> {
  try {
    return require("@aws-sdk/client-dynamodb");
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code !== "MODULE_NOT_FOUND") throw cause;
    throw new TokenizerError(
      "PACKAGE_MISSING",
      "tokenizer.type: dynamodb needs a package that is not installed: npm install @aws-sdk/client-dynamodb",
      { cause },
    );
  }
}
