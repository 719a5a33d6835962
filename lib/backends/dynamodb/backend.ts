/**
 * Keeps records in a DynamoDB table with a String partition key `username`. Others may keep items there, too: ours are
 * those with `written_by`, and every condition asks for it.
 *
 * Only GetItem, PutItem, UpdateItem, DeleteItem and Scan are called. Reads are consistent.
 */
import type { PutItemCommandInput, ScanCommandOutput } from "@aws-sdk/client-dynamodb";
import { givenAmiss, TokenizerError } from "../../errors.js";
import type { Backend, BackendContext, Entry, Expected, StoredRecord } from "../backend.js";
import { clockWarning } from "../clock.js";
import { type Ask, Conflict, DynamodbConnection, type Item } from "./client.js";
import { nameOf, notOurs } from "./errors.js";
import { whyNoClient } from "./given-client.js";
import type { DynamodbOptions } from "./sdk.js";

/** The value of `written_by`. */
export const WRITER = "express-tokenizer";

/** DynamoDB's limit of 400 KB for an item, less a kilobyte for everything beside the value. */
const MAX_VALUE_BYTES = 399 * 1024;
/** Items looked at in one step of a scan. */
const PAGE = 256;
/** Expired records dropped at the same time. */
const PRUNE_STEP = 16;

const US = { ":us": { S: WRITER } };
const IS_OURS = "written_by = :us";
const IS_LIVE = `${IS_OURS} AND expires_ms > :now`;
const HAS_EXPIRED = `${IS_OURS} AND expires_ms <= :now`;

export class DynamodbBackend implements Backend {
  readonly maxValueBytes = MAX_VALUE_BYTES;
  /** TTL drops what has expired. A scan of the whole table is nothing to do every minute. */
  readonly expiresByItself = true;

  readonly #options: DynamodbOptions;
  readonly #table: { readonly TableName: string };
  readonly #context: BackendContext;
  readonly #connection: DynamodbConnection;
  #hasReported = false;

  /** @throws TokenizerError `SETTINGS_INVALID` for a `client` that cannot be used */
  constructor(options: DynamodbOptions, context: BackendContext) {
    const reason = options.client === undefined ? undefined : whyNoClient(options.client);
    if (reason !== undefined) throw givenAmiss("dynamodb.client", reason);
    this.#options = options;
    this.#table = { TableName: options.table };
    this.#context = context;
    this.#connection = new DynamodbConnection(options, context.timeout, context.now);
  }

  async open(): Promise<void> {
    await this.#connection.run((ask) => this.#get(ask, "nobody"));
    const { clockLead, place } = this.#connection;
    const warning = clockLead === undefined ? undefined : clockWarning(clockLead, nameOf(place));
    if (warning !== undefined) this.#context.warn(warning);
  }

  async read(key: string): Promise<StoredRecord | undefined> {
    const item = await this.#connection.run((ask) => this.#get(ask, key));
    return this.#live(item);
  }

  async write(key: string, record: StoredRecord, expected: Expected): Promise<boolean> {
    refuseTooLarge(record.value);
    const put: PutItemCommandInput = {
      ...this.#table,
      ...this.#condition(expected),
      Item: {
        ...keyOf(key),
        ...US_WROTE,
        ...expiryOf(record.expires),
        value: { S: record.value },
        version: { S: record.version },
      },
      ReturnValuesOnConditionCheckFailure: "ALL_OLD",
    };
    // A creation that is late, after a retry that went through, would bring back what was removed meanwhile; and any
    // other write without a version would undo what somebody else has written.
    const isRepeatable = typeof expected === "object";
    return this.#connection.run(async (ask) => {
      try {
        await ask("PutItem", (client, options) => client.putItem(put, options), isRepeatable);
        return true;
      } catch (error) {
        if (!(error instanceof Conflict)) throw error;
        const item = error.item ?? (await this.#get(ask, key));
        if (item && !isOurs(item)) throw notOurs(this.#options);
        // A retry may have met its own first try, whose answer was lost.
        return error.isRetry && item?.version?.S === record.version;
      }
    });
  }

  async touch(key: string, expires: number, version: string): Promise<boolean> {
    const { expires_ms, expires: seconds } = expiryOf(expires);
    const values = { ":ms": expires_ms, ":seconds": seconds, ":version": { S: version } };
    const update = {
      ...this.#table,
      Key: keyOf(key),
      UpdateExpression: "SET expires_ms = :ms, expires = :seconds",
      ConditionExpression: `${IS_LIVE} AND version = :version AND expires_ms < :ms`,
      ExpressionAttributeValues: { ...US, ...this.#now(), ...values },
      ReturnValuesOnConditionCheckFailure: "ALL_OLD" as const,
    };
    return this.#connection.run(async (ask) => {
      try {
        await ask("UpdateItem", (client, options) => client.updateItem(update, options));
        return true;
      } catch (error) {
        if (!(error instanceof Conflict)) throw error;
        // It may be that version, whose end is not to come earlier.
        return this.#live(error.item ?? (await this.#get(ask, key)))?.version === version;
      }
    });
  }

  async remove(key: string): Promise<boolean> {
    const found = await this.#connection.run((ask) => this.#delete(ask, key, IS_OURS, US));
    return Number(found?.expires_ms?.N) > this.#context.now();
  }

  async *entries(): AsyncGenerator<Entry> {
    const filter = { FilterExpression: IS_LIVE, ExpressionAttributeValues: { ...US, ...this.#now() } };
    for await (const items of this.#pages(filter)) {
      for (const item of items) {
        const record = this.#decode(item);
        if (record) yield { key: item.username?.S ?? "", ...record };
      }
    }
  }

  async prune(): Promise<number> {
    const values = { ...US, ...this.#now() };
    const filter = {
      FilterExpression: HAS_EXPIRED,
      ExpressionAttributeValues: values,
      ProjectionExpression: "username",
    };
    let dropped = 0;
    for await (const items of this.#pages(filter)) {
      for (let start = 0; start < items.length; start += PRUNE_STEP) {
        const drop = ({ username }: Item) =>
          // Once more on the condition: it may have been touched since.
          this.#connection.run((ask) => this.#delete(ask, username?.S ?? "", HAS_EXPIRED, values));
        const gone = await Promise.all(items.slice(start, start + PRUNE_STEP).map(drop));
        dropped += gone.filter(Boolean).length;
      }
    }
    return dropped;
  }

  async close(): Promise<void> {
    this.#connection.close();
  }

  async #get(ask: Ask, key: string): Promise<Item | undefined> {
    const get = { ...this.#table, Key: keyOf(key), ConsistentRead: true };
    return (await ask("GetItem", (client, options) => client.getItem(get, options))).Item;
  }

  /** Answers the item as it was, or nothing when the condition did not hold. */
  async #delete(ask: Ask, key: string, condition: string, values: Item): Promise<Item | undefined> {
    const input = {
      ...this.#table,
      Key: keyOf(key),
      ConditionExpression: condition,
      ExpressionAttributeValues: values,
      ReturnValues: "ALL_OLD" as const,
    };
    const deleted = ask("DeleteItem", (client, options) => client.deleteItem(input, options));
    return unlessConflict(
      deleted.then(({ Attributes }) => Attributes),
      undefined,
    );
  }

  /** Each page under a deadline of its own. */
  async *#pages(filter: object): AsyncGenerator<readonly Item[]> {
    let ExclusiveStartKey: Item | undefined;
    do {
      const scan = { ...this.#table, ...filter, ExclusiveStartKey, Limit: PAGE, ConsistentRead: true };
      const page: ScanCommandOutput = await this.#connection.run((ask) =>
        ask("Scan", (client, options) => client.scan(scan, options)),
      );
      yield page.Items ?? [];
      ExclusiveStartKey = page.LastEvaluatedKey;
    } while (ExclusiveStartKey);
  }

  #condition(expected: Expected): Pick<PutItemCommandInput, "ConditionExpression" | "ExpressionAttributeValues"> {
    if (typeof expected === "object") {
      const values = { ...US, ...this.#now(), ":version": { S: expected.version } };
      return { ConditionExpression: `${IS_LIVE} AND version = :version`, ExpressionAttributeValues: values };
    }
    const [over, values] = expected === "any" ? [IS_OURS, US] : [HAS_EXPIRED, { ...US, ...this.#now() }];
    return {
      ConditionExpression: `attribute_not_exists(username) OR ${over}`,
      ExpressionAttributeValues: values,
    };
  }

  /** The record in an item, if it is ours and live. */
  #live(item: Item | undefined): StoredRecord | undefined {
    // What has no time of ours is for `#decode` to report.
    const isLive = item && isOurs(item) && !(Number(item.expires_ms?.N) <= this.#context.now());
    return isLive ? this.#decode(item) : undefined;
  }

  #now() {
    return { ":now": { N: String(this.#context.now()) } };
  }

  #decode(item: Item): StoredRecord | undefined {
    const { value, version, expires_ms } = item;
    const expires = Number(expires_ms?.N);
    if (value?.S !== undefined && version?.S !== undefined && Number.isFinite(expires)) {
      return { value: value.S, version: version.S, expires };
    }
    if (!this.#hasReported) {
      this.#context.warn(`An item of the table ${this.#options.table} is a damaged record: passed over.`);
    }
    this.#hasReported = true;
    return undefined;
  }
}

const US_WROTE = { written_by: US[":us"] };

const keyOf = (key: string) => ({ username: { S: key } });

const isOurs = (item: Item): boolean => item.written_by?.S === WRITER;

/** To the millisecond for us, and in whole seconds, not a moment too early, for DynamoDB's TTL. */
function expiryOf(expires: number) {
  return { expires_ms: { N: String(expires) }, expires: { N: String(Math.ceil(expires / 1000)) } };
}

async function unlessConflict<T>(work: Promise<T>, otherwise: T): Promise<T> {
  try {
    return await work;
  } catch (error) {
    if (error instanceof Conflict) return otherwise;
    throw error;
  }
}

function refuseTooLarge(value: string): void {
  const size = Buffer.byteLength(value);
  if (size <= MAX_VALUE_BYTES) return;
  throw new TokenizerError(
    "SESSION_TOO_LARGE",
    `The session has ${size} bytes; an item of DynamoDB can hold ${MAX_VALUE_BYTES}. Keep less in the session.`,
  );
}
