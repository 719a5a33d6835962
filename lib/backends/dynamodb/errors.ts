/** What goes wrong with DynamoDB, and how it is told: the cause and the way out, never a key of AWS or a value. */
import { TokenizerError } from "../../errors.js";
import { quoted } from "../../visible.js";
import type { Region } from "./endpoint.js";

/** Where was asked, and by whom. */
export interface Place {
  readonly table: string;
  readonly region?: string | undefined;
  /** Another address than the region's own, if somebody set one. */
  readonly endpoint?: string | undefined;
  /** `host:port` that was asked, or would be. */
  readonly host?: string | undefined;
  readonly profile_name?: string | undefined;
  readonly aws_access_key?: string | undefined;
  /** Whether credentials were found. */
  readonly isKnown?: boolean;
}

/** As the SDK throws it: an answer of the service, or a failure on the way. */
interface SdkError extends Error {
  readonly code?: string;
  /** Who is to blame, where the service answered with an error. */
  readonly $fault?: "client" | "server";
  readonly $response?: unknown;
  readonly $metadata?: { readonly httpStatusCode?: number; readonly clockSkewCorrected?: boolean };
}

/** AWS's own addresses of a region. An interface endpoint of a VPC has one of its own. */
const OF_AWS =
  /^(dynamodb(-fips)?|\d{12}\.ddb)\.[\w-]+\.(amazonaws\.com(\.cn)?|api\.aws|api\.amazonwebservices\.com\.cn)$/;

const THROTTLED: ReadonlySet<string> = new Set([
  "ProvisionedThroughputExceededException",
  "RequestLimitExceeded",
  "Throttling",
  "ThrottlingException",
]);

/** All other actions are those of `create-table`. */
const IN_SERVICE: ReadonlySet<string> = new Set(["GetItem", "PutItem", "UpdateItem", "DeleteItem", "Scan"]);

/** The service does not know who asks, or not any more. Its answer may quote the request, session token included. */
const NOT_ACCEPTED: ReadonlySet<string> = new Set([
  "ExpiredToken",
  "ExpiredTokenException",
  "IncompleteSignature",
  "IncompleteSignatureException",
  "InvalidClientTokenId",
  "InvalidSignatureException",
  "MissingAuthenticationToken",
  "MissingAuthenticationTokenException",
  "SignatureDoesNotMatch",
  "UnrecognizedClientException",
]);

/** The clock of who asks is wrong: beyond what the SDK corrects. */
const TOO_SKEWED: ReadonlySet<string> = new Set(["RequestExpired", "RequestInTheFuture", "RequestTimeTooSkewed"]);

const REASONS: Readonly<Record<string, string>> = {
  ECONNREFUSED: "nothing listens there",
  ENOTFOUND: "there is no such host",
  EAI_AGAIN: "the host's name could not be looked up",
  EHOSTUNREACH: "there is no way to the host",
  ENETUNREACH: "there is no way to the network",
  ECONNRESET: "the connection was reset",
  EPIPE: "the connection was closed",
};

/** Whether the same request may well succeed a moment later. */
export function isTransient(error: unknown): boolean {
  const { name, code = "", $metadata = {} } = error as SdkError;
  const { httpStatusCode: status = 0, clockSkewCorrected } = $metadata;
  return THROTTLED.has(name) || status >= 500 || name === "TimeoutError" || code in REASONS || !!clockSkewCorrected;
}

/** DynamoDB itself does not answer so. Who does, stands in between, and may still be passing the request on. */
const OF_GATEWAYS: ReadonlySet<number | undefined> = new Set([502, 504]);

/** Whether DynamoDB answered. */
export function isAnswer(error: unknown): boolean {
  const { $fault, $metadata } = error as SdkError;
  return $fault !== undefined && !OF_GATEWAYS.has($metadata?.httpStatusCode);
}

/** Whether the service did not know who asked. */
export const isNotAccepted = (error: unknown): boolean => NOT_ACCEPTED.has((error as SdkError).name);

/** The error that callers get. */
export function explain(error: unknown, action: string, place: Place): TokenizerError {
  if (error instanceof TokenizerError) return error;
  const { name, message, code, $fault, $response } = error as SdkError;
  if (NOT_ACCEPTED.has(name)) return unusable(`AWS did not accept the credentials (${name}). ${whoAsks(place)}`);
  if (TOO_SKEWED.has(name))
    return unusable(
      `AWS did not accept the time of the request (${name}). Set the clock of this machine right, and let NTP keep it so.`,
    );
  if (name === "CredentialsProviderError") return noCredentials(error, place);
  const refused = refusals[name]?.(action, place, message);
  if (refused !== undefined) return unusable(refused, error);
  if (THROTTLED.has(name)) {
    const text = `DynamoDB throttled ${action} on ${tableOf(place)}: more is asked of it than its capacity or the account allows.`;
    return new TokenizerError("STORE_UNAVAILABLE", text, { cause: error });
  }
  // The SDK calls a reset a time-out, too.
  if (name === "TimeoutError" && !(code && code in REASONS))
    return new TokenizerError("STORE_TIMEOUT", notAnswered(place), { cause: error });
  // Half an answer, or none of DynamoDB's, is quoted by these: neither told nor kept as the cause.
  const isOthers = $response !== undefined && $fault === undefined;
  const cause = isOthers ? undefined : error;
  if (code !== undefined) return explainNetwork(code, place, cause);
  const reason = isOthers ? "its answer could not be understood" : name;
  return new TokenizerError("STORE_UNAVAILABLE", `DynamoDB failed at ${action}: ${reason}.`, { cause });
}

/** Whether there is no such table, rather than no way to it. */
export const isMissingTable = (error: unknown): boolean => causeOf(error) === "ResourceNotFoundException";

/** Whether the server does not know what it was asked: an emulator's answer. */
export const isUnknownAction = (error: unknown): boolean => causeOf(error) === "UnknownOperationException";

/** Whether a permission is missing. */
export const isDenied = (error: unknown): boolean => causeOf(error) === "AccessDeniedException";

const causeOf = (error: unknown) =>
  error instanceof TokenizerError ? (error.cause as SdkError | undefined)?.name : undefined;

/**
 * No region in the settings, the environment or the profile, or one that is none.
 *
 * @param found in the settings or the environment
 */
export function noRegion({ profile_name: profile }: Place, found: Region | undefined, cause: unknown): TokenizerError {
  if (found)
    return unusable(`${found.setBy} is no region: found ${quoted(found.name)}. Write it as in us-east-1.`, cause);
  const ofProfile = profile === undefined ? "a profile with a region" : `the profile ${profile}, with a region,`;
  return unusable(
    `DynamoDB needs a region. Set tokenizer.aws_region_name, or AWS_REGION or AWS_DEFAULT_REGION in the environment, or ${ofProfile} in the AWS configuration file (~/.aws/config).`,
    cause,
  );
}

/** @param setBy a setting, or a variable of the environment */
export function noUrl(setBy: string): TokenizerError {
  return unusable(`${setBy} is no URL: it must begin with http:// or https://, as in http://localhost:8000.`);
}

/** Nobody is named who could ask, or who is named is not there. */
export function noCredentials(error: unknown, place: Place): TokenizerError {
  const { name, message } = error as SdkError;
  // Its own words name profiles; those of others may quote an answer.
  const [reason, cause] = name === "CredentialsProviderError" ? [firstLine(message), error] : [name, undefined];
  return unusable(`There are no AWS credentials to use (${reason}). ${whoAsks(place)}`, cause);
}

/** @param parts those that hold white space */
export function spacedCredentials(parts: readonly string[]): TokenizerError {
  return unusable(
    `The AWS credentials that were found cannot be right: there is white space in ${parts.join(" and ")}. Take it away where they come from; often it is a newline at the end.`,
  );
}

/** Where a profile has no credentials, the SDK goes on to the machine's: not who was named. */
export function standIn(place: Place): TokenizerError {
  return unusable(`There are no AWS credentials to use (the profile has none). ${whoAsks(place)}`);
}

/** @param failure what the last try met, if it met anything */
export function timedOut(milliseconds: number, place: Place, failure: unknown): TokenizerError {
  const within = `within ${Number((milliseconds / 1000).toFixed(3))} seconds`;
  const last = failure === undefined ? "" : ` (the last try: ${lastTry(failure)})`;
  const text = place.isKnown
    ? `${nameOf(place)} did not answer ${within}${last}.`
    : `AWS did not say ${within} who asks. ${whoAsks(place)}`;
  return new TokenizerError("STORE_TIMEOUT", text);
}

/** An item that is not ours stands where a record was to be written. */
export function notOurs({ table }: Place): TokenizerError {
  return unusable(
    `An item of the table ${table} stands where a session was to be written, and is somebody else's. It is left alone; give the sessions a table of their own in tokenizer.table.`,
  );
}

const refusals: Readonly<Record<string, (action: string, place: Place, message: string) => string>> = {
  ResourceNotFoundException: (_action, place) =>
    `${nameOf(place)} has no table ${place.table}, or it is not active yet. Make it: npx express-tokenizer create-table`,
  AccessDeniedException: (action, place) => {
    const told = `The permission dynamodb:${action} on ${tableOf(place)} is missing`;
    return IN_SERVICE.has(action)
      ? `${told}, or, if it has a KMS key, kms:Encrypt and kms:Decrypt on that. What is needed: npx express-tokenizer iam-policy`
      : `${told}. What is needed: npx express-tokenizer create-table --help`;
  },
  ValidationException: (action, place, message) => {
    const told = `DynamoDB refused ${action}: ${firstLine(message)}.`;
    return IN_SERVICE.has(action)
      ? `${told} The table ${place.table} must have a String partition key named username, and no sort key.`
      : told;
  },
};

/** Versions of Node name it differently. */
const NO_TLS = /^EPROTO$|WRONG_VERSION_NUMBER|PACKET_LENGTH_TOO_LONG/;

function explainNetwork(code: string, place: Place, cause: unknown): TokenizerError {
  if (NO_TLS.test(code)) {
    const text = `${nameOf(place)} does not speak TLS. The address of one that speaks plain HTTP begins with http://.`;
    return unusable(text, cause);
  }
  if (/CERT|SIGNED|^ERR_(TLS|SSL|OSSL)/.test(code)) {
    const text = `${nameOf(place)} cannot be trusted (${code}). If its certificate is signed by an authority of your own, name that in NODE_EXTRA_CA_CERTS.`;
    return unusable(text, cause);
  }
  const text = `${nameOf(place)} cannot be reached: ${REASONS[code] ?? code}.`;
  return new TokenizerError("STORE_UNAVAILABLE", text, { cause });
}

function lastTry(failure: unknown): string {
  const { name, code } = failure as SdkError;
  return REASONS[code ?? ""] ?? name;
}

/** Where to look when it is not known who asks. */
function whoAsks({ profile_name: profile, aws_access_key: id, endpoint }: Place): string {
  if (profile !== undefined) return `Check the profile ${profile} of tokenizer.profile_name.`;
  return id === undefined
    ? `Set tokenizer.profile_name, or tokenizer.aws_access_key and aws_secret_key, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY in the environment, or give the machine a role.${endpoint === undefined ? "" : " An emulator takes any keys."}`
    : "Check tokenizer.aws_access_key, aws_secret_key and aws_session_token.";
}

/** What was asked, by the name that people know it by. */
export const nameOf = ({ host, region }: Pick<Place, "host" | "region">): string =>
  host === undefined || OF_AWS.test(host) ? `DynamoDB in ${region}` : `DynamoDB at ${host}`;

const tableOf = ({ table }: Place): string => `the table ${table}`;

const notAnswered = (place: Place): string => `${nameOf(place)} did not answer in time.`;

const firstLine = (message: string): string => message.replace(/\n.*$/s, "").replace(/[.\s]+$/, "");

function unusable(message: string, cause?: unknown): TokenizerError {
  return new TokenizerError("STORE_UNUSABLE", message, { cause });
}
