/** A server that says what no server should, or says it at a bad moment: told by name, and nothing else ends. */
import type { Socket } from "node:net";
import { expect, test } from "@jest/globals";
import pg from "pg";
import { message, READY, RESTARTS, refusal, rows, signIn, startFakePostgres } from "../../support/fake-postgres.js";
import { failureOf, makeBackend } from "../../support/postgres-backend.js";
import { until } from "../../support/redis-server.js";
import { expectNoStrayErrors } from "../../support/stray.js";

const RECORD = { version: "v", expires: 8e15, value: "x" };
const ANSWER = rows("off", RECORD.version, `${RECORD.expires}`, RECORD.value);

expectNoStrayErrors();

/** What was sent so far is read, and what comes of it is done. */
const turn = () => new Promise((resolve) => setTimeout(resolve, 20));

test.each([
  ["GSS", 7],
  ["SSPI", 9],
  ["what nobody knows", 99],
])("a login by %s", async (_name, way) => {
  const server = await startFakePostgres(
    () => {},
    (socket) => socket.write(signIn(way)),
  );
  const { backend } = makeBackend({ port: server.port, username: "app" });
  expect(await failureOf(backend.open())).toEqual({
    code: "STORE_UNUSABLE",
    message: `PostgreSQL at 127.0.0.1:${server.port} cannot be used: it asks for a way to sign in that the package pg does not know, such as GSS or SSPI. Allow a password in pg_hba.conf: scram-sha-256.`,
  });
  await backend.close();
});

test.each<[string, Buffer]>([
  ["no row", rows()],
  ["nothing at all", READY],
  ["another row", rows("what?")],
  ["a row with a length that is none", Buffer.concat([message("D", Buffer.from([0, 9, 255, 255, 255, 0])), READY])],
])("a read answered by %s is no absence", async (_name, answer) => {
  const server = await startFakePostgres((socket) => socket.write(answer));
  const { backend } = makeBackend({ port: server.port, username: "app" });
  const { code, message: told } = await failureOf(backend.read("key"));
  expect([code, told]).toEqual([
    "STORE_UNAVAILABLE",
    expect.stringMatching(/^The connection to \S+ at \S+ was lost: /),
  ]);
  await backend.close();
});

test("a connection that the server ends with an error of its own is not used again", async () => {
  const fatal = refusal({ S: "FATAL", C: "25P04", M: "terminating connection due to transaction timeout" });
  const server = await startFakePostgres((socket) => {
    socket.write(server.connections === 1 ? fatal : ANSWER);
  });
  const { backend } = makeBackend({ port: server.port, username: "app" });
  expect((await failureOf(backend.write("key", RECORD, "any"))).code).toBe("STORE_UNAVAILABLE");
  expect(await backend.write("key", RECORD, "any")).toBe(true);
  await backend.close();
});

test.each([
  ["server login has been failing, try again later (server_login_retry)"],
  ["query_wait_timeout"],
  ["pgbouncer cannot connect to server"],
])("a pooler that does not reach its server is no fault of the settings: %s", async (said) => {
  const fatal = refusal({ S: "FATAL", C: "08P01", M: said });
  const server = await startFakePostgres(
    () => {},
    (socket) => socket.write(fatal),
  );
  const { backend } = makeBackend({ port: server.port, username: "app" });
  expect(await failureOf(backend.read("key"))).toEqual({
    code: "STORE_UNAVAILABLE",
    message: `PostgreSQL at 127.0.0.1:${server.port} refused: ${said}.`,
  });
  await backend.close();
});

test("a server that never lets anybody in: whoever waits is told so, and not that others are busy", async () => {
  const server = await startFakePostgres(
    () => {},
    () => {},
  );
  const { backend } = makeBackend({ port: server.port, username: "app" }, { timeout: 400 });
  const calls = Array.from({ length: 40 }, (_, n) => failureOf(backend.read(`${n}`)));
  const told = new Set((await Promise.all(calls)).map(({ message: text }) => text));
  expect([...told]).toEqual([
    `PostgreSQL at 127.0.0.1:${server.port} cannot be reached: no connection was made in time.`,
  ]);
  await backend.close();
});

test("a server without a connection left: whoever waits is told so", async () => {
  const full = refusal({ S: "FATAL", C: "53300", M: 'too many connections for role "app"' });
  const server = await startFakePostgres(
    () => {},
    (socket) => socket.end(full),
  );
  const { backend } = makeBackend({ port: server.port, username: "app" }, { timeout: 400 });
  const calls = Array.from({ length: 40 }, (_, n) => failureOf(backend.read(`${n}`)));
  const told = new Set((await Promise.all(calls)).map(({ message: text }) => text));
  expect([...told]).toEqual([
    expect.stringMatching(
      /^PostgreSQL at \S+ refused: too many connections for role "app"\. Raise max_connections there/,
    ),
  ]);
  await backend.close();
});

test("a pooler that loses its server under a read: it is tried again", async () => {
  const server = await startFakePostgres((socket) => {
    socket.write(server.connections === 1 ? refusal({ S: "FATAL", C: "08P01", M: "server conn crashed?" }) : ANSWER);
  });
  const { backend } = makeBackend({ port: server.port, username: "app" });
  expect(await backend.read("key")).toEqual(RECORD);
  await backend.close();
});

test("a connection that is lost before a creation was sent: it is made on another one", async () => {
  const server = await startFakePostgres(
    (socket) => socket.write(ANSWER),
    (socket) => {
      const welcome = Buffer.concat([signIn(0), READY]);
      socket.write(server.connections === 1 ? Buffer.concat([welcome, RESTARTS]) : welcome);
    },
  );
  const { backend } = makeBackend({ port: server.port, username: "app" });
  expect(await backend.write("key", RECORD, "absent")).toBe(true);
  expect(server.connections).toBe(2);
  await backend.close();
});

test("a plan that fits no more is known in any language", async () => {
  const misfit = refusal({
    ...{ S: "FEHLER", C: "0A000", R: "RevalidateCachedQuery" },
    M: "gecachter Plan darf den Ergebnistyp nicht ändern",
  });
  const server = await startFakePostgres((socket, nth) => {
    socket.write(server.connections === 1 && nth > 0 ? Buffer.concat([misfit, READY]) : ANSWER);
  });
  const { backend } = makeBackend({ port: server.port, username: "app" });
  await backend.read("key");
  expect(await backend.read("key")).toEqual(RECORD);
  await backend.close();
});

test.each<[string, (socket: Socket) => void]>([
  ["before", (socket) => socket.end(RESTARTS)],
  ["after", () => {}],
])("a server that restarts in the moment %s we close", async (_when, before) => {
  const server = await startFakePostgres((socket, nth) => {
    socket.write(ANSWER);
    // It hears our goodbye next.
    if (nth > 0) socket.end(RESTARTS);
  });
  const { backend } = makeBackend({ port: server.port, username: "app" });
  await Promise.all([1, 2, 3].map((n) => backend.read(`${n}`)));
  for (const socket of server.sockets) before(socket);
  await backend.close();
  await until("all are gone", async () => server.sockets.size === 0);
  await turn();
});

test("closing ends the calls on a given pool, and nothing is connected for them any more", async () => {
  const server = await startFakePostgres(() => {});
  const pool = new pg.Pool({ host: "127.0.0.1", port: server.port, user: "app", max: 3, ssl: false });
  const { backend } = makeBackend({ pool });
  const calls = Array.from({ length: 6 }, (_, n) => failureOf(backend.read(`${n}`)));
  await until("they wait", async () => server.connections === 3 && pool.waitingCount === 3);
  await turn();
  await backend.close();
  expect(new Set((await Promise.all(calls)).map(({ code }) => code))).toEqual(new Set(["STORE_CLOSED"]));
  // Those that the pool owed to whoever waited.
  expect(server.connections).toBeLessThanOrEqual(6);
  await pool.end();
});
