/** Where a middleware serves: wherever Express calls it, but where two could, the one whose place is deeper. */
import type { Request } from "express";

/** Outside of the cookie's path, as the server sees paths, and mounted at none. */
const NOWHERE = -1;

export class Place {
  readonly #cookiePath: string;

  constructor(cookiePath: string) {
    this.#cookiePath = cookiePath.replace(/\/+$/, "");
  }

  /** How many segments of the request's path are the place's, by its mount and by the cookie's path. */
  depthOf(req: Request): number {
    const mount = segmentsIn(req.baseUrl ?? "");
    if (this.#cookiePath === "") return mount;
    if (this.#isBelow(req)) return Math.max(mount, segmentsIn(this.#cookiePath));
    return mount > 0 ? mount : NOWHERE;
  }

  /** Whether browsers send the cookie with a request for this path. Theirs may be another one, which a proxy changed. */
  isSentThere(req: Request): boolean {
    return this.#cookiePath === "" || isBelow(this.#cookiePath, pathOf(req));
  }

  /** As Express compares paths: without regard to capitals, unless the application says otherwise. */
  #isBelow(req: Request): boolean {
    const path = pathOf(req);
    if (req.app?.enabled("case sensitive routing")) return isBelow(this.#cookiePath, path);
    return isBelow(this.#cookiePath.toLowerCase(), path.toLowerCase());
  }
}

function segmentsIn(path: string): number {
  return path.split("/").filter(Boolean).length;
}

/** By whole segments. */
function isBelow(above: string, path: string): boolean {
  return path.startsWith(above) && (path.length === above.length || path[above.length] === "/");
}

/** Without the origin that a request through a proxy may name, and without the query. An upgrade is none of Express's. */
export function pathOf(req: Request): string {
  const url = req.originalUrl ?? req.url;
  return url.replace(/^[a-z][\w+.-]*:\/\/[^/?#]*/i, "").replace(/[?#].*$/s, "") || "/";
}
