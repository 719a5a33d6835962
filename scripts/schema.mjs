// Writes settings.schema.json, or the file that is named: what checks settings, in the form that editors do most with.
// They offer what a schema has under `properties`, whatever its conditions; so a key of one type stands in the branch of
// that type alone. Draft-07, since that is what every editor reads.
import { writeFileSync } from "node:fs";
import { variablesFor } from "../dist/settings/environment.js";
import { settingsSchema, typesOf, whyUnused } from "../dist/settings/settings.js";

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

function forEditors({ properties, ...schema }, at) {
  const described = { ...schema, description: describe(schema, at) };
  if (properties) return { ...described, properties: forAll(Object.keys(properties), properties, at) };
  return Array.isArray(schema.type) ? textFirst(described) : described;
}

function forAll(keys, schemas, at) {
  return Object.fromEntries(keys.map((key) => [key, forEditors(schemas[key], [...at, key])]));
}

/** A text or a list of them. Where `items` stands beside the text, editors complete the list. */
function textFirst({ items, minItems, ...schema }) {
  return {
    ...schema,
    if: { type: "array" },
    // biome-ignore lint/suspicious/noThenProperty: a keyword of JSON Schema
    then: { type: "array", minItems, items },
    defaultSnippets: [{ label: "a text in quotes", body: '"$1"' }],
  };
}

/** Without a type it is the default one. */
function when(type, then) {
  const required = type === settings.type.default ? {} : { required: ["type"] };
  return { if: { type: "object", properties: { type: { const: type } }, ...required }, then };
}

function keysOf(type) {
  const own = ofOneType.filter((key) => typesOf(key).includes(type));
  const others = ofOneType.filter((key) => !own.includes(key));
  const schemas = type === "redis" ? { ...settings, options: sections.tokenizer.else.properties.options } : settings;
  const properties = {
    ...forAll(own, schemas, ["tokenizer"]),
    // Editors warn of what has this, which is a word of theirs. To a validator it says nothing.
    ...Object.fromEntries(others.map((key) => [key, { deprecationMessage: `${key} ${whyUnused(key, type)}` }])),
  };
  return when(type, { type: "object", properties });
}

/** By itself: beside `properties`, editors would offer a skeleton of what is needed as something to choose. */
function needs([type, key]) {
  const [variable] = variablesFor(["tokenizer", key]);
  return when(type, {
    type: "object",
    required: [key],
    errorMessage: `type: ${type} needs ${key}, here or as ${variable}`,
  });
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
      allOf: [known, ...TYPES.map(keysOf), ...Object.entries(NEEDED).map(needs)],
    },
  },
};

const [, , file = new URL("../settings.schema.json", import.meta.url)] = process.argv;
writeFileSync(file, `${JSON.stringify(schema, null, 2)}\n`);
