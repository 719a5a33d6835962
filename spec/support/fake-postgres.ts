/** What speaks PostgreSQL's protocol and says what a spec wants: on a free port, ended with the spec file. */
import { once } from "node:events";
import { type AddressInfo, createServer, type Server, type Socket } from "node:net";
import { afterAll } from "@jest/globals";

export interface FakePostgres {
  readonly port: number;
  /** Those that are open. */
  readonly sockets: ReadonlySet<Socket>;
  /** How many connections there were. */
  readonly connections: number;
}

/** Says something to a connection: the `nth` answer on it, from 0. */
type Answer = (socket: Socket, nth: number) => void;

const servers = new Set<Server>();
const open = new Set<Socket>();

afterAll(() => {
  for (const socket of open) socket.destroy();
  for (const server of servers) server.close();
});

/** @param onStart what it does when a connection begins; default: it lets anybody in */
export async function startFakePostgres(onQuery: Answer, onStart = letIn): Promise<FakePostgres> {
  const sockets = new Set<Socket>();
  let connections = 0;
  const server = createServer((socket) => {
    connections++;
    let heard = 0;
    for (const set of [sockets, open]) {
      set.add(socket);
      socket.once("close", () => set.delete(socket));
    }
    socket.on("error", () => {});
    socket.on("data", () => (heard++ === 0 ? onStart(socket) : onQuery(socket, heard - 2)));
  }).listen(0, "127.0.0.1");
  servers.add(server);
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  return {
    ...{ port, sockets },
    get connections() {
      return connections;
    },
  };
}

/** A message of the protocol. */
export function message(type: string, body: Buffer | string = ""): Buffer {
  const head = Buffer.alloc(5);
  head.write(type);
  head.writeInt32BE(Buffer.byteLength(body) + 4, 1);
  return Buffer.concat([head, Buffer.from(body)]);
}

const number = (value: number, bytes: 2 | 4): Buffer => {
  const buffer = Buffer.alloc(bytes);
  buffer.writeIntBE(value, 0, bytes);
  return buffer;
};

/** Asks for a way to sign in; 0: it is done. */
export const signIn = (way: number): Buffer => message("R", number(way, 4));
export const READY = message("Z", "I");

const letIn = (socket: Socket): void => void socket.write(Buffer.concat([signIn(0), READY]));

/** An error, by the letters of its fields. */
export const refusal = (fields: Readonly<Record<string, string>>): Buffer =>
  message(
    "E",
    `${Object.entries(fields)
      .map(([letter, text]) => `${letter}${text}\0`)
      .join("")}\0`,
  );

export const RESTARTS = refusal({ S: "FATAL", C: "57P01", M: "terminating connection due to administrator command" });

/** One row of texts, and what stands around it; without a value none. */
export function rows(...values: readonly string[]): Buffer {
  const column = Buffer.concat([Buffer.from("c\0"), number(0, 4), number(0, 2), number(25, 4), number(-1, 2)]);
  const columns = Array.from({ length: 4 }, () => Buffer.concat([column, number(-1, 4), number(0, 2)]));
  const cells = values.flatMap((value) => [number(Buffer.byteLength(value), 4), Buffer.from(value)]);
  return Buffer.concat([
    ...[message("1"), message("2"), message("T", Buffer.concat([number(4, 2), ...columns]))],
    ...(values.length > 0 ? [message("D", Buffer.concat([number(values.length, 2), ...cells]))] : []),
    ...[message("C", `SELECT ${Math.min(values.length, 1)}\0`), READY],
  ]);
}
