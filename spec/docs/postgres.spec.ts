/** docs/postgres.md: its SQL, its settings and its code run on a real server, and its messages are those that are told. */
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { beforeAll, describe, expect, test } from "@jest/globals";
import pg from "pg";
import { allBusy, explain, timedOut } from "../../lib/backends/postgres/errors.js";
import { ConnectionFailure, Refusal } from "../../lib/backends/postgres/failures.js";
import { createStatements, tableOf } from "../../lib/backends/postgres/table.js";
import { type Tokenizer, tokenizer } from "../../lib/tokenizer.js";
import { commandLine, settingsFile } from "../cli/command-line.js";
import { SAFE_PASSWORD, temporaryFolder } from "../support/app.js";
import { type PostgresServer, startPostgres, withPostgres } from "../support/postgres-server.js";

const TEXT = readFileSync(fileURLToPath(new URL("../../docs/postgres.md", import.meta.url)), "utf8");
const PASSWORD = "a-password-of-the-document";
const DATABASE = "my_app";
const USER = "sessions";

const blocksOf = (language: string): string[] =>
  [...TEXT.matchAll(/```(\w+)\n([\s\S]*?)```/g)].filter(([, name]) => name === language).map(([, , text = ""]) => text);

withPostgres("on a server", () => {
  let server: PostgresServer;
  const warnings: string[] = [];
  const log = { warn: (line: string) => warnings.push(line) };
  /** What the examples leave open. A busy machine takes its time. */
  const patient = { safe_password: SAFE_PASSWORD, store_timeout: 60 };

  beforeAll(async () => {
    server = await startPostgres({ users: { [USER]: PASSWORD } });
    await server.sql(`CREATE DATABASE ${DATABASE}`);
    for (const text of blocksOf("sql")) await server.sql(text, [], { database: DATABASE });
  });

  async function expectService(sessions: Tokenizer): Promise<void> {
    try {
      await sessions.ready;
      expect(await sessions.health()).toMatchObject({ ok: true });
    } finally {
      await sessions.close();
    }
  }

  test("its settings work after its SQL, with the rights that it grants, and nothing is to be warned of", async () => {
    const [text = ""] = blocksOf("yaml");
    const file = join(temporaryFolder(), "settings.yml");
    const filled = text
      .replace("host: localhost", `host: 127.0.0.1\n  port: ${server.port}\n  store_timeout: 60`)
      .replace(" password: …", ` password: ${PASSWORD}`)
      .replace("safe_password: …", `safe_password: ${SAFE_PASSWORD}`);
    writeFileSync(file, filled, { mode: 0o600 });
    await expectService(tokenizer(file, { log }));
    expect(warnings).toEqual([]);
  });

  test("a token for each connection", async () => {
    const { host: hostname, port } = server;
    const [username, region] = [USER, "eu-west-1"];
    const settings = { tokenizer: { type: "postgres", host: hostname, port, database: DATABASE, ...patient } } as const;
    const asked: unknown[] = [];

    class Signer {
      constructor(options: object) {
        asked.push(options);
      }

      async getAuthToken() {
        return PASSWORD;
      }
    }

    const signer = new Signer({ hostname, port, username, region });
    const credentials = async () => ({ username, password: await signer.getAuthToken() });
    const sessions = tokenizer(settings, { postgres: { credentials } });
    await expectService(sessions);
    expect(asked).toEqual([{ hostname, port, username, region }]);
  });

  test("a pool of the application's, as docs/operation.md has it", async () => {
    const connectionString = `postgres://${USER}:${PASSWORD}@${server.host}:${server.port}/${DATABASE}`;
    const settings = { tokenizer: { type: "postgres", ...patient } } as const;
    const { Pool } = pg;

    const pool = new Pool({ connectionString, max: 5, connectionTimeoutMillis: 1500, statement_timeout: 1800 });
    pool.on("error", (error) => console.error(`PostgreSQL: ${error.message}`));
    const sessions = tokenizer(settings, { postgres: { pool } });
    await expectService(sessions);
    expect([pool.ended, pool.listenerCount("error"), pool.listenerCount("connect")]).toEqual([false, 1, 0]);
    await pool.end();
  });

  test("its log keeps what is saved to itself, where its SQL is followed", async () => {
    await server.sql(`ALTER ROLE ${USER} SET log_min_duration_statement = 0`);
    const client = new pg.Client({ ...at(server), user: USER, password: PASSWORD, database: DATABASE });
    await client.connect();
    await client.query("SELECT $1::text", ["what nobody else should read"]);
    await client.end();
    expect(server.log()).toContain("SELECT $1::text");
    expect(server.log()).not.toContain("what nobody else");
  });
});

/** However its lines are broken. */
const onOneLine = (text: string) => text.trim().replaceAll(/\s+/g, " ");

const at = ({ host, port }: PostgresServer) => ({ host, port, ssl: false });

test("the table that it shows is the one that is made", () => {
  const [shown] = blocksOf("sql");
  expect(onOneLine(shown ?? "")).toBe(
    onOneLine(createStatements(tableOf("tokenizer_records")).join(";\n").concat(";")),
  );
});

describe("its commands", () => {
  const server = { host: "127.0.0.1", port: 1, database: DATABASE, username: USER };
  const file = settingsFile({ type: "postgres", ...server, store_timeout: 2 });

  test("print its rights, and what it says is worth setting", async () => {
    const { stdout } = await commandLine(["grants", "--settings", file]);
    const printed = onOneLine(stdout.replaceAll(/^-- /gm, ""));
    const shown = blocksOf("sql").flatMap((text) => text.match(/^(GRANT|ALTER ROLE) .*;$/gm) ?? []);
    expect(shown.length).toBeGreaterThan(4);
    expect(shown.filter((statement) => !printed.includes(statement))).toEqual([]);
  });

  const commands = [...TEXT.matchAll(/npx express-tokenizer ([a-z-]+)/g)].map(([, command = ""]) => command);
  test.each([...new Set(commands)])("%s is one", async (command) => {
    expect(await commandLine([command, "--help"])).toMatchObject({ code: 0 });
  });
});

describe("from a message to its cause", () => {
  const place = { server: "db:5432", table: "tokenizer_records", isGiven: false };
  const refused = (state: string, said: string, atConnect = false) =>
    explain(new Refusal(state, said, { atConnect }), place);
  const failed = (cause: Error) => explain(new ConnectionFailure(cause, false), place);
  const TOLD = [
    failed(Object.assign(new Error("connect ECONNREFUSED"), { code: "ECONNREFUSED" })),
    refused("28P01", 'password authentication failed for user "sessions"', true),
    refused("28000", 'no pg_hba.conf entry for host "10.0.0.1", user "sessions", database "x", no encryption', true),
    failed(new Error("SASL: SCRAM-SERVER-FIRST-MESSAGE: client password must be a string")),
    refused("3D000", 'database "my_app" does not exist', true),
    refused("42P01", 'relation "tokenizer_records" does not exist'),
    refused("42501", "permission denied for table tokenizer_records"),
    refused("42703", 'column "version" does not exist'),
    failed(new Error("The server does not support SSL connections")),
    refused("25006", "cannot execute UPDATE in a read-only transaction"),
    refused("53300", "sorry, too many clients already", true),
    refused("57P03", "the database system is starting up", true),
    refused("53100", "could not extend file: No space left on device"),
    refused("57014", "canceling statement due to statement timeout"),
    timedOut(place, 2000),
    allBusy(place, 10),
  ].map(({ message }) => message);

  const [, table = ""] = /## From a message to its cause\n([\s\S]*?)\n## /.exec(TEXT) ?? [];
  const named = [...table.matchAll(/^\| `(.*?)` +\|/gm)].map(([, message = ""]) => message);
  const isIn = (part: string, message: string) =>
    new RegExp(
      part
        .split("…")
        .map((text) => text.replace(/[.*+?^${}()|[\]\\]/g, "\\$&"))
        .join(".*"),
    ).test(message);

  test.each(named)("%s is told", (part) => {
    expect(TOLD.filter((message) => isIn(part, message))).not.toEqual([]);
  });

  test.each(TOLD)("%s is in its table", (message) => {
    expect(named.filter((part) => isIn(part, message))).not.toEqual([]);
  });
});
