/** What a server of the specs does for the user of the sessions, and how its rows are locked. */
import { afterAll } from "@jest/globals";
import pg from "pg";
import { APP } from "./postgres-backend.js";
import type { PostgresServer } from "./postgres-server.js";

export interface Watch {
  /** A transaction that has begun with the statement, and goes on until the answer is called. */
  hold(text: string): Promise<() => Promise<unknown>>;
  /** How many connections our user has. */
  connections(): Promise<number>;
  /** How many of them wait for a lock. */
  waiting(): Promise<number>;
  /** Ends them. */
  terminate(): Promise<unknown>;
  /** How often a statement with the key was carried out, where the server has `LOGGED`. */
  sent(key: string): number;
}

/** Settings of a server that logs all statements. */
export const LOGGED = { log_statement: "all" };

const holders = new Set<pg.Client>();

afterAll(async () => {
  for (const holder of holders) await holder.end().catch(() => {});
});

export function watch(server: PostgresServer): Watch {
  const ours = `FROM pg_stat_activity WHERE usename = '${APP.username}'`;
  const count = async (condition: string) => {
    const [row] = await server.sql(`SELECT count(*)::int AS n ${ours} AND ${condition}`);
    return Number(row?.n);
  };
  return {
    async hold(text) {
      const holder = new pg.Client({ host: server.socketFolder, port: server.port, user: "postgres", ssl: false });
      holders.add(holder);
      holder.on("error", () => {});
      await holder.connect();
      await holder.query("BEGIN");
      await holder.query(text);
      return async () => {
        await holder.query("COMMIT");
        await holder.end();
      };
    },
    connections: () => count("true"),
    waiting: () => count("wait_event_type = 'Lock'"),
    terminate: () => server.sql(`SELECT pg_terminate_backend(pid) ${ours}`),
    sent: (key) => server.log().split(`parameters: $1 = '${key}'`).length - 1,
  };
}
