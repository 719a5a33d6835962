// What keeps the page from being complete: names without a comment, names that are on no page, links that lead nowhere.
import { existsSync } from "node:fs";
import { join } from "node:path";

/** Of Express and express-session, not of ours. */
const FOREIGN = /^req\.(?:session|sessionID|body|secure|user)\b/;

/**
 * @param {import("./reference.mjs").Reference} reference
 * @param {string} root where the folder docs is
 * @returns {string[]} a line for each
 */
export function faultsOf({ entries, outline, anchors }, root) {
  const onPage = outline.flatMap(({ names }) => names.map(({ name }) => name));
  const faults = [
    ...[...entries.keys()].filter((name) => !onPage.includes(name)).map((name) => `${name} is not in the outline`),
    ...onPage.filter((name) => !entries.has(name)).map((name) => `${name} of the outline is not public`),
  ];
  for (const entry of entries.values()) {
    const members = entry.members.map((member) => ({ ...member, path: `${entry.name}.${member.name}` }));
    for (const part of [{ ...entry, path: entry.name }, ...members]) faults.push(...faultsOfPart(part, anchors, root));
  }
  return faults;
}

function faultsOfPart({ path, comment, parameters }, anchors, root) {
  const { text, params, returns, throws, unknown } = comment;
  const prose = [text, ...params.values(), ...returns, ...throws].join("\n");
  if (prose.trim() === "") return [`${path} has no comment`];
  const isTold = (name) => params.has(name) || prose.includes(`\`${name}\``);
  return [
    ...parameters.filter((name) => !isTold(name)).map((name) => `${path}: its comment does not name ${name}`),
    ...[...params.keys()].filter((name) => !isOne(name, parameters)).map((name) => `${path} has no parameter ${name}`),
    ...unknown.map((tag) => `${path}: the page does not show @${tag}`),
    ...[...prose.matchAll(/\{@link ([^}]+)\}/g)].filter(([, name]) => !anchors.has(name)).map(dead(path)),
    ...[...prose.matchAll(/`((?:sessions|req)\.[\w.]+)/g)]
      .filter(([, name]) => !isKnown(name, anchors))
      .map(dead(path)),
    ...[...prose.matchAll(/`(docs\/[^`#]+)/g)].filter(([, file]) => !existsSync(join(root, file))).map(dead(path)),
  ];
}

const dead =
  (path) =>
  ([, name]) =>
    `${path}: its comment names ${name}, which is nowhere`;
const isOne = (name, parameters) => parameters.some((one) => one === name || one.startsWith(`${name}.`));
const isKnown = (name, anchors) => anchors.has(name) || FOREIGN.test(name);
