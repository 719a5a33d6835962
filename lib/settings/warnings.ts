/** What is allowed, but is probably not meant. */
import { type Path, writePath, writePlace } from "./faults.js";
import type { SettingsFile } from "./file.js";
import { misspelt } from "./nearest.js";
import { isSection, type Section } from "./plain.js";
import { type Draft, HOW_TO_MAKE_ONE, weakSecrets } from "./rules.js";
import { settingSections, settingsSchema } from "./settings.js";

const AUTHENTICATORS: readonly unknown[] = settingsSchema.properties.authenticator.properties.type.enum;

/** A file that others can read and that holds a secret. */
export function worldReadable({ name, document, worldReadable }: SettingsFile): readonly string[] {
  const [secret] = worldReadable ? secretsIn(document) : [];
  return secret === undefined
    ? []
    : [`${name} holds ${writePath(secret)} and can be read by every user of this machine: chmod 600 ${name}`];
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

/** One warning for all secrets that production would refuse. */
export function weak(draft: Draft, variables: ReadonlyMap<string, string>): readonly string[] {
  const secrets = weakSecrets(draft).map(({ at, reason }) => `${writePlace(at, variables)} ${reason}`);
  return secrets.length === 0
    ? []
    : [`${secrets.join("; ")}. With NODE_ENV=production that is refused; ${HOW_TO_MAKE_ONE}`];
}

function secretsIn(document: Section): readonly Path[] {
  return Object.entries(settingSections).flatMap(([path, keys]) => {
    const at = path.split(".");
    const section = at.reduce<unknown>((within, key) => (isSection(within) ? within[key] : undefined), document);
    return (
      Object.keys(keys)
        .filter((key) => keys[key]?.writeOnly && isSection(section) && section[key] !== undefined)
        // A URL without a login is none.
        .filter((key) => key !== "url" || String((section as Section)[key]).includes("@"))
        .map((key) => [...at, key])
    );
  });
}
