/** The contract for `import`: see `index.mts`. */
export type * from "./backend-contract.js";
export { backendContract } from "./backend-contract.js";
