/** Servers that all spec files share: global-setup.mjs starts one when it is asked for first, and ends it with the run. */

interface SharedServers {
  /** With a database that nobody else was given. */
  readonly redis: { readonly port: number; readonly database: number };
  /** With a table that nobody else was given, and a user that may do with it what service takes, and nothing else. */
  readonly postgres: {
    readonly host: string;
    readonly port: number;
    readonly username: string;
    readonly password: string;
    readonly database: string;
    /** With its schema. */
    readonly table: string;
    /** A superuser. */
    readonly admin: { readonly username: string; readonly password: string };
    /** In place of the host, for connections through its socket. */
    readonly socketFolder: string;
  };
  /** The data that a PostgreSQL begins with a copy of. */
  readonly postgresTemplate: { readonly data: string };
  /** dynalite. Nobody else's table has the name that `makeTable` makes. */
  readonly dynamodb: { readonly endpoint: string };
  /** For playwright's `chromium.connect`. */
  readonly chromium: { readonly wsEndpoint: string };
}

export async function shared<Name extends keyof SharedServers>(name: Name): Promise<SharedServers[Name]> {
  const answer = await fetch(`${process.env.SHARED_SERVERS}/${name}`);
  if (!answer.ok) throw new Error(await answer.text());
  return (await answer.json()) as SharedServers[Name];
}
