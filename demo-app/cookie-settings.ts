/** The demo's settings with another cookie. */

import type { tokenizer } from "express-tokenizer";

export type SettingsSource = NonNullable<Parameters<typeof tokenizer>[0]>;

interface Cookie {
  readonly name?: string;
  readonly device_bound?: boolean;
}

/**
 * Calls `make` with the settings, and with this in the section of their cookie. Over a file, which is read before `make`
 * answers, the environment has the last word; an object stands by itself.
 */
export function withCookie<T>(cookie: Cookie, settings: SettingsSource, make: (source: SettingsSource) => T): T {
  if (typeof settings !== "string") {
    const { tokenizer: section } = settings;
    return make({ ...settings, tokenizer: { ...section, cookie: { ...section.cookie, ...cookie } } });
  }
  const variables = Object.entries(cookie).map(([key, value]) => [`TOKENIZER_COOKIE_${key.toUpperCase()}`, `${value}`]);
  const before = { ...process.env };
  Object.assign(process.env, Object.fromEntries(variables));
  try {
    return make(settings);
  } finally {
    for (const [name = ""] of variables) {
      const { [name]: value } = before;
      if (value === undefined) delete process.env[name];
      else process.env[name] = value;
    }
  }
}
