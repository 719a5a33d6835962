import { beforeAll, describe, expect, test } from "@jest/globals";
import fc from "fast-check";
import { type App, Clock, startApp } from "../support/app.js";
import { everyBackend, onEveryBackend, sealedOnEveryBackend } from "../support/places.js";
import { isFull } from "../support/redis-server.js";

const RUNS = isFull ? 500 : 40;

/** What `JSON.parse` can answer, lone surrogates and names such as `__proto__` included. */
const value = fc.json({ stringUnit: "binary", maxDepth: 4 }).map((text): unknown => JSON.parse(text));
/** `cookie` is express-session's own; `credentials` and `username` mean something to us. */
const name = fc.string({ unit: "binary", maxLength: 12 }).filter((key) => !RESERVED.has(key));
const RESERVED = new Set(["cookie", "credentials", "username", "req", "id", ...namesOfSessions()]);
const contents = fc.array(fc.tuple(name, value), { minLength: 1, maxLength: 8 });

/** What every session has by its class: a session cannot have a field of that name. */
function namesOfSessions(): string[] {
  return [
    "touch",
    "resetMaxAge",
    "save",
    "reload",
    "destroy",
    "regenerate",
    ...Object.getOwnPropertyNames(Object.prototype),
  ];
}

/** What JSON cannot, under a name; and what is told of it. */
const impossible: ReadonlyArray<[string, () => unknown]> = [
  ["a BigInt", () => 1n],
  [
    "a circle",
    () =>
      Object.assign(
        { self: {} },
        {
          get self() {
            return this;
          },
        },
      ),
  ],
  [
    "a toJSON that throws",
    () => ({
      toJSON: () => {
        throw new Error("a secret of ada's");
      },
    }),
  ],
  [
    "a getter that throws",
    () =>
      Object.defineProperty({}, "x", {
        enumerable: true,
        get() {
          throw new Error("a secret of ada's");
        },
      }),
  ],
];

onEveryBackend(
  (places) => {
    let app: App;
    /** What the next request puts into its session. */
    let put: ReadonlyArray<readonly [string, unknown]> = [];

    beforeAll(async () => {
      app = await startApp({
        settings: { ...(await places.next()), store_timeout: 10 },
        clock: Object.assign(new Clock(), { time: Date.now() }),
        routes(application) {
          application.post("/put", (req, res) => {
            for (const [key, item] of put)
              Object.defineProperty(req.session, key, {
                value: item,
                enumerable: true,
                configurable: true,
                writable: true,
              });
            res.sendStatus(204);
          });
          application.get("/text", (req, res) => {
            const { cookie: _, ...fields } = req.session;
            res.type("text").send(JSON.stringify(fields));
          });
        },
      });
    });

    test(`what JSON can hold comes back as it was: ${RUNS} sessions`, async () => {
      await fc.assert(
        fc.asyncProperty(contents, async (entries) => {
          const visitor = app.visitor();
          put = entries;
          expect((await visitor.post("/put")).status).toBe(204);
          const { text } = await visitor.get("/text");
          const sent = Object.create(null) as Record<string, unknown>;
          for (const [key, item] of entries) sent[key] = item;
          expect(text).toBe(JSON.stringify(sent));
        }),
        { numRuns: RUNS },
      );
    });

    describe("what it cannot", () => {
      test.each(impossible)("%s is refused, naming the key; what was stored is kept", async (_what, make) => {
        const visitor = app.visitor();
        await visitor.post("/set", { before: 1 });
        put = [
          ["fine", 1],
          ["culprit", make()],
        ];
        const { status, body, headers } = await visitor.post("/put");
        expect([status, body.code, headers["set-cookie"]]).toEqual([500, "SESSION_UNSERIALIZABLE", undefined]);
        expect(body.message).toMatch(/^req\.session\.culprit cannot be saved/);
        expect(body.message).not.toContain("secret");
        expect((await visitor.get("/session")).body.values).toEqual({ before: 1 });
      });
    });
  },
  [...everyBackend, ...sealedOnEveryBackend],
);
