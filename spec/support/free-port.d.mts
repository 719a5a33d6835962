/** A port of 127.0.0.1 that nothing listens on; nor 10,000 above, where a Cluster's servers talk to each other. */
export function freePort(): Promise<number>;
