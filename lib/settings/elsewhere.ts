/** Where a key belongs that is no setting where it stands: under another name, in another section, or nowhere. */
import { settingSections } from "./schema.js";

/** What clients of databases call what is called otherwise here. */
const CALLED_ELSEWHERE = new Map([
  ["tls", "ssl"],
  ["db", "database"],
  ["user", "username"],
  ["pass", "password"],
  ["uri", "url"],
  ["connectionString", "url"],
  ["conString", "url"],
  ["connection", "url"],
  ["dbname", "database"],
  ["tableName", "table"],
  ["rejectUnauthorized", "verify"],
  ["ttl", "timeout"],
]);

const IN_MINUTES = "use tokenizer.timeout, in minutes";

/** Options of express-session and cookie-session, in small letters. Those of the cookie stand below `cookie` there. */
const OF_EXPRESS_SESSION = new Map([
  ["secret", "use tokenizer.safe_password, or tokenizer.cookie.secret"],
  ["keys", "use tokenizer.cookie.secret"],
  ["name", "use tokenizer.cookie.name"],
  ["store", "use tokenizer.type"],
  ["resave", "it is not needed: only changes are saved"],
  ["saveuninitialized", "it is not needed: a session begins when you put something into it"],
  ["rolling", "it is not needed: each request moves the session's end"],
  ["unset", "it is not needed: req.session = null ends the session"],
  ["genid", "it is not needed: ids are random"],
  ["proxy", 'tell Express instead: app.set("trust proxy", 1)'],
  ["maxage", IN_MINUTES],
  ["originalmaxage", IN_MINUTES],
  ["expires", IN_MINUTES],
  ["httponly", "it is not needed: the cookie always has HttpOnly"],
]);

const IN_TABLE = "write it into tokenizer.table, as in schema.table";
const IN_CODE = "give your pool in code: tokenizer(…, { postgres: { pool } })";

/** Options of connect-pg-simple and of others that keep sessions in PostgreSQL, in small letters. */
const OF_STORES = new Map([
  ["schema", IN_TABLE],
  ["schemaname", IN_TABLE],
  ["searchpath", IN_TABLE],
  ["sslmode", "use tokenizer.options.ssl, or put it into tokenizer.url, as in …?sslmode=require"],
  ["conobject", "use tokenizer.host, port, username, password and database, or tokenizer.url"],
  ["pool", IN_CODE],
  ["pgpromise", IN_CODE],
  ["knex", IN_CODE],
  ["createtable", "make the table once: npx express-tokenizer create-table"],
  ["createtableifmissing", "make the table once: npx express-tokenizer create-table"],
  ["prunesessioninterval", "it is not needed: expired sessions are dropped each minute"],
  ["prunesessionrandomizedinterval", "it is not needed: expired sessions are dropped each minute"],
  ["cleanupinterval", "it is not needed: expired sessions are dropped each minute"],
  ["disabletouch", "use tokenizer.touch_interval, in seconds"],
  ["errorlog", "give a log in code: tokenizer(…, { log })"],
]);

/** Where an unknown key of a section belongs. Begins with what joins it to a sentence. */
export function whereElse(section: readonly (string | number)[], key: string): string | undefined {
  const path = section.join(".");
  if (path === "tokenizer" && key === "authenticator") return "; it belongs beside the section tokenizer, not below it";
  if (path === "tokenizer" && key === "tokenizer") return "; the section stands in itself: keep one of the two lines";
  const meant = CALLED_ELSEWHERE.get(key);
  const home = Object.entries(settingSections).find(([, keys]) => Object.hasOwn(keys, meant ?? key))?.[0];
  if (home === undefined) return inPlaceClause(key) ?? ofStores(key);
  if (meant !== undefined) return `; did you mean ${home}.${meant}?`;
  // There, and yet not allowed: what the settings say for all requests, and nobody for one.
  return home === path ? " for one request: it belongs in the settings" : `; it belongs in the section ${home}`;
}

function ofStores(key: string): string | undefined {
  const here = OF_STORES.get(plainName(key));
  return here === undefined ? undefined : `; ${here}`;
}

/** The same as `inPlaceOf`, with what joins it to a sentence. */
export function inPlaceClause(key: string): string | undefined {
  const here = inPlaceOf(key);
  return here === undefined ? undefined : `; ${here}`;
}

/** What takes the place of an option of express-session, or why nothing does. */
export function inPlaceOf(option: string): string | undefined {
  return OF_EXPRESS_SESSION.get(plainName(option));
}

/** However its words are joined: `max_age`, `maxAge` and `max-age` are one. */
export function plainName(name: string): string {
  return name.replace(/[_-]/g, "").toLowerCase();
}
