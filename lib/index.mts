/** The public names for `import`: those of the CommonJS files, so that a process has one of each however it loads them. */
export type * from "./index.js";
export { TokenizerError, TokenStore, tokenizer } from "./index.js";
