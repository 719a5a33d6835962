// The package's declarations, as its users get them: which names are public, and where each is declared.
import { existsSync, readFileSync } from "node:fs";
import { dirname, join, relative } from "node:path";
import { parse } from "@babel/parser";

/**
 * One declared thing.
 *
 * @typedef {object} Declaration
 * @property {string} name as people write it: `Users`, or `Express.Request`
 * @property {object} node as Babel parses it
 * @property {string} doc its comment, without the stars; empty without one
 * @property {DeclarationFile} file
 * @property {string} scope the namespace that it stands in; empty outside of any
 */

/** One file of declarations, and what its names mean. */
class DeclarationFile {
  /** Local name → what it is imported as, and from which of our files. */
  #imported = new Map();
  /** Public name → the local one, or the one of another file. */
  #exported = new Map();
  #declared = new Map();
  /** What it adds to the declarations of others. */
  augmentations = [];
  /** Of our files, those that it imports. */
  imports = [];

  constructor(path, program) {
    this.path = path;
    this.program = program;
    this.text = readFileSync(path, "utf8");
    const plugins = [["typescript", { dts: true }]];
    const ast = parse(this.text, { sourceType: "module", plugins, attachComment: false });
    this.comments = ast.comments.filter(({ type, value }) => type === "CommentBlock" && value.startsWith("*"));
    this.header = headerOf(program.folder, path);
    for (const [statement, doc] of this.documented(ast.program.body, 0)) this.#take(statement, doc);
  }

  /** Each of these neighbours with the comment right before it, which is none of the one before. */
  *documented(nodes, start) {
    let from = start;
    for (const node of nodes) {
      const found = this.comments.findLast((comment) => comment.start >= from && comment.end <= node.start);
      const doc = found ? withoutStars(found.value) : "";
      // What heads the file is about the file.
      yield [node, doc === this.header ? "" : doc];
      from = node.end;
    }
  }

  get names() {
    return [...this.#exported.keys()];
  }

  /** What a name means that the file exports. */
  exported(name) {
    const { from, local } = this.#exported.get(name);
    return from ? from.exported(local) : this.meaning(local);
  }

  /** What a name means in the file; nothing for what is not of ours. */
  meaning(name, scope = "") {
    const inScope = scope && this.augmentations.find((one) => one.name === `${scope}.${name}`);
    const imported = this.#imported.get(name);
    return inScope || this.#declared.get(name) || imported?.from?.exported(imported.name);
  }

  /** What others export under the name that a file gives them: `Store`, not `ExpressStore`. */
  nameAtSource(local) {
    return this.#imported.get(local)?.name ?? local;
  }

  #take(statement, doc) {
    const from = statement.source && this.#open(statement.source.value);
    if (from) this.imports.push(from);
    if (statement.type === "ImportDeclaration") {
      for (const { local, imported } of statement.specifiers) {
        this.#imported.set(local.name, { name: imported?.name ?? local.name, from });
      }
    } else if (statement.type === "TSModuleDeclaration") {
      this.#augment(statement, "");
    } else if (statement.declaration) {
      const name = this.#declare(statement.declaration, doc);
      this.#exported.set(name, { local: name });
    } else if (statement.type === "ExportNamedDeclaration") {
      for (const { local, exported } of statement.specifiers) {
        this.#exported.set(exported.name, { from, local: local.name });
      }
    } else this.#declare(statement, doc);
  }

  #open(source) {
    if (!source.startsWith(".")) return undefined;
    return this.program.open(join(dirname(this.path), source.replace(/js$/, "d.ts")));
  }

  #declare(node, doc) {
    const { name } = node.id ?? node.declarations?.[0].id ?? {};
    this.#declared.set(name, { name, node, doc, file: this, scope: "" });
    return name;
  }

  #augment({ id, body, global }, outer) {
    const own = global ? "" : (id.name ?? id.value);
    const scope = [outer, own].filter(Boolean).join(".");
    for (const [node, doc] of this.documented(body.body, body.start)) {
      if (node.type === "TSModuleDeclaration") this.#augment(node, scope);
      else this.augmentations.push({ name: `${scope}.${node.id.name}`, node, doc, file: this, scope });
    }
  }
}

/** The files of one folder, each read once. */
export class Declarations {
  #files = new Map();

  constructor(folder) {
    this.folder = folder;
  }

  open(path) {
    if (!this.#files.has(path)) this.#files.set(path, new DeclarationFile(path, this));
    return this.#files.get(path);
  }

  /** What an entry point exports. */
  exportedBy(entry) {
    const file = this.open(join(this.folder, entry));
    return file.names.map((name) => file.exported(name));
  }

  /** What an entry point, or a file below it, adds to the declarations of others. */
  augmentedBy(entry) {
    const files = new Set([this.open(join(this.folder, entry))]);
    for (const file of files) for (const imported of file.imports) files.add(imported);
    return [...files].flatMap((file) => file.augmentations);
  }
}

function withoutStars(comment) {
  return comment
    .replace(/^\*/, "")
    .replace(/^[ \t]*\*? ?/gm, "")
    .trim();
}

/** The comment that heads the source: the compiler may take it along. */
function headerOf(folder, path) {
  const source = join(folder, "../lib", relative(folder, path).replace(/\.d\.ts$/, ".ts"));
  const text = existsSync(source) ? readFileSync(source, "utf8") : "";
  const [, comment] = /^\/\*(\*.*?)\*\//s.exec(text) ?? [];
  return comment === undefined ? undefined : withoutStars(comment);
}
