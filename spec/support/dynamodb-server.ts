/**
 * A DynamoDB for specs: dynalite, or the one at DYNAMODB_ENDPOINT. In front of it stands an HTTP proxy
 * that records every call and makes trouble on the way.
 */
import { randomUUID } from "node:crypto";
import { createServer, type IncomingMessage, request, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { buffer } from "node:stream/consumers";
import { type CreateTableCommandInput, DynamoDB } from "@aws-sdk/client-dynamodb";
import { afterAll } from "@jest/globals";
import { DynamodbBackend } from "../../lib/backends/dynamodb/backend.js";
import type { DynamodbOptions } from "../../lib/backends/dynamodb/sdk.js";
import { makeDynalite } from "./dynalite.mjs";
import { shared } from "./shared.js";

/** What every client of these specs says, unless the spec is about that. */
export const WAY = {
  aws_region_name: "eu-central-1",
  aws_access_key: "AKIDSPEC",
  aws_secret_key: "a-secret-key-of-the-specs",
} as const;

/** Amazon's own emulator, rather than dynalite. */
export const isAmazons = process.env.DYNAMODB_ENDPOINT !== undefined;

const cleanups: (() => Promise<unknown> | unknown)[] = [];

/** Runs after the file's last spec, the youngest first. */
export function atTheEnd(work: () => Promise<unknown> | unknown): void {
  cleanups.push(work);
}

afterAll(async () => {
  for (const work of cleanups.reverse()) await work();
});

/** An error of DynamoDB's, as its protocol has it. */
export function refusal(name: string, message = "refused by the proxy", status = 400): Reply {
  return { status, body: { __type: `com.amazonaws.dynamodb.v20120810#${name}`, message } };
}

export interface Reply {
  readonly status: number;
  /** Sent as JSON; a text as it is. */
  readonly body: unknown;
  readonly headers?: Readonly<Record<string, string>>;
}

/** One request, as it arrived. */
export interface Call {
  /** `GetItem`. */
  readonly action: string;
  readonly body: Record<string, unknown>;
  readonly headers: IncomingMessage["headers"];
}

/**
 * What happens to a call: `pass` it on; answer in the engine's place; `lose` the answer, after the engine did the work
 * (the client waits); `cut` the connection then; `drop` it before the engine hears of it; or `hang` there.
 */
export type Fate = "pass" | "lose" | "cut" | "drop" | "hang" | Reply;

export class DynamodbProxy {
  /** Every call since the start, or since `forget`. */
  readonly calls: Call[] = [];
  fate: (call: Call) => Fate | Promise<Fate> = () => "pass";
  /** Calls that have no answer yet. */
  underWay = 0;
  readonly #server: Server;
  readonly #target: URL;
  #port = 0;

  private constructor(target: string) {
    this.#target = new URL(target);
    this.#server = createServer((req, res) => void this.#serve(req, res).catch(() => res.destroy()));
  }

  static async start(target: string): Promise<DynamodbProxy> {
    const proxy = new DynamodbProxy(target);
    await proxy.listen();
    atTheEnd(() => proxy.stop());
    return proxy;
  }

  get endpoint(): string {
    return `http://127.0.0.1:${this.#port}`;
  }

  get actions(): string[] {
    return this.calls.map(({ action }) => action);
  }

  /** All calls are forgotten, and all trouble. */
  forget(): void {
    this.calls.length = 0;
    this.fate = () => "pass";
  }

  /** Again at the same place, after a `stop`. */
  async listen(): Promise<void> {
    await new Promise<void>((resolve) => this.#server.listen(this.#port, "127.0.0.1", resolve));
    this.#port = (this.#server.address() as AddressInfo).port;
  }

  async stop(): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise((resolve) => this.#server.close(resolve));
  }

  async #serve(req: IncomingMessage, res: ServerResponse): Promise<void> {
    const text = await buffer(req);
    const action = String(req.headers["x-amz-target"]).replace(/^.*\./, "");
    const call = { action, body: JSON.parse(text.toString()), headers: req.headers };
    this.calls.push(call);
    this.underWay++;
    res.once("close", () => this.underWay--);
    const fate = await this.fate(call);
    if (fate === "drop") return void res.destroy();
    if (fate === "hang") return;
    const reply = typeof fate === "object" ? { ...fate, text: textOf(fate) } : await this.#pass(req, text);
    if (fate === "lose") return;
    if (fate === "cut") return void res.destroy();
    const headers = typeof fate === "object" ? fate.headers : undefined;
    res.writeHead(reply.status, { "content-type": "application/x-amz-json-1.0", ...headers }).end(reply.text);
  }

  #pass(req: IncomingMessage, body: Buffer): Promise<{ status: number; text: string }> {
    const { hostname, port } = this.#target;
    // The signature covers the host, so that stays the proxy's.
    const options = { hostname, port, path: req.url, method: req.method, headers: req.headers };
    return new Promise((resolve, reject) => {
      const passed = request(options, async (res) => {
        resolve({ status: res.statusCode ?? 0, text: (await buffer(res)).toString() });
      });
      passed.on("error", reject).end(body);
    });
  }
}

function textOf({ body }: Reply): string {
  return typeof body === "string" ? body : JSON.stringify(body);
}

/** The engine that all spec files share. */
export async function sharedDynamodb(): Promise<string> {
  return process.env.DYNAMODB_ENDPOINT ?? (await shared("dynamodb")).endpoint;
}

/** A proxy before the shared engine; before one of the file's own where a table takes a while to be made. */
export async function startDynamodb({ createTableMs = 0 } = {}): Promise<DynamodbProxy> {
  const hasOwn = createTableMs > 0 && !isAmazons;
  return DynamodbProxy.start(hasOwn ? await startDynalite(createTableMs) : await sharedDynamodb());
}

async function startDynalite(createTableMs: number): Promise<string> {
  const server = makeDynalite({ createTableMs });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  atTheEnd(() => new Promise((resolve) => server.close(resolve)));
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

/** A client for what specs do beside the backend. It goes through the proxy, too: `forget` afterwards. */
export function clientOf({ endpoint }: { endpoint: string }): DynamoDB {
  const credentials = { accessKeyId: WAY.aws_access_key, secretAccessKey: WAY.aws_secret_key };
  const client = new DynamoDB({ endpoint, region: WAY.aws_region_name, credentials });
  atTheEnd(() => client.destroy());
  return client;
}

/** A table for one spec, on a service that is as if nothing had been asked yet. */
export async function freshTable(dynamodb: DynamodbProxy): Promise<string> {
  // A fate would be that of the table's making, too.
  dynamodb.forget();
  const table = await makeTable(clientOf(dynamodb));
  dynamodb.forget();
  return table;
}

/** A table that is ready, under a name of its own. */
export async function makeTable(client: DynamoDB, input: Partial<CreateTableCommandInput> = {}): Promise<string> {
  const TableName = `sessions-${randomUUID()}`;
  await client.createTable({
    TableName,
    BillingMode: "PAY_PER_REQUEST",
    AttributeDefinitions: [{ AttributeName: "username", AttributeType: "S" }],
    KeySchema: [{ AttributeName: "username", KeyType: "HASH" }],
    ...input,
  });
  for (;;) {
    const { Table } = await client.describeTable({ TableName });
    if (Table?.TableStatus === "ACTIVE") return TableName;
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}

export async function switchTtlOn(client: DynamoDB, TableName: string, AttributeName = "expires"): Promise<void> {
  await client.updateTimeToLive({ TableName, TimeToLiveSpecification: { Enabled: true, AttributeName } });
}

export interface TestBackend {
  readonly backend: DynamodbBackend;
  readonly clock: { ahead: number };
  /** Each line that was logged. */
  readonly warnings: string[];
}

/** A backend, not opened yet; closed after the file's last spec. `timeout` is milliseconds, by default more than a busy machine takes. */
export function makeBackend(
  options: { table: string; endpoint?: string } & Partial<DynamodbOptions>,
  { timeout = 30_000, clock = { ahead: 0 } } = {},
): TestBackend {
  const warnings: string[] = [];
  const backend = new DynamodbBackend(options, {
    now: () => Date.now() + clock.ahead,
    timeout,
    warn: (message) => warnings.push(message),
  });
  atTheEnd(() => backend.close());
  return { backend, clock, warnings };
}

let versions = 0;

/** A record that lives for a minute. */
export function record(value = "value", expires = Date.now() + 60_000) {
  return { value, version: `version-${++versions}`, expires };
}

/** What a promise rejects with, as code, status and message. */
export async function failureOf(work: Promise<unknown>) {
  const error = await work.then(
    (answer) => {
      throw new Error(`It should have failed, and answered ${JSON.stringify(answer)}.`);
    },
    (reason) => reason as Error & { code: string; status: number },
  );
  return { code: error.code, message: error.message, status: error.status, error };
}
