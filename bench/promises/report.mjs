// What was measured, as a table: PROMISES.md, which docs/comparison.md and the specs take their word from.
import { writeFileSync } from "node:fs";
import { enginesOf, place, table, versioned } from "../figures.mjs";
import { BUSY_HOURS, LOGOUTS, PARALLEL, SIGN_INS, UNCHANGED } from "./measures.mjs";

/** Writes the file when all were measured; answers the table. */
export function report({ results, isWhole, node, engines }) {
  const text = [
    "# Promises",
    "",
    "Made by `npm run bench:promises`; not to be edited. Each contender serves the same paths over HTTP, in a process of its own,",
    "as its documentation shows it; what it has for one of these promises is switched on. Counts, no times.",
    "",
    ...legend(),
    "",
    place([`Node ${node}`, ...enginesOf(engines)]),
    `Beside those of the table: ${companions(results).join(", ")}.`,
    "",
    ...table(
      ["", ...Object.keys(columns)],
      results.map((result) => [nameOf(result.contender), ...Object.values(columns).map((cell) => cell(result))]),
    ),
  ].join("\n");
  if (isWhole) writeFileSync(new URL("../PROMISES.md", import.meta.url), text);
  return text;
}

const NONE = "–";

const columns = {
  [`kept of ${PARALLEL}`]: ({ kept }) => String(kept),
  [`back of ${LOGOUTS}`]: ({ back }) => String(back),
  "back unchanged": ({ backUnchanged }) => String(backUnchanged),
  "failed save": ({ refused = NONE }) => String(refused),
  [`wrote of ${UNCHANGED}`]: ({ writes = NONE }) => String(writes),
  ends: ({ ends }) => (ends === null ? "never" : `${ends} h`),
  "id at rest": ({ stored: { id } }) => (id === undefined ? NONE : id ? "plain" : "hidden"),
  "text at rest": ({ stored: { text } }) => (text ? "plain" : "sealed"),
  [`ended of ${SIGN_INS}`]: ({ users }) => (users === null ? "no way" : String(users)),
};

function legend() {
  return [
    `- _kept_: ${PARALLEL} requests of one session, each setting a key of its own, all under way before one is answered: the keys kept.`,
    `- _back_: ${LOGOUTS} times a session is logged out while a request that changes it is under way: how often it is there again;`,
    "  _back unchanged_: the same with a request that changes nothing.",
    "- _failed save_: the status of the answer to a request whose change the store refuses to save.",
    `- _wrote_: of ${UNCHANGED} requests that change nothing, one each second, those after which the store has been written to.`,
    `- _ends_: when a session ends that is used, and changed, every 10 minutes for ${BUSY_HOURS} hours. The clock is moved.`,
    "- _at rest_: whether the session's id, and a text in the session, can be read in what is stored; without a store, in the",
    "  cookie.",
    `- _ended_: of ${SIGN_INS} sign-ins of one user, how many are listed, and end when that user's sessions are to end.`,
    "",
    `\`${NONE}\`: there is no store, or no id.`,
  ];
}

const nameOf = ({ name, package: peer, isOurs }) => {
  if (isOurs) return name.replace("ours", "express-tokenizer");
  return peer ? versioned(peer).replace(peer, name) : name;
};

/** Whatever the contenders were run with, each once. */
function companions(results) {
  const names = results.flatMap(({ contender }) => contender.with ?? []);
  return [...new Set(["express", "express-session", ...names])].map(versioned);
}
