/** What a session's record says of the attributes that its cookie was sent with, so that a change of the settings is noticed. */
import { createHash } from "node:crypto";
import type { CookieSettings } from "../settings/settings.js";

/** Nothing is said of those that are the default. */
const USUAL = digest({ secure: "auto", same_site: "lax", path: "/" });

/** The mark of cookies that are sent with these settings; nothing for the default ones. */
export function cookieMark(settings: CookieSettings): string | undefined {
  const mark = digest(settings);
  return mark === USUAL ? undefined : mark;
}

function digest({ secure, same_site, path, domain }: Omit<CookieSettings, "name" | "secret">): string {
  const attributes = JSON.stringify([secure, same_site, path, domain]);
  return createHash("sha256").update(attributes).digest("base64url").slice(0, 8);
}
