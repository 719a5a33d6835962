/** What an application says of the session's cookie for one request, checked as the settings are. */
import { Ajv, type ValidateFunction } from "ajv";
import type { Request } from "express";
import { givenAmiss, TokenizerError } from "../errors.js";
import { kindOf } from "../visible.js";
import { describe, onePerPlace, refuseAll } from "./faults.js";
import { isPlain } from "./plain.js";
import { checkCookie } from "./rules.js";
import { EDITORS_KEYWORDS } from "./schema.js";
import { cookie } from "./schema-sections.js";
import type { CookieSettings } from "./settings.js";

/**
 * What the function `cookie` of `TokenizerOptions` answers: attributes of the session's cookie for one request, over those
 * of the settings. What is missing or `undefined` stays as the settings say. `name`, `secret` and
 * `device_bound` are the same for all requests.
 */
export type RequestCookie = {
  readonly [Key in keyof Omit<CookieSettings, "name" | "secret" | "device_bound">]?: CookieSettings[Key] | undefined;
};

const NAME = "What the function cookie of tokenizer() answered for a request";

let compiled: ValidateFunction | undefined;

/**
 * Over the settings, what the application says.
 *
 * @throws TokenizerError `SETTINGS_INVALID` for what is no function
 * @returns throws what the application's function throws, and a TokenizerError `SETTINGS_INVALID` where its answer is wrong
 */
export function checkedCookie(
  settings: CookieSettings,
  ask: (req: Request) => RequestCookie | undefined,
): (req: Request) => CookieSettings {
  if (typeof ask !== "function") {
    throw givenAmiss("cookie", "must be a function of the request; what is the same for all belongs in the settings");
  }
  return (req) => {
    const said = answerOf(ask, req);
    const document = { tokenizer: { cookie: said } };
    compiled ??= compile();
    compiled(document);
    const faults = (compiled.errors ?? []).flatMap((error) => describe(error, new Map()) ?? []);
    const merged = { ...settings, ...withoutUndefined(said as RequestCookie) };
    const findings = onePerPlace(faults.length > 0 ? faults : checkCookie({ ...merged }));
    if (findings.length > 0) throw refuseAll(findings, { name: NAME, document, variables: new Map() });
    return merged;
  };
}

/** What the function answers for a request, refused where it could be misread. */
function answerOf(ask: (req: Request) => unknown, req: Request): unknown {
  const said = asked(ask, req) ?? {};
  if (typeof said === "object" && "then" in said) {
    // Nobody waits for it: without this, one that rejects would end the process.
    Promise.resolve(said).catch(() => {});
    throw notAtOnce();
  }
  // Keys that an object has from its class would be passed over.
  if (typeof said === "object" && !isPlain(said)) {
    throw amiss("answered an object of a class: answer a plain object");
  }
  return said;
}

/** Express takes what is no error, as `undefined` or "route", to mean that the request goes on: here, without a session. */
function asked(ask: (req: Request) => unknown, req: Request): unknown {
  try {
    return ask(req);
  } catch (error) {
    if (typeof error === "object" && error !== null) throw error;
    throw amiss(`threw ${kindOf(error)}: throw an Error`, error);
  }
}

function compile(): ValidateFunction {
  const { name: _name, secret: _secret, device_bound: _bound, ...properties } = cookie;
  const section = { description: "The cookie's attributes, an object", type: "object" };
  return new Ajv({ allErrors: true, strict: true, verbose: true, keywords: EDITORS_KEYWORDS }).compile({
    type: "object",
    properties: {
      tokenizer: {
        type: "object",
        properties: { cookie: { ...section, properties, additionalProperties: false } },
      },
    },
  });
}

/** What is `undefined` is as if it was not said. */
function withoutUndefined(said: RequestCookie): Partial<CookieSettings> {
  return Object.fromEntries(Object.entries(said).filter(([, value]) => value !== undefined));
}

function notAtOnce(): TokenizerError {
  return amiss(
    "answered a promise: look the tenant up in a middleware before the sessions, and let the function answer at once",
  );
}

function amiss(what: string, cause?: unknown): TokenizerError {
  return new TokenizerError("SETTINGS_INVALID", `The function cookie of tokenizer() ${what}.`, { cause });
}
