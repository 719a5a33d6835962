/** Where DynamoDB is asked: in which region, and at its own address or at another one that somebody set. */
import type { TokenizerSettings } from "../../settings/settings.js";

/** Another address than the region's own. */
export interface Endpoint {
  /** Not checked. */
  readonly url: string;
  /** What set it, for messages. */
  readonly setBy: string;
}

const VARIABLES = ["AWS_ENDPOINT_URL_DYNAMODB", "AWS_ENDPOINT_URL"] as const;

/** The settings' or the environment's, in the SDK's order. What the AWS configuration files say, the SDK alone knows. */
export function findEndpoint(
  { endpoint }: Pick<TokenizerSettings, "endpoint">,
  env: NodeJS.ProcessEnv,
): Endpoint | undefined {
  if (endpoint !== undefined) return { url: endpoint, setBy: "tokenizer.endpoint" };
  if (env.AWS_IGNORE_CONFIGURED_ENDPOINT_URLS === "true") return undefined;
  for (const setBy of VARIABLES) {
    const url = env[setBy];
    if (url) return { url, setBy };
  }
  return undefined;
}

/** Whether it can be asked: `localhost:8000` is a URL to the parser, too, of the protocol `localhost`. */
export function isHttpUrl(text: string): boolean {
  return /^https?:\/\//i.test(text) && URL.canParse(text);
}

/** A region, and what set it, for messages. */
export interface Region {
  /** Not checked. */
  readonly name: string;
  readonly setBy: string;
}

/** The settings' or the environment's. The profile's, the SDK alone knows. */
export function findRegion(
  { aws_region_name }: Pick<TokenizerSettings, "aws_region_name">,
  env: NodeJS.ProcessEnv,
): Region | undefined {
  if (aws_region_name !== undefined) return { name: aws_region_name, setBy: "tokenizer.aws_region_name" };
  for (const setBy of ["AWS_REGION", "AWS_DEFAULT_REGION"]) {
    const name = env[setBy];
    if (name) return { name, setBy };
  }
  return undefined;
}
