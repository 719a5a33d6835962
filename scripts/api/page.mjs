// The page: what the types' comments say, as Markdown.
import { anchorOf, memberTitle, titleOf } from "./reference.mjs";

/** @param {import("./reference.mjs").Reference} reference */
export function renderPage({ entries, outline, anchors }) {
  const sections = outline.map(({ title, text, names }) =>
    blocks(`## ${title}`, text, ...names.map(({ name, as }) => renderEntry(entries.get(name), as, anchors))),
  );
  const contents = outline.map(({ title, names }) => {
    const links = names.flatMap(({ name, as }) => titlesOf(entries.get(name), as)).map(linkTo);
    return `- [${title}](#${anchorOf(title)}): ${links.join(", ")}`;
  });
  return `${blocks(HEAD, contents.join("\n"), ...sections)}\n`;
}

const HEAD = `# API

Every public name of \`express-tokenizer\`, from the comments of its types, which your editor shows, too. The
[README](../README.md) has the first steps; the [other documents](README.md) go by what you want to do.

- Something that is missing is not an error: a method answers \`undefined\`, \`null\`, an empty list, 0 or \`false\`.
- Every error is a [\`TokenizerError\`](#tokenizererror-error). A method that answers by promise rejects with it.
- Each setting names its unit: minutes, seconds or kilobytes. In code, times are milliseconds or a \`Date\`; only
  [\`sessions.fresh\`](#sessionsfresh) takes minutes.
- [\`express-tokenizer/backend-contract\`](#the-backend-contract) is an entry point of its own. Everything else is in
  \`express-tokenizer\`, for \`import\` and \`require\`.

## Contents`;

function titlesOf(entry, as) {
  return [titleOf(entry, as), ...(as ? entry.members.map((member) => memberTitle(member, as, entry)) : [])];
}

function renderEntry(entry, as, anchors) {
  const { code, comment, members, isExported } = entry;
  const title = titleOf(entry, as);
  const link = linker(anchors, anchorOf(title));
  return blocks(
    `### ${asCode(title)}`,
    fence(as ? `${code} { … }` : withBody(code, members)),
    ...renderComment(comment, link),
    isExported ? "" : "You cannot import this name: it is part of other types.",
    ...(as
      ? members.map((member) => renderMember(member, memberTitle(member, as, entry), entry, anchors))
      : [members.map((member) => renderItem(member, link)).join("\n"), see(entry.uses, anchors)]),
  );
}

function withBody(code, members) {
  const lines = members.flatMap(({ codes }) => codes).map((one) => `${one};`);
  return lines.length > 0 && !code.includes("=") ? `${code} {\n  ${indented(lines.join("\n"))}\n}` : code;
}

function renderMember({ codes, comment, uses }, title, entry, anchors) {
  const signatures = codes.map((code) => code.replace(/^constructor/, `new ${entry.name}`));
  const link = linker(anchors, anchorOf(title));
  return blocks(
    `#### ${asCode(title)}`,
    fence(signatures.join("\n")),
    ...renderComment(comment, link),
    see(uses, anchors),
  );
}

function renderItem({ name, kind, comment }, link) {
  return indented(`- \`${name}\`: ${renderComment(comment, link, kind === "method").join("\n\n")}`);
}

function renderComment({ text, params, returns, throws, examples }, link, isCalled = true) {
  const takes = [...params].map(([name, about]) => indented(`- \`${name}\`: ${link(about)}`)).join("\n");
  return [
    link(text),
    takes && (isCalled ? `**Takes**\n\n${takes}` : takes),
    ...returns.map((about) => `**Answers** ${link(about)}`),
    ...throws.map((about) => `**Throws** ${link("`TokenizerError`")} ${link(about)}`),
    ...examples.map(fence),
  ].filter(Boolean);
}

/** The types that one has to know, too. */
function see(uses, anchors) {
  const links = uses.map((use) => `[\`${use.split(".").at(-1)}\`](#${anchors.get(use)})`);
  return links.length > 0 ? `See ${links.join(", ")}.` : "";
}

const linkTo = (title) => `[${asCode(title)}](#${anchorOf(title)})`;
const asCode = (title) => (/ \(/.test(title) ? title.replace(/(\S+) \((.+)\)/, "`$1` (`$2`)") : `\`${title}\``);

/** Makes links of the names that have a heading, but not to where one is. */
function linker(anchors, own) {
  const named = (whole, name) => {
    const anchor = anchors.get(name);
    if (/^docs\/[\w#.-]+$/.test(name)) return `[${name}](${name.slice("docs/".length)})`;
    return anchor === undefined || anchor === own ? whole : `[\`${name}\`](#${anchor})`;
  };
  return (text) => text.replace(/\{@link ([^}]+)\}/g, "`$1`").replace(/(?<!\[)`([^`\n]+)`/g, named);
}

function fence(code) {
  return `\`\`\`ts\n${code}\n\`\`\``;
}

function indented(text) {
  return text.replace(/\n(?=[^\n])/g, "\n  ");
}

function blocks(...parts) {
  return parts.filter(Boolean).join("\n\n");
}
