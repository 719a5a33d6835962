/** What a client that the application made must be. */

/**
 * A client of version 3 of the AWS SDK: a `DynamoDBClient` or `DynamoDB` of @aws-sdk/client-dynamodb, or a document client
 * over either. This names only what tells it from other clients.
 */
export interface DynamodbClient {
  /** Its region, credentials and endpoint. */
  readonly config: object;
  /** The steps that its commands go through. */
  readonly middlewareStack: object;
  /** Sends a command to DynamoDB; `args` are the client's own. */
  send(...args: never[]): unknown;
}

/** What `tokenizer()` takes for DynamoDB. */
export interface DynamodbInCode {
  /**
   * A client that you have already, in place of one of ours. You destroy it, and the settings of region, credentials and
   * endpoint are ignored. Calls still end within `store_timeout`. Default: a client of ours.
   */
  readonly client?: DynamodbClient | undefined;
}

/**
 * Looks at what was given.
 *
 * @returns why it cannot be used, if so
 */
export function whyNoClient(client: unknown): string | undefined {
  const { send, config, middlewareStack, makeRequest, service, then } = (client ?? {}) as Record<string, unknown>;
  const wanted = "a DynamoDBClient of @aws-sdk/client-dynamodb";
  if (typeof then === "function") return `is a promise; await it, and give ${wanted}`;
  // The old SDK's document client has the service's own below it.
  if (typeof (makeRequest ?? (service as { makeRequest?: unknown } | undefined)?.makeRequest) === "function") {
    return `is a client of version 2 of the AWS SDK; give ${wanted}`;
  }
  const isOne = typeof send === "function" && isObject(config) && isObject(middlewareStack);
  return isOne ? undefined : `must be ${wanted}`;
}

const isObject = (value: unknown) => typeof value === "object" && value !== null;
