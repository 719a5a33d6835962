import { execFile } from "node:child_process";
import { cpSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import type { DynamoDB } from "@aws-sdk/client-dynamodb";
import { beforeAll, beforeEach, describe, expect, test } from "@jest/globals";
import { nameOf } from "../../../lib/backends/dynamodb/errors.js";
import type { DynamodbOptions } from "../../../lib/backends/dynamodb/sdk.js";
import { tokenizer } from "../../../lib/tokenizer.js";
import { configureAws, isolateAws, startKeyServer } from "../../support/aws-environment.js";
import {
  atTheEnd,
  clientOf,
  type DynamodbProxy,
  failureOf,
  makeBackend,
  makeTable,
  refusal,
  startDynamodb,
  WAY,
} from "../../support/dynamodb-server.js";

let dynamodb: DynamodbProxy;
let client: DynamoDB;
let table: string;

beforeAll(async () => {
  dynamodb = await startDynamodb();
  client = clientOf(dynamodb);
  table = await makeTable(client);
});

beforeEach(() => {
  dynamodb.forget();
  isolateAws();
});

type Way = Partial<DynamodbOptions>;

const open = (way: Way, timeout = 30_000) => {
  const { backend } = makeBackend({ endpoint: dynamodb.endpoint, table, ...way }, { timeout });
  return backend.open();
};

/** Who asked, and in which region, as it is signed. */
function signedBy() {
  const headers = dynamodb.calls.at(-1)?.headers ?? {};
  const [, id, region] = /Credential=([^/]+)\/\d+\/([^/]+)\//.exec(String(headers.authorization)) ?? [];
  return { id, region, token: headers["x-amz-security-token"] };
}

const REGION: Way = { aws_region_name: "eu-central-1" };
const KEYS: Way = { aws_access_key: "AKIDKEYS", aws_secret_key: "secret of the keys" };
const CREDENTIALS =
  "[default]\naws_access_key_id=AKIDDEFAULT\naws_secret_access_key=d\n[work]\naws_access_key_id=AKIDWORK\naws_secret_access_key=w\naws_session_token=worktoken\n";

describe("who asks", () => {
  test("the SDK's own chain: the environment", async () => {
    Object.assign(process.env, { AWS_ACCESS_KEY_ID: "AKIDENV", AWS_SECRET_ACCESS_KEY: "e" });
    await open(REGION);
    expect(signedBy()).toEqual({ id: "AKIDENV", region: "eu-central-1", token: undefined });
  });

  test("the SDK's own chain: the default profile", async () => {
    configureAws({ credentials: CREDENTIALS });
    await open(REGION);
    expect(signedBy()).toEqual({ id: "AKIDDEFAULT", region: "eu-central-1", token: undefined });
  });

  test("the SDK's own chain: a container's role", async () => {
    process.env.AWS_CONTAINER_CREDENTIALS_FULL_URI = (await startKeyServer("AKIDROLE")).url;
    await open(REGION);
    expect(signedBy()).toEqual({ id: "AKIDROLE", region: "eu-central-1", token: "token" });
  });

  test("profile_name, whatever the environment says", async () => {
    configureAws({ credentials: CREDENTIALS });
    process.env.AWS_PROFILE = "default";
    await open({ ...REGION, profile_name: "work" });
    expect(signedBy()).toEqual({ id: "AKIDWORK", region: "eu-central-1", token: "worktoken" });
  });

  test("two keys, whatever the environment says", async () => {
    Object.assign(process.env, { AWS_ACCESS_KEY_ID: "AKIDENV", AWS_SECRET_ACCESS_KEY: "e", AWS_SESSION_TOKEN: "t" });
    await open({ ...REGION, ...KEYS });
    expect(signedBy()).toEqual({ id: "AKIDKEYS", region: "eu-central-1", token: undefined });
  });

  test("two keys and a session token", async () => {
    await open({ ...REGION, ...KEYS, aws_session_token: "token of the keys" });
    expect(signedBy()).toEqual({ id: "AKIDKEYS", region: "eu-central-1", token: "token of the keys" });
  });

  test.each([
    [
      "nobody",
      {},
      "Set tokenizer.profile_name, or tokenizer.aws_access_key and aws_secret_key, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY in the environment, or give the machine a role. An emulator takes any keys.",
    ],
    ["a profile that is not there", { profile_name: "wrok" }, "Check the profile wrok of tokenizer.profile_name."],
  ])("%s is refused", async (_name, way, advice) => {
    configureAws({ credentials: CREDENTIALS.replace("default", "other") });
    const { code, message } = await failureOf(open({ ...REGION, ...way }));
    expect(code).toBe("STORE_UNUSABLE");
    expect(message).toMatch(/^There are no AWS credentials to use \(.+\)\. /);
    expect(message.endsWith(advice)).toBe(true);
  });

  test("nobody at first: the next call looks again", async () => {
    const { backend } = makeBackend({ ...REGION, endpoint: dynamodb.endpoint, table });
    expect((await failureOf(backend.open())).code).toBe("STORE_UNUSABLE");
    Object.assign(process.env, { AWS_ACCESS_KEY_ID: "AKIDENV", AWS_SECRET_ACCESS_KEY: "e" });
    expect(await backend.read("session:a")).toBeUndefined();
    expect(signedBy().id).toBe("AKIDENV");
  });

  test("a profile that is not there is not replaced by the machine's role", async () => {
    configureAws({ credentials: CREDENTIALS });
    process.env.AWS_CONTAINER_CREDENTIALS_FULL_URI = (await startKeyServer("AKIDROLE")).url;
    const { code, message } = await failureOf(open({ ...REGION, profile_name: "wrok" }));
    expect({ code, message }).toEqual({
      code: "STORE_UNUSABLE",
      message:
        "There are no AWS credentials to use (the profile has none). Check the profile wrok of tokenizer.profile_name.",
    });
    expect(dynamodb.calls).toEqual([]);
  });

  test("a role that gives none: told by the error's name, not its words", async () => {
    configureAws({
      config: "[profile work]\nrole_arn=arn:aws:iam::123456789012:role/app\nsource_profile=base\nregion=eu-west-1\n",
      credentials: "[base]\naws_access_key_id=AKIDBASE\naws_secret_access_key=secret-of-base\n",
    });
    process.env.AWS_ENDPOINT_URL_STS = (await startKeyServer("AKIDROLE")).url;
    const { code, message, error } = await failureOf(open({ profile_name: "work" }));
    expect(code).toBe("STORE_UNUSABLE");
    expect(message).toMatch(
      /^There are no AWS credentials to use \(\w+\)\. Check the profile work of tokenizer\.profile_name\.$/,
    );
    expect(error.cause).toBeUndefined();
  });

  test("credentials that do not come in time: told as such", async () => {
    process.env.AWS_CONTAINER_CREDENTIALS_FULL_URI = (await startKeyServer("AKIDROLE", { slow: true })).url;
    const { code, message } = await failureOf(open(REGION, 300));
    expect({ code, message }).toEqual({
      code: "STORE_TIMEOUT",
      message:
        "AWS did not say within 0.3 seconds who asks. Set tokenizer.profile_name, or tokenizer.aws_access_key and aws_secret_key, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY in the environment, or give the machine a role. An emulator takes any keys.",
    });
  });
});

describe("in which region", () => {
  const WORK = "[profile work]\nregion=sa-east-1\n[default]\nregion=ap-south-1\n";

  test.each([
    [
      "aws_region_name",
      { ...KEYS, aws_region_name: "us-west-2" },
      { AWS_REGION: "eu-west-1", AWS_DEFAULT_REGION: "eu-west-2" },
      "us-west-2",
    ],
    ["AWS_REGION", KEYS, { AWS_REGION: "eu-west-1", AWS_DEFAULT_REGION: "eu-west-2" }, "eu-west-1"],
    ["AWS_DEFAULT_REGION", KEYS, { AWS_REGION: "", AWS_DEFAULT_REGION: "eu-west-2" }, "eu-west-2"],
    ["AWS_DEFAULT_REGION beside a profile", { profile_name: "work" }, { AWS_DEFAULT_REGION: "eu-west-2" }, "eu-west-2"],
    ["the profile's", { profile_name: "work" }, {}, "sa-east-1"],
    ["the environment's profile's", KEYS, { AWS_PROFILE: "work" }, "sa-east-1"],
    ["the default profile's", KEYS, {}, "ap-south-1"],
  ] as [string, Way, object, string][])("%s", async (_name, way, env, region) => {
    configureAws({ config: WORK, credentials: CREDENTIALS });
    Object.assign(process.env, env);
    await open(way);
    expect(signedBy().region).toBe(region);
  });

  test.each([
    [KEYS, "a profile with a region"],
    [{ profile_name: "work" }, "the profile work, with a region,"],
  ])("none is refused: %j", async (way, ofProfile) => {
    configureAws({ credentials: CREDENTIALS });
    const { code, message } = await failureOf(open(way));
    expect({ code, message }).toEqual({
      code: "STORE_UNUSABLE",
      message: `DynamoDB needs a region. Set tokenizer.aws_region_name, or AWS_REGION or AWS_DEFAULT_REGION in the environment, or ${ofProfile} in the AWS configuration file (~/.aws/config).`,
    });
  });

  test.each([
    ["tokenizer.aws_region_name", { ...KEYS, aws_region_name: "us-east-1\r" }, {}, '"us-east-1\\r"'],
    ["AWS_REGION", KEYS, { AWS_REGION: "US East (Ohio)" }, '"US East (Ohio)"'],
    ["AWS_DEFAULT_REGION", KEYS, { AWS_DEFAULT_REGION: "us-east-1/" }, '"us-east-1/"'],
  ] as [string, Way, object, string][])("what is none is refused, and named: %s", async (setBy, way, env, found) => {
    Object.assign(process.env, env);
    const { code, message } = await failureOf(open(way));
    expect({ code, message }).toEqual({
      code: "STORE_UNUSABLE",
      message: `${setBy} is no region: found ${found}. Write it as in us-east-1.`,
    });
  });

  test("none, through tokenizer(): ready rejects, and not the call", async () => {
    const sessions = tokenizer(
      { tokenizer: { type: "dynamodb", table, ...KEYS, safe_password: "a safe password for specs" } },
      { log: { warn: () => {} } },
    );
    atTheEnd(() => sessions.close());
    expect(await failureOf(sessions.ready)).toMatchObject({
      code: "STORE_UNUSABLE",
      message: expect.stringMatching(/^DynamoDB needs a region\. Set tokenizer\.aws_region_name, /),
    });
  });
});

describe("at which address", () => {
  const host = () => new URL(dynamodb.endpoint).host;
  const way = { ...REGION, ...KEYS };
  /** No `endpoint` in the settings. */
  const openThere = (options: Way = way) => makeBackend({ table: "no-such-table", ...options }).backend.open();

  test.each([
    ["AWS_ENDPOINT_URL", () => ({ AWS_ENDPOINT_URL: dynamodb.endpoint })],
    [
      "AWS_ENDPOINT_URL_DYNAMODB, before the other",
      () => ({ AWS_ENDPOINT_URL_DYNAMODB: dynamodb.endpoint, AWS_ENDPOINT_URL: "http://127.0.0.1:1" }),
    ],
    ["endpoint_url of the profile that AWS_PROFILE names", () => ({ AWS_PROFILE: "work" })],
    ["endpoint_url of DynamoDB in that profile's services", () => ({ AWS_PROFILE: "services" })],
  ] as [string, () => object][])("%s: errors name what was asked", async (_name, env) => {
    const services = `[profile services]\nservices=mine\n[services mine]\ndynamodb =\n  endpoint_url=${dynamodb.endpoint}\n`;
    configureAws({ config: `[profile work]\nendpoint_url=${dynamodb.endpoint}\n${services}` });
    Object.assign(process.env, env());
    const { code, message } = await failureOf(openThere());
    expect([code, message]).toEqual([
      "STORE_UNUSABLE",
      `DynamoDB at ${host()} has no table no-such-table, or it is not active yet. Make it: npx express-tokenizer create-table`,
    ]);
  });

  test("the settings' endpoint comes before all of them", async () => {
    process.env.AWS_ENDPOINT_URL_DYNAMODB = "http://127.0.0.1:1";
    await open(way);
    expect(dynamodb.actions).toEqual(["GetItem"]);
  });

  test("the default profile's is not taken for that of profile_name", async () => {
    configureAws({ config: `[default]\nendpoint_url=${dynamodb.endpoint}\n`, credentials: CREDENTIALS });
    // The SDK's name for an emulator on port 8000, whether or not there is one.
    await openThere({ aws_region_name: "local", profile_name: "work" }).catch(() => {});
    expect(dynamodb.actions).toEqual([]);
  });

  test.each(["AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_DYNAMODB"])("%s that is no URL is refused", async (name) => {
    for (const text of ["localhost:8000", "dynamodb", "http://a:b:c"]) {
      process.env[name] = text;
      expect(await failureOf(openThere())).toMatchObject({
        code: "STORE_UNUSABLE",
        message: `${name} is no URL: it must begin with http:// or https://, as in http://localhost:8000.`,
      });
    }
  });

  test("nobody to ask as: an emulator by the environment takes any keys, too", async () => {
    process.env.AWS_ENDPOINT_URL = dynamodb.endpoint;
    expect((await failureOf(openThere(REGION))).message).toMatch(/An emulator takes any keys\.$/);
  });

  test.each([
    ["dynamodb.eu-central-1.amazonaws.com", "DynamoDB in eu-central-1"],
    ["123456789012.ddb.eu-central-1.amazonaws.com", "DynamoDB in eu-central-1"],
    ["dynamodb.cn-north-1.amazonaws.com.cn", "DynamoDB in cn-north-1"],
    ["dynamodb-fips.us-gov-west-1.amazonaws.com", "DynamoDB in us-gov-west-1"],
    ["dynamodb.eu-central-1.api.aws", "DynamoDB in eu-central-1"],
    [
      "vpce-1-2.dynamodb.eu-central-1.vpce.amazonaws.com",
      "DynamoDB at vpce-1-2.dynamodb.eu-central-1.vpce.amazonaws.com",
    ],
  ])("%s is told as %s", (asked, told) => {
    expect(nameOf({ host: asked, region: told.split(" ").at(-1) })).toBe(told);
  });
});

test("without the package: told, with the command that installs it", async () => {
  const folder = mkdtempSync(join(tmpdir(), "express-tokenizer-no-sdk-"));
  atTheEnd(() => rmSync(folder, { recursive: true, force: true }));
  cpSync(fileURLToPath(new URL("../../../dist", import.meta.url)), join(folder, "dist"), { recursive: true });
  const script = `
    import { DynamodbBackend } from "./dist/backends/dynamodb/backend.js";
    const context = { now: Date.now, timeout: 2000, warn() {} };
    const backend = new DynamodbBackend({ table: "sessions", aws_region_name: "eu-central-1" }, context);
    const { code, message, status } = await backend.open().catch((error) => error);
    console.log(JSON.stringify({ code, message, status }));`;
  writeFileSync(join(folder, "open.mjs"), script);
  const { stdout } = await promisify(execFile)(process.execPath, [join(folder, "open.mjs")]);
  expect(JSON.parse(stdout)).toEqual({
    code: "PACKAGE_MISSING",
    message: "tokenizer.type: dynamodb needs a package that is not installed: npm install @aws-sdk/client-dynamodb",
    status: 500,
  });
});

describe("opening", () => {
  const way = () => ({ ...WAY, endpoint: dynamodb.endpoint, table });

  test("asks for one item that is not there, and for nothing else", async () => {
    await open(WAY);
    expect(dynamodb.calls.map(({ action, body }) => [action, body.Key])).toEqual([
      ["GetItem", { username: { S: "nobody" } }],
    ]);
  });

  test("57: a table that is not there is named, with the command that makes it", async () => {
    expect(await failureOf(open({ ...way(), table: "no-such-table" }))).toMatchObject({
      code: "STORE_UNUSABLE",
      status: 503,
      message: `DynamoDB at ${new URL(dynamodb.endpoint).host} has no table no-such-table, or it is not active yet. Make it: npx express-tokenizer create-table`,
    });
  });

  test.each([
    ["another name", "id", "S"],
    ["another type", "username", "N"],
  ] as const)("a table with a key of %s is told", async (_name, AttributeName, AttributeType) => {
    const wrong = await makeTable(client, {
      AttributeDefinitions: [{ AttributeName, AttributeType }],
      KeySchema: [{ AttributeName, KeyType: "HASH" }],
    });
    const { code, message } = await failureOf(open({ ...way(), table: wrong }));
    expect(code).toBe("STORE_UNUSABLE");
    expect(message).toMatch(/^DynamoDB refused GetItem: .+[^.]\. The table /);
    expect(
      message.endsWith(`The table ${wrong} must have a String partition key named username, and no sort key.`),
    ).toBe(true);
  });

  test("57: a missing permission is named, with the command that prints what is needed", async () => {
    dynamodb.fate = () => refusal("AccessDeniedException", "User: arn:aws:iam::1:user/ada is not authorized");
    expect(await failureOf(open(WAY))).toMatchObject({
      code: "STORE_UNUSABLE",
      message: `The permission dynamodb:GetItem on the table ${table} is missing, or, if it has a KMS key, kms:Encrypt and kms:Decrypt on that. What is needed: npx express-tokenizer iam-policy`,
    });
    expect(dynamodb.calls).toHaveLength(1);
  });

  test.each([
    "UnrecognizedClientException",
    "InvalidSignatureException",
    "ExpiredTokenException",
    "MissingAuthenticationTokenException",
    "IncompleteSignatureException",
  ])("keys that AWS does not accept (%s): told without them", async (name) => {
    // What AWS quotes of the request may hold the token.
    const secrets = [WAY.aws_secret_key, "the-session-token"];
    dynamodb.fate = () => refusal(name, `The canonical request was: ${secrets.join()}`);
    const { code, message, error } = await failureOf(open({ ...WAY, aws_session_token: "the-session-token" }));
    expect({ code, message }).toEqual({
      code: "STORE_UNUSABLE",
      message: `AWS did not accept the credentials (${name}). Check tokenizer.aws_access_key, aws_secret_key and aws_session_token.`,
    });
    expect(error.cause).toBeUndefined();
  });

  test("nothing listens there", async () => {
    expect(await failureOf(open({ ...WAY, endpoint: "http://127.0.0.1:1" }))).toMatchObject({
      code: "STORE_UNAVAILABLE",
      message: "DynamoDB at 127.0.0.1:1 cannot be reached: nothing listens there.",
    });
  });

  test("a name that is none", async () => {
    expect(await failureOf(open({ ...WAY, endpoint: "http://dynamodb.invalid:1" }))).toMatchObject({
      code: "STORE_UNAVAILABLE",
      message: expect.stringMatching(
        /^DynamoDB at dynamodb\.invalid:1 cannot be reached: (there is no such host|the host's name could not be looked up)\.$/,
      ),
    });
  });

  test("plain HTTP where TLS was meant", async () => {
    const endpoint = dynamodb.endpoint.replace("http:", "https:");
    const { code, message } = await failureOf(makeBackend({ ...way(), endpoint }).backend.open());
    expect({ code, message }).toEqual({
      code: "STORE_UNUSABLE",
      message: `DynamoDB at ${new URL(endpoint).host} does not speak TLS. The address of one that speaks plain HTTP begins with http://.`,
    });
  });

  test("a failure is not final: the next call works as soon as the table does", async () => {
    const { backend } = makeBackend(way());
    dynamodb.fate = () => refusal("ResourceNotFoundException");
    expect((await failureOf(backend.open())).code).toBe("STORE_UNUSABLE");
    dynamodb.forget();
    expect(await backend.read("session:a")).toBeUndefined();
  });

  describe("a clock of ours that differs from DynamoDB's", () => {
    const openAt = async (ahead: number) => {
      const { backend, warnings } = makeBackend(way(), { clock: { ahead } });
      await backend.open();
      return warnings;
    };

    test.each([
      [61 * 60_000, "61 minutes ahead of"],
      [-5 * 60_000, "5 minutes behind"],
    ])("by %d ms is warned of", async (ahead, difference) => {
      expect(await openAt(ahead)).toEqual([
        `The clock of this machine is about ${difference} that of DynamoDB at ${new URL(dynamodb.endpoint).host}: sessions end by the clock of the machine that serves them. Let NTP keep all clocks right.`,
      ]);
    });

    test.each([50_000, -50_000])("by %d ms is not", async (ahead) => {
      expect(await openAt(ahead)).toEqual([]);
    });

    test("is nothing to say where the answer has no date", async () => {
      dynamodb.fate = () => ({ status: 200, body: {}, headers: { date: "" } });
      expect(await openAt(3_600_000)).toEqual([]);
    });
  });

  test("closed while it is opening: ends at once, with STORE_CLOSED", async () => {
    const { backend } = makeBackend(way());
    dynamodb.fate = () => "hang";
    const failing = failureOf(backend.open());
    while (dynamodb.calls.length === 0) await new Promise(setImmediate);
    await backend.close();
    const { code, message } = await failing;
    expect({ code, message }).toEqual({ code: "STORE_CLOSED", message: "The session store was closed." });
  });
});
