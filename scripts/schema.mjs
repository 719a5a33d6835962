// Writes settings.schema.json, or the file that is named: what checks settings, in the form that editors do most with.
// They offer what a schema has under `properties`, whatever its conditions; so a key of one type stands in the branch of
// that type alone. Draft-07, since that is what every editor reads.
import { writeFileSync } from "node:fs";
import { variablesFor } from "../dist/settings/environment.js";
import { settingsSchema } from "../dist/settings/schema.js";
import { schemaWith } from "../dist/settings/schema-types.js";
import { findPlaceholders } from "../dist/settings/secrets.js";
import { typesOf, whyUnused } from "../dist/settings/types-of.js";

const { properties: sections, ...root } = settingsSchema;
const { properties: settings, description } = sections.tokenizer;
const TYPES = settings.type.enum;
const ofOneType = Object.keys(settings).filter((key) => typesOf(key).length < TYPES.length);
const ofAllTypes = Object.keys(settings).filter((key) => key !== "type" && !ofOneType.includes(key));

/** What cannot be left out, here and in the environment. */
const NEEDED = { dynamodb: "table", module: "module" };

/** Beside what it is for: what holds without it, and what else can set it. No editor shows those by itself. */
function describe(schema, at) {
  const variables = variablesFor(at);
  const scalar = schema.default !== undefined && typeof schema.default !== "object";
  return [
    schema.description,
    ...(scalar ? [`Default: ${schema.default}`] : []),
    ...(variables.length > 0 ? [`Environment: ${variables.join(" or ")}`] : []),
  ].join("\n");
}

function forEditors({ properties, examples, ...schema }, at) {
  const described = {
    ...schema,
    description: describe(schema, at),
    ...(schema.writeOnly ? noPlaceholder(at) : {}),
    ...forExamples(examples),
  };
  if (properties) {
    return { ...described, properties: forAll(Object.keys(properties), properties, at), ...rulesOf(at, properties) };
  }
  return Array.isArray(schema.type) ? textFirst(described) : described;
}

/** Editors show an object among the examples as "[object Object]". */
function forExamples(examples) {
  if (examples === undefined) return {};
  const isSection = typeof examples[0] === "object";
  return isSection ? { defaultSnippets: [{ label: "{}", bodyText: "{}" }] } : { examples };
}

/** Refused at the start, as the documentation's sign for a secret that it leaves out. */
function noPlaceholder(at) {
  const document = at.reduceRight((value, key) => ({ [key]: value }), "…");
  const [found] = findPlaceholders(document);
  if (found === undefined) return {}; // a url, which is no secret without a login
  return { pattern: "^(?!(…|[.]{3})$)", patternErrorMessage: `${at.at(-1)} ${found.message}` };
}

/** Those of `options` are about nodes, which Redis alone has. */
function rulesOf(at, properties) {
  const path = at.join(".");
  return path === "tokenizer.options" && properties.nodes === undefined ? {} : RULES[path];
}

/** What the start refuses in a section, beside what its keys say by themselves. */
const RULES = {
  "tokenizer.cookie": {
    allOf: [
      given(
        {
          properties: { partitioned: { const: true }, same_site: { enum: ["lax", "strict"] } },
          required: ["partitioned"],
        },
        {
          properties: marks(
            ["partitioned"],
            () => "is for pages that other sites embed, which needs same_site: none beside it",
          ),
        },
      ),
    ],
  },
  "tokenizer.options": {
    allOf: [
      needing("nodes", { properties: { sentinel: true }, required: ["sentinel"] }, "sentinel needs nodes"),
      needing("nodes", { properties: { cluster: { const: true } }, required: ["cluster"] }, "cluster needs nodes"),
    ],
  },
};

/** What the `url` of a server says, by how it looks when it does. */
const SAID_BY_URL = [
  ["redis", undefined, ["host", "port"]],
  ["redis", "://(?!:?@).+@", ["username"]],
  ["redis", "://[^:]*:.+@", ["password", "password_file"]],
  ["redis", "(^(?!unix:).*[^/]/|[?]db=)[0-9]+$", ["database"]],
  ["postgres", "://([^/?#]*@[^/?#@:]|(?![^/?#]*@)[^/?#:])|[?&]host=.", ["host"]],
  ["postgres", "://[^?]*:[0-9]+([/?]|$)(?!.*@)|[?&]port=.", ["port"]],
  ["postgres", "://[^:@/?][^?]*@|[?&]user=.", ["username"]],
  ["postgres", "://[^:/?]*:[^?]+@|[?&]password=.", ["password", "password_file"]],
  ["postgres", "://[^/?]*/[^/?@]+([?]|$)|[?&]dbname=.", ["database"]],
];

function besideUrl([type, pattern, keys]) {
  const url = pattern === undefined ? true : { type: "string", pattern };
  const condition = { properties: { type: { const: type }, url }, required: ["type", "url"] };
  return given(condition, { properties: marks(keys, () => "stands beside url, which says it; keep one") });
}

/** Editors warn of what has `deprecationMessage`, which is a word of theirs. To a validator it says nothing. */
function marks(keys, why) {
  return Object.fromEntries(keys.map((key) => [key, { deprecationMessage: `${key} ${why(key)}` }]));
}

/** Apart from the schema of the key: beside that, editors would offer a skeleton of what is needed as something to choose. */
function needing(key, condition, errorMessage) {
  return given(condition, { properties: { [key]: true }, required: [key], errorMessage });
}

function given(condition, then) {
  // biome-ignore lint/suspicious/noThenProperty: a keyword of JSON Schema
  return { if: { type: "object", ...condition }, then: { type: "object", ...then } };
}

function forAll(keys, schemas, at) {
  return Object.fromEntries(keys.map((key) => [key, forEditors(schemas[key], [...at, key])]));
}

/** A text or a list of them. Where `items` stands beside the text, editors complete the list. */
function textFirst({ items, minItems, ...schema }) {
  const { pattern, patternErrorMessage } = schema;
  return {
    ...schema,
    if: { type: "array" },
    // biome-ignore lint/suspicious/noThenProperty: a keyword of JSON Schema
    then: { type: "array", minItems, items: { ...items, pattern, patternErrorMessage } },
    defaultSnippets: [{ label: "a text in quotes", body: '"$1"' }],
  };
}

/** Without a type it is the default one. */
function ofType(type) {
  const required = type === settings.type.default ? {} : { required: ["type"] };
  return { properties: { type: { const: type } }, ...required };
}

function keysOf(type) {
  const own = ofOneType.filter((key) => typesOf(key).includes(type));
  const others = ofOneType.filter((key) => !own.includes(key));
  const schemas = Object.fromEntries(own.map((key) => [key, schemaWith(type, key)]));
  const properties = { ...forAll(own, schemas, ["tokenizer"]), ...marks(others, (key) => whyUnused(key, type)) };
  return given(ofType(type), { properties });
}

function needs([type, key]) {
  const [variable] = variablesFor(["tokenizer", key]);
  return needing(key, ofType(type), `type: ${type} needs ${key}, here or as ${variable}`);
}

const { type } = forAll(["type"], settings, ["tokenizer"]);
const known = {
  type: "object",
  properties: {
    ...forAll(ofAllTypes, settings, ["tokenizer"]),
    // Known, and not offered.
    ...Object.fromEntries(["type", ...ofOneType].map((key) => [key, true])),
  },
  additionalProperties: false,
};
const schema = {
  ...root,
  properties: {
    authenticator: forEditors(sections.authenticator, ["authenticator"]),
    tokenizer: {
      description,
      type: "object",
      properties: { type },
      allOf: [known, ...TYPES.map(keysOf), ...Object.entries(NEEDED).map(needs), ...SAID_BY_URL.map(besideUrl)],
    },
  },
};

const [, , file = new URL("../settings.schema.json", import.meta.url)] = process.argv;
writeFileSync(file, `${JSON.stringify(schema, null, 2)}\n`);
