/** Starting and stopping: the notes service, the sessions, the demo in front of both. */

import { once } from "node:events";
import { createServer, type Server } from "node:http";
import { createServer as createTlsServer } from "node:https";
import type { AddressInfo } from "node:net";
import { tokenizer } from "express-tokenizer";
import { createApp, type Tryout } from "./app.js";
import type { Certificate } from "./certificate.js";
import { type SettingsSource, withCookie } from "./cookie-settings.js";
import { startTrials } from "./promises/stacks.js";
import { type Account, DEMO_ACCOUNTS, startUpstream } from "./upstream.js";

export interface Running {
  readonly port: number;
  /** Whose passwords the sign-in page tells everybody. */
  readonly accounts: readonly Account[];
  /** Stops accepting, lets requests finish for a while, closes the sessions. */
  stop(): Promise<void>;
}

/** Something that the person who started the demo can mend; its message is all they need. */
export class CannotStart extends Error {
  override readonly name = "CannotStart";
}

const LAST_REQUESTS = 5000; // milliseconds
const SWEEP = 50; // milliseconds

export interface ServeOptions {
  readonly settings: SettingsSource;
  readonly port: number;
  /** Default: the loopback addresses, since the demo speaks plain HTTP and its account is public. */
  readonly host?: string | undefined;
  /** To serve over TLS, with sessions that are bound to the device. Default: plain HTTP. */
  readonly certificate?: Certificate | undefined;
}

export async function serve({ settings, port, host, certificate }: ServeOptions): Promise<Running> {
  const sessions = certificate ? withCookie({ device_bound: true }, settings, tokenizer) : tokenizer(settings);
  const closing: Array<() => Promise<void>> = [() => sessions.close()];
  const stop = async () => {
    while (closing.length > 0) await closing.pop()?.();
  };
  try {
    await sessions.ready;
    const upstream = await startUpstream();
    closing.push(() => upstream.close());
    const tryout = await startTryout(settings);
    if (tryout !== undefined) closing.push(() => tryout.trials.close());
    const app = createApp({ sessions, upstream: upstream.url, tryout });
    const make = () =>
      certificate ? createTlsServer({ cert: certificate.cert, key: certificate.key }, app) : createServer(app);
    const servers = await listen(make, port, host);
    closing.push(() => drain(servers));
    return { port: portOf(servers[0]), accounts: tryout?.accounts ?? [], stop };
  } catch (error) {
    await stop().catch(() => {}); // what is half started may not close; the first error is the one to tell
    throw error;
  }
}

/** In production, passwords are for nobody to read, and sessions for nobody who is not signed in. */
async function startTryout(settings: SettingsSource): Promise<Tryout | undefined> {
  if (process.env.NODE_ENV === "production") return undefined;
  return { accounts: DEMO_ACCOUNTS, trials: await startTrials(settings) };
}

/** 3000 unless told otherwise. */
export function portFrom(text: string | undefined): number {
  if (text === undefined || text === "") return 3000;
  const port = Number(text);
  if (/^\d+$/.test(text) && port <= 65535) return port;
  throw new CannotStart(`PORT is "${text}", but has to be a number from 0 to 65535.`);
}

async function listen(make: () => Server, port: number, host: string | undefined): Promise<[Server, ...Server[]]> {
  try {
    return host === undefined ? await listenOnLoopback(make, port) : [await listenOn(make, port, host)];
  } catch (error) {
    throw mendable(error, port, host);
  }
}

/** "localhost" is 127.0.0.1 to some programs and ::1 to others, so both are served. */
async function listenOnLoopback(make: () => Server, port: number): Promise<[Server, ...Server[]]> {
  const first = await listenOn(make, port, "127.0.0.1");
  try {
    return [first, await listenOn(make, portOf(first), "::1")];
  } catch (error) {
    if (isCode(error, "EADDRNOTAVAIL", "EAFNOSUPPORT")) return [first]; // a machine without IPv6
    first.close();
    throw error;
  }
}

async function listenOn(make: () => Server, port: number, host: string): Promise<Server> {
  const server = make().listen(port, host);
  await once(server, "listening");
  return server;
}

function mendable(error: unknown, port: number, host: string | undefined): unknown {
  if (isCode(error, "EADDRINUSE")) {
    const other = port === 3001 ? 3002 : 3001;
    return new CannotStart(
      `Port ${port} is taken by another program. Stop that one, or choose a port: PORT=${other} npm start`,
    );
  }
  if (isCode(error, "EACCES")) return new CannotStart(`Port ${port} needs more rights than you have. Try PORT=3000.`);
  if (isCode(error, "ENOTFOUND", "EADDRNOTAVAIL")) {
    return new CannotStart(`HOST is "${host}", which is no address of this machine.`);
  }
  return error;
}

/** A browser keeps its connection open after the last answer; those are closed as soon as they fall idle. */
async function drain(servers: readonly Server[]): Promise<void> {
  const closed = servers.map((server) => once(server, "close"));
  for (const server of servers) server.close();
  const sweep = setInterval(() => forEach(servers, "closeIdleConnections"), SWEEP);
  const deadline = setTimeout(() => forEach(servers, "closeAllConnections"), LAST_REQUESTS);
  await Promise.all(closed);
  clearInterval(sweep);
  clearTimeout(deadline);
}

function forEach(servers: readonly Server[], what: "closeIdleConnections" | "closeAllConnections"): void {
  for (const server of servers) server[what]();
}

function portOf(server: Server): number {
  return (server.address() as AddressInfo).port;
}

function isCode(error: unknown, ...codes: string[]): boolean {
  return codes.includes((error as NodeJS.ErrnoException | null)?.code ?? "");
}
