/** A PostgreSQL for the specs of commands: databases of their own, and settings of who asks. */
import { startPostgres } from "../support/postgres-server.js";
import { commandLine, settingsFile } from "./command-line.js";

/** Those that may sign in. Of each database `ada` is the owner. */
const USERS = { ada: "a-password-of-ada", app: "a-password-of-app", grace: "a-password-of-grace" };

export type User = keyof typeof USERS;

export interface TestDatabase {
  readonly name: string;
  /** `host:port`. */
  readonly server: string;
  /** The rows of a statement, by default of the superuser's. */
  sql(text: string, user?: User): Promise<readonly Record<string, unknown>[]>;
  /** A settings file of a user. */
  settings(user: User, more?: object): string;
  /** A command with the settings of a user. */
  run(argv: readonly string[], user: User, more?: object): ReturnType<typeof commandLine>;
}

export async function startServer() {
  const server = await startPostgres({ users: USERS });
  const { host, port } = server;
  let databases = 0;
  return {
    server,
    /** @param creation what follows the name in CREATE DATABASE */
    async newDatabase(creation = ""): Promise<TestDatabase> {
      const name = `shop_${++databases}`;
      await server.sql(`CREATE DATABASE ${name} OWNER ada ${creation}`);
      const settings = (user: User, more: object = {}) =>
        settingsFile({ type: "postgres", host, port, database: name, username: user, password: USERS[user], ...more });
      return {
        ...{ name, server: `${host}:${port}`, settings },
        sql: (text, user) => server.sql(text, [], { database: name, ...(user && { user }) }),
        run: ([command = "", ...argv], user, more) =>
          commandLine([command, "--settings", settings(user, more), ...argv]),
      };
    },
  };
}

/** The table as it is made. */
export const TABLE = `CREATE TABLE IF NOT EXISTS "tokenizer_records" (
  key text COLLATE "C" PRIMARY KEY,
  version text NOT NULL,
  expires bigint NOT NULL,
  value text NOT NULL
);`;
export const INDEX = 'CREATE INDEX IF NOT EXISTS "tokenizer_records_expires"\n  ON "tokenizer_records" (expires);';
