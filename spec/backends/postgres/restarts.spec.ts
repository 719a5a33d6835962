/** A server that ends our connections under fifty calls: each is right or fails by name, and none is done twice. */
import { beforeAll, expect, test } from "@jest/globals";
import type { PostgresBackend } from "../../../lib/backends/postgres/backend.js";
import { type loginAt, makeBackend, record, startServing, untilServed } from "../../support/postgres-backend.js";
import { type PostgresServer, withPostgres } from "../../support/postgres-server.js";
import { LOGGED, type Watch, watch } from "../../support/postgres-watch.js";
import { until } from "../../support/redis-server.js";
import { expectNoStrayErrors } from "../../support/stray.js";

/** Of a pool of ours. */
const MOST = 10;
const KINDS = ["absent", "any", "replace", "touch", "remove"] as const;

interface Call {
  readonly kind: (typeof KINDS)[number];
  readonly key: string;
  readonly old: ReturnType<typeof record>;
  readonly fresh: ReturnType<typeof record>;
}

interface Outcome extends Call {
  readonly answer: unknown;
  /** How often it was carried out. */
  readonly tries: number;
}

expectNoStrayErrors();

withPostgres("a server under fifty calls", () => {
  let server: PostgresServer;
  let login: ReturnType<typeof loginAt>;
  let watched: Watch;

  beforeAll(async () => {
    ({ server, login } = await startServing({ settings: LOGGED }));
    watched = watch(server);
  });

  /** Ten of each kind, each at a record of its own that is there before, and that somebody has locked: ten of them wait. */
  async function startCalls(backend: PostgresBackend, name: string) {
    const calls = Array.from({ length: 5 * MOST }, (_, n): Call => {
      const kind = KINDS[n % KINDS.length] as Call["kind"];
      const end = kind === "absent" ? Date.now() - 1 : undefined;
      return { kind, key: `${name} ${n}`, old: record("old", end), fresh: record("new") };
    });
    for (const { key, old } of calls) await backend.write(key, old, "any");
    const release = await watched.hold(`SELECT FROM tokenizer_records WHERE key LIKE '${name} %' FOR UPDATE`);
    const outcomes = calls.map(async (call): Promise<Outcome> => {
      const answer = await make(backend, call).catch((error) => error);
      // One was for the record that was there.
      return { ...call, answer, tries: watched.sent(call.key) - 1 };
    });
    await until("they wait", async () => (await watched.waiting()) === MOST);
    return { release, outcomes: Promise.all(outcomes) };
  }

  async function make(backend: PostgresBackend, { kind, key, old, fresh }: Call): Promise<boolean> {
    if (kind === "touch") return backend.touch(key, old.expires + 1000, old.version);
    if (kind === "remove") return backend.remove(key);
    return backend.write(key, fresh, kind === "replace" ? old : kind);
  }

  /** What is there is what the answer says; a failure leaves it open. */
  async function expectTrue(backend: PostgresBackend, { kind, key, old, fresh, answer, tries }: Outcome) {
    if (kind === "absent" || kind === "any") expect(tries).toBeLessThanOrEqual(1);
    const found = await backend.read(key);
    if (answer !== true) return;
    if (kind === "remove") expect(found).toBeUndefined();
    else if (kind === "touch") expect(found).toEqual({ ...old, expires: old.expires + 1000 });
    else expect(found).toEqual(fresh);
  }

  test("that restarts", async () => {
    const { backend } = makeBackend(login);
    const { outcomes } = await startCalls(backend, "restart");
    await server.restart("fast");
    for (const outcome of await outcomes) {
      if (outcome.answer !== true) {
        const { code, message } = outcome.answer as Error & { code: string };
        expect(code).toBe("STORE_UNAVAILABLE");
        expect(message).toMatch(
          /: terminating connection due to administrator command\.$|: the database system is \w+ \w+\. It is starting|: nothing listens there\.$|was lost: |: the connection was reset\.$/,
        );
      }
    }
    await untilServed(backend);
    for (const outcome of await outcomes) await expectTrue(backend, outcome);
  });

  test("that ends all our connections: what can be repeated is, and the rest of those under way fails by name", async () => {
    const { backend } = makeBackend(login);
    const { release, outcomes } = await startCalls(backend, "ended");
    await watched.terminate();
    await release();
    const failed = (await outcomes).filter(({ answer }) => answer !== true);
    expect(failed.map(({ kind }) => kind)).toEqual(["absent", "any", "absent", "any"]);
    for (const { answer } of failed) {
      expect(answer).toMatchObject({
        code: "STORE_UNAVAILABLE",
        message: `PostgreSQL at 127.0.0.1:${server.port} refused: terminating connection due to administrator command.`,
      });
    }
    for (const outcome of await outcomes) await expectTrue(backend, outcome);
  });
});
