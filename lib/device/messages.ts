/** The headers and instructions of Device Bound Session Credentials, as browsers write and read them. */
import type { IncomingHttpHeaders } from "node:http";

/** The short-lived cookie, as browsers compare it. */
export interface BoundCookie {
  readonly name: string;
  readonly path: string;
  readonly sameSite: "lax" | "strict" | "none";
}

/** What a browser brings to our route. */
export interface Brought {
  /** The session that it wants to refresh; nothing at a registration. */
  readonly id: string | undefined;
  /** The proof. */
  readonly response: string | undefined;
}

/** The draft has quotes round both; Chromium has none. */
export function broughtBy(headers: IncomingHttpHeaders): Brought {
  return { id: unquoted(headers["sec-secure-session-id"]), response: unquoted(headers["secure-session-response"]) };
}

export function registration(path: string, challenge: string): string {
  return `(ES256 RS256);path="${path}";challenge="${challenge}"`;
}

export function challengeFor(id: string, challenge: string): string {
  return `"${challenge}";id="${id}"`;
}

/** What the browser is to do from now on: to refresh the cookie, whichever site caused the request that misses it. */
export function instructions(id: string, refreshPath: string, { name, path, sameSite }: BoundCookie): object {
  return {
    session_identifier: id,
    refresh_url: refreshPath,
    scope: { include_site: false },
    credentials: [
      { type: "cookie", name, attributes: `Path=${path}; Secure; HttpOnly; SameSite=${CAPITAL[sameSite]}` },
    ],
    allowed_refresh_initiators: ["*"],
  };
}

/** The binding is over, and was no failure. */
export function ending(id: string): object {
  return { session_identifier: id, continue: false };
}

const CAPITAL = { lax: "Lax", strict: "Strict", none: "None" } as const;

function unquoted(header: string | string[] | undefined): string | undefined {
  return [header]
    .flat()[0]
    ?.trim()
    .replace(/^"(.*)"$/, "$1");
}
