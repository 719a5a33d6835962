/** What a client that the application made must be. */

/** What `new DynamoDBClient()` of @aws-sdk/client-dynamodb answers, `new DynamoDB()`, and the document client over either. */
export interface DynamodbClient {
  readonly config: object;
  readonly middlewareStack: object;
  send(...args: never[]): unknown;
}

/** What `tokenizer()` may be given for DynamoDB that a settings file cannot hold. */
export interface DynamodbInCode {
  /**
   * A client of @aws-sdk/client-dynamodb that you have already, in place of one of ours. You destroy it; what the settings
   * say of region, credentials and endpoint is not looked at. Calls end within `store_timeout` all the same.
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
