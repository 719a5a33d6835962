/** What is allowed, but is probably not meant. */
import { writePath, writePlace } from "./faults.js";
import type { SettingsFile } from "./file.js";
import { howToOwn } from "./file-advice.js";
import { misspelt } from "./nearest.js";
import { isSection, type Section } from "./plain.js";
import { type Draft, weakSecrets } from "./rules.js";
import { settingSections, settingsSchema } from "./schema.js";
import { HOW_TO_MAKE_ONE, isQuoted, isSpaced, type Secret, secretsIn, valueAt } from "./secrets.js";
import { notInMilliseconds } from "./value-advice.js";

const AUTHENTICATORS: readonly unknown[] = settingsSchema.properties.authenticator.properties.type.enum;

/** A file that others can read and that holds a secret. */
export function worldReadable({ name, document, worldReadable, isOthers }: SettingsFile): readonly string[] {
  const [secret] = worldReadable ? secretsIn(document) : [];
  if (secret === undefined) return [];
  const found = `${name} holds ${writePath(secret.at)} and can be read by every user of this machine`;
  // With chmod alone, this process could not read it either.
  return [
    isOthers
      ? `${found}, and belongs to another user than this process. ${howToOwn(name)}`
      : `${found}: chmod 600 ${name}`,
  ];
}

/** A section that is `authenticator` in all but its name: its `type` decides whether credentials are kept. */
export function misspeltAuthenticator(document: Section): readonly string[] {
  if (document.authenticator !== undefined) {
    return [];
  }
  return Object.entries(document)
    .filter(([key, value]) => misspelt(key, ["authenticator"]) && isSection(value))
    .filter(([, value]) => AUTHENTICATORS.includes((value as Section).type))
    .map(([key]) => `the section ${writePath([key])} is not read; did you mean authenticator? Its type is now local`);
}

/**
 * One warning for all secrets, and all that a variable sets, with white space around them: of a copy, or of a file; and
 * one for those in quotes.
 */
export function wrapped(draft: Draft, variables: ReadonlyMap<string, string>): readonly string[] {
  const secrets = secretsIn({ ...draft });
  const others = [...variables.keys()]
    .filter((path) => !secrets.some(({ at }) => writePath(at) === path))
    .map((path) => path.split("."))
    .map((at) => ({ at, value: valueAt({ ...draft }, at) }));
  const warn = (isFound: (text: Secret) => boolean, one: string, several: string, consequence: string) => {
    const places = [...secrets, ...others].filter(isFound).map(({ at }) => writePlace(at, variables));
    return places.length === 0 ? [] : [`${places.join(", ")} ${places.length === 1 ? one : several} ${consequence}`];
  };
  const withSpace = "with white space, which counts. Take it away, if it is not meant";
  const inQuotes = "in quotes, which count: docker's --env-file keeps them. Take them away, if they are not meant";
  return [
    ...warn(isSpaced, "begins or ends", "begin or end", withSpace),
    ...warn(isQuoted, "stands", "stand", inQuotes),
  ];
}

/** One warning for all secrets that production would refuse. */
export function weak(draft: Draft, variables: ReadonlyMap<string, string>): readonly string[] {
  const secrets = weakSecrets(draft).map(({ at, reason }) => `${writePlace(at, variables)} ${reason}`);
  return secrets.length === 0
    ? []
    : [`${secrets.join("; ")}. With NODE_ENV=production that is refused; ${HOW_TO_MAKE_ONE}`];
}

/** So long that milliseconds may be meant; in the setting's own unit, with how many of them another unit has. */
const LONG = [
  { path: "tokenizer", keys: ["timeout", "absolute_timeout"], from: 365 * 24 * 60, per: 24 * 60, unit: "days" },
  {
    path: "tokenizer.remember",
    keys: ["timeout", "absolute_timeout"],
    from: 365 * 24 * 60,
    per: 24 * 60,
    unit: "days",
  },
  { path: "tokenizer", keys: ["store_timeout"], from: 1000, per: 60, unit: "minutes" },
];

/** A warning for each time that is a year or more, or longer than anybody waits for an answer. */
export function long(draft: Draft, variables: ReadonlyMap<string, string>): readonly string[] {
  return LONG.flatMap(({ path, keys, from, per, unit }) =>
    keys.flatMap((key) => {
      const at = [...path.split("."), key];
      const value = valueAt({ ...draft }, at);
      const schema = settingSections[path]?.[key];
      if (typeof value !== "number" || value < from || schema === undefined) return [];
      return [
        `${writePlace(at, variables)} is ${value}, which is ${Math.round(value / per)} ${unit}; ${notInMilliseconds(value, schema)}`,
      ];
    }),
  );
}
