// What DynamoDB costs a month, on paper: capacity measured by scale.mjs, times Amazon's prices.
import { table, told } from "./figures.mjs";

/** Dollars, on demand in us-east-1, since November 2024: per million units, and per GB and month. To be looked up again. */
export const PRICES = { asOf: "November 2024", read: 0.125, write: 0.625, storage: 0.25 };
/** Dollars an hour for one unit a second, reserved ahead. */
const PROVISIONED = { read: 0.00013, write: 0.00065 };

const HOURS = 730;
const SECONDS = HOURS * 3600;
const RATES = [10, 1000, 100_000];
const MILLION = 1e6;

/** What is assumed of the visitors: between two requests of a session, of its length, and how many requests change it. */
const EVERY = 5;
const MINUTES = 20;
const CHANGED = 0.1;
/** DynamoDB's TTL deletes within days of the end. */
const DAYS_KEPT = 2;

const requestsOfSession = (MINUTES * 60) / EVERY;

/** Dollars for a million requests. Units are measured for a thousand. */
export function perMillion({ reads = 0, writes = 0 }) {
  return (reads * PRICES.read + writes * PRICES.write) / 1000;
}

/** The same as visitors ask: some change the session, and each session begins with a sign-in. */
function mixed(results, name, bytes) {
  const of = (path) =>
    results.find((one) => one.name === name && one.bytes === bytes && one.every === EVERY && one.path === path);
  const [unchanged, changed] = [of("unchanged"), of("changed")];
  const signIn = perMillion(unchanged.signIn) * 1000;
  return (1 - CHANGED) * perMillion(unchanged) + CHANGED * perMillion(changed) + signIn / requestsOfSession;
}

export function costs(results) {
  const sizes = [...new Set(results.map(({ bytes }) => bytes))];
  const rows = RATES.flatMap((rate) =>
    sizes.map((bytes) => {
      const month = (name) => (mixed(results, name, bytes) * rate * SECONDS) / MILLION;
      const [ours, theirs] = [month("ours"), month("connect-dynamodb")];
      const sessions = told(rate * EVERY);
      return [told(rate), sessions, `${told(bytes)} bytes`, dollars(ours), dollars(theirs), (theirs / ours).toFixed(1)];
    }),
  );
  const most = RATES.at(-1);
  const kept = ((most / requestsOfSession) * DAYS_KEPT * 86_400 * (sizes[0] + 700)) / 1e9;
  const share = PROVISIONED.write / 3600 / (PRICES.write / MILLION);
  return [
    `Dollars a month (${HOURS} hours), on demand in us-east-1, by the prices of ${PRICES.asOf}: $${PRICES.read} for a million read`,
    `request units, $${PRICES.write} for a million write request units. Look them up again before you rely on it:`,
    "<https://aws.amazon.com/dynamodb/pricing/on-demand/>. Assumed, at a steady rate all month:",
    "",
    `- Each session asks every ${EVERY} seconds for ${MINUTES} minutes; it begins with a sign-in, and nobody signs out.`,
    `- One request in ${1 / CHANGED} changes the session; \`touch_interval\` is 60 seconds, \`timeout\` 20 minutes.`,
    "- Reads are consistent, in both. No session holds sealed credentials, which connect-dynamodb has not.",
    "",
    ...table(
      ["requests a second", "sessions at a time", "text in a session", "ours", "connect-dynamodb", "times ours"],
      rows,
    ),
    `Storage comes on top, $${PRICES.storage} for each GB and month beyond the first 25, and is much the same for both: at`,
    `${told(most)} requests a second with ${told(sizes[0])} bytes, about ${told(kept)} GB if TTL deletes a session ${DAYS_KEPT} days after its end (which is free).`,
    "",
    `Provisioned capacity is cheaper where more than ${told(share * 100)} % of it is used around the clock: a unit costs $${PROVISIONED.write} an hour for`,
    `writes and $${PROVISIONED.read} for reads. It answers with throttling what goes beyond, and so would sessions (503).`,
    "",
  ];
}

function dollars(amount) {
  return `$${told(amount, amount < 100 ? 2 : 0)}`;
}
