/** How much of the backend contract runs in an ordinary run: all of it once for each engine, a part on other ways to that. */
import { backendContract } from "../../lib/testing/backend-contract.js";
import { isFull } from "./redis-server.js";

/** Of all kinds some, for ways that change none of what is asked; all with `npm run test:full`. */
export const contractInShort = isFull ? backendContract : backendContract.filter((_, index) => index % 6 === 0);
export { backendContract };
