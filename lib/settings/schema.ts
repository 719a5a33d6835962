/** The JSON Schema that checks and documents settings. */
import { tokenizer } from "./schema-keys.js";
import { cookie, optionsOfRedis, redisOptions, remember } from "./schema-sections.js";
import { schemasOfTypes } from "./schema-types.js";
import type { Complete, SettingSchema } from "./schema-words.js";
import type { AuthenticatorSettings } from "./settings.js";

/** What of the schema only editors read. */
export const EDITORS_KEYWORDS = ["enumDescriptions"];

/** What holds with some types. Where none is set, it is the default one. */
function given(types: readonly unknown[], then: object) {
  const required = types.includes(tokenizer.type.default) ? {} : { required: ["type"] };
  return {
    if: { type: "object", properties: { type: { enum: types } }, ...required },
    // biome-ignore lint/suspicious/noThenProperty: a keyword of JSON Schema
    then: { type: "object", ...then },
  };
}

/** What checks settings, of whatever type (draft-07). `npm run schema` makes from it what editors read. */
export const settingsSchema = {
  $schema: "http://json-schema.org/draft-07/schema#",
  title: "Settings of express-tokenizer",
  description: "The sections tokenizer and authenticator of a settings.yml. Other sections are the application's.",
  type: "object",
  required: ["tokenizer"],
  properties: {
    authenticator: {
      description: "Who checks names and passwords. Other keys here are the application's",
      type: "object",
      properties: {
        type: {
          description: "Who checks names and passwords",
          type: "string",
          enum: ["local", "openldap", "ldap", "microsoft", "none"],
          enumDescriptions: [
            "Credentials are kept, sealed, in the session",
            "OpenLDAP; no credentials are kept",
            "LDAP; no credentials are kept",
            "A Microsoft directory; no credentials are kept",
            "There is no password, as with OpenID Connect or SAML",
          ],
          default: "local",
        },
      } satisfies Complete<AuthenticatorSettings>,
      default: {},
    },
    tokenizer: {
      description: "Where and how long sessions are kept",
      type: "object",
      properties: tokenizer,
      additionalProperties: false,
      allOf: [
        given(["module"], { properties: { module: {} }, required: ["module"] }),
        given(["local", "memory", "dynamodb"], { properties: { options: optionsOfRedis } }),
        ...[...schemasOfTypes].map(([type, properties]) => given([type], { properties })),
      ],
    },
  },
} as const;

/** The keys that can stand in each section of ours, by the section's path. */
export const settingSections: Readonly<Record<string, Readonly<Record<string, SettingSchema>>>> = {
  tokenizer,
  "tokenizer.remember": remember,
  "tokenizer.cookie": cookie,
  "tokenizer.options": redisOptions,
};
