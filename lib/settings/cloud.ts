/** Tells by the environment where a folder does not last, or is not shared between servers. */

/** A platform, and the variable that gave it away. */
export interface CloudInstallation {
  readonly platform: string;
  readonly variable: string;
}

interface Sign {
  readonly platform: string;
  readonly variable: RegExp;
  readonly value?: RegExp;
}

/** In the order in which they are looked for: Lambda's own name says more than the execution environment. */
const SIGNS: readonly Sign[] = [
  { platform: "AWS Lambda", variable: /^AWS_LAMBDA_FUNCTION_NAME$/ },
  { platform: "AWS Lambda", variable: /^AWS_EXECUTION_ENV$/, value: /^AWS_Lambda/ },
  { platform: "Amazon ECS or Fargate", variable: /^ECS_CONTAINER_METADATA_URI(_V4)?$/ },
  { platform: "Amazon ECS or Fargate", variable: /^AWS_EXECUTION_ENV$/, value: /^AWS_ECS/ },
  { platform: "Google Cloud Run", variable: /^K_SERVICE$/ },
  { platform: "Google App Engine", variable: /^GAE_/ },
  { platform: "Azure Functions", variable: /^FUNCTIONS_WORKER_RUNTIME$/ },
  { platform: "Heroku", variable: /^DYNO$/ },
];

/** The cloud that the process runs in, or `undefined`. A variable that is empty counts as not set. */
export function findCloud(env: NodeJS.ProcessEnv): CloudInstallation | undefined {
  const set = Object.entries(env).filter(([, value]) => value);
  for (const { platform, variable, value } of SIGNS) {
    const found = set.find(([name, text]) => variable.test(name) && (value === undefined || value.test(text ?? "")));
    if (found !== undefined) {
      return { platform, variable: found[0] };
    }
  }
  return undefined;
}
