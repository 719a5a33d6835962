/** Where a Redis server is, and what it is called in messages. */

export interface Address {
  readonly host: string;
  readonly port: number;
  /** Whose word it is, where the settings do not name it: `the Sentinel at host:port`. */
  readonly announcedBy?: string | undefined;
}

/** From `host:port`, or `[address]:port`. */
export function parseAddress(text: string): Address {
  const colon = text.lastIndexOf(":");
  return { host: text.slice(0, colon).replace(/^\[(.*)\]$/, "$1"), port: Number(text.slice(colon + 1)) };
}

/** `host:port`. */
export function nameOf({ host, port }: Address): string {
  return `${host.includes(":") ? `[${host}]` : host}:${port}`;
}

/** The same for a message, with whose word it is. */
export function describe(address: Address): string {
  const { announcedBy } = address;
  return announcedBy === undefined ? nameOf(address) : `${nameOf(address)} (the address that ${announcedBy} gave)`;
}
