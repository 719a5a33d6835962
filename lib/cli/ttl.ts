/** DynamoDB's TTL, which drops what has expired. The application itself never asks for it. */
import { DynamodbConnection } from "../backends/dynamodb/client.js";
import { isDenied, isUnknownAction } from "../backends/dynamodb/errors.js";
import type { DynamodbOptions } from "../backends/dynamodb/sdk.js";
import type { TokenizerError } from "../errors.js";

/** The attribute that TTL must go by. */
export const TTL_ATTRIBUTE = "expires";

export interface Ttl {
  /** `ENABLED`, `ENABLING`, `DISABLED` or `DISABLING`. */
  readonly status: string;
  readonly attribute: string | undefined;
}

export async function readTtl(connection: DynamodbConnection, table: string): Promise<Ttl> {
  const { TimeToLiveDescription: found = {} } = await connection.run((ask) =>
    ask("DescribeTimeToLive", (client, options) => client.describeTimeToLive({ TableName: table }, options)),
  );
  return { status: found.TimeToLiveStatus ?? "DISABLED", attribute: found.AttributeName };
}

/**
 * What is wrong with a table's TTL, or nothing; nothing, too, where whoever asks may not ask that: the application need not.
 *
 * @param timeout in milliseconds
 */
export async function ttlWeakness(options: DynamodbOptions, timeout: number): Promise<string | undefined> {
  const connection = new DynamodbConnection(options, timeout);
  try {
    return describe(await readTtl(connection, options.table), options.table);
  } catch (error) {
    if (isDenied(error) || isUnknownAction(error)) return undefined;
    return `Whether the TTL of the table ${options.table} is on could not be found out. ${(error as TokenizerError).message}`;
  } finally {
    connection.close();
  }
}

function describe({ status, attribute }: Ttl, table: string): string | undefined {
  const isOn = status === "ENABLED" || status === "ENABLING";
  if (isOn && attribute === TTL_ATTRIBUTE) return undefined;
  const reason = isOn ? `goes by the attribute ${attribute}, not by ${TTL_ATTRIBUTE}` : "is off";
  return `The TTL of the table ${table} ${reason}: sessions that have expired stay in it. Switch it on: npx express-tokenizer create-table. What is there already, this drops, too: npx express-tokenizer prune`;
}
