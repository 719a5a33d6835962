/** What a session's record says of the attributes that its cookie was sent with, so that a change of the settings is noticed. */
import { createHash } from "node:crypto";
import type { CookieSettings } from "../settings/settings.js";

/** What a cookie is sent with. */
export type CookieAttributes = Omit<CookieSettings, "name" | "secret" | "device_bound">;

/** Nothing is said of those that are the default. */
const USUAL = digest({ secure: "auto", same_site: "lax", path: "/" });

/** The mark of cookies that are sent with these settings; nothing for the default ones. */
export function cookieMark(attributes: CookieAttributes): string | undefined {
  const mark = digest(attributes);
  return mark === USUAL ? undefined : mark;
}

/** The mark of cookies that are sent with the same, and a Max-Age. */
export function rememberedMark(mark: string | undefined): string {
  return `${mark ?? USUAL}+`;
}

function digest({ secure, same_site, path, domain, partitioned = false, priority }: CookieAttributes): string {
  // Without these two it is the mark that records have from before there were any.
  const later = partitioned || priority !== undefined ? [partitioned, priority] : [];
  const attributes = JSON.stringify([secure, same_site, path, domain, ...later]);
  return createHash("sha256").update(attributes).digest("base64url").slice(0, 8);
}
