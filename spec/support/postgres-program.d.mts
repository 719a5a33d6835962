import type { ChildProcess } from "node:child_process";

/** The program `postgres`; undefined where it is not installed. */
export const POSTGRES: string | undefined;
/** The superuser: without a password at the socket, with it over TCP. */
export const ADMIN: { readonly username: string; readonly password: string };
export interface Configuration {
  /** As in postgresql.conf, in place of the specs' own or beside them: `{ max_connections: 20 }`. */
  readonly settings?: Readonly<Record<string, string | number>>;
  /** Lines of pg_hba.conf for TCP; by default each user of this machine gives a password. */
  readonly hba?: readonly string[];
}
/** An empty folder that the servers' user owns. */
export function makeFolder(): string;
/** A file that the servers' user alone can read. */
export function writeOwn(file: string, text: string): void;
/** Runs a program to its end as the servers' user: one that stands beside `postgres`, or `cp`. */
export function run(name: string, args: readonly string[]): Promise<void>;
/** Writes the settings, and who may sign in. */
export function configure(folder: string, port: number, configuration?: Configuration): void;
/** Starts a program as the servers' user, its log in a file; `signal` ends it when this process ends, however it does. */
export function start(file: string, args: readonly string[], log: string, signal: string): ChildProcess;
/** Starts a server; answers its process once it takes connections. */
export function startServer(folder: string): Promise<ChildProcess>;
/** Asks again until it is so; what goes wrong is told with the log's end. */
export function until(name: string, log: string, condition: () => boolean | Promise<boolean>): Promise<void>;
/** What a file has; nothing where there is none. */
export function read(file: string): string;
/** Removes a server's folder after its end, and the memory that the system keeps for one that was killed. */
export function remove(folder: string): void;
