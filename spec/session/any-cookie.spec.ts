import { connect } from "node:net";
import { text } from "node:stream/consumers";
import { beforeAll, expect, test } from "@jest/globals";
import fc from "fast-check";
import { type App, startApp } from "../support/app.js";
import { isFull } from "../support/redis-server.js";

const RUNS = isFull ? 5000 : 300;

let app: App;
let cookie: string;

beforeAll(async () => {
  app = await startApp();
  const visitor = app.visitor();
  await visitor.signIn();
  cookie = visitor.cookie ?? "";
});

/** Sent as these bytes, without a client that would tidy them up; the answer's status, or nothing where there is none. */
async function statusOf(header: Uint8Array): Promise<number | undefined> {
  const socket = connect(app.port, "127.0.0.1");
  socket.write("GET /session HTTP/1.1\r\nHost: spec\r\nConnection: close\r\nCookie: ");
  socket.write(header);
  socket.end("\r\n\r\n");
  const [, status] = /^HTTP\/1\.1 (\d+)/.exec(await text(socket)) ?? [];
  return status === undefined ? undefined : Number(status);
}

const bytes = fc.uint8Array({ maxLength: 200 });
/** What looks like a cookie of ours, and is not: changed, cut, doubled, other bytes in it. */
const nearly = fc.tuple(fc.nat(300), bytes, fc.nat(3)).map(([at, middle, kind]) => {
  const whole = Buffer.from(cookie);
  const [start, end] = [whole.subarray(0, at), whole.subarray(at)];
  const kinds = [
    [start, middle, end],
    [start, middle],
    [whole, Buffer.from("; "), start, middle],
    [Buffer.from("token="), middle],
  ];
  return Buffer.concat(kinds[kind] ?? []);
});

test(`any bytes for a cookie: an answer below 500, ${2 * RUNS} times, and nothing of it thrown`, async () => {
  // 400 is Node's own, for bytes that no header can have.
  const isFine = async (header: Uint8Array) => expect([200, 400]).toContain(await statusOf(header));
  await fc.assert(fc.asyncProperty(bytes, isFine), { numRuns: RUNS });
  await fc.assert(fc.asyncProperty(nearly, isFine), { numRuns: RUNS });
  expect(app.errors).toEqual([]);
  expect(await statusOf(Buffer.from(cookie))).toBe(200);
});
