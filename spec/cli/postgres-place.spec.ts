/** What `check` says of a PostgreSQL, without asking it. */
import { userInfo } from "node:os";
import { describe, expect, test } from "@jest/globals";
import { placeOf } from "../../lib/cli/place.js";
import { settingsInForce } from "../../lib/cli/settings-in-force.js";
import { weaknessesOf } from "../../lib/cli/weaknesses.js";
import { loadSettings } from "../../lib/settings/load.js";
import type { SettingsInput } from "../../lib/settings/settings.js";
import { GOOD_PASSWORD } from "../settings/loading.js";

type Tokenizer = SettingsInput["tokenizer"];

function loaded(rest: Tokenizer) {
  const tokenizer = { type: "postgres", safe_password: GOOD_PASSWORD, ...rest } as const;
  return loadSettings({ tokenizer }, { log: { warn: () => {} }, env: {} });
}

describe("the place", () => {
  const me = userInfo().username;

  test.each<[string, Tokenizer, NodeJS.ProcessEnv, string]>([
    [
      "as the settings have it",
      { host: "db", port: 5433, database: "shop", table: "auth.sessions" },
      { PGHOST: "elsewhere" },
      "PostgreSQL at db:5433, database shop, table auth.sessions",
    ],
    [
      "as the environment has it",
      {},
      { PGHOST: "db", PGPORT: "5433", PGDATABASE: "shop" },
      "PostgreSQL at db:5433 (PGHOST, PGPORT), database shop (PGDATABASE), table tokenizer_records",
    ],
    [
      "as both have it",
      { host: "db", database: "shop" },
      { PGHOST: "elsewhere", PGPORT: "5433", PGDATABASE: "" },
      "PostgreSQL at db:5433 (PGPORT), database shop, table tokenizer_records",
    ],
    ["as it usually is", {}, {}, `PostgreSQL at localhost:5432, database ${me}, table tokenizer_records`],
    [
      "a socket",
      { url: "postgres://ada:secret@/x?host=/run/postgresql" },
      {},
      "PostgreSQL at /run/postgresql/.s.PGSQL.5432, database x, table tokenizer_records",
    ],
    [
      "what cannot be used",
      {},
      { PGPORT: "x" },
      "PostgreSQL, but PGPORT is no port, which is a number from 1 to 65535",
    ],
  ])("%s", (_, settings, env, place) => {
    expect(placeOf(loaded(settings), env)).toBe(place);
  });
});

describe("who signs in, and by what TLS", () => {
  const tls = { ssl: true };

  test.each<[string, Tokenizer, NodeJS.ProcessEnv, Record<string, string>]>([
    [
      "as the settings have it",
      { username: "ada", password: "the-password", options: { ...tls, key: "the-key", cert: "the-cert" } },
      { PGUSER: "bob", PGPASSWORD: "the-other", PGSSLMODE: "disable" },
      { username: "ada", password: "set", "options.ssl": "true", "options.verify": "true", "options.key": "set" },
    ],
    [
      "as the environment has it",
      {},
      { PGUSER: "bob", PGPASSWORD: "the-other", PGSSLMODE: "require" },
      {
        username: "bob (PGUSER)",
        password: "set (PGPASSWORD)",
        "options.ssl": "not set: as PGSSLMODE says, require",
      },
    ],
    [
      "as it usually is",
      {},
      {},
      {
        username: `${userInfo().username} (the system's user)`,
        password: "not set: what ~/.pgpass says",
        "options.ssl": "false",
      },
    ],
    ["a file of passwords", {}, { PGPASSFILE: "/x" }, { password: "not set: what the file of PGPASSFILE says" }],
    ["a password's file", { password_file: "/run/x" }, {}, { password_file: "/run/x" }],
    ["what cannot be used", {}, { PGPORT: "x" }, { username: "not set" }],
  ])("%s", (_, settings, env, expected) => {
    const rows = settingsInForce(loaded(settings), env);
    expect(Object.fromEntries(rows.map(({ name, text }) => [name, text]))).toMatchObject(expected);
    expect(JSON.stringify(rows)).not.toMatch(/the-(password|other|key|cert)/);
  });
});

describe("what is weak", () => {
  const UNVERIFIED = "whoever stands between can pass for the server";
  const url = (query: string) => ({ url: `postgres://ada:x@db.example.com/x${query}` });

  test.each<[string, Tokenizer, NodeJS.ProcessEnv, readonly string[]]>([
    [
      "plain text to another machine",
      url(""),
      {},
      ["tokenizer.options.ssl is not set: sessions travel to db.example.com:5432"],
    ],
    [
      "that is meant",
      url("?sslmode=disable"),
      {},
      ["tokenizer.options.ssl is false: sessions travel to db.example.com"],
    ],
    [
      "that the environment says",
      {},
      { PGHOST: "db" },
      ["tokenizer.options.ssl is not set: sessions travel to db:5432"],
    ],
    ["that may be", {}, { PGHOST: "db", PGSSLMODE: "prefer" }, ["tokenizer.options.ssl is not set"]],
    ["TLS without verifying", url("?sslmode=no-verify"), {}, [`tokenizer.options.verify is false: ${UNVERIFIED}`]],
    ["that the environment says", {}, { PGSSLMODE: "no-verify" }, [`PGSSLMODE is no-verify: ${UNVERIFIED}`]],
    ["not TLS", url("?sslmode=require"), {}, []],
    ["nor that of the environment", { host: "db" }, { PGSSLMODE: "verify-full" }, []],
    ["nor this machine", { host: "127.0.0.1" }, {}, []],
    ["nor a socket", { host: "/run/postgresql" }, {}, []],
    ["nor what cannot be used", {}, { PGHOST: "a,b" }, []],
  ])("%s", (_, settings, env, expected) => {
    expect(weaknessesOf(loaded(settings), env)).toEqual(expected.map((text) => expect.stringContaining(text)));
  });
});
