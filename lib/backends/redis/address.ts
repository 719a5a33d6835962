/** Where a Redis server is, and what it is called in messages. */

export interface Address {
  /** A name, an IP address, or, beginning with `/`, a Unix socket's path, which has no port. */
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

/** `host:port`, or a socket's path. */
export function nameOf({ host, port }: Address): string {
  if (host.startsWith("/")) return host;
  return `${host.includes(":") ? `[${host}]` : host}:${port}`;
}

/** The same for a message, with whose word it is. */
export function describe(address: Address): string {
  const { announcedBy } = address;
  return announcedBy === undefined ? nameOf(address) : `${nameOf(address)} (the address that ${announcedBy} gave)`;
}
