/** What the `url` of a server stands for, of whatever `type`. */
import type { Finding } from "./faults.js";
import { isSection, type Section, sectionOf } from "./plain.js";
import { isPostgresUrl, readPostgresUrl } from "./postgres-url.js";
import { isRedisUrl, readRedisUrl } from "./redis-url.js";
import { option, setting } from "./server-rules.js";

/** What a URL says, by the keys that it stands for. */
interface Said {
  /** Of the section `tokenizer`. */
  readonly server: Section;
  /** Of its `options`. */
  readonly options: Section;
  /** What of the `options` is the URL's to say, also where it says nothing of it. */
  readonly optionKeys: readonly string[];
}

interface Kind {
  /** What a password in it says, too. */
  readonly withPassword: readonly string[];
  /** Why an option beside it that says otherwise is refused. */
  readonly contradiction: string;
  isOne(text: string): boolean;
  /** A text says what is wrong. */
  read(text: string): Said | string;
}

const REDIS: Kind = {
  // One without a user is the default user's.
  withPassword: ["username", "password_file"],
  contradiction: "contradicts url: there, rediss:// is TLS and redis:// is not; leave this out",
  isOne: isRedisUrl,
  read(text) {
    const said = readRedisUrl(text);
    if (typeof said === "string") return said;
    const { ssl, ...server } = said;
    return { server, options: ssl ? { ssl } : {}, optionKeys: ["ssl"] };
  },
};

const POSTGRES: Kind = {
  withPassword: ["password_file"],
  contradiction: "contradicts url, which says it; leave this out, or change the url",
  isOne: isPostgresUrl,
  read(text) {
    const said = readPostgresUrl(text);
    if (typeof said === "string") return said;
    const { options, ...server } = said;
    return { server, options, optionKeys: Object.keys(options) };
  },
};

const KINDS = new Map<unknown, Kind>([
  ["redis", REDIS],
  ["postgres", POSTGRES],
]);

/** What is wrong with a `url`, and with what stands beside it. */
export function checkUrl(tokenizer: Section): readonly Finding[] {
  const { type, url } = tokenizer;
  if (typeof url !== "string") return [];
  const meant = kindOf(url);
  if (type === undefined && meant) return [setting("type", `is missing; this url needs type: ${meant}`)];
  const kind = KINDS.get(type);
  if (kind === undefined) return [];
  const said = kind.read(url);
  if (typeof said === "string") {
    const elsewhere = meant === undefined || meant === type ? "" : `; this one needs type: ${meant}`;
    return [setting("url", said + elsewhere)];
  }
  return [
    ...keysOf(said, kind)
      .filter((key) => tokenizer[key] !== undefined)
      .map((key) => setting(key, "stands beside url, which says it; keep one")),
    ...checkOptions(said, sectionOf(tokenizer.options), kind.contradiction),
  ];
}

/** Puts what the `url` says in its place. */
export function fillInUrl(tokenizer: Section): Section {
  const { url, options, ...rest } = tokenizer;
  const said = typeof url === "string" ? KINDS.get(tokenizer.type)?.read(url) : undefined;
  if (said === undefined || typeof said === "string") return tokenizer;
  const all = { ...sectionOf(options), ...said.options };
  return { ...rest, ...said.server, ...(isSection(options) || Object.keys(all).length > 0 ? { options: all } : {}) };
}

/** Without what the `url` says, too: one that a variable holds wins over the file. */
export function withoutUrls(tokenizer: Section, url: string): Section {
  const kind = KINDS.get(kindOf(url));
  const said = kind?.read(url);
  if (kind === undefined || said === undefined || typeof said === "string") return tokenizer;
  // The port of another host is nobody's.
  const rest = without(tokenizer, [...keysOf(said, kind), ...("host" in said.server ? ["port"] : [])]);
  return isSection(rest.options) ? { ...rest, options: without(rest.options, said.optionKeys) } : rest;
}

function kindOf(url: string): unknown {
  return [...KINDS].find(([, { isOne }]) => isOne(url))?.[0];
}

/** The settings that a URL stands for. */
function keysOf({ server }: Said, { withPassword }: Kind): readonly string[] {
  return [...new Set([...Object.keys(server), ...("password" in server ? withPassword : [])])];
}

function checkOptions(said: Said, options: Section, contradiction: string): readonly Finding[] {
  return said.optionKeys
    .filter((key) => options[key] !== undefined && options[key] !== (said.options[key] ?? false))
    .map((key) => option(key, contradiction));
}

function without(section: Section, keys: readonly string[]): Section {
  return Object.fromEntries(Object.entries(section).filter(([key]) => !keys.includes(key)));
}
