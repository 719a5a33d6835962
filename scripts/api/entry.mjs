// From a declaration to what the page says of it: its code, its comment, its members.
import { readComment } from "./comment.mjs";

/** In characters: longer code is broken at its parameters. */
const WIDEST = 100;

/**
 * @typedef {object} Member
 * @property {string} name
 * @property {"property" | "method" | "constructor" | "option"} kind
 * @property {string[]} codes one a signature
 * @property {import("./comment.mjs").Comment} comment
 * @property {string[]} parameters names, those of an object's keys by `options.key`
 * @property {string[]} uses names of ours in its declaration that are documented by themselves
 *
 * @typedef {object} Entry
 * @property {string} name
 * @property {string} code
 * @property {import("./comment.mjs").Comment} comment
 * @property {string[]} parameters
 * @property {Member[]} members
 * @property {string[]} uses
 * @property {boolean} isExported or declared globally
 */

/** @returns {Omit<Entry, "isExported">} */
export function entryOf(declaration) {
  const { name, node, doc, file } = declaration;
  return {
    name,
    code: codeOf(node, file),
    comment: readComment(doc),
    parameters: parametersOf(node),
    members: membersOf(declaration),
    uses: namesUsed(declaration),
  };
}

/** What of ours a declaration names, each once. */
export function usesOf({ node, file, scope, name: own }) {
  const found = new Map();
  for (const name of namesIn(node)) {
    const [first, ...rest] = name.split(".");
    const meant = rest.length > 0 ? file.augmentations.find((one) => one.name === name) : file.meaning(first, scope);
    if (meant && meant.name !== own) found.set(meant.name, meant);
  }
  return [...found.values()];
}

const namesUsed = (declaration) => usesOf(declaration).map(({ name }) => name);

function* namesIn(node) {
  if (node.type === "TSTypeReference") yield qualified(node.typeName);
  if (node.type === "TSExpressionWithTypeArguments") yield qualified(node.expression);
  if (isHidden(node)) return;
  for (const child of childrenOf(node)) yield* namesIn(child);
}

function qualified(name) {
  return name.type === "Identifier" ? name.name : `${qualified(name.left)}.${name.right.name}`;
}

const isHidden = ({ type, accessibility }) => type === "ClassPrivateProperty" || accessibility === "private";

function membersOf(declaration) {
  const { node, file } = declaration;
  if (node.type === "TSTypeAliasDeclaration") return optionsOf(declaration);
  const { body } = node.body ?? {};
  return Array.isArray(body) ? groupedMembers(file.documented(body, node.body.start), declaration) : [];
}

/** Each of a union's words that has a comment; the keys of an object that is written out. */
function optionsOf(declaration) {
  const { typeAnnotation: type, start } = declaration.node;
  const { file } = declaration;
  const literal = type.type === "TSIntersectionType" ? type.types.find(isLiteral) : type;
  if (isLiteral(literal)) return groupedMembers(file.documented(literal.members, literal.start), declaration);
  if (type.type !== "TSUnionType") return [];
  return [...file.documented(type.types, start)].flatMap(([option, doc]) => {
    if (doc === "") return [];
    const name = option.literal?.value ?? plain(option, file);
    return [{ name, kind: "option", codes: [], comment: readComment(doc), parameters: [], uses: [] }];
  });
}

const isLiteral = ({ type }) => type === "TSTypeLiteral";

function groupedMembers(documented, declaration) {
  const { file } = declaration;
  const members = new Map();
  for (const [node, doc] of documented) {
    if (isHidden(node)) continue;
    const name = memberName(node, file);
    const { codes = [], comment = readComment(doc), parameters = parametersOf(node) } = members.get(name) ?? {};
    const isProperty = paramsOf(node) === undefined;
    for (const [key, about] of isProperty ? keysWithin(node, file) : []) {
      if (about !== "") comment.params.set(key, about);
      parameters.push(key);
    }
    members.set(name, {
      name,
      kind: node.kind === "constructor" ? "constructor" : isProperty ? "property" : "method",
      codes: [...codes, codeOf(node, file)],
      // What is overloaded is described once; it may take more.
      comment,
      parameters: [...new Set([...parameters, ...parametersOf(node)])],
      uses: namesUsed({ ...declaration, node }),
    });
  }
  return [...members.values()];
}

/** The keys of objects that are written out in a type, with their comments. */
function* keysWithin(node, file) {
  if (isLiteral(node)) {
    for (const [key, doc] of file.documented(node.members, node.start)) yield [memberName(key, file), doc];
  }
  for (const child of childrenOf(node)) yield* keysWithin(child, file);
}

function childrenOf(node) {
  return Object.values(node)
    .flat()
    .filter((child) => typeof child?.type === "string");
}

function memberName({ type, key, parameters }, file) {
  if (type === "TSIndexSignature") return `[${parameters[0].name}]`;
  return key.type === "Identifier" ? key.name : file.text.slice(key.start, key.end);
}

/** As one writes it in a list or in a block: with no word that says nothing to a reader. */
function codeOf(node, file) {
  const { type, id } = node;
  const params = paramsOf(node);
  if (params) {
    const head = type === "TSDeclareFunction" ? `function ${id.name}` : memberName(node, file);
    const types = node.typeParameters ? plain(node.typeParameters, file) : "";
    const answer = node.returnType ?? (type === "TSIndexSignature" ? undefined : node.typeAnnotation);
    return call(
      head + types,
      params.map((one) => parameter(one, file)),
      answer ? plain(answer, file) : "",
    );
  }
  if (type === "TSInterfaceDeclaration") return `interface ${heading(node, node.extends, file)}`;
  if (type === "ClassDeclaration") return `class ${heading(node, [node.superClass].filter(Boolean), file)}`;
  if (type === "TSTypeAliasDeclaration") return alias(node, file);
  if (type === "VariableDeclaration") return `const ${plain(node.declarations[0].id, file)}`;
  const code = broken(plain(node, file).replace(/;$/, ""));
  return node.optional ? code.replace(/ \| undefined$/, "").replace(/: \((.*)\)$/s, ": $1") : code;
}

/** The keys of an object at its end one below the other, where the line is too long. */
function broken(code) {
  const [, head, keys] = (code.length > WIDEST && /^([^{]*)\{ ([^{}]*) \}$/.exec(code)) || [];
  if (head === undefined) return code;
  return [`${head}{`, ...keys.split("; ").map((key) => `  ${key};`), "}"].join("\n");
}

function paramsOf({ type, params, parameters }) {
  return type === "TSIndexSignature" ? undefined : (params ?? parameters);
}

function heading({ id, typeParameters }, bases, file) {
  const types = typeParameters ? plain(typeParameters, file) : "";
  const names = (bases ?? []).map((base) => plain(base, file).replace(/^\w+/, (name) => file.nameAtSource(name)));
  return `${id.name}${types}${names.length > 0 ? ` extends ${names.join(", ")}` : ""}`;
}

function alias({ id, typeParameters, typeAnnotation }, file) {
  const head = `type ${id.name}${typeParameters ? plain(typeParameters, file) : ""} =`;
  if (typeAnnotation.type === "TSFunctionType") {
    const { parameters, typeAnnotation: answer } = typeAnnotation;
    const params = parameters.map((one) => parameter(one, file));
    return call(`${head} `, params, ` => ${plain(answer, file).replace(/^=> ?/, "")}`);
  }
  const code = `${head} ${plain(typeAnnotation, file)}`;
  if (code.length <= WIDEST || typeAnnotation.type !== "TSUnionType") return code;
  return [head, ...typeAnnotation.types.map((option) => `  | ${plain(option, file)}`)].join("\n");
}

function call(head, params, answer) {
  const line = `${head}(${params.join(", ")})${answer}`;
  return line.length <= WIDEST ? line : `${head}(\n${params.map((one) => `  ${one},\n`).join("")})${answer}`;
}

/** What is taken apart has no name of its own. */
function parameter(node, file) {
  const code = plain(node, file);
  if (node.type !== "ObjectPattern") return code;
  return `options${node.optional ? "?" : ""}${plain(node.typeAnnotation, file)}`;
}

function parametersOf(node) {
  const params = paramsOf(node) ?? paramsOf(node.typeAnnotation ?? {}) ?? [];
  return params.flatMap((one) => {
    const name = one.name ?? one.argument?.name ?? "options";
    const type = one.typeAnnotation?.typeAnnotation;
    return type?.type === "TSTypeLiteral" ? type.members.map(({ key }) => `${name}.${key.name}`) : [name];
  });
}

/** On one line, without comments. */
function plain({ start, end }, { text, comments }) {
  let code = "";
  let from = start;
  for (const comment of comments.filter((one) => one.start >= start && one.end <= end)) {
    code += text.slice(from, comment.start);
    from = comment.end;
  }
  const line = (code + text.slice(from, end)).replace(/\s+/g, " ").replaceAll("; }", " }").trim();
  // All are; it says nothing to a reader. A list that is `readonly` may be given as one that is not.
  return line.replace(/(^|[{;] )readonly (?=[\w"[])/g, "$1");
}
