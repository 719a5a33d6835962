import { createHash } from "node:crypto";
import { mkdirSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { inspect } from "node:util";
import { beforeAll, beforeEach, describe, expect, test } from "@jest/globals";
import { configureAws, isolateAws, startKeyServer } from "../../support/aws-environment.js";
import {
  atTheEnd,
  type Call,
  clientOf,
  type DynamodbProxy,
  failureOf,
  makeBackend,
  makeTable,
  record,
  refusal,
  startDynamodb,
} from "../../support/dynamodb-server.js";

const REGION = "eu-central-1";

let dynamodb: DynamodbProxy;
let table: string;
let home: string;

beforeAll(async () => {
  dynamodb = await startDynamodb();
  table = await makeTable(clientOf(dynamodb));
});

beforeEach(() => {
  dynamodb.forget();
  home = isolateAws();
});

const idOf = ({ headers }: Call) => /Credential=([^/]+)\//.exec(String(headers.authorization))?.[1];
const askedBy = () => dynamodb.calls.map(idOf);

/** DynamoDB knows these any more, and no others. */
function accept(ids: string[], refusedAs = "ExpiredTokenException"): void {
  dynamodb.fate = (call) => (ids.includes(String(idOf(call))) ? "pass" : refusal(refusedAs));
}

const keysOf = (profile: string, id: string) =>
  `[${profile}]\naws_access_key_id=${id}\naws_secret_access_key=s\naws_session_token=token of ${id}\n`;

const timers = () => process.getActiveResourcesInfo().filter((name) => name === "Timeout").length;

const backendOf = (way: object = {}) =>
  makeBackend({ aws_region_name: REGION, endpoint: dynamodb.endpoint, table, ...way });

describe("credentials with white space, as a Kubernetes secret's newline: refused at once, as no request could hold them", () => {
  const KEYS = { AWS_ACCESS_KEY_ID: "AKIDNOBODYS", AWS_SECRET_ACCESS_KEY: "nobodys", AWS_SESSION_TOKEN: "nobodys" };

  test.each([
    ["the access key's id", { AWS_ACCESS_KEY_ID: "AKIDNOBODYS\n" }],
    ["the secret key", { AWS_SECRET_ACCESS_KEY: " nobodys" }],
    ["the session token", { AWS_SESSION_TOKEN: "nobodys\r" }],
    [
      "the access key's id and the secret key",
      { AWS_ACCESS_KEY_ID: "AKIDNOBODYS ", AWS_SECRET_ACCESS_KEY: "nobodys\n" },
    ],
  ])("%s", async (what, env) => {
    Object.assign(process.env, KEYS, env);
    const { backend } = backendOf();
    const error = await failureOf(backend.open());
    expect(error).toMatchObject({
      code: "STORE_UNUSABLE",
      message: `The AWS credentials that were found cannot be right: there is white space in ${what}. Take it away where they come from; often it is a newline at the end.`,
    });
    expect(inspect(error, { depth: 9, showHidden: true })).not.toMatch(/nobodys/i);
    expect(dynamodb.calls).toEqual([]);
  });

  test("by the settings, the same; and nothing keeps the process from ending", async () => {
    const before = timers();
    const { backend } = backendOf({ aws_access_key: "AKIDNOBODYS\n", aws_secret_key: "nobodys" });
    expect(await failureOf(backend.open())).toMatchObject({ code: "STORE_UNUSABLE" });
    await backend.close();
    expect(timers()).toBe(before);
  });

  test("renewed ones, too", async () => {
    configureAws({ credentials: keysOf("work", "AKIDOLD") });
    const { backend } = backendOf({ profile_name: "work" });
    await backend.open();
    accept(["AKIDNEW"]);
    configureAws({ credentials: keysOf("work", "AKID\tNEW") });
    expect((await failureOf(backend.read("session:a"))).message).toContain("white space in the access key's id");
  });
});

describe("credentials that are renewed while the process runs", () => {
  test.each(["ExpiredTokenException", "ExpiredToken", "UnrecognizedClientException", "InvalidClientTokenId"])(
    "a file: read again when the old are not accepted any more (%s)",
    async (name) => {
      configureAws({ credentials: keysOf("work", "AKIDOLD") });
      const { backend } = backendOf({ profile_name: "work" });
      await backend.open();
      accept(["AKIDNEW"], name);
      configureAws({ credentials: keysOf("work", "AKIDNEW") });
      expect(await backend.write("session:a", record(), "absent")).toBe(true);
      await backend.remove("session:a");
      expect(askedBy()).toEqual(["AKIDOLD", "AKIDOLD", "AKIDNEW", "AKIDNEW"]);
    },
  );

  test("a file: however many ask at once", async () => {
    configureAws({ credentials: keysOf("default", "AKIDOLD") });
    const { backend } = backendOf();
    await backend.open();
    accept(["AKIDNEW"]);
    configureAws({ credentials: keysOf("default", "AKIDNEW") });
    const answers = await Promise.all(Array.from({ length: 10 }, () => backend.read("session:a")));
    expect(answers).toEqual(Array(10).fill(undefined));
    expect(askedBy().filter((id) => id === "AKIDOLD")).toHaveLength(11);
  });

  test("a file that says the same is no reason to ask again, and the next request looks again", async () => {
    configureAws({ credentials: keysOf("work", "AKIDOLD") });
    const { backend, clock } = backendOf({ profile_name: "work" });
    await backend.open();
    accept(["AKIDNEW"]);
    const { code, message } = await failureOf(backend.read("session:a"));
    expect({ code, message }).toEqual({
      code: "STORE_UNUSABLE",
      message:
        "AWS did not accept the credentials (ExpiredTokenException). Check the profile work of tokenizer.profile_name.",
    });
    expect(askedBy()).toEqual(["AKIDOLD", "AKIDOLD"]);
    configureAws({ credentials: keysOf("work", "AKIDNEW") });
    clock.ahead = 1000;
    expect(await backend.read("session:a")).toBeUndefined();
  });

  test("new ones that are not accepted either: told, after one more request", async () => {
    configureAws({ credentials: keysOf("work", "AKIDOLD") });
    const { backend } = backendOf({ profile_name: "work" });
    await backend.open();
    accept([]);
    configureAws({ credentials: keysOf("work", "AKIDNEW") });
    expect((await failureOf(backend.read("session:a"))).code).toBe("STORE_UNUSABLE");
    expect(askedBy()).toEqual(["AKIDOLD", "AKIDOLD", "AKIDNEW"]);
  });

  test("a role's: asked for again, and not for each request of those that fail", async () => {
    const keys = await startKeyServer("AKIDOLD");
    process.env.AWS_CONTAINER_CREDENTIALS_FULL_URI = keys.url;
    const { backend, clock } = backendOf();
    await backend.open();
    accept(["AKIDNEW"]);
    expect(keys.asked).toBe(1);
    for (let count = 0; count < 5; count++) await failureOf(backend.read("session:a"));
    expect(keys.asked).toBe(2);
    keys.id = "AKIDNEW";
    clock.ahead = 1000;
    expect(await backend.read("session:a")).toBeUndefined();
    expect(keys.asked).toBe(3);
  });

  test("a profile that is gone meanwhile is not replaced by the machine's role", async () => {
    configureAws({ credentials: keysOf("work", "AKIDOLD") });
    process.env.AWS_CONTAINER_CREDENTIALS_FULL_URI = (await startKeyServer("AKIDROLE")).url;
    const { backend } = backendOf({ profile_name: "work" });
    await backend.open();
    accept(["AKIDROLE"]);
    configureAws({});
    expect(await failureOf(backend.read("session:a"))).toMatchObject({
      code: "STORE_UNUSABLE",
      message:
        "There are no AWS credentials to use (the profile has none). Check the profile work of tokenizer.profile_name.",
    });
    expect(askedBy()).toEqual(["AKIDOLD", "AKIDOLD"]);
  });

  test("two keys of the settings stay what they are", async () => {
    const { backend } = backendOf({ aws_access_key: "AKIDKEYS", aws_secret_key: "secret" });
    await backend.open();
    accept([]);
    expect(await failureOf(backend.read("session:a"))).toMatchObject({
      message: expect.stringContaining("Check tokenizer.aws_access_key, aws_secret_key and aws_session_token."),
    });
    expect(askedBy()).toEqual(["AKIDKEYS", "AKIDKEYS"]);
  });
});

/** AWS's portal, where whoever is signed in gets keys. */
async function startPortal(): Promise<string> {
  const expiration = Date.now() + 60_000;
  const server = createServer((req, res) => {
    const accessKeyId = String(req.headers["x-amz-sso_bearer_token"]);
    const roleCredentials = { accessKeyId, secretAccessKey: "s", sessionToken: "t", expiration };
    res.writeHead(200, { "content-type": "application/json" }).end(JSON.stringify({ roleCredentials }));
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  atTheEnd(() => new Promise((resolve) => server.close(resolve)));
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

test("a sign-in by SSO that has ended: told as such, and `aws sso login` is enough", async () => {
  const url = "https://example.awsapps.com/start";
  const cache = join(home, ".aws", "sso", "cache");
  mkdirSync(cache, { recursive: true });
  const signIn = (accessToken: string, until: number) => {
    const file = `${createHash("sha1").update(url).digest("hex")}.json`;
    writeFileSync(join(cache, file), JSON.stringify({ accessToken, expiresAt: new Date(until).toISOString() }));
  };
  process.env.AWS_ENDPOINT_URL_SSO = await startPortal();
  configureAws({
    config: `[profile work]\nsso_start_url=${url}\nsso_account_id=123456789012\nsso_role_name=app\nsso_region=${REGION}\n`,
  });
  signIn("AKIDFIRST", Date.now() - 1000);
  const { backend } = backendOf({ profile_name: "work" });
  expect(await failureOf(backend.read("session:a"))).toMatchObject({
    code: "STORE_UNUSABLE",
    message: expect.stringMatching(/The SSO session .* has expired\. To refresh this SSO session run aws sso login/),
  });
  signIn("AKIDSECOND", Date.now() + 3_600_000);
  expect(await backend.read("session:a")).toBeUndefined();
  expect(askedBy()).toEqual(["AKIDSECOND"]);
  // What the portal gave ends soon: the SDK asks again by itself, and our reading again does no harm.
  signIn("AKIDTHIRD", Date.now() + 3_600_000);
  accept(["AKIDTHIRD"]);
  expect(await backend.read("session:a")).toBeUndefined();
});

describe("a clock of ours that is wrong", () => {
  const HOUR = 3_600_000;
  /** By DynamoDB's clock. */
  const isInTime = ({ headers }: Call, now: number) => {
    const [, date = "", time = ""] = /^(\d{8})T(\d{6})Z$/.exec(String(headers["x-amz-date"])) ?? [];
    const signed = Date.parse(date.replace(/(....)(..)(..)/, "$1-$2-$3T") + time.replace(/(..)(..)(..)/, "$1:$2:$3Z"));
    return Math.abs(signed - now) < 5 * 60_000;
  };

  test.each(["InvalidSignatureException", "RequestTimeTooSkewed"])("is corrected (%s)", async (name) => {
    configureAws({ credentials: keysOf("work", "AKIDWORK") });
    const { backend } = backendOf({ profile_name: "work" });
    dynamodb.fate = (call) => {
      const now = Date.now() + HOUR;
      const headers = { date: new Date(now).toUTCString() };
      return isInTime(call, now) ? "pass" : { ...refusal(name, "Signature expired"), headers };
    };
    expect(await backend.read("session:a")).toBeUndefined();
    expect(dynamodb.actions).toEqual(["GetItem", "GetItem"]);
  });

  test("and cannot be corrected: told as that", async () => {
    configureAws({ credentials: keysOf("work", "AKIDWORK") });
    const { backend } = backendOf({ profile_name: "work" });
    dynamodb.fate = () => refusal("RequestTimeTooSkewed", "The canonical request was: secret");
    const { code, message, error } = await failureOf(backend.read("session:a"));
    expect({ code, message }).toEqual({
      code: "STORE_UNUSABLE",
      message:
        "AWS did not accept the time of the request (RequestTimeTooSkewed). Set the clock of this machine right, and let NTP keep it so.",
    });
    expect(error.cause).toBeUndefined();
  });
});
