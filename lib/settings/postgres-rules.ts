/** The rules of `type: postgres`: what must stand together, and what must not. */
import type { Finding } from "./faults.js";
import { type Section, sectionOf } from "./plain.js";
import { whyNoPlace } from "./postgres-url.js";
import { checkServer, option, setting, whyNoHost } from "./server-rules.js";
import { checkUrl } from "./server-url.js";

const OF_REDIS = ["sentinel", "cluster", "nodes"];
const ONE_SERVER =
  "is for type: redis; of PostgreSQL, name in tokenizer.host what always leads to the primary, and take this away";

/** As `checkRedisTexts`, and at the same time. */
export function checkPostgresTexts(tokenizer: Section): readonly Finding[] {
  return [...checkHost(tokenizer), ...checkUrl(tokenizer), ...refuseThoseOfRedis(tokenizer)];
}

/** What must stand together, and what must not. */
export function checkPostgres(tokenizer: Section): readonly Finding[] {
  // A `url` that is still there is at fault: what it would have said is not known.
  return tokenizer.type !== "postgres" || tokenizer.url !== undefined ? [] : checkServer(tokenizer);
}

function checkHost({ host }: Section): readonly Finding[] {
  if (typeof host !== "string") return [];
  const message = whyNoHost(host) ?? whyNoPlace(host);
  return message === undefined ? [] : [setting("host", message)];
}

function refuseThoseOfRedis({ options }: Section): readonly Finding[] {
  return OF_REDIS.filter((key) => sectionOf(options)[key] !== undefined).map((key) => option(key, ONE_SERVER));
}
