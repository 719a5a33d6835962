/** Node's own ways to go on later, as they were when the package was loaded: under fake timers nothing would go on. */
import * as timers from "node:timers";

export const { nextTick } = process;

/** Of the module: where fake timers were there before the package, they are among the globals already. */
export const { setImmediate } = timers;
