// A doc comment taken apart: what it says, and of which parameter, answer and error.

const TAG = /^@(\w+)(?:\s|$)/;

/**
 * @typedef {object} Comment
 * @property {string} text
 * @property {Map<string, string>} params by name, also `options.current`
 * @property {string[]} returns
 * @property {string[]} throws each without the word TokenizerError, which all of them are
 * @property {string[]} examples
 * @property {string[]} unknown tags that say nothing here
 */

/** @returns {Comment} */
export function readComment(doc) {
  const comment = { text: "", params: new Map(), returns: [], throws: [], examples: [], unknown: [] };
  for (const block of blocksOf(doc)) {
    const [whole, tag] = TAG.exec(block) ?? ["", undefined];
    const code = block.slice(whole.length).trim();
    // The second line of a tag's text is indented.
    const text = code.replace(/\n\s+/g, "\n");
    if (tag === undefined) comment.text = code;
    else if (tag === "param") comment.params.set(text.split(/\s/, 1)[0], text.replace(/^\S+\s*/, ""));
    else if (tag === "returns") comment.returns.push(text);
    else if (tag === "throws") comment.throws.push(text.replace(/^TokenizerError\s*/, ""));
    else if (tag === "example") comment.examples.push(code);
    else comment.unknown.push(tag);
  }
  return comment;
}

function blocksOf(doc) {
  const blocks = [[]];
  for (const line of doc.split("\n")) {
    if (TAG.test(line)) blocks.push([]);
    blocks.at(-1).push(line);
  }
  return blocks.map((lines) => lines.join("\n").trim()).filter(Boolean);
}
